//! The calls into libjpeg-turbo (its TurboJPEG 2 interface, which library 3 has, too), made safe.
//!
//! Nothing here trusts a caller about sizes: [`Opened`] keeps the bytes together with the header that the library read
//! from them, and buffers are checked against that header right before the call.

#![expect(unsafe_code, reason = "libjpeg-turbo is a C library; these are all the calls into it")]

use std::ffi::{CStr, c_int, c_uint, c_ulong, c_void};
use std::ptr::{self, NonNull};

use turbojpeg_sys as tj;
use vigia_core::frame::PixelFormat;
use vigia_core::geometry::Size;

use crate::picture::Layout;

/// What the library said: an error, or a warning after which it went on.
#[derive(Debug)]
pub(super) struct Complaint(pub(super) String);

/// The pixels that a JPEG stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Luma and chroma, or luma alone, in a sampling that has a name here.
    Planes(PixelFormat),
    /// RGB, or luma and chroma in an unusual sampling, which the library converts.
    Rgb,
    /// Cyan, magenta, yellow, black; four bytes a pixel.
    Cmyk,
}

/// An owned TurboJPEG handle.
#[derive(Debug)]
struct Handle(NonNull<c_void>);

// SAFETY: a handle owns all of its state and is bound to no thread; every use here goes through `&mut`.
unsafe impl Send for Handle {}

impl Handle {
    /// The message of the last call on this handle, which must have failed, on the same thread.
    fn complaint(&mut self) -> Complaint {
        // SAFETY: the handle is live; the library answers with a string of its own, valid until its next call.
        let text = unsafe { tj::tjGetErrorStr2(self.0.as_ptr()) };
        if text.is_null() {
            return Complaint("no reason given".to_owned());
        }
        // SAFETY: not null (just checked), NUL-terminated by the library, and copied before the next call.
        let text = unsafe { CStr::from_ptr(text) };
        Complaint(text.to_string_lossy().into_owned())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is live and nothing else holds it.
        unsafe { tj::tjDestroy(self.0.as_ptr()) };
    }
}

/// Decodes; kept for many pictures, one at a time.
#[derive(Debug)]
pub(super) struct Decompressor(Handle);

impl Decompressor {
    /// A new one; absent when the library has no memory.
    pub(super) fn new() -> Option<Self> {
        // SAFETY: takes nothing, and answers with a new handle or null.
        let handle = unsafe { tj::tjInitDecompress() };
        NonNull::new(handle).map(|handle| Self(Handle(handle)))
    }

    /// Reads a header.
    ///
    /// The result has a size of 0 where the header could not be read, always with a complaint.
    pub(super) fn open<'a>(&'a mut self, jpeg: &'a [u8]) -> (Opened<'a>, Option<Complaint>) {
        let (mut width, mut height, mut sampling, mut colours): (c_int, c_int, c_int, c_int) = (0, 0, -1, -1);
        let handle = &mut self.0;
        // SAFETY: the handle is live, the bytes are as many as said, and the four numbers outlive the call.
        let status = unsafe {
            tj::tjDecompressHeader3(
                handle.0.as_ptr(),
                jpeg.as_ptr(),
                jpeg.len() as c_ulong,
                &raw mut width,
                &raw mut height,
                &raw mut sampling,
                &raw mut colours,
            )
        };
        let complaint = (status != 0).then(|| handle.complaint());
        let stored = stored(c_uint::try_from(sampling).ok(), c_uint::try_from(colours).ok());
        // Where the colours are unknown, the size is of no use.
        let size = match (u32::try_from(width), u32::try_from(height)) {
            (Ok(width), Ok(height)) if stored.is_some() => Size::new(width, height),
            _ => Size::default(),
        };
        (Opened { handle, jpeg, size, stored: stored.unwrap_or(Stored::Rgb) }, complaint)
    }
}

/// What the library can hand over of a picture with these codes; absent for colours without a name.
fn stored(sampling: Option<tj::TJSAMP>, colours: Option<tj::TJCS>) -> Option<Stored> {
    let yuv = |h, v| Some(Stored::Planes(PixelFormat::Yuv { h, v }));
    match colours? {
        tj::TJCS_TJCS_CMYK | tj::TJCS_TJCS_YCCK => Some(Stored::Cmyk),
        tj::TJCS_TJCS_RGB => Some(Stored::Rgb),
        tj::TJCS_TJCS_GRAY => Some(Stored::Planes(PixelFormat::Gray)),
        tj::TJCS_TJCS_YCbCr => match sampling {
            Some(tj::TJSAMP_TJSAMP_444) => yuv(1, 1),
            Some(tj::TJSAMP_TJSAMP_422) => yuv(2, 1),
            Some(tj::TJSAMP_TJSAMP_420) => yuv(2, 2),
            Some(tj::TJSAMP_TJSAMP_440) => yuv(1, 2),
            Some(tj::TJSAMP_TJSAMP_411) => yuv(4, 1),
            _ => Some(Stored::Rgb),
        },
        _ => None,
    }
}

/// A JPEG whose header was read.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    handle: &'a mut Handle,
    jpeg: &'a [u8],
    /// Pixels at full size; 0 where the header could not be read.
    pub(super) size: Size,
    /// What it stores.
    pub(super) stored: Stored,
}

/// A progressive picture with more than 500 scans is refused: it costs hours and is no picture.
const FLAGS: c_int = tj::TJFLAG_LIMITSCANS as c_int;

impl Opened<'_> {
    /// Pixels at 1/`reduction`.
    pub(super) fn reduced(&self, reduction: u32) -> Size {
        Size::new(self.size.width.div_ceil(reduction), self.size.height.div_ceil(reduction))
    }

    /// Decodes the stored planes at 1/`reduction`, laid out by [`Layout`]. After a complaint, `out` holds what could be
    /// decoded.
    ///
    /// # Panics
    /// When the picture stores no planes or `out` has another length than they need: mistakes of the caller.
    pub(super) fn planes(&mut self, reduction: u32, out: &mut [u8]) -> Result<(), Complaint> {
        let Stored::Planes(format) = self.stored else { unreachable!("asked for planes of {:?}", self.stored) };
        let size = self.reduced(reduction);
        let layout = Layout::of(format, size);
        assert_eq!(out.len(), layout.len(), "bytes for the planes of {size} pixels");
        let (luma, chroma) = out.split_at_mut(layout.ends[0]);
        let (blue, red) = chroma.split_at_mut(layout.ends[1] - layout.ends[0]);
        let mut planes = match format {
            PixelFormat::Gray => [luma.as_mut_ptr(), ptr::null_mut(), ptr::null_mut()],
            _ => [luma.as_mut_ptr(), blue.as_mut_ptr(), red.as_mut_ptr()],
        };
        let mut strides = layout.strides.map(|stride| stride as c_int);
        // SAFETY: the handle is live and the bytes are those whose header gave `size` and `format`; so the library
        // writes, per plane, the rows and columns that `Layout` counts, padding of luma included, `strides` apart; and
        // the planes are disjoint parts of `out`, whose length was just checked.
        let status = unsafe {
            tj::tjDecompressToYUVPlanes(
                self.handle.0.as_ptr(),
                self.jpeg.as_ptr(),
                self.jpeg.len() as c_ulong,
                planes.as_mut_ptr(),
                size.width as c_int,
                strides.as_mut_ptr(),
                size.height as c_int,
                FLAGS,
            )
        };
        if status == 0 { Ok(()) } else { Err(self.handle.complaint()) }
    }

    /// Decodes pixels at 1/`reduction`: CMYK, 4 bytes each, where that is stored, else RGB, 3 bytes each. After a
    /// complaint, `out` holds what could be decoded.
    ///
    /// # Panics
    /// When `out` has another length than that: a mistake of the caller.
    pub(super) fn pixels(&mut self, reduction: u32, out: &mut [u8]) -> Result<(), Complaint> {
        let (code, bytes) = if self.stored == Stored::Cmyk { (tj::TJPF_TJPF_CMYK, 4) } else { (tj::TJPF_TJPF_RGB, 3) };
        let size = self.reduced(reduction);
        let row = size.width as usize * bytes;
        assert_eq!(out.len(), row * size.height as usize, "bytes for {size} pixels");
        // SAFETY: the handle is live and the bytes are those whose header gave `size`; so the library writes at most
        // `size.height` rows of `row` bytes, `row` apart, and `out` was just checked to be as long.
        let status = unsafe {
            tj::tjDecompress2(
                self.handle.0.as_ptr(),
                self.jpeg.as_ptr(),
                self.jpeg.len() as c_ulong,
                out.as_mut_ptr(),
                size.width as c_int,
                row as c_int,
                size.height as c_int,
                code,
                FLAGS,
            )
        };
        if status == 0 { Ok(()) } else { Err(self.handle.complaint()) }
    }
}

/// Encodes RGB pixels, 4:2:0; `quality` is 1 to 100. `out` holds the JPEG alone, and nothing after a complaint.
///
/// A handle of its own each time: it costs half a microsecond, and a faster, less exact transform
/// (`TJFLAG_FASTDCT`) saves nothing that can be measured.
///
/// # Panics
/// When `rgb` has another length than `size` needs: a mistake of the caller.
pub(super) fn compress(rgb: &[u8], size: Size, quality: u8, out: &mut Vec<u8>) -> Result<(), Complaint> {
    const SAMPLING: c_int = tj::TJSAMP_TJSAMP_420 as c_int;
    let (width, height) = (size.width as c_int, size.height as c_int);
    let row = size.width as usize * 3;
    assert_eq!(rgb.len(), row * size.height as usize, "bytes of {size} pixels");
    out.clear();
    let no_memory = || Complaint("out of memory".to_owned());
    // SAFETY: plain numbers in, a number out.
    let room = unsafe { tj::tjBufSize(width, height, SAMPLING) };
    // Where it cannot be counted it is all ones: too much, too.
    usize::try_from(room).ok().and_then(|room| out.try_reserve_exact(room).ok()).ok_or_else(no_memory)?;
    // SAFETY: takes nothing, and answers with a new handle or null.
    let handle = unsafe { tj::tjInitCompress() };
    let mut handle = Handle(NonNull::new(handle).ok_or_else(no_memory)?);
    let (mut to, mut len) = (out.as_mut_ptr(), room);
    // SAFETY: the handle is live and `rgb` holds the rows that are declared (just checked); the flag has the library
    // write to `to` alone, at most `tjBufSize` bytes, and that much was just reserved there.
    let status = unsafe {
        tj::tjCompress2(
            handle.0.as_ptr(),
            rgb.as_ptr(),
            width,
            row as c_int,
            height,
            tj::TJPF_TJPF_RGB,
            &raw mut to,
            &raw mut len,
            SAMPLING,
            c_int::from(quality.clamp(1, 100)),
            tj::TJFLAG_NOREALLOC as c_int,
        )
    };
    if status != 0 {
        return Err(handle.complaint());
    }
    assert!(len <= room && to == out.as_mut_ptr(), "the library wrote elsewhere");
    // SAFETY: the call succeeded, so the library has written `len` bytes there, no more than were reserved.
    unsafe { out.set_len(len as usize) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library writes per plane, by its own account.
    fn written(plane: usize, size: Size, stride: usize, sampling: tj::TJSAMP) -> usize {
        let (plane, stride) = (plane as c_int, stride as c_int);
        // SAFETY: plain numbers in, a number out.
        let bytes =
            unsafe { tj::tjPlaneSizeYUV(plane, size.width as c_int, stride, size.height as c_int, sampling as c_int) };
        bytes as usize
    }

    #[test]
    fn planes_hold_what_the_library_writes() {
        for sampling in tj::TJSAMP_TJSAMP_444..=tj::TJSAMP_TJSAMP_411 {
            let colours = if sampling == tj::TJSAMP_TJSAMP_GRAY { tj::TJCS_TJCS_GRAY } else { tj::TJCS_TJCS_YCbCr };
            let Some(Stored::Planes(format)) = stored(Some(sampling), Some(colours)) else { unreachable!() };
            for (width, height) in (1..40).flat_map(|w| (1..40).map(move |h| (w, h))) {
                let size = Size::new(width, height);
                let layout = Layout::of(format, size);
                for plane in 0..format.planes() {
                    let need = written(plane, size, layout.strides[plane], sampling);
                    assert_eq!(layout.plane(plane).len(), need, "plane {plane} of {size} {format:?}");
                }
            }
        }
    }
}
