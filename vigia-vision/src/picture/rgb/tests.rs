use std::sync::Arc;

use proptest::prelude::*;
use vigia_core::frame::PixelBuffer;

use super::*;

struct Planes(Vec<Vec<u8>>);

impl PixelBuffer for Planes {
    fn plane(&self, index: usize) -> &[u8] {
        self.0.get(index).map_or(&[], Vec::as_slice)
    }
}

fn image(format: PixelFormat, size: Size, colour: Colour, planes: &[&[u8]]) -> Image {
    let strides = std::array::from_fn(|plane| format.plane_size(plane, size).0);
    let buffer = Planes(planes.iter().map(|plane| plane.to_vec()).collect());
    Image::new(format, size, strides, colour, Arc::new(buffer)).unwrap()
}

fn rgb(image: &Image) -> Vec<u8> {
    let mut out = RgbImage::default();
    to_rgb(image, &mut out);
    assert_eq!(out.size(), image.size());
    out.bytes().to_vec()
}

fn flat(colour: Colour, yuv: [u8; 3]) -> [u8; 3] {
    let [y, u, v] = yuv;
    let image = image(PixelFormat::I420, Size::new(2, 2), colour, &[&[y; 4], &[u], &[v]]);
    *rgb(&image).first_chunk().unwrap()
}

#[test]
fn known_colours() {
    let full = Colour::default();
    assert_eq!(flat(full, [255, 128, 128]), [255, 255, 255]);
    assert_eq!(flat(full, [0, 128, 128]), [0, 0, 0]);
    // JFIF's red, green, blue.
    assert_eq!(flat(full, [76, 85, 255]), [254, 0, 0]);
    assert_eq!(flat(full, [150, 44, 21]), [0, 255, 1]);
    assert_eq!(flat(full, [29, 255, 107]), [0, 0, 254]);
    let video = Colour { matrix: ColourMatrix::Bt709, range: ColourRange::Limited, site: ChromaSite::Left };
    assert_eq!(flat(video, [235, 128, 128]), [255, 255, 255]);
    assert_eq!(flat(video, [16, 128, 128]), [0, 0, 0]);
    // 100 % red of BT.709 video.
    assert_eq!(flat(video, [63, 102, 240]), [255, 1, 0]);
}

#[test]
fn planes_are_read_in_their_order() {
    let size = Size::new(2, 1);
    assert_eq!(rgb(&image(PixelFormat::Bgr, size, Colour::default(), &[&[1, 2, 3, 4, 5, 6]])), [3, 2, 1, 6, 5, 4]);
    assert_eq!(rgb(&image(PixelFormat::Rgb, size, Colour::default(), &[&[1, 2, 3, 4, 5, 6]])), [1, 2, 3, 4, 5, 6]);
    assert_eq!(rgb(&image(PixelFormat::Gray, size, Colour::default(), &[&[7, 8]])), [7, 7, 7, 8, 8, 8]);
}

#[test]
fn chroma_runs_smoothly_between_samples() {
    // Two red-difference samples over four pixels, in their middle and on their left.
    let sizes = Size::new(4, 1);
    let ramp = |site| {
        let colour = Colour { site, ..Colour::default() };
        let format = PixelFormat::Yuv { h: 2, v: 1 };
        let red: Vec<u8> = rgb(&image(format, sizes, colour, &[&[100; 4], &[128; 2], &[128, 148]]))
            .iter()
            .step_by(3)
            .copied()
            .collect();
        red
    };
    // 1.402 × 20 = 28.04 at the second sample.
    assert_eq!(ramp(ChromaSite::Centre), [100, 107, 121, 128]);
    assert_eq!(ramp(ChromaSite::Left), [100, 114, 128, 128]);
}

proptest! {
    #[test]
    fn pairs_are_the_same_as_planes(w in 1u32..12, h in 1u32..12, seed in any::<u8>()) {
        let size = Size::new(w, h);
        let bytes = |n: usize, k: u8| -> Vec<u8> { (0..n).map(|i| (i as u8).wrapping_mul(k).wrapping_add(seed)).collect() };
        let (cw, ch) = (w.div_ceil(2) as usize, h.div_ceil(2) as usize);
        let (y, u, v) = (bytes((w * h) as usize, 31), bytes(cw * ch, 57), bytes(cw * ch, 91));
        let pairs: Vec<u8> = u.iter().zip(&v).flat_map(|(&u, &v)| [u, v]).collect();
        let planar = image(PixelFormat::I420, size, Colour::default(), &[&y, &u, &v]);
        let paired = image(PixelFormat::Nv12, size, Colour::default(), &[&y, &pairs]);
        prop_assert_eq!(rgb(&planar), rgb(&paired));
    }

    #[test]
    fn any_sampling_of_gray_is_gray(w in 1u32..14, h in 1u32..14, sh in 0u32..3, sv in 0u32..3, y in any::<u8>()) {
        let (size, format) = (Size::new(w, h), PixelFormat::Yuv { h: 1 << sh, v: 1 << sv });
        let plane = |i: usize, value: u8| { let (row, rows) = format.plane_size(i, size); vec![value; row * rows] };
        let picture = image(format, size, Colour::default(), &[&plane(0, y), &plane(1, 128), &plane(2, 128)]);
        prop_assert!(rgb(&picture).iter().all(|&value| value == y));
    }
}
