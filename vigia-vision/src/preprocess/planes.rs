//! The planes of an image as the row loops read them.

use vigia_core::frame::{ChromaSite, Image, PixelFormat};
use vigia_core::geometry::Size;

use super::taps::Grid;

/// One plane.
#[derive(Clone, Copy)]
pub(super) struct Plane<'a> {
    bytes: &'a [u8],
    stride: usize,
    row: usize,
    /// Samples side by side per position: 2 for NV12's chroma, 3 for RGB.
    pub(super) channels: usize,
}

impl<'a> Plane<'a> {
    /// `width` positions of row `row`, from position `base` on.
    pub(super) fn row(&self, row: usize, base: usize, width: usize) -> &'a [u8] {
        &self.bytes[row * self.stride..][..self.row][base * self.channels..][..width * self.channels]
    }

    /// The same of `count` rows from row `row` on.
    pub(super) fn rows(&self, row: usize, count: usize, base: usize, width: usize) -> Rows<'a> {
        let (start, width) = (base * self.channels, width * self.channels);
        let len = count.saturating_sub(1) * self.stride + width;
        Rows { bytes: &self.bytes[row * self.stride + start..][..len], stride: self.stride }
    }
}

/// Rows of a plane that follow each other, cut to the same columns.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// From the first row's first byte to the last row's last.
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> Rows<'a> {
    /// All bytes: row `i` begins at `i` strides. At least as many as the rows' widths and the strides between them.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes from one row to the next.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }
}

/// The planes of one image, checked against its description.
pub(super) struct Planes<'a> {
    /// The first is Y, grey or RGB; the others, as far as there are any, are chroma.
    all: [Plane<'a>; 3],
    count: usize,
}

impl<'a> Planes<'a> {
    /// `None` when a buffer does not hold what it held when the image was made.
    pub(super) fn of(image: &'a Image) -> Option<Self> {
        let (format, size) = (image.format(), image.size());
        let mut all = [Plane { bytes: &[], stride: 0, row: 0, channels: 1 }; 3];
        for (index, plane) in all.iter_mut().enumerate().take(format.planes()) {
            let (bytes, stride) = image.plane(index);
            let (row, rows) = format.plane_size(index, size);
            if bytes.len() < rows.checked_sub(1)?.checked_mul(stride)?.checked_add(row)? {
                return None;
            }
            let channels = match (format, index) {
                (PixelFormat::Rgb | PixelFormat::Bgr, _) => 3,
                (PixelFormat::Nv12, 1) => 2,
                _ => 1,
            };
            *plane = Plane { bytes, stride, row, channels };
        }
        Some(Self { all, count: format.planes() })
    }

    /// Y, grey or RGB.
    pub(super) fn first(&self) -> Plane<'a> {
        self.all[0]
    }

    /// The chroma planes: none, one with both or two.
    pub(super) fn chroma(&self) -> &[Plane<'a>] {
        &self.all[1..self.count]
    }
}

/// Which kind of rows the planes give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Y, U, V.
    Yuv,
    /// Three rows; true when the first is blue.
    Rgb {
        /// The first row is blue.
        swap: bool,
    },
    /// Y only.
    Gray,
}

/// The sample grids of an image, one per axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grids {
    /// Of Y, grey or RGB: x, y.
    pub(super) first: (Grid, Grid),
    /// Of chroma, where there is any.
    pub(super) chroma: Option<(Grid, Grid)>,
    pub(super) kind: Kind,
}

impl Grids {
    /// The grids of images with this layout; planes show `reduction` source pixels per sample.
    pub(super) fn new(format: PixelFormat, size: Size, reduction: u32, site: ChromaSite) -> Self {
        let reduction = f64::from(reduction);
        let (width, height) = (size.width as usize, size.height as usize);
        let grid = |len| Grid { step: reduction, bias: 0.5, len };
        let (kind, sub) = match format {
            PixelFormat::Yuv { h, v } => (Kind::Yuv, Some((h, v))),
            PixelFormat::Nv12 => (Kind::Yuv, Some((2, 2))),
            PixelFormat::Rgb => (Kind::Rgb { swap: false }, None),
            PixelFormat::Bgr => (Kind::Rgb { swap: true }, None),
            PixelFormat::Gray => (Kind::Gray, None),
        };
        let chroma = sub.map(|(h, v)| {
            let (h, v) = (h.max(1), v.max(1));
            let bias = match site {
                ChromaSite::Centre => 0.5,
                ChromaSite::Left => 0.5 / f64::from(h),
            };
            let x = Grid { step: reduction * f64::from(h), bias, len: width.div_ceil(usize::from(h)) };
            (x, Grid { step: reduction * f64::from(v), bias: 0.5, len: height.div_ceil(usize::from(v)) })
        });
        Self { first: (grid(width), grid(height)), chroma, kind }
    }
}
