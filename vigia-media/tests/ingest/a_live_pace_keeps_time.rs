//! At a live pace a file takes as long as it is, and a test picture is dated like a camera's.

use std::time::{Duration, Instant};

use vigia_media::{IngestOptions, Pace};

use crate::support::{clip, read, text};

#[test]
fn a_file_and_a_picture() {
    let options = IngestOptions { pace: Pace::Live, ..IngestOptions::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let path = clip(folder.path(), "clip.mov", 6, "width=96,height=64");
    let start = Instant::now();
    let (count, outcome) = read(text(&path), options.clone(), |frame| assert_eq!(frame.captured_at, None));
    assert_eq!((count, outcome), (6, Ok(())));
    assert!(start.elapsed() >= Duration::from_millis(490), "{:?}", start.elapsed());

    let start = Instant::now();
    let (count, outcome) = read("test://?width=64&height=48&fps=20&frames=6", options, |frame| {
        assert!(frame.captured_at.is_some());
    });
    assert_eq!((count, outcome), (6, Ok(())));
    assert!(start.elapsed() >= Duration::from_millis(240), "{:?}", start.elapsed());
}
