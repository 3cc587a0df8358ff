//! Size, codec and clock may change while a client sends; frames go on, and their times grow.

use std::io::Write as _;
use std::path::Path;

use vigia_core::geometry::Size;
use vigia_media::IngestOptions;

use crate::sources::ffmpeg;
use crate::support::{jpeg, listen};

const H264: &str = "-c:v libx264 -bf 0";
const H265: &str = "-c:v libx265 -x265-params bframes=0:log-level=none";
const SMALL: Size = Size { width: 160, height: 120 };
const LARGE: Size = Size { width: 320, height: 240 };
/// Frames of a segment.
const COUNT: usize = 25;

/// A second of MPEG-TS; absent, and said so, without ffmpeg.
fn segment(folder: &Path, size: Size, codec: &str) -> Option<Vec<u8>> {
    let path = folder.join("segment.ts");
    let input = format!("testsrc=size={}x{}:rate={COUNT}:duration=1", size.width, size.height);
    ffmpeg(&format!("-f lavfi -i {input} {codec} -f mpegts {}", path.display()))?;
    Some(std::fs::read(path).expect("a segment"))
}

/// Sends the segments over one connection; all their frames come.
fn all_come(segments: &[(Size, &str)]) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = Vec::new();
    for (size, codec) in segments {
        let Some(segment) = segment(folder.path(), *size, codec) else { return };
        bytes.extend(segment);
    }
    let source = listen(IngestOptions::default());
    let mut client = source.connect();
    client.write_all(&bytes).expect("a listener");
    drop(client);
    let mut last = None;
    for (size, codec) in segments {
        for n in 0..COUNT {
            let frame = source.frame();
            assert_eq!(frame.image.size(), *size, "frame {n} of {codec}");
            assert!(frame.pts > last, "{:?} after {last:?}", frame.pts);
            last = frame.pts;
        }
    }
    let gap = last.unwrap_or_default().as_secs();
    assert!(gap <= segments.len() as u64 + 1, "{gap} s of {} s", segments.len());
    // Nothing is left of them.
    source.connect().write_all(&jpeg(1, 1)).expect("a listener");
    assert_eq!(source.picture().bytes, jpeg(1, 1));
    source.stop();
}

#[test]
fn size() {
    all_come(&[(SMALL, H264), (LARGE, H264), (SMALL, H264)]);
}

#[test]
fn codec() {
    all_come(&[(SMALL, H264), (LARGE, H265), (SMALL, "-c:v mpeg2video"), (LARGE, H264)]);
}

#[test]
fn clock() {
    let late = format!("{H264} -output_ts_offset 5000");
    let later = format!("{H264} -output_ts_offset 90000");
    all_come(&[(SMALL, &late), (SMALL, H264), (SMALL, &later)]);
}
