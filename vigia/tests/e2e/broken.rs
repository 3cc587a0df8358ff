//! Input that is not what it says: each named on standard error, the rest goes on, exit status 1.

use std::path::{Path, PathBuf};

use vigia_core::geometry::Size;
use vigia_testkit::damaged::{jpeg_that_declares, png_bomb};
use vigia_vision::picture::{RgbImage, encode_jpeg};

use crate::support::{Run, is_set_up, root, text, vigia};

/// A small good JPEG.
fn good_jpeg() -> Vec<u8> {
    let mut picture = RgbImage::new(Size::new(160, 120));
    for (i, byte) in picture.bytes_mut().iter_mut().enumerate() {
        *byte = (i / 7 % 251) as u8;
    }
    encode_jpeg(&picture, 90).expect("encoded")
}

/// Runs detect on `files`, with a good picture before and after them: these must have their lines whatever happens.
fn run_between_good_ones(folder: &Path, files: &[PathBuf]) -> Run {
    let (first, last) = (folder.join("first-good.jpg"), folder.join("last-good.jpg"));
    for path in [&first, &last] {
        std::fs::write(path, good_jpeg()).expect("written");
    }
    let mut arguments = vec!["detect", text(&first)];
    arguments.extend(files.iter().map(|f| text(f)));
    arguments.push(text(&last));
    let run = vigia(&arguments);
    let sources: Vec<String> = run.lines().iter().map(|l| l["source"].as_str().expect("a source").to_owned()).collect();
    assert_eq!(sources.first().map(String::as_str), Some(text(&first)), "{}", run.stderr);
    assert_eq!(sources.last().map(String::as_str), Some(text(&last)), "{}", run.stderr);
    run
}

/// Each file is to be refused with a line that names it and holds `said`.
fn refused(cases: &[(&str, Vec<u8>, &str)]) {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |(name, bytes, _): &(&str, Vec<u8>, &str)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let files: Vec<PathBuf> = cases.iter().map(write).collect();
    let run = run_between_good_ones(folder.path(), &files);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert_eq!(run.lines().len(), 2, "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), cases.len(), "{}", run.stderr);
    for ((name, _, said), line) in cases.iter().zip(run.stderr.lines()) {
        assert!(line.contains(name) && line.to_lowercase().contains(&said.to_lowercase()), "{name}: {line}");
        assert!(!line.contains("panicked"), "{line}");
    }
}

#[test]
fn pictures_that_are_none_are_named_and_the_rest_goes_on() {
    let jpeg = good_jpeg();
    let half = jpeg[..jpeg.len() / 2].to_vec();
    refused(&[
        ("text.jpg", b"this is no picture at all, it is text".to_vec(), "text"),
        ("half.jpg", half, "cut off"),
        ("huge.jpg", jpeg_that_declares(&jpeg, 65_535, 65_535), "65535x65535"),
        ("bomb.png", png_bomb(), "60000x60000"),
        ("empty.jpg", Vec::new(), "empty"),
        ("only-soi.jpg", vec![0xff, 0xd8, 0xff], "cut off"),
    ]);
}

#[test]
fn what_is_not_there_and_what_is_no_video_is_named() {
    refused(&[
        ("text.mp4", b"not a video, but long enough to be looked at as if it were one".repeat(40), "text.mp4"),
        ("zeros.mkv", vec![0; 4096], "zeros.mkv"),
    ]);
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (missing, empty) = (folder.path().join("missing.jpg"), folder.path().join("nothing-in-it"));
    std::fs::create_dir(&empty).expect("made");
    let run = run_between_good_ones(folder.path(), &[missing, empty]);
    assert_eq!((run.status, run.lines().len()), (1, 2));
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", run.stderr);
    assert!(lines[0].contains("missing.jpg") && lines[0].contains("no such file"), "{}", lines[0]);
    assert!(lines[1].contains("nothing-in-it") && lines[1].contains("no pictures"), "{}", lines[1]);
}

#[test]
fn unusual_pictures_are_read() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let deep = folder.path().join("sixteen-bit.png");
    let samples: Vec<u16> = (0..48 * 32 * 3).map(|i| i * 13).collect();
    let picture = image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(48, 32, samples).expect("as long as it says");
    picture.save(&deep).expect("written");
    let run = run_between_good_ones(folder.path(), std::slice::from_ref(&deep));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert_eq!((run.lines()[1]["width"].as_u64(), run.lines()[1]["height"].as_u64()), (Some(48), Some(32)));
}

#[test]
fn a_text_file_as_model_is_named() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("notes.onnx");
    std::fs::write(&model, "these are notes, no model").expect("written");
    let run = vigia(&["detect", "--model", text(&model), ".vigia/samples/sample1.jpg"]);
    assert_eq!((run.status, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("notes.onnx") && run.stderr.contains("not an ONNX file"), "{}", run.stderr);
}

#[test]
fn a_missing_library_says_how_to_get_one() {
    let run = crate::support::vigia_with(&["detect", "x.jpg"], |c| {
        c.env("ORT_DYLIB_PATH", "nowhere/libonnxruntime.so");
    });
    assert_eq!(run.status, 1);
    assert!(
        run.stderr.contains("nowhere/libonnxruntime.so") && run.stderr.contains("scripts/setup.sh"),
        "{}",
        run.stderr
    );
    let run = crate::support::vigia_with(&["detect", "x.jpg"], |c| {
        c.env("ORT_DYLIB_PATH", root().join("Cargo.toml"));
    });
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("Cargo.toml") && run.stderr.contains("1.24"), "{}", run.stderr);
}
