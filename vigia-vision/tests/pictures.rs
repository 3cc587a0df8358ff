//! Encoded pictures of every kind through the decoder, good ones and bad ones; all of them are made here.

#[path = "pictures/bad.rs"]
mod bad;
#[path = "pictures/make.rs"]
mod make;
#[path = "pictures/orientation.rs"]
mod orientation;

use image::{DynamicImage, ImageFormat, Luma, Rgb, Rgba};
use turbojpeg_sys as tj;
use vigia_core::frame::{Image, PixelFormat};
use vigia_core::geometry::Size;
use vigia_vision::picture::{Cover, PictureDecoder, PictureLimits, RgbImage, encode_jpeg, encode_jpeg_into, to_rgb};

fn decoder() -> PictureDecoder {
    PictureDecoder::new(PictureLimits::default())
}

fn decoded(bytes: &[u8]) -> Image {
    decoder().decode(bytes, None).expect("a good picture")
}

fn rgb(image: &Image) -> Vec<u8> {
    let mut out = RgbImage::default();
    to_rgb(image, &mut out);
    out.bytes().to_vec()
}

/// The largest difference between two pictures.
fn difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// Mean red, green and blue.
fn means(rgb: &[u8]) -> [f64; 3] {
    std::array::from_fn(|c| {
        let channel = rgb.iter().skip(c).step_by(3);
        channel.map(|&v| f64::from(v)).sum::<f64>() / (rgb.len() / 3) as f64
    })
}

const SAMPLINGS: [(tj::TJSAMP, PixelFormat); 6] = [
    (tj::TJSAMP_TJSAMP_444, PixelFormat::Yuv { h: 1, v: 1 }),
    (tj::TJSAMP_TJSAMP_422, PixelFormat::Yuv { h: 2, v: 1 }),
    (tj::TJSAMP_TJSAMP_420, PixelFormat::I420),
    (tj::TJSAMP_TJSAMP_440, PixelFormat::Yuv { h: 1, v: 2 }),
    (tj::TJSAMP_TJSAMP_411, PixelFormat::Yuv { h: 4, v: 1 }),
    (tj::TJSAMP_TJSAMP_GRAY, PixelFormat::Gray),
];

#[test]
fn a_jpeg_keeps_its_sampling() {
    for (sampling, format) in SAMPLINGS {
        for (w, h) in [(96, 64), (97, 65), (1, 1), (3, 7), (17, 1)] {
            let picture = make::soft(w, h);
            let image = decoded(&make::sampled(&picture, sampling));
            assert_eq!((image.format(), image.size()), (format, Size::new(w, h)));
            if w > 90 && format != PixelFormat::Gray {
                assert!(difference(&rgb(&image), &picture) <= 9, "{format:?} {}", difference(&rgb(&image), &picture));
            }
        }
    }
}

#[test]
fn a_progressive_jpeg_is_the_same() {
    let picture = make::soft(96, 64);
    let jpeg = make::jpeg(&picture, (96, 64), tj::TJPF_TJPF_RGB, tj::TJSAMP_TJSAMP_420, tj::TJFLAG_PROGRESSIVE);
    assert_eq!(rgb(&decoded(&jpeg)), rgb(&decoded(&make::sampled(&picture, tj::TJSAMP_TJSAMP_420))));
}

#[test]
fn a_reduced_jpeg_shows_the_same_picture() {
    for (sampling, format) in SAMPLINGS {
        for size in [Size::new(160, 96), Size::new(163, 101)] {
            let jpeg = make::sampled(&make::soft(size.width, size.height), sampling);
            let full = decoded(&jpeg);
            for k in [1, 2, 4, 8] {
                let cover = Cover { size: Size::new(size.width.div_ceil(k), size.height.div_ceil(k)), stretch: true };
                let image = decoder().decode(&jpeg, Some(cover)).expect("a good picture");
                assert_eq!((image.size(), image.reduction(), image.source_size()), (cover.size, k, size));
                assert_eq!(image.format(), format);
                // Sides that 8 does not divide end in pixels that stand for fewer than the others but count as much.
                let bound = if size.width % 8 == 0 { 1.0 } else { 4.0 };
                for (a, b) in means(&rgb(&image)).iter().zip(means(&rgb(&full))) {
                    assert!((a - b).abs() < bound, "{format:?} 1/{k}: mean {a} instead of {b}");
                }
            }
        }
    }
}

#[test]
fn a_cmyk_jpeg_becomes_rgb() {
    let picture = make::soft(64, 48);
    // Paper instead of ink, as Adobe writes it; a little black, which darkens all three.
    let cmyk: Vec<u8> = picture.pixels().flat_map(|p| [p[0], p[1], p[2], 230]).collect();
    let expected: Vec<u8> = picture.iter().map(|&v| (u16::from(v) * 230 / 255) as u8).collect();
    let jpeg = make::jpeg(&cmyk, (64, 48), tj::TJPF_TJPF_CMYK, tj::TJSAMP_TJSAMP_444, 0);
    let image = decoded(&jpeg);
    assert_eq!(image.format(), PixelFormat::Rgb);
    assert!(difference(&rgb(&image), &expected) <= 6);
    let small = Cover { size: Size::new(16, 12), stretch: false };
    assert_eq!(decoder().decode(&jpeg, Some(small)).map(|image| image.size()), Ok(small.size));
}

#[test]
fn a_jpeg_that_stores_rgb_is_not_taken_for_yuv() {
    let picture = make::soft(64, 48);
    // Adobe's marker with transform 0 declares the three planes to be R, G, B; these are Y, U, V.
    let jpeg = make::sampled(&picture, tj::TJSAMP_TJSAMP_444);
    let image = decoded(&make::with_segment(&jpeg, 0xee, b"Adobe\0\x64\0\0\0\0\0"));
    // JFIF says YUV and comes later, but libjpeg believes it first: take it out.
    let bare = [&jpeg[..2], &jpeg[20..]].concat();
    let stored = decoded(&make::with_segment(&bare, 0xee, b"Adobe\0\x64\0\0\0\0\0"));
    assert_eq!((image.format(), stored.format()), (PixelFormat::Yuv { h: 1, v: 1 }, PixelFormat::Rgb));
    let ([luma, ..], [red, ..]) = ([image.plane(0).0, image.plane(1).0], [rgb(&stored)]);
    assert!(luma.iter().zip(red.iter().step_by(3)).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn lossless_formats_come_out_as_they_went_in() {
    let picture = make::soft(33, 21);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
        let image = decoded(&make::file(picture.clone(), format));
        assert_eq!((image.format(), image.size(), image.reduction()), (PixelFormat::Rgb, Size::new(33, 21), 1));
        assert_eq!(rgb(&image), *picture, "{format:?}");
    }
}

#[test]
fn samples_of_any_kind_become_eight_bits_without_alpha() {
    let size = (9, 5);
    let at = |x: u32, y: u32| (x * 7000 + y * 1111) as u16;
    let high = |x: u32, y: u32| (at(x, y) >> 8) as u8;
    let pictures: [(DynamicImage, bool); 6] = [
        (image::ImageBuffer::from_fn(size.0, size.1, |x, y| Luma([at(x, y)])).into(), true),
        (image::ImageBuffer::from_fn(size.0, size.1, |x, y| Luma([high(x, y)])).into(), true),
        (image::ImageBuffer::from_fn(size.0, size.1, |x, y| image::LumaA([high(x, y), 0])).into(), true),
        (image::ImageBuffer::from_fn(size.0, size.1, |x, y| Rgb([at(x, y); 3])).into(), false),
        (image::ImageBuffer::from_fn(size.0, size.1, |x, y| Rgba([at(x, y), at(x, y), at(x, y), 3])).into(), false),
        (
            image::ImageBuffer::from_fn(size.0, size.1, |x, y| Rgba([high(x, y), high(x, y), high(x, y), 0])).into(),
            false,
        ),
    ];
    let expected: Vec<u8> = (0..size.1).flat_map(|y| (0..size.0).flat_map(move |x| [high(x, y); 3])).collect();
    for (picture, gray) in pictures {
        let colour = picture.color();
        let image = decoded(&make::file(picture, ImageFormat::Png));
        assert_eq!(image.format() == PixelFormat::Gray, gray, "{colour:?}");
        assert_eq!(rgb(&image), expected, "{colour:?}");
    }
}

#[test]
fn an_animation_shows_its_first_picture() {
    let (first, second) = (make::soft(32, 20), image::RgbImage::new(32, 20));
    let frame = |picture| {
        let place = [0, 0, 0, 0, 0, 0, 31, 0, 0, 19, 0, 0, 100, 0, 0, 0];
        make::chunk(b"ANMF", &[&place[..], &make::webp_pixels(picture)].concat())
    };
    let animation = make::chunk(b"ANIM", &[0; 6]);
    let file = make::webp(2, (32, 20), &[animation, frame(first.clone()), frame(second)]);
    // The frame is laid over a background, which rounds.
    assert!(difference(&rgb(&decoded(&file)), &first) <= 1);
}

#[test]
fn memory_is_used_again() {
    let decoder = decoder();
    let jpeg = make::sampled(&make::soft(200, 100), tj::TJSAMP_TJSAMP_420);
    let png = make::file(make::soft(100, 50), ImageFormat::Png);
    let address = |bytes: &[u8]| decoder.decode(bytes, None).expect("a good picture").plane(0).0.as_ptr();
    let first = address(&jpeg);
    assert_eq!(address(&jpeg), first);
    assert_eq!(address(&png), first);
    // A picture that is still held keeps its memory.
    let held = decoder.decode(&jpeg, None).expect("a good picture");
    assert_ne!(address(&jpeg), held.plane(0).0.as_ptr());
}

#[test]
fn one_decoder_serves_many_threads() {
    let decoder = decoder();
    let jpegs: Vec<_> = (1..5).map(|k| make::sampled(&make::soft(40 * k, 30 * k), tj::TJSAMP_TJSAMP_420)).collect();
    let expected: Vec<_> = jpegs.iter().map(|jpeg| rgb(&decoded(jpeg))).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    for (jpeg, expected) in jpegs.iter().zip(&expected) {
                        assert_eq!(rgb(&decoder.decode(jpeg, None).expect("a good picture")), *expected);
                    }
                }
            });
        }
    });
}

#[test]
fn what_is_encoded_is_decoded() {
    let picture = make::soft(120, 90);
    let mut canvas = RgbImage::new(Size::new(120, 90));
    canvas.bytes_mut().copy_from_slice(&picture);
    let jpeg = encode_jpeg(&canvas, 95).expect("a good picture");
    assert!(difference(&rgb(&decoded(&jpeg)), &picture) <= 9);
    assert!(encode_jpeg(&canvas, 20).expect("a good picture").len() < jpeg.len());
    assert!(encode_jpeg(&RgbImage::default(), 90).is_err());
}

#[test]
fn memory_for_jpegs_is_used_again() {
    let mut out = b"of the last picture".to_vec();
    for (width, height) in [(120, 90), (1, 1), (77, 45)] {
        // Nothing is larger than noise at the best quality.
        let mut canvas = RgbImage::new(Size::new(width, height));
        let mut state = 1u32;
        canvas.bytes_mut().fill_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let at = out.as_ptr();
        encode_jpeg_into(&canvas, 100, &mut out).expect("a good picture");
        assert_eq!(out, encode_jpeg(&canvas, 100).expect("a good picture"));
        assert_eq!(decoded(&out).size(), canvas.size());
        assert!(width == 120 || out.as_ptr() == at);
    }
    assert!(encode_jpeg_into(&RgbImage::default(), 90, &mut out).is_err());
    assert!(out.is_empty());
}
