//! Sources that were started and stopped leave no thread and no open file behind.

#[path = "ingest/support.rs"]
#[expect(dead_code, reason = "the other test uses more of it")]
mod support;

use vigia_media::IngestOptions;

/// Threads and open files of this process.
fn held() -> Option<(usize, usize)> {
    let count = |folder: &str| std::fs::read_dir(folder).ok().map(Iterator::count);
    Some((count("/proc/self/task")?, count("/proc/self/fd")?))
}

#[test]
fn a_hundred_starts() {
    let cycle = || {
        let (handle, receiver) =
            support::start("test://?width=64&height=48", IngestOptions::default(), 1).expect("a source");
        assert!(matches!(receiver.recv_timeout(support::LONG), Ok(support::Told::Frame(_))));
        drop(receiver);
        drop(handle);
    };
    // GStreamer keeps a few threads in a pool.
    (0..10).for_each(|_| cycle());
    let Some(before) = held() else {
        eprintln!("skipped: there is no /proc here");
        return;
    };
    (0..100).for_each(|_| cycle());
    let after = held().expect("/proc is there");
    assert!(after.0 <= before.0 + 2 && after.1 <= before.1 + 2, "{before:?} before, {after:?} after");
}
