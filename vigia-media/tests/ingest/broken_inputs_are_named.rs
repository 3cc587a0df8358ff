//! What is wrong with an input is said by the error's kind and in words that name the input.

use std::fs;

use vigia_core::source::SourceError;
use vigia_media::IngestOptions;

use crate::support::{clip, failure, launch, open, read, text};

fn undecodable(address: &str, words: &str) -> u64 {
    let (count, error) = failure(address);
    let SourceError::Undecodable(message) = &error else { panic!("{address}: {error:?}") };
    assert!(message.contains(words) && message.contains(address), "{message}");
    count
}

#[test]
fn no_file() {
    let error = open("/no/such/video.mp4", IngestOptions::default()).expect_err("no file");
    assert_eq!(error, SourceError::NotFound("/no/such/video.mp4: no such file".to_owned()));
}

#[test]
fn no_address() {
    for address in ["gopher://host/x", "rtsp://", "test://?colour=red", "http://host:port/"] {
        assert!(matches!(open(address, IngestOptions::default()), Err(SourceError::NotFound(_))), "{address}");
    }
}

#[test]
fn a_folder_an_empty_file_text_and_noise() {
    let folder = tempfile::tempdir().expect("a folder");
    undecodable(text(folder.path()), "folder");
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("a file");
        path
    };
    undecodable(text(&file("empty.mp4", b"")), "empty");
    undecodable(text(&file("short.mp4", b"hello")), "");
    undecodable(text(&file("text.mp4", "to be or not to be\n".repeat(500).as_bytes())), "no video");
    let noise: Vec<u8> = (0..9000_u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 37) as u8).collect();
    undecodable(text(&file("noise.mp4", &noise)), "");
}

#[test]
fn sound_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sound.wav");
    launch(&format!("audiotestsrc num-buffers=20 ! wavenc ! filesink location=\"{}\"", path.display()));
    undecodable(text(&path), "no video stream in");
}

#[test]
fn an_index_that_was_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.mov");
    launch(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,width=96,height=64 ! jpegenc ! qtmux ! filesink location=\"{}\"",
        path.display()
    ));
    let whole = fs::read(&path).expect("a clip");
    let index = whole.windows(4).position(|w| w == b"moov").expect("an index");
    fs::write(&path, &whole[..index - 4]).expect("a file");
    undecodable(text(&path), "");
}

#[test]
fn an_end_that_was_cut_off_comes_after_the_frames_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = clip(folder.path(), "cut.mov", 40, "width=96,height=64");
    let whole = fs::read(&path).expect("a clip");
    fs::write(&path, &whole[..whole.len() * 2 / 3]).expect("a file");
    let count = undecodable(text(&path), "s of 4.0 s: the file is truncated");
    assert!((20..40).contains(&count), "{count} frames");
}

#[test]
fn damage_in_the_middle_does_not_lose_what_is_around_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = clip(folder.path(), "damaged.mov", 40, "width=96,height=64");
    let mut whole = fs::read(&path).expect("a clip");
    let (start, end) = (whole.len() / 2, whole.len() / 2 + 2000);
    whole[start..end].fill(0);
    fs::write(&path, &whole).expect("a file");
    let (count, outcome) = read(text(&path), IngestOptions::default(), drop);
    assert!(count >= 15, "{count} frames, {outcome:?}");
}

#[test]
fn an_animation() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cat.mp4");
    for content in [&b"GIF89a"[..], b"GIF87a\x01\0\x01\0"] {
        fs::write(&path, content).expect("a file");
        undecodable(text(&path), "is a GIF animation; convert it to MP4 or PNG first");
    }
}
