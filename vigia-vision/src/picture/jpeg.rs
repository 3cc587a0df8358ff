//! JPEG through libjpeg-turbo: straight to the planes that the file stores.

mod header;
mod turbo;

use std::sync::{Mutex, PoisonError};

use vigia_core::frame::{Image, PixelFormat};
use vigia_core::geometry::Size;

use self::turbo::{Complaint, Decompressor, Opened, Stored};
use super::orient::Orientation;
use super::{Cover, Layout, PictureDecoder, PictureError, Planes};

const JPEG: &str = "JPEG";

/// Library handles that wait for the next picture: to make one costs as much as to decode a thumbnail.
#[derive(Debug, Default)]
pub(super) struct Handles(Mutex<Vec<Decompressor>>);

/// Handles kept at most; more at work at once are allowed and freed afterwards.
const KEPT: usize = 16;

impl Handles {
    fn take(&self) -> Result<Decompressor, PictureError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let codec = || PictureError::Codec { format: JPEG, detail: "out of memory".to_owned() };
        kept.or_else(Decompressor::new).ok_or_else(codec)
    }

    fn give_back(&self, handle: Decompressor) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(handle);
        }
    }
}

/// Decodes a JPEG, upright, at the smallest size that still covers `cover`.
pub(super) fn decode(decoder: &PictureDecoder, bytes: &[u8], cover: Option<Cover>) -> Result<Image, PictureError> {
    let header = header::read(bytes).map_err(|flaw| match flaw {
        header::Flaw::CutOff => {
            PictureError::Truncated { format: JPEG, detail: "it ends within its header".to_owned() }
        }
        header::Flaw::NoPicture => {
            PictureError::Broken { format: JPEG, detail: "there is no picture in the file".to_owned() }
        }
    })?;
    // Before the library sees it: beyond 65500 a side it refuses without telling the size.
    decoder.check_size(JPEG, header.size)?;
    if header::is_motion(bytes, &header) {
        let what = "a sequence of pictures (motion JPEG, a video)".to_owned();
        return Err(PictureError::Unsupported { format: JPEG, what });
    }
    let orientation = header.exif.map_or_else(Orientation::default, Orientation::from_exif);
    let is_closed = || header::is_closed(bytes, header.scan);

    let mut handle = decoder.handles.take()?;
    let (mut opened, complaint) = handle.open(bytes);
    if let Some(complaint) = complaint {
        // An unusual sampling is no obstacle: the library decodes it to RGB.
        let unusual = opened.stored == Stored::Rgb && complaint.0.contains("subsampling");
        if opened.size.pixels() == 0 || !unusual {
            judge(complaint, is_closed)?;
        }
    }
    decoder.check_size(JPEG, opened.size)?;
    let source = orientation.size(opened.size);
    let reduction = cover.map_or(1, |cover| cover.reduction(source));
    let (planes, outcome) = run(decoder, &mut opened, reduction, orientation);
    decoder.handles.give_back(handle);
    outcome.or_else(|complaint| judge(complaint, is_closed))?;
    orientation.turned(planes, &decoder.buffers).into_image(JPEG, reduction, source)
}

/// Decodes to whatever planes fit best.
fn run(
    decoder: &PictureDecoder,
    opened: &mut Opened<'_>,
    reduction: u32,
    orientation: Orientation,
) -> (Planes, Result<(), Complaint>) {
    let size = opened.reduced(reduction);
    match opened.stored {
        Stored::Planes(format) if orientation.keeps_chroma(format, size) => {
            let mut buffer = decoder.buffers.take(Layout::of(format, size).len());
            let outcome = opened.planes(reduction, buffer.bytes_mut());
            (Planes { format, size, buffer }, outcome)
        }
        Stored::Planes(_) | Stored::Rgb | Stored::Cmyk => {
            let bytes = if opened.stored == Stored::Cmyk { 4 } else { 3 };
            let mut buffer = decoder.buffers.take(bytes * size.pixels() as usize);
            let outcome = opened.pixels(reduction, buffer.bytes_mut());
            if bytes == 4 {
                cmyk_to_rgb(buffer.bytes_mut());
            }
            (Planes { format: PixelFormat::Rgb, size, buffer }, outcome)
        }
    }
}

/// Turns CMYK, 4 bytes a pixel, into RGB, 3 bytes a pixel, at the front of the same buffer.
///
/// The values count paper, not ink (255 is none), as Adobe's programs write all JPEGs of this kind and as OpenCV reads
/// them; there is no colour management, so that colours are approximate.
fn cmyk_to_rgb(bytes: &mut [u8]) {
    for pixel in 0..bytes.len() / 4 {
        let &[c, m, y, k] = bytes[pixel * 4..].first_chunk().unwrap_or(&[0; 4]);
        let paper = |ink: u8| ((u16::from(ink) * u16::from(k) + 127) / 255) as u8;
        bytes[pixel * 3..pixel * 3 + 3].copy_from_slice(&[paper(c), paper(m), paper(y)]);
    }
}

/// Warnings after which the picture is whole: bytes between segments, an odd JFIF or Adobe version, scan parameters
/// that some cameras fill in wrongly, a colour profile that is not read anyway.
const HARMLESS: [&str; 5] =
    ["extraneous bytes", "JFIF revision", "Adobe color transform", "Invalid SOS parameters", "bad ICC marker"];

/// What a complaint of the library means for the picture. It names the first warning only, so after a harmless one
/// the file must at least have its end (`is_closed`); and where that is missing, what looks like damage is the cut.
fn judge(complaint: Complaint, is_closed: impl FnOnce() -> bool) -> Result<(), PictureError> {
    let Complaint(detail) = complaint;
    let format = JPEG;
    if HARMLESS.iter().any(|warning| detail.contains(warning)) {
        if is_closed() {
            return Ok(());
        }
        return Err(PictureError::Truncated { format, detail: "its end marker is missing".to_owned() });
    }
    Err(match detail {
        d if d.contains("remature end") => PictureError::Truncated { format, detail: d },
        d if d.contains("emory") => PictureError::Codec { format, detail: d },
        d if ["Unsupported", "not supported", "not implemented", "Maximum supported", "Could not determine"]
            .iter()
            .any(|reason| d.contains(reason)) =>
        {
            PictureError::Unsupported { format, what: d }
        }
        d if is_closed() => PictureError::Broken { format, detail: d },
        d => PictureError::Truncated { format, detail: d },
    })
}

/// Encodes RGB pixels; `out` holds the JPEG alone, and nothing after an error.
pub(super) fn encode(rgb: &[u8], size: Size, quality: u8, out: &mut Vec<u8>) -> Result<(), PictureError> {
    out.clear();
    // JPEG_MAX_DIMENSION of libjpeg.
    if size.width.max(size.height) > 65_500 || size.pixels() == 0 {
        let what = format!("a picture of {size} pixels (a side may have 1 to 65500)");
        return Err(PictureError::Unsupported { format: JPEG, what });
    }
    turbo::compress(rgb, size, quality, out).map_err(|Complaint(detail)| PictureError::Codec { format: JPEG, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paper_is_white_and_black_ink_is_black() {
        let mut bytes = [255, 255, 255, 255, 255, 0, 0, 255, 255, 255, 255, 0];
        cmyk_to_rgb(&mut bytes);
        assert_eq!(bytes[..9], [255, 255, 255, 255, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_complaint_is_named_for_what_it_means() {
        let said = |text: &str, closed| judge(Complaint(text.to_owned()), || closed);
        assert!(said("Corrupt JPEG data: 3 extraneous bytes before marker 0xd9", true).is_ok());
        assert!(matches!(said("... extraneous bytes ...", false), Err(PictureError::Truncated { .. })));
        assert!(matches!(said("Premature end of JPEG file", true), Err(PictureError::Truncated { .. })));
        assert!(matches!(
            said("Corrupt JPEG data: premature end of data segment", true),
            Err(PictureError::Truncated { .. })
        ));
        assert!(matches!(said("Corrupt JPEG data: bad Huffman code", true), Err(PictureError::Broken { .. })));
        assert!(matches!(said("Unsupported JPEG process", true), Err(PictureError::Unsupported { .. })));
    }
}
