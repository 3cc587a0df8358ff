//! What the recorder writes is a video with every picture, its time and its colours.

use std::time::Duration;

use vigia_core::geometry::Size;
use vigia_core::source::SourceError;
use vigia_media::{IngestOptions, Recorder};

use crate::support::{read, text};

fn grey(size: Size, level: u8) -> Vec<u8> {
    vec![level; size.pixels() as usize * 3]
}

#[test]
fn a_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let size = Size::new(161, 121);
    let mut recorder = Recorder::create(&folder.path().join("out.avi"), size, (10, 1)).expect("a recorder");
    for n in 0..30_u64 {
        let level = 40 + 5 * n as u8;
        recorder.write_rgb(&grey(size, level), Duration::from_millis(100 * n)).expect("a picture");
    }
    let promised = recorder.path().to_path_buf();
    assert!(!promised.exists(), "not before it is finished");
    let path = recorder.finish().expect("a file");
    assert_eq!(path, promised);
    assert_eq!(path.extension().and_then(|e| e.to_str()), Recorder::extension().ok());
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no other file is left");
    let mut levels = Vec::new();
    let (count, outcome) = read(text(&path), IngestOptions::default(), |frame| {
        assert_eq!(frame.image.size(), Size::new(160, 120));
        let expected = Duration::from_millis(100 * frame.frame_id);
        assert!(frame.pts.expect("a time").abs_diff(expected) < Duration::from_millis(2), "{:?}", frame.pts);
        levels.push(frame.image.plane(0).0[0]);
    });
    assert_eq!((count, outcome), (30, Ok(())));
    for (n, &level) in levels.iter().enumerate() {
        let expected = 16.0 + (40.0 + 5.0 * n as f64) * 219.0 / 255.0;
        assert!((f64::from(level) - expected).abs() < 8.0, "frame {n}: {level}, not {expected}");
    }
}

#[test]
fn nothing_is_left_of_one_that_was_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let size = Size::new(64, 48);
    let mut recorder = Recorder::create(&folder.path().join("out.mp4"), size, (10, 1)).expect("a recorder");
    recorder.write_rgb(&grey(size, 9), Duration::ZERO).expect("a picture");
    assert!(recorder.write_rgb(&[0; 12], Duration::ZERO).is_err(), "a picture of another size");
    drop(recorder);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn a_place_that_does_not_exist() {
    let error =
        Recorder::create("/no/such/folder/out.mp4".as_ref(), Size::new(64, 48), (10, 1)).expect_err("no folder");
    assert!(matches!(&error, SourceError::NotFound(message) if message.contains("/no/such/folder/out")), "{error:?}");
}

#[test]
fn a_full_disk() {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let extension = Recorder::extension().expect("an encoder");
    std::os::unix::fs::symlink("/dev/full", folder.path().join(format!(".out.{extension}.part"))).expect("a link");
    let size = Size::new(320, 240);
    let mut recorder = Recorder::create(&folder.path().join("out.mp4"), size, (10, 1)).expect("a recorder");
    let written = (0..200_u64).try_for_each(|n| {
        let noise: Vec<u8> = (0..size.pixels() * 3).map(|i| ((i + n).wrapping_mul(0x9E37_79B9) >> 13) as u8).collect();
        recorder.write_rgb(&noise, Duration::from_millis(100 * n))
    });
    let outcome = written.and_then(|()| recorder.finish().map(drop));
    assert!(matches!(&outcome, Err(SourceError::Library(message)) if message.contains("out.")), "{outcome:?}");
}
