//! What a filled slot holds, and that it is the same with every instruction set.

use std::sync::Arc;

use proptest::prelude::*;
use vigia_core::frame::{ColourMatrix, ColourRange, PixelBuffer};
use vigia_core::geometry::Affine;
use vigia_core::model::{Align, Channels, Scaling};

use super::*;

struct Bytes([Vec<u8>; 3]);

impl PixelBuffer for Bytes {
    fn plane(&self, index: usize) -> &[u8] {
        self.0.get(index).map_or(&[], Vec::as_slice)
    }
}

/// A picture whose bytes are `paint(plane, byte in the row, row)`, rows `gap` bytes apart; the last row has no gap.
fn picture(
    format: PixelFormat,
    size: Size,
    gap: usize,
    colour: Colour,
    paint: impl Fn(usize, usize, usize) -> u8,
) -> Image {
    let mut planes = [const { Vec::new() }; 3];
    let mut strides = [0; 3];
    for plane in 0..format.planes() {
        let (row, rows) = format.plane_size(plane, size);
        strides[plane] = row + gap;
        planes[plane] =
            (0..rows * strides[plane] - gap).map(|i| paint(plane, i % strides[plane], i / strides[plane])).collect();
    }
    Image::new(format, size, strides, colour, Arc::new(Bytes(planes))).unwrap()
}

fn spec(width: u32, height: u32, fit: Fit, scaling: Scaling) -> InputSpec {
    InputSpec { size: Size::new(width, height), channels: Channels::Rgb, mean: [0.0; 3], scale: [1.0; 3], fit, scaling }
}

const LETTERBOX: Fit = Fit::Letterbox { align: Align::TopLeft, pad: 114.0, enlarge: true };
const CENTRED: Fit = Fit::Letterbox { align: Align::Centre, pad: 114.0, enlarge: true };

fn filled(spec: &InputSpec, image: &Image, roi: Option<BBox>) -> (Vec<f32>, Mapping) {
    let mut slot = vec![f32::NAN; spec.len()];
    let mapping = Preprocessor::new(spec.clone()).fill(image, roi, &mut slot, &mut SlotState::default());
    (slot, mapping)
}

fn noise(seed: u32) -> impl Fn(usize, usize, usize) -> u8 {
    move |plane, x, y| {
        let mut h = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77) ^ seed ^ plane as u32;
        h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
        (h >> 11) as u8
    }
}

fn any_format() -> impl Strategy<Value = PixelFormat> {
    let side = prop_oneof![Just(1u8), Just(2), Just(4)];
    prop_oneof![
        3 => (side.clone(), side).prop_map(|(h, v)| PixelFormat::Yuv { h, v }),
        1 => Just(PixelFormat::Nv12),
        1 => Just(PixelFormat::Rgb),
        1 => Just(PixelFormat::Bgr),
        1 => Just(PixelFormat::Gray),
    ]
}

fn any_colour() -> impl Strategy<Value = Colour> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(matrix, range, site)| Colour {
        matrix: if matrix { ColourMatrix::Bt601 } else { ColourMatrix::Bt709 },
        range: if range { ColourRange::Full } else { ColourRange::Limited },
        site: if site { ChromaSite::Centre } else { ChromaSite::Left },
    })
}

fn any_spec() -> impl Strategy<Value = InputSpec> {
    let align = prop_oneof![Just(Align::TopLeft), Just(Align::Centre)];
    let fit = prop_oneof![
        1 => Just(Fit::Stretch),
        2 => (align, 0.0f32..255.0, any::<bool>()).prop_map(|(align, pad, enlarge)| Fit::Letterbox { align, pad, enlarge }),
    ];
    let scaling = prop_oneof![Just(Scaling::Bilinear), Just(Scaling::BilinearCorner), Just(Scaling::Area)];
    (1u32..200, 1u32..200, any::<bool>(), fit, scaling).prop_map(|(width, height, rgb, fit, scaling)| InputSpec {
        size: Size::new(width, height),
        channels: if rgb { Channels::Rgb } else { Channels::Bgr },
        mean: [117.001, 114.697, 97.404],
        scale: [1.0 / 255.0, 0.0171, -1.5],
        fit,
        scaling,
    })
}

fn any_image() -> impl Strategy<Value = Image> {
    (any_format(), 1u32..200, 1u32..200, 0usize..40, any_colour(), any::<u32>(), 0u32..4).prop_map(
        |(format, width, height, gap, colour, seed, halvings)| {
            let k = 1 << halvings;
            // A reduced picture's last sample may show fewer source pixels than the others.
            let source = Size::new((width * k - seed % k).max(1), (height * k - (seed >> 8) % k).max(1));
            picture(format, Size::new(width, height), gap, colour, noise(seed)).with_reduction(k, source)
        },
    )
}

fn any_roi() -> impl Strategy<Value = Option<BBox>> {
    let side = prop_oneof![3 => 0.0f32..250.0, 1 => 0.0f32..2.0, 1 => (1u8..200).prop_map(f32::from)];
    let place = prop_oneof![2 => -60.0f32..250.0, 1 => (0u8..200).prop_map(f32::from)];
    let boxed =
        (place.clone(), place, side.clone(), side).prop_map(|(x1, y1, w, h)| BBox { x1, y1, x2: x1 + w, y2: y1 + h });
    proptest::option::weighted(0.7, boxed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn every_instruction_set_gives_the_same_bits(spec in any_spec(), image in any_image(), roi in any_roi()) {
        let mut plain = vec![f32::NAN; spec.len()];
        let mut fast = plain.clone();
        let a = Preprocessor::scalar(spec.clone()).fill(&image, roi, &mut plain, &mut SlotState::default());
        let b = Preprocessor::new(spec.clone()).fill(&image, roi, &mut fast, &mut SlotState::default());
        prop_assert_eq!(a, b);
        for (i, (a, b)) in plain.iter().zip(&fast).enumerate() {
            prop_assert!(a.is_finite(), "value {} is {}", i, a);
            prop_assert_eq!(a.to_bits(), b.to_bits(), "value {}: {} and {}", i, a, b);
        }
    }

    #[test]
    fn one_preprocessor_serves_pictures_of_any_geometry(
        spec in any_spec(), images in proptest::collection::vec((any_image(), any_roi()), 3),
    ) {
        let (mut kept, mut slot, mut state) = (Preprocessor::new(spec.clone()), vec![f32::NAN; spec.len()], SlotState::default());
        for (image, roi) in images {
            kept.fill(&image, roi, &mut slot, &mut state);
            prop_assert!(slot == filled(&spec, &image, roi).0);
        }
    }

    #[test]
    fn hostile_regions_are_padding_or_picture(spec in any_spec(), image in any_image(), sides in proptest::array::uniform4(any::<f32>())) {
        let [x1, y1, x2, y2] = sides;
        let (slot, _) = filled(&spec, &image, Some(BBox { x1, y1, x2, y2 }));
        prop_assert!(slot.iter().all(|v| v.is_finite()));
    }

    /// A map that does not turn shows what [`Preprocessor::fill`] shows, but for the rounding of its weights.
    #[test]
    fn a_map_that_does_not_turn_fills_like_a_box(spec in any_spec(), image in any_image()) {
        let spec = InputSpec { fit: Fit::Stretch, scaling: Scaling::Bilinear, mean: [0.0; 3], scale: [1.0; 3], ..spec };
        let source = image.source_size();
        let (x, y) = (source.width as f32 / spec.size.width as f32, source.height as f32 / spec.size.height as f32);
        let map = Affine { x: [x, 0.0, 0.0], y: [0.0, y, 0.0] };
        let mut slot = vec![f32::NAN; spec.len()];
        Preprocessor::new(spec.clone()).fill_aligned(&image, &map, &mut slot, &mut SlotState::default());
        for (i, (a, b)) in slot.iter().zip(filled(&spec, &image, None).0).enumerate() {
            prop_assert!((a - b).abs() <= 0.2, "value {}: {} and {}", i, a, b);
        }
    }

    #[test]
    fn hostile_maps_are_padding_or_picture(
        spec in any_spec(), image in any_image(),
        x in proptest::array::uniform3(any::<f32>()), y in proptest::array::uniform3(-9.0f32..9.0),
    ) {
        let (mut slot, mut state) = (vec![f32::NAN; spec.len()], SlotState::default());
        let mut preprocessor = Preprocessor::new(spec.clone());
        preprocessor.fill_aligned(&image, &Affine { x, y }, &mut slot, &mut state);
        prop_assert!(slot.iter().all(|v| v.is_finite()));
        // The slot's padding is known to be gone.
        preprocessor.fill(&image, None, &mut slot, &mut state);
        prop_assert!(slot == filled(&spec, &image, None).0);
    }

    /// Where the mapping is exact (one factor on both axes), a smooth ramp is found where the mapping says.
    #[test]
    fn pixels_lie_where_the_mapping_says(
        (fit, scaling) in prop_oneof![
            Just((Fit::Stretch, Scaling::Bilinear)), Just((LETTERBOX, Scaling::Bilinear)), Just((CENTRED, Scaling::Bilinear)),
            Just((Fit::Stretch, Scaling::Area)), Just((CENTRED, Scaling::BilinearCorner)), Just((LETTERBOX, Scaling::Area)),
        ],
        width in 40u32..120, height in 40u32..120, x1 in 0.0f32..20.0, y1 in 0.0f32..20.0, yuv in any::<bool>(),
    ) {
        let format = if yuv { PixelFormat::I420 } else { PixelFormat::Gray };
        let image = picture(format, Size::new(width, height), 3, Colour::default(), |p, x, y| if p > 0 { 128 } else { (x + y) as u8 });
        let roi = BBox { x1, y1, x2: x1 + 19.5, y2: y1 + 18.0 };
        let spec = spec(32, 24, fit, scaling);
        let (slot, mapping) = filled(&spec, &image, Some(roi));
        for (i, &value) in slot[..32 * 24].iter().enumerate() {
            let (x, y) = ((i % 32) as f32, (i / 32) as f32);
            let corner = if scaling == Scaling::BilinearCorner { 0.0 } else { 0.5 };
            let p = mapping.point(x + corner, y + corner);
            let inner = roi.grown(-0.1);
            if p.x > inner.x1 && p.x < inner.x2 && p.y > inner.y1 && p.y < inner.y2 {
                // The level at edge position (x, y) is x + y - 1; on the corner grid the numbers are samples.
                let want = p.x + p.y - 2.0 * corner;
                // The shown part is a whole number of tensor pixels; area scaling of an enlarged picture straddles.
                let whole = if fit == Fit::Stretch { 0.1 } else { 0.1 + mapping.scale_x };
                let slack = if scaling == Scaling::Area { whole + 0.6 } else { whole };
                prop_assert!((value - want).abs() <= slack, "({}, {}): {} for {}", x, y, value, want);
            }
        }
    }
}

#[test]
fn nothing_to_scale_copies_exactly() {
    for scaling in [Scaling::Bilinear, Scaling::BilinearCorner, Scaling::Area] {
        for fit in [Fit::Stretch, LETTERBOX, Fit::Letterbox { align: Align::Centre, pad: 0.0, enlarge: false }] {
            let size = Size::new(37, 23);
            let spec = spec(37, 23, fit, scaling);
            let (slot, mapping) = filled(&spec, &picture(PixelFormat::Bgr, size, 5, Colour::default(), noise(7)), None);
            assert_eq!(mapping, Mapping { scale_x: 1.0, scale_y: 1.0, offset_x: 0.0, offset_y: 0.0 });
            for (i, &value) in slot.iter().enumerate() {
                let (channel, y, x) = (i / (37 * 23), i / 37 % 23, i % 37);
                assert_eq!(value.to_bits(), f32::from(noise(7)(0, 3 * x + 2 - channel, y)).to_bits());
            }
        }
    }
}

#[test]
fn a_half_size_jpeg_needs_no_scaling() {
    let image = picture(PixelFormat::Gray, Size::new(64, 36), 0, Colour::default(), noise(1))
        .with_reduction(2, Size::new(128, 72));
    let (slot, mapping) = filled(&spec(64, 64, LETTERBOX, Scaling::Bilinear), &image, None);
    assert_eq!(mapping, Mapping { scale_x: 2.0, scale_y: 2.0, offset_x: 0.0, offset_y: 0.0 });
    assert!((0..64 * 36).all(|i| slot[i].to_bits() == f32::from(noise(1)(0, i % 64, i / 64)).to_bits()));
    assert!(slot[64 * 36..64 * 64].iter().all(|&v| v.to_bits() == 114.0f32.to_bits()));
}

#[test]
fn a_picture_of_one_pixel_fills_the_input() {
    for format in
        [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Rgb, PixelFormat::Gray, PixelFormat::Yuv { h: 4, v: 1 }]
    {
        for scaling in [Scaling::Bilinear, Scaling::BilinearCorner, Scaling::Area] {
            let image = picture(format, Size::new(1, 1), 0, Colour::default(), |_, _, _| 128);
            let (slot, _) = filled(&spec(9, 9, CENTRED, scaling), &image, None);
            assert!(slot.iter().all(|v| (v - 128.0).abs() < 0.01), "{format:?} {scaling:?} {slot:?}");
        }
    }
}

/// Integer weights cost far less than the rounding to whole levels that other implementations do.
#[test]
fn areas_are_averaged_to_a_tenth_of_a_level() {
    for (side, target) in [(64u32, 47), (64, 32), (90, 25), (200, 7), (1000, 2)] {
        let image = picture(PixelFormat::Gray, Size::new(side, side), 0, Colour::default(), noise(side));
        let (slot, _) = filled(&spec(target, target, Fit::Stretch, Scaling::Area), &image, None);
        let step = f64::from(side) / f64::from(target);
        let share = |d: usize, i: usize| {
            let (from, to) = (d as f64 * step, (d + 1) as f64 * step);
            (to.min(i as f64 + 1.0) - from.max(i as f64)).max(0.0) / step
        };
        let target = target as usize;
        for (d, &value) in slot[..target * target].iter().enumerate() {
            let mut want = 0.0;
            for (x, y) in (0..side as usize).flat_map(|y| (0..side as usize).map(move |x| (x, y))) {
                let weight = share(d / target, y) * share(d % target, x);
                want += weight * f64::from(noise(side)(0, x, y));
            }
            assert!((f64::from(value) - want).abs() < 0.1, "{side} -> {target}, {d}: {value} for {want}");
        }
    }
}

#[test]
fn padding_is_normalised_and_follows_the_geometry() {
    let mut spec = spec(20, 20, CENTRED, Scaling::Bilinear);
    (spec.mean, spec.scale) = ([10.0, 20.0, 30.0], [0.5, 0.25, 2.0]);
    let mut preprocessor = Preprocessor::new(spec.clone());
    let (mut slot, mut state) = (vec![f32::NAN; spec.len()], SlotState::default());
    let wide = picture(PixelFormat::Gray, Size::new(40, 20), 0, Colour::default(), |_, _, _| 0);
    let tall = picture(PixelFormat::Gray, Size::new(20, 40), 0, Colour::default(), |_, _, _| 0);
    for image in [&wide, &tall, &wide] {
        preprocessor.fill(image, None, &mut slot, &mut state);
        for (i, &value) in slot.iter().enumerate() {
            let (channel, y, x) = (i / 400, i / 20 % 20, i % 20);
            let across = if std::ptr::eq(image, &raw const wide) { y } else { x };
            let level = if (5..15).contains(&across) { 0.0 } else { 114.0 };
            assert_eq!(value.to_bits(), ((level - spec.mean[channel]) * spec.scale[channel]).to_bits());
        }
    }
    // Known padding is left alone.
    slot[0] = 7.0;
    preprocessor.fill(&wide, None, &mut slot, &mut state);
    assert_eq!(slot[0].to_bits(), 7.0f32.to_bits());
}

#[test]
fn a_region_beyond_the_picture_is_padding() {
    let image = picture(PixelFormat::Gray, Size::new(40, 40), 0, Colour::default(), |_, _, _| 200);
    let spec = spec(40, 40, LETTERBOX, Scaling::Bilinear);
    let (slot, mapping) = filled(&spec, &image, Some(BBox { x1: -20.0, y1: 10.0, x2: 20.0, y2: 50.0 }));
    assert_eq!(mapping, Mapping { scale_x: 1.0, scale_y: 1.0, offset_x: -20.0, offset_y: 10.0 });
    for (i, &value) in slot.iter().enumerate() {
        let want = if i % 40 >= 20 && i / 40 % 40 < 30 { 200.0f32 } else { 114.0 };
        assert_eq!(value.to_bits(), want.to_bits());
    }
    for far in
        [BBox { x1: 90.0, y1: 0.0, x2: 99.0, y2: 9.0 }, BBox { x1: f32::NAN, ..BBox::default() }, BBox::default()]
    {
        assert!(filled(&spec, &image, Some(far)).0.iter().all(|&v| v.to_bits() == 114.0f32.to_bits()));
    }
}

/// face-api: pad with black to a square, then `resizeBilinear` without half-pixel centres.
#[test]
fn the_corner_grid_mixes_the_edge_with_padding() {
    let image = picture(PixelFormat::Gray, Size::new(7, 4), 0, Colour::default(), noise(3));
    for (align, before) in [(Align::TopLeft, 0), (Align::Centre, 1)] {
        for side in [5usize, 7, 16] {
            let fit = Fit::Letterbox { align, pad: 50.0, enlarge: true };
            let (slot, _) = filled(&spec(side as u32, side as u32, fit, Scaling::BilinearCorner), &image, None);
            let square = |x: usize, y: usize| {
                if (before..before + 4).contains(&y) { f32::from(noise(3)(0, x, y - before)) } else { 50.0 }
            };
            for (i, &value) in slot[..side * side].iter().enumerate() {
                let at = |d: usize| (d as f32 * 7.0 / side as f32 + 1e-4, 6usize);
                let (((x, last), (y, _)), floor) = ((at(i % side), at(i / side)), |v: f32| v as usize);
                let ((x0, y0), (fx, fy)) = ((floor(x), floor(y)), (x.fract(), y.fract()));
                let (x1, y1) = ((x0 + 1).min(last), (y0 + 1).min(last));
                let top = square(x0, y0) * (1.0 - fx) + square(x1, y0) * fx;
                let bottom = square(x0, y1) * (1.0 - fx) + square(x1, y1) * fx;
                let want = top * (1.0 - fy) + bottom * fy;
                assert!(
                    (value - want).abs() < 0.1,
                    "{align:?} {side} ({}, {}): {value} for {want}",
                    i % side,
                    i / side
                );
            }
        }
    }
}

#[test]
fn left_sited_chroma_is_sampled_where_it_lies() {
    // U grows by 16 per chroma sample: 8 per pixel. Centred, the value belongs half a pixel further right.
    for (site, shift) in [(ChromaSite::Left, 0.0), (ChromaSite::Centre, 4.0)] {
        let colour = Colour { site, ..Colour::default() };
        let image =
            picture(
                PixelFormat::I420,
                Size::new(16, 2),
                0,
                colour,
                |p, x, _| if p == 1 { 60 + 16 * x as u8 } else { 128 },
            );
        let (slot, _) = filled(&spec(16, 2, Fit::Stretch, Scaling::Bilinear), &image, None);
        for x in 2..14 {
            let u = 60.0 + 8.0 * x as f32 - shift - 128.0;
            assert!((slot[2 * 32 + x] - (128.0 + 1.772 * u).clamp(0.0, 255.0)).abs() < 0.1, "{site:?} {x}");
        }
    }
}

#[test]
fn a_buffer_that_shrinks_is_padding() {
    struct Shrinking(std::sync::atomic::AtomicBool);
    impl PixelBuffer for Shrinking {
        fn plane(&self, _: usize) -> &[u8] {
            if self.0.swap(true, std::sync::atomic::Ordering::Relaxed) { &[] } else { &[9; 16] }
        }
    }
    let image =
        Image::new(PixelFormat::Gray, Size::new(4, 4), [4, 0, 0], Colour::default(), Arc::new(Shrinking(false.into())));
    let (slot, _) = filled(&spec(4, 4, LETTERBOX, Scaling::Bilinear), &image.unwrap(), None);
    assert!(slot.iter().all(|&v| v.to_bits() == 114.0f32.to_bits()));
}
