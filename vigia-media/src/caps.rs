//! What GStreamer's caps say about a picture, in vigia's words.

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::VideoFormat;

use vigia_core::frame::{ChromaSite, Colour, ColourMatrix, ColourRange, PixelFormat};

/// Formats that are taken as they are, the one to convert others to first: videoconvert picks the nearest, and the
/// first among equals.
const FORMATS: [VideoFormat; 9] = [
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Yv12,
    VideoFormat::Y42b,
    VideoFormat::Y444,
    VideoFormat::Y41b,
    VideoFormat::Gray8,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
];

/// The caps of everything that is taken without conversion, in system memory.
pub(crate) fn accepted() -> gst::Caps {
    gst_video::VideoCapsBuilder::new().format_list(FORMATS).build()
}

/// All that caps say about a picture.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// GStreamer's form of it.
    pub(crate) info: gst_video::VideoInfo,
    /// How the samples lie.
    pub(crate) layout: Layout,
    /// What they mean.
    pub(crate) colour: Colour,
}

impl Picture {
    /// Reads caps; the error says what is odd about them.
    pub(crate) fn from_caps(caps: &gst::CapsRef) -> Result<Self, String> {
        let info = gst_video::VideoInfo::from_caps(caps).map_err(|e| format!("{caps}: {e}"))?;
        let layout = layout(info.format()).ok_or_else(|| format!("pictures of the format {}", info.name()))?;
        let colour = colour(&info, caps.structure(0).is_some_and(|s| s.has_field("chroma-site")));
        Ok(Self { info, layout, colour })
    }
}

/// How the samples lie, and which of GStreamer's planes are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// How the samples lie.
    pub(crate) format: PixelFormat,
    /// GStreamer's plane for each of ours.
    pub(crate) planes: [usize; 3],
}

/// The layout of one of the formats of [`accepted`].
fn layout(format: VideoFormat) -> Option<Layout> {
    let in_order = |format| Some(Layout { format, planes: [0, 1, 2] });
    match format {
        VideoFormat::I420 => in_order(PixelFormat::I420),
        // The same as I420 with V before U.
        VideoFormat::Yv12 => Some(Layout { format: PixelFormat::I420, planes: [0, 2, 1] }),
        VideoFormat::Nv12 => in_order(PixelFormat::Nv12),
        VideoFormat::Y42b => in_order(PixelFormat::Yuv { h: 2, v: 1 }),
        VideoFormat::Y444 => in_order(PixelFormat::Yuv { h: 1, v: 1 }),
        VideoFormat::Y41b => in_order(PixelFormat::Yuv { h: 4, v: 1 }),
        VideoFormat::Gray8 => in_order(PixelFormat::Gray),
        VideoFormat::Rgb => in_order(PixelFormat::Rgb),
        VideoFormat::Bgr => in_order(PixelFormat::Bgr),
        _ => None,
    }
}

/// What the numbers mean as colours. Where the stream does not say, GStreamer has put in what is usual: BT.709 above
/// 576 rows, else BT.601, limited range; but its guess of the chroma's place is JPEG's for all small pictures, so
/// that is only believed where the stream said it.
fn colour(info: &gst_video::VideoInfo, site_is_said: bool) -> Colour {
    use gst_video::{VideoColorMatrix, VideoColorRange};
    let colorimetry = info.colorimetry();
    // BT.2020 and SMPTE 240M are nearer to 709 than to 601; FCC is 601 but for rounding.
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt709 | VideoColorMatrix::Bt2020 | VideoColorMatrix::Smpte240m => ColourMatrix::Bt709,
        VideoColorMatrix::Unknown if info.height() > 576 => ColourMatrix::Bt709,
        _ => ColourMatrix::Bt601,
    };
    let range = match colorimetry.range() {
        VideoColorRange::Range0_255 => ColourRange::Full,
        _ => ColourRange::Limited,
    };
    let left = if site_is_said {
        info.chroma_site().contains(gst_video::VideoChromaSite::H_COSITED)
    } else {
        // What MPEG-2, H.264 and H.265 mean by saying nothing; full range is JPEG.
        range == ColourRange::Limited
    };
    let site = if left { ChromaSite::Left } else { ChromaSite::Centre };
    Colour { matrix, range, site }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(caps: &str) -> Colour {
        gst::init().expect("GStreamer starts");
        let caps: gst::Caps = caps.parse().expect("caps");
        Picture::from_caps(&caps).expect("video caps").colour
    }

    #[test]
    fn every_accepted_format_has_a_layout() {
        gst::init().expect("GStreamer starts");
        for format in FORMATS {
            let layout = layout(format).expect("a layout");
            let info = gst_video::VideoFormatInfo::from_format(format);
            assert_eq!(info.n_planes() as usize, layout.format.planes(), "{format:?}");
        }
        assert_eq!(layout(VideoFormat::Rgbx), None);
    }

    #[test]
    fn what_is_unsaid_goes_by_size() {
        let sd = read("video/x-raw,format=I420,width=640,height=480,framerate=25/1");
        let left = ChromaSite::Left;
        assert_eq!(sd, Colour { matrix: ColourMatrix::Bt601, range: ColourRange::Limited, site: left });
        let hd = read("video/x-raw,format=I420,width=1280,height=720,framerate=25/1");
        assert_eq!(hd, Colour { matrix: ColourMatrix::Bt709, range: ColourRange::Limited, site: left });
    }

    #[test]
    fn what_is_said_counts() {
        let caps = "video/x-raw,format=I420,width=64,height=48,framerate=1/1,colorimetry=1:3:5:1,chroma-site=jpeg";
        let got = read(caps);
        assert_eq!(got, Colour { matrix: ColourMatrix::Bt709, range: ColourRange::Full, site: ChromaSite::Centre });
    }
}
