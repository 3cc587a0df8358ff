//! Pixels to tensors: crop, scale, letterbox, colour conversion and normalisation in one pass over the destination.
//!
//! [`Preprocessor::fill`] takes the planes of an [`Image`] as a decoder wrote them and writes one picture of a batch
//! tensor, `"NCHW"` f32. There is never an RGB copy of the picture, nor any other memory of a picture's size: rows of
//! scratch and the tables of the last geometry live in the [`Preprocessor`].
//!
//! How a tensor row is made (`sampler`, `kernels`):
//! 1. rows of each plane are mixed into a line of `i16` with 7 fractional bits,
//! 2. neighbours in the line are mixed into the tensor's columns (weights of 14 bits; skipped where nothing scales),
//! 3. colour matrix, clamp to 0..255, `(value - mean) * scale`, stored in three planes (`colour`).
//!
//! `Scaling::Bilinear` and `BilinearCorner` mix two rows and two columns, `Scaling::Area` all that a tensor pixel covers
//! (`area`). Chroma is sampled at its own position, so it is interpolated and never repeated, and U, V are not clamped on
//! the way. `placement` says where the picture lies and holds the conventions of the models' authors; `taps` turns that
//! into tables.
//!
//! [`Preprocessor::fill_aligned`] takes a map that may turn instead (`affine`), for what [`crate::align`] brings into one
//! pose.
//!
//! Every instruction set gives the same bits (`tests`); `tests/opencv.rs` compares with OpenCV; `benches/preprocess.rs`
//! has the speed.
//!
//! What is not handled: more than 8 bits, alpha, BT.2020, gamma (samples are mixed as they are stored, like everybody
//! does), antialiasing when [`Scaling::Bilinear`] shrinks by more than 2 (as the models' authors' code has none).
//!
//! [`Scaling::Bilinear`]: vigia_core::model::Scaling::Bilinear

mod affine;
mod area;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod colour;
mod kernels;
mod placement;
mod planes;
mod sampler;
mod taps;
#[cfg(test)]
mod tests;

use vigia_core::frame::{ChromaSite, Colour, Image, PixelFormat};
use vigia_core::geometry::{BBox, Mapping, Size};
use vigia_core::model::{Fit, InputSpec};

use self::affine::Turned;
use self::colour::Finish;
use self::kernels::Isa;
use self::placement::Placement;
use self::planes::{Grids, Planes};
use self::sampler::Sampler;

/// Brings pictures into the input of one model. One per model instance, owned by that instance's thread.
#[derive(Debug)]
pub struct Preprocessor {
    spec: InputSpec,
    isa: Isa,
    geometry: Option<Geometry>,
    finish: Finish,
    colour: Colour,
    sampler: Sampler,
    turned: Turned,
}

/// Remembers which part of a slot is already padding, so that it is filled again only when that changes. The default
/// knows nothing. Belongs to one slot of one tensor: make a new one when something else wrote to the slot.
#[derive(Clone, Debug, Default)]
pub struct SlotState {
    padded: Option<Padded>,
}

/// What a slot looks like outside the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Padded {
    tensor: Size,
    x: (usize, usize),
    y: (usize, usize),
    /// Bits of the padding's three values.
    value: [u32; 3],
}

/// What the tables were made for, and what follows from it.
#[derive(Debug)]
struct Geometry {
    key: Key,
    placement: Placement,
    grids: Grids,
    /// Tensor columns that are only partly picture, and their share.
    soft: Vec<(usize, f32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    format: PixelFormat,
    size: Size,
    source: Size,
    reduction: u32,
    site: ChromaSite,
    /// Bits of the region's sides.
    roi: Option<[u32; 4]>,
}

impl Preprocessor {
    /// For the input that `spec` describes, with the best instruction set of this processor.
    pub fn new(spec: InputSpec) -> Self {
        Self::with_isa(spec, Isa::detect())
    }

    /// The same in plain code: the reference that [`Self::new`] equals bit for bit. For tests and measurements.
    #[doc(hidden)]
    pub fn scalar(spec: InputSpec) -> Self {
        Self::with_isa(spec, Isa::BASELINE)
    }

    fn with_isa(spec: InputSpec, isa: Isa) -> Self {
        let colour = Colour::default();
        let finish = Finish::new(&spec, colour);
        Self { spec, isa, geometry: None, finish, colour, sampler: Sampler::default(), turned: Turned::default() }
    }

    /// The input that is filled.
    pub fn spec(&self) -> &InputSpec {
        &self.spec
    }

    /// Writes `image` to `slot`, one picture of the batch tensor: `[3, H, W]` f32, [`InputSpec::len`] floats.
    ///
    /// `roi` is the part that is shown, in source pixels; `None` is the whole picture. What of it lies outside the
    /// picture becomes padding (black for [`Fit::Stretch`]). A region that is empty or not finite makes all of the slot
    /// padding. `state` belongs to `slot`.
    ///
    /// Returns the map from tensor pixels to source pixels.
    ///
    /// # Panics
    /// When `slot` has another length: a mistake of the caller, not of any input.
    pub fn fill(&mut self, image: &Image, roi: Option<BBox>, slot: &mut [f32], state: &mut SlotState) -> Mapping {
        assert_eq!(slot.len(), self.spec.len(), "a slot holds one picture");
        self.take_colour(image.colour());
        let planes = Planes::of(image);
        let key = Key::new(image, roi);
        let known = self.geometry.take().filter(|g| g.key == key);
        let geometry = known.unwrap_or_else(|| self.prepare(key, roi));
        let placement = if planes.is_some() { geometry.placement } else { Placement::EMPTY };
        let pad = self.padding();
        self.pad(&placement, pad, slot, state);
        if let Some(planes) = planes {
            self.rows(&geometry, &planes, pad, slot);
        }
        self.geometry = Some(geometry);
        placement.mapping
    }

    /// Converts pictures of this colour description from now on.
    fn take_colour(&mut self, colour: Colour) {
        if self.colour != colour {
            self.colour = colour;
            self.finish = Finish::new(&self.spec, colour);
        }
    }

    /// The tensor's values where there is no picture.
    fn padding(&self) -> [f32; 3] {
        self.finish.level(match self.spec.fit {
            Fit::Letterbox { pad, .. } => pad,
            Fit::Stretch => 0.0,
        })
    }

    /// Places the picture and computes the tables.
    fn prepare(&mut self, key: Key, roi: Option<BBox>) -> Geometry {
        let placement = Placement::new(&self.spec, key.source, roi);
        let grids = Grids::new(key.format, key.size, key.reduction, key.site);
        self.sampler.prepare(&placement, &grids);
        let columns = placement.x.first..placement.x.first + placement.x.len;
        let soft = columns.map(|d| (d, placement.x.cover(d) as f32)).filter(|(_, cover)| *cover < 1.0).collect();
        Geometry { key, placement, grids, soft }
    }

    /// Fills what is not picture, unless it is already so.
    fn pad(&self, placement: &Placement, pad: [f32; 3], slot: &mut [f32], state: &mut SlotState) {
        let (x, y) = (&placement.x, &placement.y);
        let (columns, rows) = (x.first..x.first + x.len, y.first..y.first + y.len);
        let padded = Padded {
            tensor: self.spec.size,
            x: (columns.start, columns.end),
            y: (rows.start, rows.end),
            value: pad.map(f32::to_bits),
        };
        if state.padded.replace(padded) == Some(padded) {
            return;
        }
        let (width, height) = (self.spec.size.width as usize, self.spec.size.height as usize);
        for (plane, pad) in slot.chunks_exact_mut((width * height).max(1)).zip(pad) {
            plane[..rows.start * width].fill(pad);
            plane[rows.end * width..].fill(pad);
            for row in plane[rows.start * width..rows.end * width].chunks_exact_mut(width) {
                row[..columns.start].fill(pad);
                row[columns.end..].fill(pad);
            }
        }
    }

    /// Writes the part that shows the picture.
    fn rows(&mut self, geometry: &Geometry, planes: &Planes<'_>, pad: [f32; 3], slot: &mut [f32]) {
        let Geometry { placement: Placement { x, y, .. }, grids, soft, .. } = geometry;
        let (width, height) = (self.spec.size.width as usize, self.spec.size.height as usize);
        if x.len == 0 || y.len == 0 {
            return;
        }
        let (first, rest) = slot.split_at_mut(width * height);
        let (second, third) = rest.split_at_mut(width * height);
        let columns = x.first..x.first + x.len;
        self.sampler.begin();
        for d in 0..y.len {
            let start = (y.first + d) * width;
            let mut out = [&mut *first, second, third].map(|plane| &mut plane[start..start + width]);
            let [a, b, c] = &mut out;
            let shown = [&mut a[columns.clone()], &mut b[columns.clone()], &mut c[columns.clone()]];
            self.sampler.row(self.isa, planes, grids.kind, d, &self.finish, shown);
            let cover = y.cover(y.first + d) as f32;
            if cover < 1.0 || !soft.is_empty() {
                for (row, pad) in out.into_iter().zip(pad) {
                    soften(row, columns.clone(), cover, soft, pad);
                }
            }
        }
    }
}

/// Mixes the picture's edge with padding where a tensor pixel is only partly picture.
fn soften(row: &mut [f32], columns: std::ops::Range<usize>, cover: f32, soft: &[(usize, f32)], pad: f32) {
    for &(column, cover) in soft {
        row[column] = row[column] * cover + pad * (1.0 - cover);
    }
    if cover < 1.0 {
        for value in &mut row[columns] {
            *value = *value * cover + pad * (1.0 - cover);
        }
    }
}

impl Key {
    fn new(image: &Image, roi: Option<BBox>) -> Self {
        Self {
            format: image.format(),
            size: image.size(),
            source: image.source_size(),
            reduction: image.reduction(),
            site: image.colour().site,
            roi: roi.map(|r| [r.x1, r.y1, r.x2, r.y2].map(f32::to_bits)),
        }
    }
}
