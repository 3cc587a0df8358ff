//! Letters: Noto Sans Mono in four sizes, enlarged by whole factors for large pictures.

use std::cmp::Reverse;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use vigia_core::geometry::Size;

use super::colour;
use super::paint::{Canvas, Rect};

const WEIGHT: FontWeight = FontWeight::Bold;

/// The drawn sizes, small to large.
const HEIGHTS: [RasterHeight; 4] =
    [RasterHeight::Size16, RasterHeight::Size20, RasterHeight::Size24, RasterHeight::Size32];

/// A letter size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    raster: RasterHeight,
    zoom: i32,
}

impl Font {
    /// The size for a picture, smaller where a text of `chars` letters is much wider than its box.
    pub(super) fn for_box(picture: Size, box_width: i32, chars: usize) -> Self {
        /// Picture heights per letter height: 20 pixels at 720p, 30 at 1080p.
        const PER_PICTURE: i32 = 36;
        let largest = picture.width.min(picture.height) as i32 / PER_PICTURE;
        let fits = |font: &Self| font.height() <= largest && font.text_width(chars) <= box_width * 3 / 2;
        // On a large picture, which is seen reduced, the smallest letters would be lost.
        let readable = |font: &Self| font.height() * 5 >= largest * 3;
        let sizes = || (1..=8).flat_map(|zoom| HEIGHTS.map(|raster| Self { raster, zoom }));
        let fitting = sizes().filter(fits).filter(readable).max_by_key(|font| (font.height(), Reverse(font.zoom)));
        let smallest = || sizes().filter(readable).min_by_key(|font| (font.height(), font.zoom));
        fitting.or_else(smallest).unwrap_or(Self { raster: RasterHeight::Size32, zoom: 8 })
    }

    /// Height of a line in pixels.
    fn height(&self) -> i32 {
        self.raster.val() as i32 * self.zoom
    }

    /// Width of one letter in pixels.
    fn advance(self) -> i32 {
        get_raster_width(WEIGHT, self.raster) as i32 * self.zoom
    }

    fn text_width(self, chars: usize) -> i32 {
        self.advance().saturating_mul(chars.min(10_000) as i32)
    }

    /// Space left and right of a label's text.
    fn padding(self) -> i32 {
        (self.height() / 4).max(2)
    }

    /// Width and height of a label with this text, no wider than the picture.
    pub(super) fn tag_size(self, text: &str, picture: Size) -> (i32, i32) {
        let width = self.text_width(text.chars().count()) + 2 * self.padding();
        (width.min(picture.width as i32), self.height() + self.height() / 8)
    }
}

/// Draws a label: text on a filled ground. Text that is wider than the label loses its end.
pub(super) fn tag(canvas: &mut Canvas<'_>, place: Rect, font: Font, text: &str, ground: [u8; 3]) {
    canvas.rounded(place.grown(1), font.height() / 6 + 1, [0; 3], 90);
    canvas.rounded(place, font.height() / 6, ground, 255);
    let ink = colour::text_on(ground);
    let room = ((place.width() - font.padding()) / font.advance()).max(0) as usize;
    let top = place.top + (place.height() - font.height()) / 2;
    let mut left = place.left + font.padding();
    for letter in text.chars().take(room) {
        glyph(canvas, left, top, font, letter, ink);
        left += font.advance();
    }
}

/// Draws one letter; a question mark for what the font does not have.
fn glyph(canvas: &mut Canvas<'_>, left: i32, top: i32, font: Font, letter: char, ink: [u8; 3]) {
    let Some(raster) = get_raster(letter, WEIGHT, font.raster).or_else(|| get_raster('?', WEIGHT, font.raster)) else {
        return;
    };
    let rows = raster.raster();
    let at = |x: i32, y: i32| -> i32 {
        let row = usize::try_from(y).ok().and_then(|y| rows.get(y));
        let value = row.and_then(|row| row.get(usize::try_from(x).ok()?));
        value.map_or(0, |&v| i32::from(v))
    };
    let zoom = font.zoom;
    for y in 0..font.height() {
        for x in 0..font.advance() {
            // The raster interpolated between its pixels' centres, in steps of half a drawn pixel.
            let (u, v) = (2 * x + 1 - zoom, 2 * y + 1 - zoom);
            let (x0, y0) = (u.div_euclid(2 * zoom), v.div_euclid(2 * zoom));
            let (fx, fy) = (u.rem_euclid(2 * zoom), v.rem_euclid(2 * zoom));
            let line = |y: i32| at(x0, y) * (2 * zoom - fx) + at(x0 + 1, y) * fx;
            let alpha = (line(y0) * (2 * zoom - fy) + line(y0 + 1) * fy) / (4 * zoom * zoom);
            canvas.blend(left + x, top + y, ink, alpha.clamp(0, 255) as u8);
        }
    }
}
