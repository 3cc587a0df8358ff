//! Arguments to pictures and videos.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use vigia_core::frame::Frame;
use vigia_core::id::{StreamId, StreamRef};
use vigia_engine::offline::Input;
use vigia_vision::picture::{Cover, PictureDecoder};

/// Bytes that tell a picture from a video.
const SNIFFED: usize = 16;

const PICTURE_EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "dib"];
const VIDEO_EXTENSIONS: [&str; 27] = [
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mts", "m2ts", "mpg", "mpeg", "flv", "wmv", "h264", "264", "h265",
    "265", "hevc", "mjpg", "mjpeg", "y4m", "3gp", "3g2", "mxf", "ogv", "ogg", "gif",
];

/// One input, named and told apart, not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// As given; for a file of a folder, its path.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Kind,
}

/// What an input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A picture file.
    Picture(PathBuf),
    /// A video file.
    Video(PathBuf),
    /// An address: a camera, a URL.
    Address,
    /// Wrong, and why.
    Unusable(String),
}

/// Tells the arguments apart; folders become the pictures and videos in them, by name.
pub fn find(arguments: &[OsString]) -> Vec<Named> {
    let mut found = Vec::new();
    for argument in arguments {
        let name: Arc<str> = Arc::from(argument.to_string_lossy());
        // A name that is no UTF-8 can be no address.
        let path = argument.to_str().map_or_else(|| Some(PathBuf::from(argument)), local_path);
        match path {
            Some(folder) if folder.is_dir() => found.extend(folder_contents(&name, &folder)),
            Some(path) => found.push(Named { kind: kind_of(&path), name }),
            None => found.push(Named { kind: Kind::Address, name }),
        }
    }
    found
}

/// The files among the inputs, so that no output takes the place of one.
#[derive(Clone, Debug, Default)]
pub struct InputFiles(HashSet<(u64, u64)>);

impl InputFiles {
    /// The files of these inputs.
    pub fn of(inputs: &[Named]) -> Self {
        let path = |named: &Named| match &named.kind {
            Kind::Picture(path) | Kind::Video(path) => file_id(path),
            Kind::Address | Kind::Unusable(_) => None,
        };
        Self(inputs.iter().filter_map(path).collect())
    }

    /// True when writing to this path would overwrite an input, by whatever name.
    pub fn contains(&self, path: &Path) -> bool {
        file_id(path).is_some_and(|id| self.0.contains(&id))
    }
}

fn file_id(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The path that an argument names, or `None` for an address.
fn local_path(argument: &str) -> Option<PathBuf> {
    #[cfg(feature = "gstreamer")]
    let path = vigia_media::local_path(argument);
    #[cfg(not(feature = "gstreamer"))]
    let path = (!argument.contains("://")).then(|| PathBuf::from(argument));
    path
}

fn folder_contents(argument: &str, folder: &Path) -> Vec<Named> {
    let named = |name: &str, kind| Named { name: Arc::from(name), kind };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return vec![named(argument, Kind::Unusable(format!("the folder cannot be read: {error}")))],
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_file()).collect();
    files.sort();
    let known = |path: &Path| {
        let extension = extension(path);
        let extension = extension.as_str();
        PICTURE_EXTENSIONS.contains(&extension) || VIDEO_EXTENSIONS.contains(&extension)
    };
    let mut found = Vec::new();
    for path in files {
        let kind = kind_of(&path);
        if known(&path) || matches!(kind, Kind::Picture(_)) {
            found.push(named(&path.to_string_lossy(), kind));
        } else {
            tracing::info!(file = %path.display(), "left out: its name is not that of a picture or video");
        }
    }
    if found.is_empty() {
        let reason = "the folder holds no pictures or videos (folders in it are not entered)".to_owned();
        return vec![named(argument, Kind::Unusable(reason))];
    }
    found
}

/// In lower case; empty where there is none.
fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// By content first: a name says what somebody hoped it to be. What looks like nothing known goes by its name.
fn kind_of(path: &Path) -> Kind {
    let file_type = match std::fs::metadata(path) {
        Ok(meta) => meta.file_type(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Kind::Unusable("there is no such file".to_owned());
        }
        Err(error) => return Kind::Unusable(format!("the file cannot be read: {error}")),
    };
    if !file_type.is_file() {
        // Looking at a pipe would take from it what the decoder needs.
        let hint = if file_type.is_char_device() { "; a camera is v4l2:///dev/video0" } else { "" };
        return Kind::Unusable(format!("it is a pipe or a device, not a file{hint}"));
    }
    let mut head = [0; SNIFFED];
    let head = match File::open(path).and_then(|mut file| file.read(&mut head)) {
        Ok(0) => return Kind::Unusable("the file is empty".to_owned()),
        Ok(n) => &head[..n],
        Err(error) => return Kind::Unusable(format!("the file cannot be read: {error}")),
    };
    let looks_like_a_picture = head.starts_with(&[0xff, 0xd8])
        || head.starts_with(b"\x89PNG")
        || (head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP"))
        || head.starts_with(b"BM");
    let extension = extension(path);
    let motion_jpeg = ["mjpg", "mjpeg"].contains(&extension.as_str());
    if (looks_like_a_picture && !motion_jpeg) || PICTURE_EXTENSIONS.contains(&extension.as_str()) {
        Kind::Picture(path.to_owned())
    } else {
        Kind::Video(path.to_owned())
    }
}

/// Told about each video as it starts.
#[cfg(feature = "gstreamer")]
pub type OnVideo = Arc<dyn Fn(&Arc<str>, vigia_media::MediaInfo) + Send + Sync>;

/// What is needed to open inputs.
#[derive(Clone)]
pub struct Opener {
    /// Decodes pictures.
    pub decoder: Arc<PictureDecoder>,
    /// What a decoded picture must cover; its full size where absent.
    pub cover: Option<Cover>,
    /// Largest picture file, in bytes.
    pub max_bytes: u64,
    /// How videos are read.
    #[cfg(feature = "gstreamer")]
    pub ingest: vigia_media::IngestOptions,
    /// Told about each video as it starts.
    #[cfg(feature = "gstreamer")]
    pub on_video: OnVideo,
}

impl Opener {
    /// The input, for the engine to open when its turn comes.
    pub fn open(&self, named: Named) -> (Arc<str>, Input) {
        let Named { name, kind } = named;
        let input = match kind {
            Kind::Unusable(reason) => Input::Unusable(reason),
            Kind::Picture(path) => {
                let (opener, name) = (self.clone(), name.clone());
                Input::Picture(Box::new(move || opener.picture(&name, &path)))
            }
            Kind::Video(path) if path.to_str().is_none() => {
                Input::Unusable("the name of a video has to be UTF-8: rename it".to_owned())
            }
            Kind::Video(_) | Kind::Address => self.video(&name),
        };
        (name, input)
    }

    #[cfg(feature = "gstreamer")]
    fn video(&self, name: &Arc<str>) -> Input {
        let (opener, name) = (self.clone(), name.clone());
        Input::Video(Box::new(move || {
            let source = vigia_media::MediaSource::open(&name, stream_of(&name), opener.ingest)?;
            (opener.on_video)(&name, source.info());
            Ok(Box::new(source))
        }))
    }

    #[cfg(not(feature = "gstreamer"))]
    #[expect(clippy::unused_self, reason = "the one that opens has to be the same call")]
    fn video(&self, _name: &Arc<str>) -> Input {
        Input::Unusable("this vigia was built without GStreamer and reads pictures only".to_owned())
    }

    fn picture(&self, name: &Arc<str>, path: &Path) -> Result<Frame, String> {
        let started = Instant::now();
        let unreadable = |e| format!("the file cannot be read: {e}");
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len().min(self.max_bytes);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
        // One byte more than allowed tells, whatever the file system says of the length.
        file.take(self.max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > self.max_bytes {
            let limit = self.max_bytes;
            return Err(format!("the file has more than {limit} bytes: raise limits.body in the configuration"));
        }
        decode_picture(name, &bytes, &self.decoder, self.cover, started)
    }
}

/// The one frame of a single picture; its decoding counts from `started`.
pub(crate) fn decode_picture(
    name: &Arc<str>,
    bytes: &[u8],
    decoder: &PictureDecoder,
    cover: Option<Cover>,
    started: Instant,
) -> Result<Frame, String> {
    let image = decoder.decode(bytes, cover).map_err(|e| e.to_string())?;
    let decode = Some(started.elapsed());
    Ok(Frame { stream: stream_of(name), frame_id: 0, captured_at: None, pts: None, image, decode })
}

/// The name of an input as that of its frames.
pub(crate) fn stream_of(name: &Arc<str>) -> StreamRef {
    StreamRef { id: StreamId::new(name.clone()), generation: 0 }
}

/// A name as it may be shown: without the credentials of an address.
pub fn shown(name: &str) -> String {
    #[cfg(feature = "gstreamer")]
    let text = vigia_media::redact(name);
    #[cfg(not(feature = "gstreamer"))]
    let text = name.to_owned();
    text
}

/// File names for annotated copies: the input's own name, made unique.
#[derive(Debug, Default)]
pub struct CopyNames {
    taken: HashSet<String>,
}

impl CopyNames {
    /// The name, without extension, for the copy of this input; `is_free` says whether it may be used.
    pub fn next(&mut self, input: &str, is_free: impl Fn(&str) -> bool) -> String {
        let shown = shown(input);
        let address = shown.split_once("://").map(|(_, rest)| rest.split(['?', '#']).next().unwrap_or_default());
        let path = address.unwrap_or(&shown).trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or_default();
        let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
        let keep = |c: char| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' };
        let stem: String = stem.chars().map(keep).collect();
        let stem = if stem.trim_matches(['.', ' ']).is_empty() { "input".to_owned() } else { stem };
        let numbered = (1u64..).map(|n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
        let name = numbered.into_iter().find(|name| !self.taken.contains(name) && is_free(name));
        let name = name.expect("numbers do not end");
        self.taken.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_told_apart() {
        assert_eq!(local_path("rtsp://user:pw@10.0.0.7/h264"), None);
        assert_eq!(local_path("test://?frames=3"), None);
        #[cfg(feature = "gstreamer")]
        assert_eq!(local_path("file:///tmp/a%20b.mp4"), Some(PathBuf::from("/tmp/a b.mp4")));
        assert_eq!(local_path("odd name: a.jpg"), Some(PathBuf::from("odd name: a.jpg")));
    }

    #[test]
    fn content_goes_before_the_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            path
        };
        let jpeg = write("camera.mp4", &[0xff, 0xd8, 0xff, 0xe0]);
        assert_eq!(kind_of(&jpeg), Kind::Picture(jpeg.clone()));
        let text = write("text.jpg", b"this is text");
        assert_eq!(kind_of(&text), Kind::Picture(text.clone()));
        let video = write("a.mkv", b"\x1aE\xdf\xa3");
        assert_eq!(kind_of(&video), Kind::Video(video.clone()));
        let motion = write("camera.mjpg", &[0xff, 0xd8, 0xff, 0xe0]);
        assert_eq!(kind_of(&motion), Kind::Video(motion.clone()));
        assert!(matches!(kind_of(Path::new("/dev/zero")), Kind::Unusable(why) if why.contains("device")));
        assert_eq!(kind_of(&write("empty.jpg", b"")), Kind::Unusable("the file is empty".to_owned()));
    }

    #[test]
    fn a_folder_gives_its_pictures_in_order_and_an_empty_one_says_so() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = folder.path().as_os_str().to_owned();
        let found = find(std::slice::from_ref(&name));
        assert!(matches!(&found[..], [Named { kind: Kind::Unusable(why), .. }] if why.contains("no pictures")));
        for file in ["b.jpg", "a.PNG", "notes.txt"] {
            std::fs::write(folder.path().join(file), b"x").expect("written");
        }
        std::fs::write(folder.path().join("no extension"), b"\x89PNG").expect("written");
        let found = find(&[name]);
        let names: Vec<&str> = found.iter().map(|n| n.name.rsplit('/').next().unwrap_or_default()).collect();
        assert_eq!(names, ["a.PNG", "b.jpg", "no extension"]);
    }

    #[test]
    fn copies_of_inputs_with_the_same_name_do_not_overwrite_each_other() {
        let mut names = CopyNames::default();
        let inputs = ["x/a.jpg", "y/a.png", "a.mp4", "rtsp://u:p@h/cam 1?x=/y", "..", "test://"];
        let copies = inputs.map(|input| names.next(input, |name| name != "a-3"));
        assert_eq!(copies[..4], ["a", "a-2", "a-4", "cam 1"]);
        assert!(copies.iter().all(|c| !c.contains('/') && !c.starts_with("..")), "{copies:?}");
    }
}
