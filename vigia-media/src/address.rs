//! Addresses: what a user writes, and what may be shown of it.

mod redact;

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use vigia_core::source::SourceError;

pub(crate) use redact::hide_values;
pub use redact::redact;

/// A source's address, split into what GStreamer gets and what it does not get to see.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// What is read.
    pub(crate) kind: Kind,
    /// The address as it may be shown.
    pub(crate) shown: String,
}

/// What an address leads to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file on this machine.
    File(PathBuf),
    /// Something over the network, or a device.
    Url(Url),
    /// A test picture; the text is what follows `test://`.
    Test(String),
    /// The pictures in a folder as a video, and what follows the question mark.
    Slides(PathBuf, String),
}

/// GStreamer's scheme for what this process has opened. No user's address can have it.
const CONNECTION: &str = "fd";

/// An address that one of GStreamer's source elements opens.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// The address without name and password: GStreamer puts addresses into its messages.
    pub(crate) uri: String,
    /// Lower-case scheme.
    pub(crate) scheme: String,
    /// User name, decoded.
    pub(crate) user: Option<String>,
    /// Password, decoded.
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({:?})", self.shown)
    }
}

impl Url {
    /// True where pictures come as they are taken; unknown for HTTP, which serves both.
    pub(crate) fn is_live(&self) -> Option<bool> {
        match self.scheme.as_str() {
            "http" | "https" => None,
            _ => Some(true),
        }
    }

    /// A connection that is there already, by its number in this process.
    pub(crate) fn of_connection(number: i32) -> Self {
        Self { uri: format!("fd://{number}"), scheme: CONNECTION.to_owned(), user: None, password: None }
    }

    /// True where the other side has connected to us: its end is no failure.
    pub(crate) fn is_connection(&self) -> bool {
        self.scheme == CONNECTION
    }
}

impl Address {
    /// Understands an address, and checks that a file is there and is one.
    pub(crate) fn parse(text: &str) -> Result<Self, SourceError> {
        let shown = redact(text);
        let Some((scheme, rest)) = split_scheme(text) else {
            return Self::file(PathBuf::from(text), shown);
        };
        let kind = match scheme.as_str() {
            "file" => return Self::file(file_url_path(rest, &shown)?, shown),
            "test" => Kind::Test(rest.trim_start_matches('/').to_owned()),
            "slides" => {
                // A folder's name may hold question marks; the last one is ours.
                let (folder, query) = rest.rsplit_once('?').unwrap_or((rest, ""));
                Kind::Slides(PathBuf::from(folder), query.to_owned())
            }
            "http" | "https" | "rtsp" | "rtsps" | "srt" | "rtmp" | "rtmps" | "v4l2" => {
                Kind::Url(url(scheme, rest, &shown)?)
            }
            "tcp-listen" => {
                return Err(SourceError::NotFound(format!(
                    "{shown}: a socket that others send to is for the streams of \"vigia serve\"; there is nothing to \
                     read from it here"
                )));
            }
            _ => {
                return Err(SourceError::NotFound(format!(
                    "{shown}: nothing here opens \"{scheme}:\" addresses; use a path, file:, http(s)://, rtsp(s)://, \
                     rtmp(s)://, srt://, v4l2://, slides: or test://"
                )));
            }
        };
        Ok(Self { kind, shown })
    }

    fn file(path: PathBuf, shown: String) -> Result<Self, SourceError> {
        check_file(&path, &shown)?;
        Ok(Self { kind: Kind::File(path), shown })
    }
}

/// The path of an address that is a file here: a path as it is, or a `file:` URL. `None` for all others, also for
/// `slides:`, which is a video and no file.
pub fn local_path(address: &str) -> Option<PathBuf> {
    match split_scheme(address) {
        None => Some(PathBuf::from(address)),
        Some((scheme, rest)) if scheme == "file" => file_url_path(rest, address).ok(),
        Some(_) => None,
    }
}

/// What can be said about a file before it is read.
fn check_file(path: &Path, shown: &str) -> Result<(), SourceError> {
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => SourceError::NotFound(format!("{shown}: no such file")),
        _ => SourceError::NotFound(format!("{shown}: {e}")),
    })?;
    if meta.is_dir() {
        return Err(SourceError::Undecodable(format!("{shown} is a folder, not a video")));
    }
    // Opening a pipe waits for whoever writes into it, and the pipeline would miss what is read here.
    if !meta.is_file() {
        return Ok(());
    }
    let mut file =
        std::fs::File::open(path).map_err(|e| SourceError::NotFound(format!("{shown}: cannot be opened: {e}")))?;
    if meta.len() == 0 {
        return Err(SourceError::Undecodable(format!("{shown} is empty")));
    }
    let mut magic = [0; 6];
    if file.read_exact(&mut magic).is_ok() && matches!(&magic, b"GIF87a" | b"GIF89a") {
        let what = "is a GIF animation; convert it to MP4 or PNG first";
        return Err(SourceError::Undecodable(format!("{shown} {what}")));
    }
    Ok(())
}

/// `scheme` in lower case and what follows the colon; `None` for a path. Only `file:` and `slides:` may lack the two
/// slashes.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let proper = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let scheme = scheme.to_ascii_lowercase();
    (proper && (rest.starts_with("//") || scheme == "file" || scheme == "slides")).then_some((scheme, rest))
}

fn file_url_path(rest: &str, shown: &str) -> Result<PathBuf, SourceError> {
    let path = match rest.strip_prefix("//") {
        Some(local) if local.starts_with('/') => local,
        Some(hosted) => hosted
            .strip_prefix("localhost")
            .filter(|path| path.starts_with('/'))
            .ok_or_else(|| SourceError::NotFound(format!("{shown}: a file: address must name no other machine")))?,
        None => rest,
    };
    unescape(path)
        .map(PathBuf::from)
        .ok_or_else(|| SourceError::NotFound(format!("{shown}: the path is not properly percent-encoded")))
}

/// `%41` → `A`; `None` where that is no UTF-8 or a `%` is followed by no two digits.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let digits = part.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

fn url(scheme: String, rest: &str, shown: &str) -> Result<Url, SourceError> {
    let rest = rest.trim_start_matches('/');
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if scheme == "v4l2" {
        return Ok(Url { uri: format!("v4l2:///{rest}"), scheme, user: None, password: None });
    }
    let (login, host) = authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    if host.is_empty() || host.starts_with(':') || port.is_some_and(|p| p.parse::<u16>().is_err()) {
        return Err(SourceError::NotFound(format!("{shown}: no host name and port can be read from this address")));
    }
    let decoded = |text: &str| unescape(text).unwrap_or_else(|| text.to_owned());
    let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, password)) => (Some(decoded(user)), Some(decoded(password))),
        None => (None, None),
    };
    Ok(Url { uri: format!("{scheme}://{host}{tail}"), scheme, user, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Url {
        match Address::parse(text).expect("an address").kind {
            Kind::Url(url) => url,
            Kind::File(_) | Kind::Test(_) | Kind::Slides(..) => panic!("{text} is no URL"),
        }
    }

    #[test]
    fn login_is_kept_from_the_library() {
        let url = parsed("RTSP://us%40er:p%3Aw@cam:8554/live?x=1");
        assert_eq!(url.uri, "rtsp://cam:8554/live?x=1");
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("us@er"), Some("p:w")));
    }

    #[test]
    fn debug_shows_no_password() {
        let address = Address::parse("rtsp://user:secret@cam/live").expect("an address");
        assert!(!format!("{address:?}").contains("secret"));
    }

    #[test]
    fn broken_addresses_are_refused_without_their_password() {
        for text in [
            "rtsp://",
            "rtsp://:554/x",
            "rtsp://user:se/cret@cam/1",
            "gopher://user:secret@x/",
            "rtsp:/user:secret@cam",
        ] {
            let Err(SourceError::NotFound(message)) = Address::parse(text) else { panic!("{text} was taken") };
            assert!(!message.contains("cret"), "{message}");
        }
    }

    #[test]
    fn what_listens_cannot_be_read() {
        let Err(SourceError::NotFound(message)) = Address::parse("tcp-listen://0.0.0.0:9000") else { panic!() };
        assert!(message.contains("vigia serve"), "{message}");
    }

    #[test]
    fn slides_are_a_folder_and_options() {
        for (text, folder, options) in [
            ("slides:pictures", "pictures", ""),
            ("Slides:/a b/c?fps=10&width=640", "/a b/c", "fps=10&width=640"),
            ("slides:what?/me@home:1?", "what?/me@home:1", ""),
            ("slides:", "", ""),
        ] {
            let address = Address::parse(text).expect("an address");
            assert!(address.kind == Kind::Slides(folder.into(), options.to_owned()), "{text}");
            assert_eq!((address.shown.as_str(), local_path(text)), (text, None));
        }
    }

    #[test]
    fn file_urls_are_paths() {
        assert_eq!(file_url_path("///a%20b/c.mp4", "").ok(), Some(PathBuf::from("/a b/c.mp4")));
        assert_eq!(file_url_path("//localhost/c.mp4", "").ok(), Some(PathBuf::from("/c.mp4")));
        assert_eq!(file_url_path("clips/c.mp4", "").ok(), Some(PathBuf::from("clips/c.mp4")));
        assert!(file_url_path("//elsewhere/c.mp4", "").is_err());
        assert!(file_url_path("/c%f.mp4", "").is_err() && file_url_path("/%ff", "").is_err());
    }
}
