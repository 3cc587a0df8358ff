//! Sampling along a map that may turn the picture, for crops that are brought into one pose.
//!
//! Each tensor pixel shows the source at its own centre, mixed from the two by two nearest samples of each plane, chroma at
//! its own position: OpenCV's `warpAffine` with `INTER_LINEAR`, but that the picture's border is not mixed with padding.
//! Plain code, a pixel after the other: such crops are small.

use std::ops::Range;

use vigia_core::frame::Image;
use vigia_core::geometry::{Affine, Point};

use super::colour::UNIT;
use super::planes::{Grids, Kind, Plane, Planes};
use super::taps::Grid;
use super::{Preprocessor, SlotState};

/// One row of up to three channels, in sample units.
#[derive(Debug, Default)]
pub(super) struct Turned {
    lines: [Vec<i16>; 3],
}

impl Preprocessor {
    /// Writes what `to_source` finds of `image` to `slot`, as [`fill`](Self::fill) does: `to_source` is the map from tensor
    /// pixels to source pixels, and takes the place of the model's fit and scaling. What lies outside the picture becomes
    /// padding; all of it where a number is not finite.
    ///
    /// Nothing is averaged where the picture shrinks, as nothing was where such models were trained.
    ///
    /// # Panics
    /// When `slot` has another length than [`InputSpec::len`](vigia_core::model::InputSpec::len): a mistake of the caller.
    pub fn fill_aligned(&mut self, image: &Image, to_source: &Affine, slot: &mut [f32], state: &mut SlotState) {
        assert_eq!(slot.len(), self.spec.len(), "a slot holds one picture");
        self.take_colour(image.colour());
        *state = SlotState::default();
        let pad = self.padding();
        let size = self.spec.size;
        let (width, height) = (size.width as usize, size.height as usize);
        for (plane, pad) in slot.chunks_exact_mut((width * height).max(1)).zip(pad) {
            plane.fill(pad);
        }
        let Some(planes) = Planes::of(image) else { return };
        let grids = Grids::new(image.format(), image.size(), image.reduction(), image.colour().site);
        let source = image.source_size();
        let shown =
            |p: Point| (0.0..=source.width as f32).contains(&p.x) && (0.0..=source.height as f32).contains(&p.y);
        // Half a pixel inside, as boxes are sampled: the last chroma sample may reach beyond the picture.
        let inner = |p: Point| Point {
            x: p.x.clamp(0.5, (source.width as f32 - 0.5).max(0.5)),
            y: p.y.clamp(0.5, (source.height as f32 - 0.5).max(0.5)),
        };
        let (first, rest) = slot.split_at_mut(width * height);
        let (second, third) = rest.split_at_mut(width * height);
        for d in 0..height {
            let at = |column: usize| to_source.point(Point { x: column as f32 + 0.5, y: d as f32 + 0.5 });
            let Some(start) = (0..width).find(|&column| shown(at(column))) else { continue };
            let end = (start..width).rev().find(|&column| shown(at(column))).map_or(start, |last| last + 1);
            self.turned.sample(&planes, &grids, (start..end).map(at).map(inner));
            let Range { start, end } = d * width + start..d * width + end;
            let out = [&mut *first, second, third].map(|plane| &mut plane[start..end]);
            let [a, b, c] = self.turned.lines.each_ref().map(Vec::as_slice);
            match grids.kind {
                Kind::Yuv => self.isa.yuv(&self.finish, [a, b, c], out),
                Kind::Rgb { swap: false } => self.isa.rgb(&self.finish, [a, b, c], out),
                Kind::Rgb { swap: true } => self.isa.rgb(&self.finish, [c, b, a], out),
                Kind::Gray => self.isa.gray(&self.finish, a, out),
            }
        }
    }
}

impl Turned {
    /// Takes the samples of all planes at these source positions; what lies beyond a plane shows its edge.
    fn sample(&mut self, planes: &Planes<'_>, grids: &Grids, at: impl Iterator<Item = Point>) {
        self.lines.iter_mut().for_each(Vec::clear);
        let chroma = grids.chroma.unwrap_or(grids.first);
        for point in at {
            let mut lines = self.lines.iter_mut();
            sample(planes.first(), grids.first, point, &mut lines);
            for &plane in planes.chroma() {
                sample(plane, chroma, point, &mut lines);
            }
        }
    }
}

/// Adds a plane's samples at a source position to the next lines, one for each of its channels.
fn sample<'a>(
    plane: Plane<'_>,
    (x, y): (Grid, Grid),
    point: Point,
    lines: &mut impl Iterator<Item = &'a mut Vec<i16>>,
) {
    let ((left, right, across), (top, bottom, down)) = (neighbours(&x, point.x), neighbours(&y, point.y));
    let (upper, lower) = (plane.row(top, 0, x.len), plane.row(bottom, 0, x.len));
    for (channel, line) in (0..plane.channels).zip(lines) {
        let mixed = |row: &[u8]| {
            let [a, b] = [left, right].map(|column| f32::from(row[column * plane.channels + channel]));
            a + (b - a) * across
        };
        let (a, b) = (mixed(upper), mixed(lower));
        line.push(((a + (b - a) * down) * UNIT).round() as i16);
    }
}

/// The samples before and after a source position, and how far it is from the first to the second, 0..1.
fn neighbours(grid: &Grid, position: f32) -> (usize, usize, f32) {
    let last = grid.len - 1;
    let index = grid.index(f64::from(position)).clamp(0.0, last as f64);
    let before = index as usize;
    (before, (before + 1).min(last), index.fract() as f32)
}
