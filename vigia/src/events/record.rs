//! An ended track on its way into the store: its row, and its picture as JPEG.

use std::time::SystemTime;

use bytes::Bytes;
use vigia_core::event::EndedTrack;
use vigia_core::frame::Image;
use vigia_core::geometry::Size;
use vigia_vision::picture::{PictureError, RgbImage, encode_jpeg_into, to_rgb};

use crate::wire::{self, EventWire};

/// JPEG quality of best shots: these are small, and looked at closely.
const QUALITY: u8 = 90;
/// What a row takes besides its text, about.
const ROW: usize = 400;

/// Longest name of a class that is kept, in characters.
const CLASS: usize = 200;

/// A track that ended, on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) record: Record,
    /// Its best shot, as it was cut out.
    pub(super) picture: Option<Image>,
}

impl Pending {
    pub(super) fn new(ended: EndedTrack, class: &str) -> Self {
        let record = Record::new(&ended, class, String::new());
        Self { record, picture: ended.best.map(|best| best.picture) }
    }

    /// What its picture takes, at most.
    pub(super) fn bytes(&self) -> usize {
        let size = self.picture.as_ref().map_or(Size::new(0, 0), Image::size);
        size.width as usize * size.height as usize * 3
    }
}

/// A picture and where it is to be kept.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// `2026-11-21/door-1-7.<store>-<key>.jpg`: no other event has it, in whatever run of whatever server; and nobody
    /// else's file is taken for it.
    pub(super) name: String,
    pub(super) jpeg: Bytes,
}

/// An event as it is written.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// By which a row is known again, whatever its id: the run of the server, and a number within it.
    pub(super) key: String,
    pub(super) generation: u64,
    /// Milliseconds since 1970.
    pub(super) ended_at: i64,
    pub(super) event: EventWire,
    pub(super) snapshot: Option<Snapshot>,
}

impl Record {
    /// Under the id that its stream, its life of it, and its track give.
    pub(super) fn new(ended: &EndedTrack, class: &str, key: String) -> Self {
        let id = format!("{}-{}-{}", ended.stream.id, ended.stream.generation, ended.track);
        // PostgreSQL knows no text with this character.
        let class = class.chars().filter(|&c| c != '\0').take(CLASS).collect();
        Self {
            key,
            generation: ended.stream.generation,
            ended_at: millis(ended.ended_at),
            event: EventWire::new(id, ended, class),
            snapshot: None,
        }
    }

    /// Adds the picture of the best detection; `today` is the day as `2026-11-21`, `store` the store's id.
    pub(super) fn add_picture(
        &mut self,
        picture: &Image,
        easel: &mut Easel,
        today: &str,
        store: &str,
    ) -> Result<(), PictureError> {
        to_rgb(picture, &mut easel.canvas);
        encode_jpeg_into(&easel.canvas, QUALITY, &mut easel.jpeg)?;
        let name = format!("{today}/{}.{store}-{}.jpg", self.event.id, self.key);
        self.snapshot = Some(Snapshot { name, jpeg: Bytes::copy_from_slice(&easel.jpeg) });
        self.point_to_picture();
        Ok(())
    }

    /// Another event has its id: it goes by one that nobody else can have.
    pub(super) fn rename(&mut self) {
        self.event.id = format!("{}-x{}", self.event.id, self.key);
        self.point_to_picture();
    }

    /// Its picture could not be written.
    pub(super) fn lose_picture(&mut self) {
        self.snapshot = None;
        self.point_to_picture();
    }

    fn point_to_picture(&mut self) {
        let id = &self.event.id;
        self.event.snapshot = self.snapshot.is_some().then(|| format!("/v1/events/{id}/best.jpg"));
    }

    /// As it is kept, listed and told.
    pub(super) fn json(&self) -> String {
        // Nothing in it can fail to be written: names, and finite numbers.
        serde_json::to_string(&self.event).unwrap_or_default()
    }

    /// What it takes, its picture included, when it is written as `json`.
    pub(super) fn size(&self, json: &str) -> i64 {
        let picture = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.jpeg.len());
        i64::try_from(json.len() + picture + ROW).unwrap_or(i64::MAX)
    }
}

/// Whether a picture of this name is one that this store, by its id, gave the name to; also one that is only half there.
pub(super) fn is_of(store: &str, name: &str) -> bool {
    let tag = name.strip_suffix(".new").unwrap_or(name).strip_suffix(".jpg").and_then(|name| name.rsplit_once('.'));
    let mut parts = tag.map(|(_, tag)| tag).unwrap_or_default().split('-');
    let is_number =
        |part: Option<&str>| part.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_hexdigit()));
    parts.next() == Some(store) && is_number(parts.next()) && is_number(parts.next()) && parts.next().is_none()
}

/// What making a JPEG takes; kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Easel {
    canvas: RgbImage,
    jpeg: Vec<u8>,
}

/// Since 1970; what lies before that is its beginning.
pub(super) fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The day of a moment, UTC: `2026-11-21`.
pub(super) fn day(at: SystemTime) -> String {
    wire::time(at).chars().take_while(|&c| c != 'T').collect()
}
