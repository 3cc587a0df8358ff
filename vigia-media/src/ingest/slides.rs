//! `slides:`: the pictures of a folder as a video without end, for demonstrations: a window moves over each of them.
//!
//! Here is what the address asks for and the element that the video comes out of. `slides/show.rs` draws one frame after
//! the other on that element's thread, `slides/still.rs` decodes a picture in a pipeline of its own while the one before
//! it is shown, `slides/motion.rs` says where the window is.
//!
//! GStreamer's converter cuts and scales, once per frame, from the picture that was decoded once. Not `compositor`: it
//! scales the whole picture where only the window is seen, and places it on even pixels. Not `videocrop`: every other
//! window would be a new format, negotiated anew.
//!
//! A source that is stopped while a picture is being decoded waits for that: half a second for 50 million pixels.
//!
//! Not handled: pictures that are added to the folder while it runs, other files than JPEG and PNG, JPEGs in CMYK, PNGs
//! with 3 x 16 bits per pixel, transparency (taken as opaque), fading from one picture to the next.

mod motion;
mod show;
mod still;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use vigia_core::geometry::Size;
use vigia_core::source::SourceError;

use super::pump::Pump;
use crate::elements;
use show::Show;

/// What names of pictures end in.
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Elements beside the ones that every source needs.
const ELEMENTS: [&str; 7] = ["appsrc", "filesrc", "jpegparse", "jpegdec", "pngparse", "pngdec", "videoflip"];

/// What a `slides:` address asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slides {
    /// At least one, in the order of their names.
    pictures: Vec<PathBuf>,
    options: Options,
}

/// What follows the question mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    /// Of the frames, in pixels; both even.
    size: Size,
    /// Frames per second.
    fps: NonZeroU32,
    /// How many seconds each picture is shown.
    seconds: NonZeroU32,
}

impl Options {
    /// Reads `width=1280&height=720&fps=15&seconds=6`; every part may be left out.
    fn parse(query: &str) -> Result<Self, String> {
        let (mut size, mut fps, mut seconds) = (Size::new(1280, 720), 15, 6);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| format!("\"{pair}\" is no name=value"))?;
            match name {
                "width" => size.width = side(name, value)?,
                "height" => size.height = side(name, value)?,
                "fps" => fps = number(name, value, 60)?,
                "seconds" => seconds = number(name, value, 600)?,
                _ => return Err(format!("there is no option \"{name}\", only width, height, fps and seconds")),
            }
        }
        let not_zero = |name, value| NonZeroU32::new(value).ok_or_else(|| format!("{name} is 0"));
        Ok(Self { size, fps: not_zero("fps", fps)?, seconds: not_zero("seconds", seconds)? })
    }

    /// Frames for which a picture is shown.
    fn frames_per_picture(self) -> NonZeroU64 {
        NonZeroU64::from(self.fps).saturating_mul(NonZeroU64::from(self.seconds))
    }

    /// The frames' format.
    fn info(self) -> Result<gst_video::VideoInfo, String> {
        gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, self.size.width, self.size.height)
            .fps(gst::Fraction::new(self.fps.get() as i32, 1))
            .build()
            .map_err(|e| e.to_string())
    }
}

impl Slides {
    /// Understands the options and lists the folder's pictures; reads none of them.
    pub(super) fn open(folder: &Path, query: &str, shown: &str) -> Result<Self, SourceError> {
        let not_found = |why: String| SourceError::NotFound(format!("{shown}: {why}"));
        let options = Options::parse(query).map_err(not_found)?;
        if folder.as_os_str().is_empty() {
            return Err(not_found("no folder is named; write slides:FOLDER?seconds=6".to_owned()));
        }
        let pictures = pictures(folder).map_err(not_found)?;
        elements::require(&ELEMENTS)?;
        Ok(Self { pictures, options })
    }

    /// The element that the video comes out of, not yet linked. At a live pace it skips what it is too late for.
    pub(super) fn element(&self, live: bool, pump: &Arc<Pump>) -> Result<gst::Element, SourceError> {
        let library = |why: String| SourceError::Library(format!("{}: {why}", pump.address.shown));
        let info = self.options.info().map_err(library)?;
        let caps = info.to_caps().map_err(|e| library(e.to_string()))?;
        let mut show = Show::new(self, info, live, Arc::clone(pump))?;
        let draw = move |source: &gst_app::AppSrc, _wanted: u32| show.frame_wanted(source);
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(live)
            // It asks when it has none, and is given one.
            .max_buffers(1)
            .callbacks(gst_app::AppSrcCallbacks::builder().need_data(draw).build())
            .build();
        Ok(source.into())
    }
}

/// The pictures in a folder, by name; folders in it are not entered.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let looked_for = "no pictures in this folder: looked for names that end in .jpg, .jpeg or .png";
    let entries = std::fs::read_dir(folder).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "no such folder".to_owned(),
        std::io::ErrorKind::NotADirectory => "not a folder".to_owned(),
        _ => format!("the folder cannot be read: {e}"),
    })?;
    let is_picture = |path: &PathBuf| {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) && path.is_file()
    };
    let mut pictures: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(is_picture).collect();
    pictures.sort();
    if pictures.is_empty() { Err(looked_for.to_owned()) } else { Ok(pictures) }
}

fn number(name: &str, text: &str, most: u32) -> Result<u32, String> {
    match text.parse() {
        Ok(value) if (1..=most).contains(&value) => Ok(value),
        _ => Err(format!("{name} is \"{text}\", not a whole number from 1 to {most}")),
    }
}

fn side(name: &str, text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(value) if (16..=4096).contains(&value) && value.is_multiple_of(2) => Ok(value),
        _ => Err(format!("{name} is \"{text}\", not an even number from 16 to 4096")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_default() {
        let all = Options::parse("width=1280&height=720&fps=15&seconds=6").expect("options");
        assert_eq!(Options::parse(""), Ok(all));
        assert_eq!(all.frames_per_picture().get(), 90);
        let most = Options::parse("width=4096&height=16&fps=60&seconds=600").expect("options");
        assert_eq!((most.size, most.frames_per_picture().get()), (Size::new(4096, 16), 36_000));
    }

    #[test]
    fn mistakes_are_named() {
        for (query, words) in [
            ("width=14", "width is \"14\", not an even number from 16 to 4096"),
            ("height=721", "height is \"721\""),
            ("width=4098", "4096"),
            ("fps=0", "fps is \"0\", not a whole number from 1 to 60"),
            ("fps=61", "fps"),
            ("seconds=1.5", "seconds is \"1.5\", not a whole number from 1 to 600"),
            ("second=6", "no option \"second\", only width, height, fps and seconds"),
            ("width", "name=value"),
        ] {
            let error = Options::parse(query).expect_err(query);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn pictures_are_known_by_their_names_and_in_their_order() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["c.PNG", "a.JPeG", "b.jpg", "notes.txt", "jpg", "d.gif"] {
            std::fs::write(folder.path().join(name), b"").expect("a file");
        }
        std::fs::create_dir(folder.path().join("e.jpg")).expect("a folder");
        let found = pictures(folder.path()).expect("pictures");
        assert_eq!(found, ["a.JPeG", "b.jpg", "c.PNG"].map(|name| folder.path().join(name)));
    }
}
