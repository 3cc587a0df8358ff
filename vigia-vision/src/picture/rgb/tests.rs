mod reference;

use std::sync::Arc;

use proptest::prelude::*;
use vigia_core::frame::{ChromaSite, Colour, ColourMatrix, ColourRange, PixelBuffer, PixelFormat};

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

fn formats() -> impl Strategy<Value = PixelFormat> {
    // Three pixels a sample is nothing that a decoder gives; it must be read all the same.
    let sub = || prop::sample::select(vec![1, 2, 3, 4]);
    prop_oneof![
        Just(PixelFormat::I420),
        Just(PixelFormat::Nv12),
        (sub(), sub()).prop_map(|(h, v)| PixelFormat::Yuv { h, v }),
        prop::sample::select(vec![PixelFormat::Gray, PixelFormat::Rgb, PixelFormat::Bgr]),
    ]
}

fn colours() -> impl Strategy<Value = Colour> {
    let matrix = prop::sample::select(vec![ColourMatrix::Bt601, ColourMatrix::Bt709]);
    let range = prop::sample::select(vec![ColourRange::Full, ColourRange::Limited]);
    let site = prop::sample::select(vec![ChromaSite::Centre, ChromaSite::Left]);
    (matrix, range, site).prop_map(|(matrix, range, site)| Colour { matrix, range, site })
}

/// Small pictures, and such whose rows are about one, two and three blocks.
fn sizes() -> impl Strategy<Value = Size> {
    let narrow = (1u32..80, 1u32..12);
    let wide = (prop::sample::select(vec![1024, 2048, 3072]), 0u32..12).prop_map(|(block, more)| (block - 6 + more, 3));
    prop_oneof![2 => narrow, 1 => wide].prop_map(|(width, height)| Size::new(width, height))
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
    #[test]
    fn every_picture_is_converted_as_the_reference_does(
        (format, colour, size) in (formats(), colours(), sizes()),
        padding in 0usize..3,
        seed in any::<u32>(),
    ) {
        let mut state = seed;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Often black or white, where sums are cut off.
            match state >> 30 { 0 => 0, 1 => 255, _ => (state >> 16) as u8 }
        };
        let mut strides = [0; 3];
        let planes = (0..format.planes()).map(|plane| {
            let (row, rows) = format.plane_size(plane, size);
            strides[plane] = row + padding;
            (0..(row + padding) * (rows - 1) + row).map(|_| noise()).collect()
        });
        let planes = Planes(planes.collect());
        let picture = Image::new(format, size, strides, colour, Arc::new(planes)).unwrap();
        let expected = reference::rgb(&picture);
        prop_assert_eq!(&rgb(&picture), &expected);
        // Without this processor's extensions.
        let mut out = vec![0; expected.len()];
        convert::plain(&picture, &mut out);
        prop_assert_eq!(out, expected);
    }
}
