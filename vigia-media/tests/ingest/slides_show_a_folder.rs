//! A folder's pictures come one after the other, moving, without end; what cannot be shown is left out.

use std::fs;
use std::path::Path;
use std::time::Duration;

use vigia_core::frame::{Frame, PixelFormat};
use vigia_core::geometry::Size;
use vigia_core::source::SourceError;
use vigia_media::{IngestOptions, Pace};

use crate::support::{LONG, Told, failure, launch, open, read, start, text};

/// Five frames per picture.
const OPTIONS: &str = "width=160&height=90&fps=5&seconds=1";

fn options(pace: Pace) -> IngestOptions {
    IngestOptions { pace, ..IngestOptions::default() }
}

fn address(folder: &Path) -> String {
    format!("slides:{}?{OPTIONS}", text(folder))
}

/// Writes one picture, as GStreamer draws and encodes it.
fn picture(folder: &Path, name: &str, pattern: &str, encoder: &str) {
    launch(&format!(
        "videotestsrc num-buffers=1 pattern={pattern} ! video/x-raw,width=320,height=240 ! videoconvert ! {encoder} ! \
         filesink location=\"{}\"",
        folder.join(name).display()
    ));
}

/// A folder with a picture in colours, and one in grey that comes after it.
fn two_pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    picture(folder.path(), "a.JPG", "checkers-8", "jpegenc");
    picture(folder.path(), "z.png", "gradient", "pngenc");
    folder
}

/// The first frames; the source is stopped after them.
fn frames(address: &str, pace: Pace, count: usize) -> Vec<Frame> {
    let (handle, receiver) = start(address, options(pace), 2).expect(address);
    let mut frames = Vec::new();
    while frames.len() < count {
        match receiver.recv_timeout(LONG).expect("the source says something") {
            Told::Frame(frame) => frames.push(frame),
            other => panic!("{address}: {other:?} after {} frames", frames.len()),
        }
    }
    drop(receiver);
    drop(handle);
    frames
}

/// One row or column after the other of a plane, without what pads rows.
fn rows(frame: &Frame, plane: usize) -> Vec<Vec<u8>> {
    let size = frame.image.size();
    let (width, height) = if plane == 0 { (size.width, size.height) } else { (size.width / 2, size.height / 2) };
    let (bytes, stride) = frame.image.plane(plane);
    bytes.chunks(stride).take(height as usize).map(|row| row[..width as usize].to_vec()).collect()
}

fn is_grey(frame: &Frame) -> bool {
    (1..3).all(|plane| rows(frame, plane).concat().iter().all(|&value| value.abs_diff(128) < 10))
}

/// Which frames show the grey picture, one letter each.
fn seen(frames: &[Frame]) -> String {
    frames.iter().map(|frame| if is_grey(frame) { 'g' } else { 'c' }).collect()
}

#[test]
fn pictures_take_turns_and_move() {
    let folder = two_pictures();
    let frames = frames(&address(folder.path()), Pace::AsFast, 23);
    assert_eq!(seen(&frames), "cccccgggggcccccgggggccc");
    for (number, frame) in (0..).zip(&frames) {
        assert_eq!((frame.frame_id, frame.pts), (number, Some(Duration::from_millis(200 * number))));
        assert_eq!((frame.image.size(), frame.image.format()), (Size::new(160, 90), PixelFormat::I420));
        assert_eq!(frame.captured_at, None);
    }
    for pair in frames.windows(2) {
        assert_ne!(rows(&pair[0], 0), rows(&pair[1], 0), "frame {} stands still", pair[1].frame_id);
    }
    // The same each time.
    assert_eq!(rows(&frames[2], 0), rows(&frames[12], 0));
}

#[test]
fn a_live_pace_is_a_cameras() {
    let folder = two_pictures();
    let frames = frames(&address(folder.path()), Pace::Live, 7);
    for (number, pair) in (0..).zip(frames.windows(2)) {
        assert_eq!((pair[0].frame_id, pair[1].frame_id), (number, number + 1));
        assert!(pair[0].pts < pair[1].pts && pair[0].captured_at.is_some());
    }
    assert_eq!(frames[0].pts, Some(Duration::ZERO));
}

#[test]
fn broken_pictures_are_left_out() {
    let folder = two_pictures();
    let png = fs::read(folder.path().join("z.png")).expect("a picture");
    fs::write(folder.path().join("b.jpg"), "no picture").expect("a file");
    fs::write(folder.path().join("c.png"), &png[..png.len() / 2]).expect("a file");
    fs::write(folder.path().join("d.jpeg"), "").expect("a file");
    fs::write(folder.path().join("notes.txt"), "not looked at").expect("a file");
    // A JPEG whose name says PNG is one.
    fs::rename(folder.path().join("a.JPG"), folder.path().join("a.png")).expect("a file");
    assert_eq!(seen(&frames(&address(folder.path()), Pace::AsFast, 13)), "cccccgggggccc");
}

#[test]
fn pictures_may_disappear() {
    let folder = two_pictures();
    let address = address(folder.path());
    let (handle, receiver) = start(&address, options(Pace::AsFast), 0).expect("a source");
    let next = || match receiver.recv_timeout(LONG) {
        Ok(told) => told,
        Err(error) => panic!("{error}"),
    };
    let Told::Frame(first) = next() else { panic!("no frame") };
    fs::remove_file(folder.path().join("z.png")).expect("a file");
    // The next picture may have been read already, but no later one.
    let mut later = Vec::new();
    while later.len() < 24 {
        let Told::Frame(frame) = next() else { panic!("no frame") };
        later.push(frame);
    }
    assert_eq!(seen(&[first]), "c");
    assert_eq!(seen(&later[9..]), "c".repeat(15));

    fs::remove_file(folder.path().join("a.JPG")).expect("a file");
    let outcome = loop {
        if let Told::End(outcome) = next() {
            break outcome;
        }
    };
    let Err(SourceError::Undecodable(message)) = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("none of the 2 pictures") && message.contains(&address), "{message}");
    drop(handle);
}

#[test]
fn a_folder_in_which_nothing_can_be_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    for (count, words) in [(1, "the only picture"), (2, "none of the 2 pictures"), (3, "none of the 3 pictures")] {
        fs::write(folder.path().join(format!("{count}.jpg")), "no picture").expect("a file");
        let (frames, error) = failure(&address(folder.path()));
        assert!(matches!(&error, SourceError::Undecodable(text) if text.contains(words)), "{error:?}");
        assert_eq!(frames, 0);
    }
}

#[test]
fn a_camera_that_was_held_on_its_side() {
    let folder = tempfile::tempdir().expect("a folder");
    picture(folder.path(), "a.jpg", "gradient", "jpegenc");
    picture(folder.path(), "b.jpg", "gradient", "jpegenc ! taginject tags=image-orientation=rotate-90 ! jifmux");
    let frames = frames(&address(folder.path()), Pace::AsFast, 6);
    let lies_on_its_side = |frame: &Frame| {
        let row = &rows(frame, 0)[0];
        row.iter().max().zip(row.iter().min()).is_some_and(|(most, least)| most - least > 20)
    };
    assert!(!lies_on_its_side(&frames[0]) && lies_on_its_side(&frames[5]));
}

#[test]
fn mistakes_show_when_it_is_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text(folder.path());
    fs::write(folder.path().join("notes.txt"), "no picture").expect("a file");
    for (address, words) in [
        (format!("slides:{path}"), ".jpg, .jpeg or .png"),
        (format!("slides:{path}/none"), "no such folder"),
        (format!("slides:{path}/notes.txt"), "not a folder"),
        ("slides:".to_owned(), "no folder is named"),
        ("slides:?fps=5".to_owned(), "no folder is named"),
        (format!("slides:{path}?width=161"), "width is \"161\", not an even number from 16 to 4096"),
        (format!("slides:{path}?colour=red"), "no option \"colour\""),
    ] {
        let error = open(&address, IngestOptions::default()).expect_err(&address);
        let SourceError::NotFound(message) = &error else { panic!("{error:?}") };
        assert!(message.contains(words) && message.starts_with(&address), "{message}");
    }
}

#[test]
fn it_ends_once_when_it_is_stopped() {
    let folder = two_pictures();
    for pace in [Pace::AsFast, Pace::Live] {
        let (handle, receiver) = start(&address(folder.path()), options(pace), 1000).expect("a source");
        assert!(matches!(receiver.recv_timeout(LONG), Ok(Told::Frame(_))));
        let listener =
            std::thread::spawn(move || receiver.iter().filter(|told| matches!(told, Told::End(Ok(())))).count());
        drop(handle);
        assert_eq!(listener.join().ok(), Some(1));
    }
    // Before the first picture is there.
    drop(start(&address(folder.path()), options(Pace::AsFast), 1).expect("a source"));
    let (count, outcome) = read("slides:/no/such/folder", IngestOptions::default(), drop);
    assert!(count == 0 && matches!(outcome, Err(SourceError::NotFound(_))));
}
