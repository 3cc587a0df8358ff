//! Many streams that are added, used and removed leave no thread, no memory and no metric behind.

use crate::client::Events;
use crate::pictures::good_jpeg;
use crate::support::{Server, pushed_body, wait_until};

/// How often: `VIGIA_SOAK`, else what takes a moment.
fn cycles() -> u64 {
    std::env::var("VIGIA_SOAK").map_or(300, |text| text.parse().expect("VIGIA_SOAK is a number"))
}

/// Threads of this process whose name begins so; other tests have theirs.
fn threads(name: &str) -> usize {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let comm = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    tasks.flatten().filter_map(comm).filter(|comm| comm.starts_with(name)).count()
}

#[test]
fn nothing_is_left_of_them() {
    let server = Server::plain();
    let client = server.client();
    server.add(&pushed_body("stays"));
    assert_eq!(server.put("stays", 1, "?wait=result").status, 200);
    for cycle in 0..cycles() {
        // Under a few ids: old and new lives meet.
        let id = format!("soak{}", cycle % 3);
        server.add(&pushed_body(&id));
        let mut events = Events::follow(&client, &id, None);
        assert_eq!(server.put(&id, 1, "?wait=result").status, 200);
        let mut socket = server.socket(&format!("/v1/streams/{id}/frames"));
        socket.push(2, &good_jpeg());
        assert_eq!(socket.json()["frame_id"], 2);
        assert_eq!(events.by_ref().take(2).filter_map(|event| event.id).collect::<Vec<_>>(), [1, 2]);
        server.remove(&id);
        assert_eq!(socket.rest().1, 1000);
        assert_eq!(events.next(), None);
    }
    wait_until("their threads are gone", || threads("stream-soak") == 0);
    let metrics = client.get("/metrics").text();
    assert!(!metrics.contains("soak") && metrics.contains("stream=\"stays\""), "{metrics}");
    let all = server.app.limits.cache;
    wait_until("all memory is given back", || server.app.reserve(all).is_ok());
    wait_until("nothing is under way", || server.app.drain.under_way() == 0);
    assert_eq!(server.frames("stays")["inferred"], 1);
}
