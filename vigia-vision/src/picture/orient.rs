//! EXIF orientation: which way up a picture is, and planes turned that way.

use vigia_core::frame::PixelFormat;
use vigia_core::geometry::Size;
use vigia_core::pool::BufferPool;

use super::{Layout, Planes};

/// How a stored picture is turned to be upright: mirrored along its stored axes, then the axes swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    /// Stored columns run from right to left.
    mirror_x: bool,
    /// Stored rows run from bottom to top.
    mirror_y: bool,
    /// Stored rows become columns.
    swap: bool,
}

impl Orientation {
    /// The orientation that EXIF tag 0x0112 gives; upright where there is none or it makes no sense (EXIF 2.32, 4.6.4).
    pub(super) fn from_exif(exif: &[u8]) -> Self {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        // Parsing stops at nothing but a broken header: a damaged maker note must not turn the picture.
        let parsed = exif::Reader::new().continue_on_error(true).read_raw(tiff.to_vec());
        let parsed = parsed.or_else(|e| e.distill_partial_result(|_| ()));
        let value = parsed.ok().and_then(|exif| {
            let field = exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?;
            field.value.get_uint(0)
        });
        Self::from_value(value.unwrap_or(1))
    }

    /// The orientation of a tag's value, 1 to 8.
    fn from_value(value: u32) -> Self {
        let (mirror_x, mirror_y, swap) = match value {
            2 => (true, false, false),
            3 => (true, true, false),
            4 => (false, true, false),
            5 => (false, false, true),
            6 => (false, true, true),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self { mirror_x, mirror_y, swap }
    }

    /// True where nothing has to be turned.
    pub(super) fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// The upright picture's size.
    pub(super) fn size(self, stored: Size) -> Size {
        if self.swap { Size::new(stored.height, stored.width) } else { stored }
    }

    /// The upright picture's format: samples shared along rows are shared along columns after a quarter turn.
    fn format(self, stored: PixelFormat) -> PixelFormat {
        match stored {
            PixelFormat::Yuv { h, v } if self.swap => PixelFormat::Yuv { h: v, v: h },
            other => other,
        }
    }

    /// Whether chroma samples keep their pixels when planes of `size` pixels are mirrored: where the last sample of a
    /// mirrored row or column stands for fewer pixels than the others, it would come first and shift all the rest.
    pub(super) fn keeps_chroma(self, format: PixelFormat, size: Size) -> bool {
        let PixelFormat::Yuv { h, v } = format else { return true };
        let whole = |mirrored: bool, side: u32, samples: u8| !mirrored || side.is_multiple_of(samples.into());
        whole(self.mirror_x, size.width, h) && whole(self.mirror_y, size.height, v)
    }

    /// The planes upright.
    ///
    /// The turned copy is the only one made of a picture, in a second pooled buffer: the kernel reads rows, and a
    /// kernel that also read columns would pay for it on every upright picture. Turned pictures are photographs from
    /// telephones, not frames of a stream.
    pub(super) fn turned(self, planes: Planes, pool: &BufferPool) -> Planes {
        if self.is_upright() {
            return planes;
        }
        let (format, size) = (self.format(planes.format), self.size(planes.size));
        let (stored, upright) = (Layout::of(planes.format, planes.size), Layout::of(format, size));
        let mut buffer = pool.take(upright.len());
        for plane in 0..format.planes() {
            let (row, rows) = planes.format.plane_size(plane, planes.size);
            let from = (&planes.buffer.bytes()[stored.plane(plane)], stored.strides[plane]);
            let (to, stride) = (&mut buffer.bytes_mut()[upright.plane(plane)], upright.strides[plane]);
            match format {
                PixelFormat::Rgb | PixelFormat::Bgr => self.turn::<3>((row / 3, rows), from, to, stride),
                _ => self.turn::<1>((row, rows), from, to, stride),
            }
        }
        Planes { format, size, buffer }
    }

    /// One plane of `w` × `h` samples of `N` bytes; planes come with their strides, in bytes.
    fn turn<const N: usize>(self, (w, h): (usize, usize), from: (&[u8], usize), to: &mut [u8], to_stride: usize) {
        /// Samples per side of a tile: source and destination tile together stay in the first-level cache.
        const TILE: usize = 32;
        let (from_stride, to_stride) = (from.1 / N, to_stride / N);
        let (from, to) = (from.0.as_chunks::<N>().0, to.as_chunks_mut::<N>().0);
        let (to_w, to_h) = if self.swap { (h, w) } else { (w, h) };
        // Where the upright picture's first sample is stored, and how far its right and lower neighbours are from it.
        let first = if self.mirror_x { w - 1 } else { 0 } + if self.mirror_y { (h - 1) * from_stride } else { 0 };
        let along_row = if self.mirror_x { -1 } else { 1 };
        let along_column = if self.mirror_y { -(from_stride as isize) } else { from_stride as isize };
        let (right, down) = if self.swap { (along_column, along_row) } else { (along_row, along_column) };
        for tile_y in (0..to_h).step_by(TILE) {
            for tile_x in (0..to_w).step_by(TILE) {
                for y in tile_y..to_h.min(tile_y + TILE) {
                    for x in tile_x..to_w.min(tile_x + TILE) {
                        let at = first as isize + x as isize * right + y as isize * down;
                        to[y * to_stride + x] = from[at as usize];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(value: u32) -> Vec<u8> {
        let (mut to, orientation) = (vec![0; 6], Orientation::from_value(value));
        let stride = orientation.size(Size::new(3, 2)).width as usize;
        orientation.turn::<1>((3, 2), (&[1, 2, 3, 0, 4, 5, 6], 4), &mut to, stride);
        to
    }

    #[test]
    fn the_eight_orientations() {
        // Stored: 1 2 3 / 4 5 6.
        assert_eq!(turned(1), [1, 2, 3, 4, 5, 6]);
        assert_eq!(turned(2), [3, 2, 1, 6, 5, 4]);
        assert_eq!(turned(3), [6, 5, 4, 3, 2, 1]);
        assert_eq!(turned(4), [4, 5, 6, 1, 2, 3]);
        assert_eq!(turned(5), [1, 4, 2, 5, 3, 6]);
        assert_eq!(turned(6), [4, 1, 5, 2, 6, 3]);
        assert_eq!(turned(7), [6, 3, 5, 2, 4, 1]);
        assert_eq!(turned(8), [3, 6, 2, 5, 1, 4]);
    }

    #[test]
    fn nonsense_is_upright() {
        for exif in [&b""[..], b"Exif\0\0", b"MM\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xff", &[0xff; 40]] {
            assert!(Orientation::from_exif(exif).is_upright());
        }
    }
}
