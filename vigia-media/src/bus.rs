//! What GStreamer's messages mean for the owner of a source.

use std::collections::BTreeSet;

use gstreamer as gst;

use parking_lot::Mutex;
use vigia_core::source::SourceError;

use crate::address::{Address, Kind, hide_values};
use crate::elements::package_of_plugin;

/// What was seen on the way to an error; it makes the difference between "no video in it" and "no decoder for it".
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Media types of the streams and containers that were found.
    types: Mutex<BTreeSet<String>>,
    /// The first plug-in that was looked for in vain: kind, detail, name for people.
    missing: Mutex<Option<(String, String, String)>>,
}

impl Seen {
    /// A container or stream of this type was found.
    pub(crate) fn media_type(&self, caps: &gst::CapsRef) {
        if let Some(structure) = caps.structure(0) {
            self.types.lock().insert(structure.name().to_string());
        }
    }

    /// True where a container or stream of this type was found.
    pub(crate) fn holds(&self, media_type: &str) -> bool {
        self.types.lock().contains(media_type)
    }

    /// Keeps note of a plug-in that an element message says is missing.
    pub(crate) fn element_message(&self, message: &gst::message::Element) {
        let Some(structure) = message.structure().filter(|s| s.name() == "missing-plugin") else {
            return;
        };
        let text = |field| structure.get::<String>(field).unwrap_or_default();
        let detail = structure.get::<gst::Caps>("detail").map_or_else(|_| text("detail"), |caps| caps.to_string());
        self.missing.lock().get_or_insert_with(|| (text("type"), detail, text("name")));
    }

    fn missing_plugin(&self, shown: &str) -> Option<SourceError> {
        let missing = self.missing.lock();
        let (what, detail, name) = missing.as_ref()?;
        let package = package_of_plugin(what, detail);
        Some(SourceError::Library(format!("{shown}: GStreamer has no {name}; Debian has it in {package}")))
    }

    fn no_video(&self, shown: &str) -> SourceError {
        let types = self.types.lock();
        let list: Vec<&str> = types.iter().map(String::as_str).collect();
        let found = if list.is_empty() { String::new() } else { format!(" (it holds {})", list.join(", ")) };
        SourceError::Undecodable(format!("no video stream in {shown}{found}"))
    }
}

/// The error that an error message of GStreamer stands for.
pub(crate) fn source_error(address: &Address, message: &gst::message::Error, seen: &Seen) -> SourceError {
    let error = message.error();
    let status = message.details().and_then(|details| details.get::<u32>("http-status-code").ok());
    let said = clean(address, error.message());
    let detail = message.debug().map(|text| clean(address, &text)).unwrap_or_default();
    let shown = &address.shown;
    tracing::debug!(source = shown, error = said, detail, status, "media error");
    // Where in GStreamer it happened is on the first line, the reason below it.
    let reason = detail.split_once('\n').map_or("", |(_, reason)| reason.trim()).replace('\n', ", ");
    let text = match status {
        Some(status) if status >= 100 => format!("{shown}: {said} (HTTP status {status})"),
        _ if matches!(address.kind, Kind::Url(_)) && !reason.is_empty() => format!("{shown}: {said} ({reason})"),
        _ => format!("{shown}: {said}"),
    };
    if let Some(kind) = error.kind::<gst::ResourceError>() {
        return resource_error(kind, &address.kind, text);
    }
    match error.kind::<gst::StreamError>() {
        // All that a source element says when there is no connection, or when it breaks.
        Some(gst::StreamError::Failed) if matches!(address.kind, Kind::Url(_)) => {
            return SourceError::Unreachable(format!("{shown}: the connection could not be made, or broke"));
        }
        Some(kind) => return stream_error(kind, seen, shown, text),
        None => {}
    }
    match error.kind::<gst::CoreError>() {
        // decodebin says this whenever there is nothing to show, also where all streams are of kinds not wanted.
        Some(gst::CoreError::MissingPlugin) => seen.missing_plugin(shown).unwrap_or_else(|| seen.no_video(shown)),
        Some(gst::CoreError::Negotiation | gst::CoreError::Caps) => SourceError::Undecodable(text),
        _ => SourceError::Library(text),
    }
}

fn resource_error(kind: gst::ResourceError, address: &Kind, text: String) -> SourceError {
    match (kind, address) {
        (gst::ResourceError::NotAuthorized, _) => SourceError::Unauthorized(text),
        (_, Kind::File(_)) => SourceError::Undecodable(text),
        (_, Kind::Test(_) | Kind::Slides(..)) => SourceError::Library(text),
        // What another machine or a device does not have now it may have later: a relay without its camera says "not found".
        (_, Kind::Url(_)) => SourceError::Unreachable(text),
    }
}

fn stream_error(kind: gst::StreamError, seen: &Seen, shown: &str, text: String) -> SourceError {
    match kind {
        gst::StreamError::CodecNotFound => seen.missing_plugin(shown).unwrap_or(SourceError::Library(text)),
        gst::StreamError::TypeNotFound | gst::StreamError::WrongType => {
            seen.missing_plugin(shown).unwrap_or_else(|| SourceError::Undecodable(format!("{text} It is no video.")))
        }
        _ => seen.missing_plugin(shown).unwrap_or(SourceError::Undecodable(text)),
    }
}

/// `text` with addresses as they may be shown, and without the password. GStreamer is not given the latter as part of
/// an address; a short one is part of too many words to be looked for.
fn clean(address: &Address, text: &str) -> String {
    let Kind::Url(url) = &address.kind else { return text.to_owned() };
    // Also where the other side has sent us elsewhere.
    let text = hide_values(&text.replace(&url.uri, &address.shown));
    match url.password.as_deref() {
        Some(password) if password.len() >= 4 => text.replace(password, "***"),
        _ => text,
    }
}
