//! MPEG-TS is decoded, MJPEG is not; both as ffmpeg writes them, and over one socket after the other.

use vigia_core::geometry::Size;
use vigia_media::IngestOptions;

use crate::sources::ffmpeg_runs;
use crate::support::listen;

const CLIP: &str = "-f lavfi -i testsrc=size=160x120:rate=25:duration=2";

#[test]
fn mpeg_ts() {
    let source = listen(IngestOptions::default());
    for codec in ["libx264 -bf 0 -g 10", "libx265 -x265-params log-level=none", "mpeg2video"] {
        let Some(sender) = ffmpeg_runs(&format!("{CLIP} -c:v {codec} -f mpegts {}", source.listener.url())) else {
            return;
        };
        let mut last = None;
        for _ in 0..49 {
            let frame = source.frame();
            assert_eq!(frame.image.size(), Size::new(160, 120));
            assert!(frame.captured_at.is_some() && frame.pts > last, "{frame:?} after {last:?}");
            last = frame.pts;
        }
        sender.finish();
        // The last one is let go when the client is seen to be gone.
        let frame = source.frame();
        assert_eq!(frame.frame_id % 50, 49);
    }
    source.stop();
}

#[test]
fn mjpeg() {
    for format in ["mjpeg", "mpjpeg"] {
        let source = listen(IngestOptions::default());
        let Some(sender) = ffmpeg_runs(&format!("{CLIP} -f {format} {}", source.listener.url())) else { return };
        for _ in 0..50 {
            let picture = source.picture();
            assert_eq!(picture.frame_id, None);
            assert!(picture.bytes.starts_with(&[0xFF, 0xD8, 0xFF]) && picture.bytes.ends_with(&[0xFF, 0xD9]));
        }
        sender.finish();
        source.stop();
    }
}
