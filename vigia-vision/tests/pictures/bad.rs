//! What is no picture, too large, or damaged: refused by name, and never a panic.

use image::ImageFormat;
use proptest::prelude::*;
use turbojpeg_sys as tj;
use vigia_core::geometry::Size;
use vigia_vision::picture::{PictureDecoder, PictureError, PictureLimits};

use super::{decoder, make};

fn refused(bytes: &[u8]) -> PictureError {
    decoder().decode(bytes, None).expect_err("not a good picture")
}

fn jpeg() -> Vec<u8> {
    make::sampled(&make::soft(48, 32), tj::TJSAMP_TJSAMP_420)
}

/// The JPEG with another size in its frame header.
fn declaring(mut jpeg: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
    let at = jpeg.windows(2).position(|pair| pair == b"\xff\xc0").expect("a baseline frame header");
    jpeg[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

#[test]
fn nothing_and_no_pictures() {
    assert_eq!(refused(b""), PictureError::Empty);
    let text = refused(b"this is not a picture");
    assert_eq!(text, PictureError::NotAPicture { seen: "text", start: "74 68 69 73 20 69 73 20".to_owned() });
    assert!(text.to_string().contains("send the bytes of a JPEG"));
    assert!(matches!(refused(b"GIF89a\x01\0\x01\0"), PictureError::Unsupported { format: "GIF", .. }));
}

#[test]
fn too_many_bytes_or_pixels() {
    let decoder = PictureDecoder::new(PictureLimits { bytes: 2000, pixels: 48 * 32 - 1 });
    let jpeg = jpeg();
    let refused = |bytes: &[u8]| decoder.decode(bytes, None).expect_err("too large");
    assert_eq!(refused(&[0xff; 2001]), PictureError::TooLarge { bytes: 2001, limit: 2000 });
    let too_many = PictureError::TooManyPixels { size: Size::new(48, 32), limit: 48 * 32 - 1 };
    assert_eq!(refused(&jpeg), too_many);
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let file = make::file(image::RgbImage::new(48, 32), format);
        assert_eq!(refused(&file), too_many, "{format:?}");
    }
}

#[test]
fn declared_sizes_are_not_believed_blindly() {
    let huge = PictureError::TooManyPixels { size: Size::new(65_535, 65_535), limit: 50_000_000 };
    assert_eq!(refused(&declaring(jpeg(), 65_535, 65_535)), huge);
    assert!(huge.to_string().contains("65535x65535 = 4294836225 pixels, the limit is 50000000"));
    assert!(matches!(refused(&declaring(jpeg(), 65_535, 10)), PictureError::Unsupported { .. }));
    assert!(matches!(refused(&declaring(jpeg(), 0, 10)), PictureError::Broken { .. }));
    // More rows than there is data for.
    assert!(matches!(refused(&declaring(jpeg(), 48, 64)), PictureError::Truncated { .. }));

    let mut png = make::file(make::soft(8, 8), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    assert!(matches!(refused(&png), PictureError::TooManyPixels { .. }));
    png[16..24].copy_from_slice(&[0, 1, 0x11, 0x70, 0, 0, 0, 1]);
    assert!(matches!(refused(&png), PictureError::Unsupported { .. }));
}

#[test]
fn a_large_bitstream_behind_a_small_header_is_refused() {
    let lossy = make::chunk(b"VP8 ", b"\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f\0\0\0\0");
    let frame = make::chunk(b"ANMF", &[&[0; 16][..], &lossy].concat());
    let huge = PictureError::TooManyPixels { size: Size::new(16_383, 16_383), limit: 50_000_000 };
    assert_eq!(refused(&make::webp(0, (1, 1), &[lossy])), huge);
    assert_eq!(refused(&make::webp(2, (1, 1), &[make::chunk(b"ANIM", &[0; 6]), frame])), huge);
}

#[test]
fn a_jpeg_cut_anywhere_is_refused() {
    let progressive =
        make::jpeg(&make::soft(48, 32), (48, 32), tj::TJPF_TJPF_RGB, tj::TJSAMP_TJSAMP_420, tj::TJFLAG_PROGRESSIVE);
    let cmyk = make::jpeg(&[90; 48 * 32 * 4], (48, 32), tj::TJPF_TJPF_CMYK, tj::TJSAMP_TJSAMP_444, 0);
    for jpeg in [jpeg(), progressive, cmyk] {
        let decoder = decoder();
        for len in 3..jpeg.len() {
            let result = decoder.decode(&jpeg[..len], None);
            assert!(matches!(result, Err(PictureError::Truncated { .. })), "{len} of {} bytes: {result:?}", jpeg.len());
        }
        // A handle that refused a picture decodes the next.
        assert!(decoder.decode(&jpeg, None).is_ok());
    }
}

#[test]
fn a_jpeg_that_lost_its_middle_is_refused() {
    let jpeg = make::sampled(&make::soft(480, 320), tj::TJSAMP_TJSAMP_420);
    let (start, end) = (jpeg.len() * 3 / 4, jpeg.len() - 2);
    let shortened = [&jpeg[..start], &jpeg[end..]].concat();
    assert!(matches!(refused(&shortened), PictureError::Truncated { .. }));
}

#[test]
fn bytes_around_a_jpeg_do_no_harm() {
    let jpeg = jpeg();
    let good = super::rgb(&super::decoded(&jpeg));
    assert_eq!(super::rgb(&super::decoded(&[&jpeg[..], b"trailing bytes"].concat())), good);
    // Zeros between two segments are a warning of libjpeg, and the picture is whole; cut off, it is not.
    let gap = [&jpeg[..20], &[0; 7], &jpeg[20..]].concat();
    assert_eq!(super::rgb(&super::decoded(&gap)), good);
    assert!(matches!(refused(&gap[..gap.len() - 20]), PictureError::Truncated { .. }));
}

#[test]
fn other_formats_cut_short_are_refused() {
    let picture = make::soft(48, 32);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
        let file = make::file(picture.clone(), format);
        let decoder = decoder();
        for len in 12..file.len() {
            let result = decoder.decode(&file[..len], None);
            // A PNG whose pixels are all there is whole without its 12 bytes of end chunk.
            let whole = format == ImageFormat::Png && len + 16 > file.len();
            assert!(whole || result.is_err(), "{format:?}, {len} of {} bytes", file.len());
        }
        let half = refused(&file[..file.len() / 2]);
        assert!(matches!(half, PictureError::Truncated { .. }), "{format:?}: {half:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn random_bytes_never_panic(
        start in prop::sample::select(vec![
            &b""[..], b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x08\0\0\0\x08\x08\x02",
            b"RIFF\x40\0\0\0WEBPVP8X", b"RIFF\x40\0\0\0WEBPVP8L", b"RIFF\x40\0\0\0WEBPVP8 ",
            b"BM\x40\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decoder().decode(&[start, &rest].concat(), None);
    }

    #[test]
    fn damaged_files_never_panic(
        format in 0..5usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let picture = make::soft(48, 32);
        let mut file = match format {
            0 => make::file(picture, ImageFormat::Png),
            1 => make::file(picture, ImageFormat::WebP),
            2 => make::file(picture, ImageFormat::Bmp),
            3 => make::jpeg(&picture, (48, 32), tj::TJPF_TJPF_RGB, tj::TJSAMP_TJSAMP_422, tj::TJFLAG_PROGRESSIVE),
            _ => jpeg(),
        };
        for (at, value) in damage {
            let at = at.index(file.len());
            file[at] = value;
        }
        // Small limits, so that a damaged size costs no time.
        let decoder = PictureDecoder::new(PictureLimits { bytes: 100_000, pixels: 100_000 });
        let _ = decoder.decode(&file, None);
    }
}
