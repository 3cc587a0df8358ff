//! EXIF orientation: all eight, in every format that has it.

use image::imageops::{flip_horizontal, flip_vertical, rotate90, rotate180, rotate270};
use image::{ImageFormat, RgbImage};
use turbojpeg_sys as tj;
use vigia_core::frame::PixelFormat;
use vigia_core::geometry::Size;
use vigia_vision::picture::Cover;

use super::{decoded, decoder, difference, make, rgb};

/// The pixels that a camera stores with this tag so that they show `upright` (EXIF 2.32, 4.6.4).
fn stored(upright: &RgbImage, orientation: u8) -> RgbImage {
    match orientation {
        2 => flip_horizontal(upright),
        3 => rotate180(upright),
        4 => flip_vertical(upright),
        5 => flip_horizontal(&rotate90(upright)),
        6 => rotate270(upright),
        7 => flip_vertical(&rotate90(upright)),
        8 => rotate90(upright),
        _ => upright.clone(),
    }
}

#[test]
fn a_jpeg_of_any_orientation_and_sampling_is_upright() {
    // Even sides are turned as planes; with odd ones a mirrored row would begin with half a chroma sample.
    for (w, h) in [(96, 64), (91, 63)] {
        let upright = make::soft(w, h);
        for orientation in 1..=8 {
            for (sampling, format) in super::SAMPLINGS {
                let jpeg = make::sampled(&stored(&upright, orientation), sampling);
                let exif = [b"Exif\0\0".to_vec(), make::exif(orientation)].concat();
                let image = decoded(&make::with_segment(&jpeg, 0xe1, &exif));
                assert_eq!((image.size(), image.source_size()), (Size::new(w, h), Size::new(w, h)));
                if w == 96 {
                    let expected = match format {
                        PixelFormat::Yuv { h, v } if orientation > 4 => PixelFormat::Yuv { h: v, v: h },
                        other => other,
                    };
                    assert_eq!(image.format(), expected);
                }
                let plain = make::sampled(&upright, sampling);
                let worst = difference(&rgb(&image), &rgb(&decoded(&plain)));
                assert!(worst <= 10, "orientation {orientation} of {format:?}: off by {worst}");
            }
        }
    }
}

#[test]
fn a_turned_jpeg_is_reduced_for_its_upright_size() {
    // Stored 320x80, upright 80x320: an input of 80x320 needs all of it, one of 320x80 (letterboxed) a quarter.
    let jpeg = make::sampled(&make::soft(320, 80), tj::TJSAMP_TJSAMP_420);
    let exif = [b"Exif\0\0".to_vec(), make::exif(6)].concat();
    let jpeg = make::with_segment(&jpeg, 0xe1, &exif);
    let reduced = |width, height| {
        let cover = Cover { size: Size::new(width, height), stretch: false };
        let image = decoder().decode(&jpeg, Some(cover)).expect("a good picture");
        (image.size(), image.reduction(), image.source_size())
    };
    assert_eq!(reduced(80, 320), (Size::new(80, 320), 1, Size::new(80, 320)));
    assert_eq!(reduced(320, 80), (Size::new(20, 80), 4, Size::new(80, 320)));
}

#[test]
fn png_and_webp_are_upright_too() {
    let upright = make::soft(31, 18);
    for orientation in 1..=8 {
        let turned = stored(&upright, orientation);
        let png = make::with_chunk(&make::file(turned.clone(), ImageFormat::Png), b"eXIf", &make::exif(orientation));
        assert_eq!(rgb(&decoded(&png)), *upright, "PNG, {orientation}");
        let chunks = [make::webp_pixels(turned.clone()), make::chunk(b"EXIF", &make::exif(orientation))];
        let webp = make::webp(8, turned.dimensions(), &chunks);
        assert_eq!(rgb(&decoded(&webp)), *upright, "WebP, {orientation}");
    }
}

#[test]
fn damaged_exif_is_ignored() {
    let picture = make::soft(40, 24);
    let jpeg = make::sampled(&picture, tj::TJSAMP_TJSAMP_420);
    let plain = rgb(&decoded(&jpeg));
    for exif in [&b"Exif\0\0"[..], b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        assert_eq!(rgb(&decoded(&make::with_segment(&jpeg, 0xe1, exif))), plain);
    }
    for orientation in [0, 9, 255] {
        let exif = [b"Exif\0\0".to_vec(), make::exif(orientation)].concat();
        assert_eq!(rgb(&decoded(&make::with_segment(&jpeg, 0xe1, &exif))), plain);
    }
}
