//! The number of a frame, painted into its picture: whoever has the pixels knows when the camera sent them.
//!
//! Ten squares of 40 x 40 pixels from (20, 20) to the right, the lowest bit first, white where the bit is set, on a black
//! bar. They are large enough for any encoder to keep them.

use vigia_core::frame::{Image, PixelFormat};
use vigia_core::geometry::Size;

/// Numbers there are.
pub(super) const NUMBERS: usize = 1 << BITS;
const BITS: usize = 10;
/// Of a square, in pixels.
const SIDE: usize = 40;
/// Left and top of the first square.
const FIRST: usize = 20;
/// Left and top of the bar.
const BAR: usize = 12;
/// Right and bottom of the bar.
const END: (usize, usize) = (FIRST + BITS * SIDE + FIRST - BAR, FIRST + SIDE + FIRST - BAR);
/// Pixels that are looked at, from the left and from the top of each square.
const LOOK: std::ops::Range<usize> = 16..24;
/// Of limited range.
const BLACK: u8 = 16;
const WHITE: u8 = 235;
const GREY: u8 = 128;

/// The smallest picture that a number fits into.
pub(super) const SMALLEST: Size = Size { width: END.0 as u32, height: END.1 as u32 };

/// Paints a number into an I420 picture without padding, of even sides and at least [`SMALLEST`].
pub(super) fn paint(i420: &mut [u8], size: Size, number: usize) {
    let (width, height) = (size.width as usize, size.height as usize);
    let (luma, chroma) = i420.split_at_mut(width * height);
    for row in luma.chunks_exact_mut(width).take(END.1).skip(BAR) {
        row[BAR..END.0].fill(BLACK);
    }
    for row in luma.chunks_exact_mut(width).skip(FIRST).take(SIDE) {
        for bit in (0..BITS).filter(|bit| number >> bit & 1 == 1) {
            let left = FIRST + bit * SIDE;
            row[left..left + SIDE].fill(WHITE);
        }
    }
    for plane in chroma.chunks_exact_mut(width / 2 * (height / 2)) {
        for row in plane.chunks_exact_mut(width / 2).take(END.1 / 2).skip(BAR / 2) {
            row[BAR / 2..END.0 / 2].fill(GREY);
        }
    }
}

/// The number in a picture; absent where there is no luma plane or it is too small. Any picture of the right size has some number.
pub(super) fn read(image: &Image) -> Option<usize> {
    let has_luma = matches!(image.format(), PixelFormat::Yuv { .. } | PixelFormat::Nv12 | PixelFormat::Gray);
    let size = image.size();
    if !has_luma || size.width < SMALLEST.width || size.height < SMALLEST.height {
        return None;
    }
    let (luma, stride) = image.plane(0);
    let is_set = |bit: usize| {
        let left = FIRST + bit * SIDE;
        let rows = luma.chunks(stride).skip(FIRST + LOOK.start).take(LOOK.len());
        let pixels = rows.flat_map(|row| &row[left + LOOK.start..left + LOOK.end]);
        let sum: u32 = pixels.map(|&pixel| u32::from(pixel)).sum();
        sum > u32::from(GREY) * (LOOK.len() * LOOK.len()) as u32
    };
    Some((0..BITS).filter(|&bit| is_set(bit)).map(|bit| 1 << bit).sum())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vigia_core::frame::{Colour, PixelBuffer};

    use super::*;

    struct I420(Vec<u8>, Size);

    impl PixelBuffer for I420 {
        fn plane(&self, index: usize) -> &[u8] {
            let luma = self.1.width as usize * self.1.height as usize;
            match index {
                0 => &self.0[..luma],
                1 => &self.0[luma..luma * 5 / 4],
                _ => &self.0[luma * 5 / 4..],
            }
        }
    }

    fn image(bytes: Vec<u8>, size: Size) -> Image {
        let (width, half) = (size.width as usize, size.width as usize / 2);
        let buffer = Arc::new(I420(bytes, size));
        Image::new(PixelFormat::I420, size, [width, half, half], Colour::default(), buffer).expect("a picture")
    }

    #[test]
    fn what_was_painted_is_read() {
        for size in [SMALLEST, Size::new(1280, 720)] {
            for number in [0, 1, 2, 0b10_1010_1010, 899, NUMBERS - 1] {
                let mut picture = vec![90; (size.width * size.height * 3 / 2) as usize];
                paint(&mut picture, size, number);
                assert_eq!(read(&image(picture, size)), Some(number), "{size}");
            }
        }
    }

    #[test]
    fn nothing_but_the_bar_is_painted() {
        let size = Size::new(640, 360);
        let mut picture = vec![90; 640 * 360 * 3 / 2];
        paint(&mut picture, size, 1);
        let luma = |x: usize, y: usize| picture[y * 640 + x];
        assert_eq!([luma(11, 40), luma(12, 40), luma(20, 40), luma(59, 40), luma(60, 40)], [90, 16, 235, 235, 16]);
        assert_eq!(
            [luma(427, 40), luma(428, 40), luma(40, 11), luma(40, 12), luma(40, 67), luma(40, 68)],
            [16, 90, 90, 16, 16, 90]
        );
        let painted = picture.iter().filter(|&&byte| byte != 90).count();
        assert_eq!(painted, 416 * 56 * 3 / 2);
    }

    #[test]
    fn pictures_without_a_number_have_none() {
        let small = Size::new(320, 240);
        assert_eq!(read(&image(vec![0; 320 * 240 * 3 / 2], small)), None);
        let size = Size::new(640, 360);
        let rgb = Image::new(PixelFormat::Rgb, size, [1920, 0, 0], Colour::default(), Arc::new(vec![0; 1920 * 360]));
        assert_eq!(read(&rgb.expect("a picture")), None);
    }
}
