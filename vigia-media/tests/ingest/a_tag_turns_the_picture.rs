//! A clip that says that it was taken with the camera on its side arrives upright.

use std::fs;

use vigia_core::geometry::Size;
use vigia_media::IngestOptions;

use crate::support::{clip, read, text};

#[test]
fn a_quarter_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = clip(folder.path(), "phone.mov", 4, "format=I420,width=96,height=64");
    let mut bytes = fs::read(&path).expect("a clip");
    let header = bytes.windows(4).position(|w| w == b"tkhd").expect("a track header");
    // After name, version and flags: times, track, duration (20), reserved (8), layer to volume (8), then the matrix.
    let matrix = header + 4 + 4 + 20 + 8 + 8;
    let quarter: [i32; 9] = [0, 0x1_0000, 0, -0x1_0000, 0, 0, 64 << 16, 0, 0x4000_0000];
    for (n, value) in quarter.iter().enumerate() {
        bytes[matrix + 4 * n..matrix + 4 * n + 4].copy_from_slice(&value.to_be_bytes());
    }
    fs::write(&path, &bytes).expect("a file");
    let mut sizes = Vec::new();
    let (count, outcome) = read(text(&path), IngestOptions::default(), |frame| sizes.push(frame.image.size()));
    assert_eq!((count, outcome), (4, Ok(())));
    assert!(sizes.iter().all(|&size| size == Size::new(64, 96)), "{sizes:?}");
}
