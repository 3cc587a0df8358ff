//! Tracks that ended.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use vigia_core::event::{BestShot, EndedTrack, EventId, PathPoint};
use vigia_core::frame::{Colour, Image, PixelFormat};
use vigia_core::geometry::{BBox, Point, Size};
use vigia_core::id::{StreamId, StreamRef};
use vigia_core::landmarks::{Landmarks, LandmarksSource, Settled};
use vigia_core::track::TrackId;
use vigia_vision::picture::{PictureDecoder, PictureLimits};

/// A track of `stream` that ended some seconds ago, without a picture.
pub(crate) fn bare(stream: &str, generation: u64, track: u64, ago: u64) -> EndedTrack {
    let ended_at = SystemTime::now() - Duration::from_secs(ago);
    EndedTrack {
        stream: StreamRef { id: StreamId::new(stream), generation },
        track: TrackId(track),
        class_id: 0,
        started_at: ended_at - Duration::from_secs(2),
        ended_at,
        detections: 42,
        path: vec![PathPoint { after: Duration::from_millis(500), centre: Point { x: 12.345, y: 7.0 } }],
        best: None,
    }
}

/// The same with one.
pub(crate) fn ended(stream: &str, generation: u64, track: u64, ago: u64) -> EndedTrack {
    let size = Size::new(48, 40);
    let pixels: Vec<u8> = (0..48 * 40 * 3).map(|n| (n * 7 + track as usize * 31) as u8).collect();
    let colour = Colour::default();
    let picture = Image::new(PixelFormat::Rgb, size, [48 * 3, 0, 0], colour, Arc::new(pixels)).expect("a picture");
    let bbox = BBox { x1: 410.2, y1: 120.0, x2: 498.7, y2: 236.4 };
    let landmarks = Landmarks { points: vec![Point { x: 431.0, y: 160.2 }] };
    let landmarks = Some(Settled { landmarks, source: LandmarksSource::Model, event: Some(EventId(3301)) });
    let best = BestShot { event: EventId(3301), quality: 0.8, confidence: 0.93, bbox, landmarks, picture, cut: bbox };
    EndedTrack { best: Some(best), ..bare(stream, generation, track, ago) }
}

/// Width and height of a picture that can be decoded.
pub(crate) fn decoded(picture: &[u8]) -> (u32, u32) {
    let limits = PictureLimits { bytes: 1_000_000, pixels: 1_000_000 };
    let image = PictureDecoder::new(limits).decode(picture, None).expect("a picture");
    let size = image.source_size();
    (size.width, size.height)
}
