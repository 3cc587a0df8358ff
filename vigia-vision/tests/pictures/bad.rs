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
fn motion_jpeg_is_no_picture_but_pictures_that_belong_together_are_one() {
    let jpeg = jpeg();
    let good = super::rgb(&super::decoded(&jpeg));
    let result = refused(&jpeg.repeat(3));
    assert!(matches!(&result, PictureError::Unsupported { what, .. } if what.contains("motion JPEG")), "{result:?}");
    // A second eye, a preview of another size, something between, and what says of itself that it is several.
    let small = make::sampled(&make::soft(24, 16), tj::TJSAMP_TJSAMP_420);
    let multi = make::with_segment(&jpeg, 0xe2, b"MPF\0MM");
    for parts in
        [[&jpeg[..], &jpeg, b""], [&jpeg, &small, &small], [&jpeg, b"\0", &jpeg.repeat(3)], [&multi, &jpeg, &jpeg]]
    {
        assert_eq!(super::rgb(&super::decoded(&parts.concat())), good);
    }
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

/// A run-length encoded BMP of 8 bits a pixel with an empty palette.
fn rle_bmp(width: u32, height: u32, declared: u32, runs: &[u8]) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for number in [0, 0, 54 + 1024, 40, width, height, 1 | 8 << 16, 1, declared, 0, 0, 0, 0] {
        file.extend_from_slice(&u32::to_le_bytes(number));
    }
    file.resize(54 + 1024, 0);
    [&file, runs].concat()
}

#[test]
fn a_bmp_of_runs_must_reach_its_last_row() {
    let row = [8_u8, 1, 0, 0];
    let runs = [row.repeat(4), vec![0, 1]].concat();
    let len = runs.len() as u32;
    for declared in [0, len] {
        let whole = rle_bmp(8, 4, declared, &runs);
        assert_eq!(super::decoded(&whole).size(), Size::new(8, 4));
        // The end marker may be missing, and after the last row its end.
        for cut in 54..whole.len() - if declared == 0 { 4 } else { 0 } {
            let result = refused(&whole[..cut]);
            assert!(matches!(result, PictureError::Truncated { .. }), "{cut} of {} bytes: {result:?}", whole.len());
        }
    }
    // Of a huge picture only the end marker, and a place for the pixels that is within the header.
    let header_alone = rle_bmp(7000, 7000, 0, &[0, 1]);
    assert!(matches!(refused(&header_alone), PictureError::Truncated { .. }));
    let mut misled = rle_bmp(7000, 7000, 0, &[]);
    misled[10..14].copy_from_slice(&14_u32.to_le_bytes());
    assert!(matches!(refused(&misled), PictureError::Truncated { .. }));
    let huge = rle_bmp(60_000, 7000, 0, &[0, 1]);
    assert!(matches!(refused(&huge), PictureError::TooManyPixels { .. }));
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
