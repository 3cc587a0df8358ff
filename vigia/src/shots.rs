//! Looks at pixels for the engine, which knows none: how sharp an object is, and its shot cut out.

use vigia_core::frame::Image;
use vigia_core::geometry::BBox;
use vigia_engine::stream::Shots;
use vigia_vision::shot;

/// What is shown around an object, as a share of its box on each side.
const MARGIN: f32 = 0.25;
/// Longest side of a shot, in pixels.
const LONGEST: u32 = 512;

/// The pixel work of `vigia-vision`.
#[derive(Clone, Copy, Debug)]
pub struct Scissors;

impl Shots for Scissors {
    fn sharpness(&self, image: &Image, bbox: &BBox) -> f32 {
        shot::sharpness(image, bbox)
    }

    fn cut(&self, image: &Image, bbox: &BBox) -> Option<(Image, BBox)> {
        shot::cut(image, bbox, MARGIN, LONGEST)
    }
}
