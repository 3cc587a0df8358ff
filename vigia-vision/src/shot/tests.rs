//! Against naive code, and that nothing panics.

use proptest::prelude::*;
use vigia_core::frame::{ChromaSite, ColourMatrix, ColourRange};

use super::*;

fn noise(plane: usize, x: usize, y: usize) -> u8 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77) ^ plane as u32;
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    (h >> 11) as u8
}

/// A picture whose bytes are `paint(plane, byte in the row, row)`, rows `gap` bytes apart.
fn picture(
    format: PixelFormat,
    size: Size,
    gap: usize,
    colour: Colour,
    paint: impl Fn(usize, usize, usize) -> u8,
) -> Image {
    let (mut bytes, mut strides, mut ends) = (Vec::new(), [0; 3], [0; 3]);
    for plane in 0..format.planes() {
        let (row, rows) = format.plane_size(plane, size);
        strides[plane] = row + gap;
        bytes.extend((0..rows * strides[plane]).map(|i| paint(plane, i % strides[plane], i / strides[plane])));
        ends[plane..].fill(bytes.len());
    }
    Image::new(format, size, strides, colour, Arc::new(Packed { bytes, ends })).unwrap()
}

const LIMITED: Colour = Colour { matrix: ColourMatrix::Bt709, range: ColourRange::Limited, site: ChromaSite::Left };
const FORMATS: [PixelFormat; 7] = [
    PixelFormat::I420,
    PixelFormat::Yuv { h: 2, v: 1 },
    PixelFormat::Yuv { h: 4, v: 4 },
    PixelFormat::Nv12,
    PixelFormat::Rgb,
    PixelFormat::Bgr,
    PixelFormat::Gray,
];

/// The definition, in f64: 64 × 64 samples of whole pixels `x`, `y`, each by the weights of every pixel.
fn naive(luma: impl Fn(usize, usize) -> f64, x: (usize, usize), y: (usize, usize)) -> f64 {
    let weights = |(from, to): (usize, usize)| -> Vec<Vec<f64>> {
        let len = (to - from) as f64;
        let step = len / 64.0;
        let of = |i: usize, p: usize| -> f64 {
            let (i, p) = (i as f64, p as f64);
            if step > 4.0 {
                (0..4)
                    .filter(|t| (((i * 4.0 + f64::from(*t)) + 0.5) * len / 256.0).floor() as usize == p as usize)
                    .count() as f64
                    / 4.0
            } else if step >= 1.0 {
                (((i + 1.0) * step).min(p + 1.0) - (i * step).max(p)).max(0.0) / step
            } else {
                let at = ((i + 0.5) * step - 0.5).clamp(0.0, len - 1.0);
                (1.0 - (at - p).abs()).max(0.0)
            }
        };
        (0..64).map(|i| (0..to - from).map(|p| of(i, p)).collect()).collect()
    };
    let (across, down) = (weights(x), weights(y));
    let mixed: Vec<Vec<f64>> = down
        .iter()
        .map(|row| {
            let sum =
                |c: usize| row.iter().enumerate().map(|(r, w)| if *w > 0.0 { w * luma(c, y.0 + r) } else { 0.0 }).sum();
            (x.0..x.1).map(sum).collect()
        })
        .collect();
    let s = |i: usize, j: usize| -> f64 { mixed[j].iter().zip(&across[i]).map(|(value, weight)| value * weight).sum() };
    let grid: Vec<Vec<f64>> = (0..64).map(|j| (0..64).map(|i| s(i, j)).collect()).collect();
    let mut all = Vec::new();
    for (j, i) in (1..63).flat_map(|j| (1..63).map(move |i| (j, i))) {
        all.push(grid[j - 1][i] + grid[j + 1][i] + grid[j][i - 1] + grid[j][i + 1] - 4.0 * grid[j][i]);
    }
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64
}

fn luma_of(format: PixelFormat, range: ColourRange, x: usize, y: usize) -> f64 {
    let pixel = |c: usize| f64::from(noise(0, 3 * x + c, y));
    match format {
        PixelFormat::Rgb => 0.299 * pixel(0) + 0.587 * pixel(1) + 0.114 * pixel(2),
        PixelFormat::Bgr => 0.299 * pixel(2) + 0.587 * pixel(1) + 0.114 * pixel(0),
        _ if range == ColourRange::Limited => (f64::from(noise(0, x, y)) - 16.0) * 255.0 / 219.0,
        _ => f64::from(noise(0, x, y)),
    }
}

#[test]
fn sharpness_is_the_definition_s() {
    let size = Size::new(701, 333);
    for (format, colour) in FORMATS.into_iter().flat_map(|f| [(f, Colour::default()), (f, LIMITED)]) {
        let image = picture(format, size, 5, colour, noise);
        for (x1, y1, x2, y2) in [
            (100.0, 50.0, 164.0, 114.0),
            (10.3, 20.6, 99.9, 130.2),
            (-20.0, -20.0, 30.0, 40.5),
            (0.0, 0.0, 701.0, 333.0),
            (3.0, 5.0, 260.0, 261.0),
            (600.0, 300.0, 900.0, 310.0),
            (7.0, 7.0, 8.0, 300.0),
        ] {
            let side = |from: f32, to: f32, len: u32| (from.max(0.0) as usize, (to.ceil() as usize).min(len as usize));
            let (x, y) = (side(x1, x2, size.width), side(y1, y2, size.height));
            let want = naive(|x, y| luma_of(format, colour.range, x, y), x, y);
            let got = f64::from(sharpness(&image, &BBox { x1, y1, x2, y2 }));
            assert!((got - want).abs() <= 1e-3 * want + 1e-3, "{format:?} {x:?} {y:?}: {got} for {want}");
        }
    }
}

#[test]
fn sharpness_follows_what_is_seen() {
    let size = Size::new(256, 256);
    let whole = size.whole();
    let of = |paint: fn(usize, usize, usize) -> u8| {
        sharpness(&picture(PixelFormat::Gray, size, 0, Colour::default(), paint), &whole)
    };
    assert!(of(|_, _, _| 77) < 1e-3);
    assert!(of(|_, x, y| (x / 4 + y / 4 * 2) as u8) < 0.1, "a ramp has no edges");
    let (crisp, soft) = (
        of(|_, x, _| if x / 32 % 2 == 0 { 0 } else { 255 }),
        of(|_, x, _| (127.5 + 127.5 * (x as f32 * std::f32::consts::PI / 32.0).sin()) as u8),
    );
    assert!(crisp > 20.0 * soft, "{crisp} {soft}");
}

#[test]
fn a_reduced_picture_has_its_boxes_in_source_pixels() {
    let plain = picture(PixelFormat::I420, Size::new(200, 100), 3, Colour::default(), noise);
    let reduced = plain.clone().with_reduction(4, Size::new(799, 398));
    let bbox = BBox { x1: 40.0, y1: 20.0, x2: 120.0, y2: 90.0 };
    let larger = BBox { x1: 160.0, y1: 80.0, x2: 480.0, y2: 360.0 };
    assert!((sharpness(&plain, &bbox) - sharpness(&reduced, &larger)).abs() < 1e-6);
    let (a, at) = cut(&plain, &bbox, 0.0, 1000).unwrap();
    let (b, larger_at) = cut(&reduced, &larger, 0.0, 1000).unwrap();
    assert_eq!((a.plane(0), a.plane(1), at), (b.plane(0), b.plane(1), bbox));
    assert_eq!((larger_at, b.reduction(), b.source_size()), (larger, 1, b.size()));
    // The last column of samples shows three source pixels, not four.
    let (_, at) = cut(&reduced, &BBox { x1: 700.0, y1: 300.0, x2: 5000.0, y2: 5000.0 }, 0.0, 1000).unwrap();
    assert_eq!((at.x2.to_bits(), at.y2.to_bits()), (799.0f32.to_bits(), 398.0f32.to_bits()));
}

#[test]
fn a_cut_holds_the_same_samples() {
    for format in FORMATS {
        let size = Size::new(101, 67);
        let image = picture(format, size, 7, LIMITED, noise);
        let bbox = BBox { x1: 33.0, y1: 11.0, x2: 53.0, y2: 31.0 };
        let (part, at) = cut(&image, &bbox, 0.25, 1000).unwrap();
        assert!(at.x1 <= 28.0 && at.x2 >= 58.0 && at.y1 <= 6.0 && at.y2 >= 36.0, "{format:?} {at:?}");
        assert!(at.width() <= 36.0 && at.height() <= 36.0, "{format:?} {at:?}");
        assert_eq!((part.format(), part.colour()), (format, LIMITED));
        assert_eq!(Size::new(at.width() as u32, at.height() as u32), part.size());
        // Exactly as the whole picture is converted, but for chroma that is mixed with neighbours beyond the cut.
        let (mut all, mut some) = (RgbImage::default(), RgbImage::default());
        to_rgb(&image, &mut all);
        to_rgb(&part, &mut some);
        let (left, top) = (at.x1 as usize, at.y1 as usize);
        for (y, x) in
            (4..part.size().height as usize - 4).flat_map(|y| (4..part.size().width as usize - 4).map(move |x| (y, x)))
        {
            let (a, b) = (((top + y) * 101 + left + x) * 3, (y * part.size().width as usize + x) * 3);
            assert_eq!(all.bytes()[a..a + 3], some.bytes()[b..b + 3], "{format:?} {x} {y}");
        }
    }
}

#[test]
fn a_large_cut_is_brought_down() {
    for format in FORMATS {
        let image = picture(format, Size::new(640, 360), 0, Colour::default(), |_, x, y| (x / 8 + y / 2) as u8);
        let bbox = BBox { x1: 100.0, y1: 100.0, x2: 500.0, y2: 200.0 };
        let (part, at) = cut(&image, &bbox, 0.0, 100).unwrap();
        assert_eq!((at, part.size(), part.format()), (bbox, Size::new(100, 25), PixelFormat::Rgb));
        let (mut all, mut some) = (RgbImage::default(), RgbImage::default());
        to_rgb(&image, &mut all);
        to_rgb(&part, &mut some);
        for (y, x) in (2..23usize).flat_map(|y| (2..98usize).map(move |x| (y, x))) {
            for c in 0..3 {
                let mean = (0..16).map(|i| ((100 + 4 * y + i / 4) * 640 + 100 + 4 * x + i % 4) * 3 + c);
                let mean = mean.map(|at| f32::from(all.bytes()[at])).sum::<f32>() / 16.0;
                let got = f32::from(some.bytes()[(y * 100 + x) * 3 + c]);
                assert!((got - mean).abs() <= 1.5, "{format:?} {x} {y} {c}: {got} for {mean}");
            }
        }
    }
}

#[test]
fn limited_range_becomes_a_jpeg_of_the_right_colours() {
    // BT.709, limited: red is (63, 102, 240).
    let image = picture(PixelFormat::I420, Size::new(64, 64), 0, LIMITED, |plane, _, _| [63, 102, 240][plane]);
    let (part, _) = cut(&image, &BBox { x1: 9.0, y1: 9.0, x2: 40.0, y2: 40.0 }, 0.0, 100).unwrap();
    let encoded = jpeg(&part, 90).unwrap();
    let decoder = crate::picture::PictureDecoder::new(crate::picture::PictureLimits::default());
    let mut rgb = RgbImage::default();
    to_rgb(&decoder.decode(&encoded, None).unwrap(), &mut rgb);
    assert_eq!(rgb.size(), Size::new(32, 32));
    assert!(rgb.bytes().as_chunks::<3>().0.iter().all(|&[r, g, b]| r > 250 && g < 6 && b < 6));
}

fn number() -> impl Strategy<Value = f32> {
    let special =
        prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(f32::MAX), Just(f32::MIN)];
    prop_oneof![4 => -100.0f32..500.0, 1 => special, 1 => any::<f32>()]
}

proptest! {
    #[test]
    fn nothing_panics(
        format in prop::sample::select(&FORMATS[..]),
        width in 1u32..300, height in 1u32..300, halvings in 0u32..4, seed in any::<u32>(),
        sides in prop::array::uniform4(number()), margin in number(), longest in prop_oneof![0u32..400, Just(u32::MAX)],
    ) {
        let k = 1 << halvings;
        let source = Size::new((width * k - seed % k).max(1), (height * k - (seed >> 8) % k).max(1));
        let image = picture(format, Size::new(width, height), 3, Colour::default(), noise).with_reduction(k, source);
        let [x1, y1, x2, y2] = sides;
        let bbox = BBox { x1, y1, x2, y2 };
        let value = sharpness(&image, &bbox);
        prop_assert!(value.is_finite() && value >= 0.0);
        if !bbox.is_proper() {
            prop_assert!(value == 0.0);
        }
        if let Some((part, at)) = cut(&image, &bbox, margin, longest) {
            prop_assert!(part.size().width.max(part.size().height) <= longest.max(1));
            prop_assert!(at.is_proper() && at == at.clipped(source));
        }
    }
}
