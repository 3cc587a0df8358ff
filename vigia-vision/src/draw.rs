//! Detections drawn on a picture, for people to look at: boxes, labels, points.
//!
//! Everything scales: lines and letters with the picture, points with their box, so that 68 landmarks on a face of
//! 60 pixels are as readable as on one of 600. [`annotate`] takes any numbers; what is not finite or lies outside the
//! picture is left out. In this module: what goes where is decided here and in `tags`, pixels are set in `paint`,
//! letters in `text`, colours in `colour`.

mod colour;
mod paint;
mod tags;
mod text;

use vigia_core::detection::Detection;
use vigia_core::geometry::{BBox, Point, Size};
use vigia_core::landmarks::LandmarksSource;

use self::paint::{Canvas, Rect};
use self::tags::Tags;
use self::text::Font;
use crate::picture::RgbImage;

/// Keypoints that the model itself does not believe in are not shown: below this they are mostly hidden joints.
const SHOWN_KEYPOINT: f32 = 0.3;

/// Draws boxes, labels ("face 93%", of a track "face 93% #7"), landmarks and keypoints.
///
/// `canvas` shows the source picture at full size, since detections are in its pixels; `label` names a class. Confident
/// detections lie above the others. A label stands above its box, else inside (of a tall one), below or beside it, where
/// it covers no other label; in a crowd with no such place it is left out, the box stays. Detections of a track have its
/// colour, the others their class's.
pub fn annotate(canvas: &mut RgbImage, detections: &[Detection], label: &dyn Fn(u32) -> String) {
    let size = canvas.size();
    if size.pixels() == 0 {
        return;
    }
    let mut order: Vec<&Detection> = detections.iter().collect();
    order.sort_by(|a, b| a.confidence.total_cmp(&b.confidence));
    let line = line_width(size);
    let mut canvas = Canvas::new(canvas);
    let outlines: Vec<(&Detection, Option<Outline>)> =
        order.into_iter().map(|d| (d, Outline::new(&d.bbox, size, line))).collect();
    for (detection, outline) in &outlines {
        if let Some(outline) = outline {
            outline.draw(&mut canvas, colour::strong(colour::number(detection)));
        }
    }
    for (detection, _) in &outlines {
        points(&mut canvas, detection, line);
    }
    let mut tags = Tags::new(size);
    for (detection, outline) in outlines.iter().rev() {
        let Some(outline) = outline else { continue };
        let text = caption(detection, label);
        let font = Font::for_box(size, outline.outer.width(), text.chars().count());
        if let Some(place) = tags.place(&outline.outer, outline.line, font.tag_size(&text, size)) {
            text::tag(&mut canvas, place, font, &text, colour::strong(colour::number(detection)));
        }
    }
}

/// What a detection's label says.
fn caption(detection: &Detection, label: &dyn Fn(u32) -> String) -> String {
    let what = format!("{} {:.0}%", label(detection.class_id), detection.confidence * 100.0);
    detection.track.map_or_else(|| what.clone(), |track| format!("{what} #{track}"))
}

/// Width of a box's line in pixels: 3 at 720p, at least 2.
fn line_width(size: Size) -> i32 {
    (size.width.min(size.height) as i32 / 240).max(2)
}

/// Where a box is drawn, in whole pixels: crisp lines are easier to read than lines in exactly the right place.
struct Outline {
    /// The line's outer edge.
    outer: Rect,
    /// The line's width.
    line: i32,
}

impl Outline {
    /// The box as far as it is in the picture; absent where nothing of it is.
    fn new(bbox: &BBox, size: Size, line: i32) -> Option<Self> {
        if !bbox.is_proper() {
            return None;
        }
        let inside = bbox.clipped(size);
        if inside.area() <= 0.0 {
            return None;
        }
        let (w, h) = (size.width as i32, size.height as i32);
        // The line is centred on the box's edge, and thin on small boxes: their content matters more.
        let line = line.min(1 + inside.width().min(inside.height()) as i32 / 16);
        let half = line / 2;
        let outer = Rect {
            left: (inside.x1.round() as i32 - half).max(0),
            top: (inside.y1.round() as i32 - half).max(0),
            right: (inside.x2.round() as i32 + line - half).min(w),
            bottom: (inside.y2.round() as i32 + line - half).min(h),
        };
        (outer.width() > 0 && outer.height() > 0).then_some(Self { outer, line })
    }

    /// A line in the detection's colour with a dark edge on both sides, so that it shows on any background.
    fn draw(&self, canvas: &mut Canvas<'_>, colour: [u8; 3]) {
        const EDGE: u8 = 90;
        let edge = (self.line / 3).max(1);
        canvas.frame(self.outer.grown(edge), edge, [0; 3], EDGE);
        canvas.frame(self.outer.grown(-self.line), edge, [0; 3], EDGE);
        canvas.frame(self.outer, self.line, colour, 255);
    }
}

/// Draws a detection's points: a light disc with a dark rim each.
fn points(canvas: &mut Canvas<'_>, detection: &Detection, line: i32) {
    let landmarks = detection.landmarks.as_ref().map_or(&[][..], |l| &l.landmarks.points);
    // The detector's keypoints that became landmarks are drawn once.
    let once = detection.landmarks.as_ref().is_some_and(|l| l.source == LandmarksSource::Detector);
    let keypoints = detection.keypoints.iter().filter(|_| !once || landmarks.is_empty());
    let shown = keypoints.filter(|k| k.confidence.is_none_or(|c| c >= SHOWN_KEYPOINT)).map(|k| k.point);
    let colour = colour::light(colour::number(detection));
    for points in [landmarks.to_vec(), shown.collect::<Vec<_>>()] {
        let radius = radius(&detection.bbox, points.len(), line);
        let rim = (radius * 0.4).max(0.6);
        let finite = |p: &&Point| p.x.is_finite() && p.y.is_finite();
        // All rims before all discs: neighbours that touch do not hide each other.
        for point in points.iter().filter(finite) {
            canvas.disc(point.x, point.y, radius + rim, [0; 3], 190);
        }
        for point in points.iter().filter(finite) {
            canvas.disc(point.x, point.y, radius, colour, 255);
        }
    }
}

/// Radius of each of `count` points on a box, in pixels: they may fill a fixed part of it, within limits.
fn radius(bbox: &BBox, count: usize, line: i32) -> f32 {
    let side = if bbox.is_proper() { bbox.area().sqrt() } else { 0.0 };
    (side / (10.0 * (count.max(1) as f32).sqrt())).clamp(0.8, line as f32 * 1.5)
}

#[cfg(test)]
mod tests;
