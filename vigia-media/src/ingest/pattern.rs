//! `test://`: a moving picture for demonstrations and tests.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

use vigia_core::geometry::Size;
use vigia_core::source::SourceError;

use crate::elements;

/// Test pictures that can be asked for, and GStreamer's names for them.
const PATTERNS: [&str; 9] = ["ball", "smpte", "snow", "black", "white", "gradient", "bar", "pinwheel", "zone-plate"];

/// What a `test://` address asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    size: Size,
    fps: i32,
    frames: Option<i32>,
    picture: String,
    format: gst_video::VideoFormat,
}

impl Pattern {
    /// Reads `?width=640&height=360&fps=30&frames=100&pattern=ball&format=I420`; every part may be left out. GStreamer
    /// must have been started.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut this = Self {
            size: Size::new(640, 360),
            fps: 30,
            frames: None,
            picture: PATTERNS[0].to_owned(),
            format: gst_video::VideoFormat::I420,
        };
        let query = match query.split_once('?') {
            Some(("", query)) => query,
            None if query.is_empty() => "",
            _ => return Err("options follow a question mark, as in test://?width=640&height=360".to_owned()),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| format!("\"{pair}\" is no name=value"))?;
            match name {
                "width" => this.size.width = number(name, value, 1, 16_384)? as u32,
                "height" => this.size.height = number(name, value, 1, 16_384)? as u32,
                "fps" => this.fps = number(name, value, 1, 1000)?,
                "frames" => this.frames = Some(number(name, value, 1, i32::MAX)?),
                "pattern" if PATTERNS.contains(&value) => value.clone_into(&mut this.picture),
                "pattern" => return Err(format!("there is no pattern \"{value}\", only {}", PATTERNS.join(", "))),
                "format" => {
                    this.format = value.parse().map_err(|e| format!("{e}: there is no picture format \"{value}\""))?;
                }
                _ => {
                    return Err(format!(
                        "there is no option \"{name}\", only width, height, fps, frames, pattern and format"
                    ));
                }
            }
        }
        Ok(this)
    }

    /// The elements that draw it: a source and its caps, not yet linked.
    pub(super) fn elements(&self, live: bool) -> Result<[gst::Element; 2], SourceError> {
        let source = elements::make("videotestsrc")?;
        source.set_property_from_str("pattern", &self.picture);
        source.set_property("is-live", live);
        source.set_property("num-buffers", self.frames.unwrap_or(-1));
        if self.picture == "gradient" || self.picture == "bar" {
            source.set_property("horizontal-speed", 4_i32);
        }
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", self.format.to_str())
            .field("width", self.size.width as i32)
            .field("height", self.size.height as i32)
            .field("framerate", gst::Fraction::new(self.fps, 1))
            .build();
        let filter = elements::make("capsfilter")?;
        filter.set_property("caps", caps);
        Ok([source, filter])
    }

    /// How long it lasts.
    pub(super) fn duration(&self) -> Option<std::time::Duration> {
        let frames = u64::try_from(self.frames?).ok()?;
        Some(std::time::Duration::from_nanos(frames * 1_000_000_000 / u64::try_from(self.fps).ok()?))
    }
}

fn number(name: &str, text: &str, least: i32, most: i32) -> Result<i32, String> {
    match text.parse() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("{name} is \"{text}\", not a number from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_default() {
        crate::init().expect("GStreamer starts");
        assert_eq!(Pattern::parse(""), Pattern::parse("?"));
        let all = Pattern::parse("?width=320&height=240&fps=25&frames=50&pattern=snow").expect("a pattern");
        assert_eq!((all.size, all.fps, all.frames), (Size::new(320, 240), 25, Some(50)));
        assert_eq!(all.duration(), Some(std::time::Duration::from_secs(2)));
    }

    #[test]
    fn mistakes_are_named() {
        crate::init().expect("GStreamer starts");
        for (query, word) in [
            ("?width=0", "width"),
            ("?fps=fast", "fps"),
            ("?pattern=cat", "ball"),
            ("?colour=red", "colour"),
            ("?format=NV13", "NV13"),
            ("?width", "name=value"),
            ("ball", "question mark"),
        ] {
            let error = Pattern::parse(query).expect_err(query);
            assert!(error.contains(word), "{error}");
        }
    }
}
