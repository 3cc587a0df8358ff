//! Pictures as the parts of a multipart body: a boundary line, header lines, the picture, and again (RFC 2046, 5.1).

use super::jpeg::JpegEnd;
use super::pictures::Found;

/// Bytes of one line; RFC 2046 allows 70 in a boundary.
const LINE: usize = 1024;
/// Lines of one part's headers.
const LINES: usize = 64;

/// Reads parts while their bytes come in.
#[derive(Debug)]
pub(super) struct Multipart {
    /// The boundary line, once it was there.
    boundary: Option<Vec<u8>>,
    state: State,
    /// Bytes that one picture may have.
    limit: usize,
    /// What is to be said of a part that is otherwise taken as it is; once per client.
    complaint: Complaint,
}

#[derive(Debug)]
enum State {
    /// Before a boundary line, or on it.
    Boundary,
    /// So many lines of a part's headers were there.
    Headers(usize, Part),
    /// In what the part holds.
    Body(Part),
    /// In a part that is no picture; so many bytes of it are to come.
    Other(usize),
    /// After the last boundary.
    Over,
}

/// What the headers of a part say.
#[derive(Debug, Default)]
struct Part {
    length: Option<usize>,
    frame_id: Option<u64>,
    is_other: bool,
    end: JpegEnd,
}

#[derive(Debug)]
enum Complaint {
    None,
    New(String),
    Made,
}

impl Complaint {
    fn make(&mut self, what: String) {
        if matches!(self, Self::None) {
            *self = Self::New(what);
        }
    }
}

impl Multipart {
    /// Begins at a client's first byte.
    pub(super) fn new(limit: usize) -> Self {
        Self { boundary: None, state: State::Boundary, limit, complaint: Complaint::None }
    }

    /// What stands at the beginning of `data`; the error is the rest of "the client sent …".
    pub(super) fn next(&mut self, data: &[u8]) -> Result<Found, String> {
        match &mut self.state {
            State::Boundary => self.boundary(data),
            State::Headers(..) => self.header(data),
            State::Over => Ok(if data.is_empty() { Found::Nothing } else { Found::Skip(data.len()) }),
            State::Other(left) => {
                let here = data.len().min(*left);
                *left -= here;
                if *left == 0 {
                    self.state = State::Boundary;
                } else if here == 0 {
                    return Ok(Found::Nothing);
                }
                Ok(Found::Skip(here))
            }
            State::Body(part) => {
                let length = match part.length {
                    Some(length) => (data.len() >= length).then_some(length),
                    None => part.end.find(data).map_err(|what| what.to_string())?,
                };
                let Some(length) = length else { return Ok(Found::Nothing) };
                let frame_id = part.frame_id;
                self.state = State::Boundary;
                Ok(Found::Picture { length, frame_id })
            }
        }
    }

    /// True where `data` could be the last that comes.
    pub(super) fn may_end(&self, data: &[u8]) -> bool {
        match &self.state {
            State::Boundary => data.iter().all(|byte| b"\r\n".contains(byte)),
            // ffmpeg writes a boundary behind each picture, also behind the last.
            State::Headers(lines, _) => *lines == 0 && data.is_empty(),
            State::Body(_) | State::Other(_) => false,
            State::Over => true,
        }
    }

    /// What is to be said, if it was not said before.
    pub(super) fn take_complaint(&mut self) -> Option<String> {
        match &mut self.complaint {
            Complaint::New(what) => {
                let what = std::mem::take(what);
                self.complaint = Complaint::Made;
                Some(what)
            }
            Complaint::None | Complaint::Made => None,
        }
    }

    fn boundary(&mut self, data: &[u8]) -> Result<Found, String> {
        let blank = data.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        if blank > 0 {
            return Ok(Found::Skip(blank));
        }
        if !b"--".starts_with(&data[..data.len().min(2)]) {
            return Err("something else where a boundary should be".to_owned());
        }
        let Some((line, length)) = line(data)? else { return Ok(Found::Nothing) };
        let name = self.boundary.get_or_insert_with(|| line.to_vec());
        self.state = match line.strip_prefix(name.as_slice()) {
            Some(b"") => State::Headers(0, Part::default()),
            Some(b"--") => State::Over,
            _ => return Err("another boundary than before".to_owned()),
        };
        Ok(Found::Skip(length))
    }

    fn header(&mut self, data: &[u8]) -> Result<Found, String> {
        let Some((line, length)) = line(data)? else { return Ok(Found::Nothing) };
        let State::Headers(lines, part) = &mut self.state else { return Ok(Found::Nothing) };
        *lines += 1;
        if *lines > LINES {
            return Err(format!("more than {LINES} header lines before a picture"));
        }
        if line.is_empty() {
            let part = std::mem::take(part);
            self.state = match part.length {
                Some(length) if length > self.limit => {
                    return Err(format!("a part of {length} bytes; {} are allowed", self.limit));
                }
                Some(0) => State::Boundary,
                Some(length) if part.is_other => State::Other(length),
                None if part.is_other => return Err("a part that is no picture and has no Content-Length".to_owned()),
                _ => State::Body(part),
            };
            return Ok(Found::Skip(length));
        }
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else {
            return Err("something else where a part's headers should be".to_owned());
        };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "content-length" => {
                let read = value.parse().map_err(|_no_number| "a Content-Length that is no number".to_owned());
                part.length = Some(read?);
            }
            "content-type" => {
                let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                part.is_other = !kind.starts_with("image/");
                if part.is_other {
                    self.complaint.make("a part that is no picture; it is left out".to_owned());
                }
            }
            "x-frame-id" => {
                part.frame_id = value.parse().ok();
                if part.frame_id.is_none() {
                    self.complaint.make("an X-Frame-Id that is no whole number; it does not count".to_owned());
                }
            }
            _ => {}
        }
        Ok(Found::Skip(length))
    }
}

/// The first line without what ends it, and its length with that; `None` until it is whole.
fn line(data: &[u8]) -> Result<Option<(&[u8], usize)>, String> {
    match data.iter().take(LINE).position(|&byte| byte == b'\n') {
        Some(end) => Ok(Some((data[..end].trim_ascii_end(), end + 1))),
        None if data.len() >= LINE => Err(format!("a header line of more than {LINE} bytes")),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = &[0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 1, 2, 0xFF, 0xD9];

    /// Pictures and their numbers.
    type Pictures = Vec<(Vec<u8>, Option<u64>)>;

    /// What comes out of these bytes, given as they come in pieces of so many, and whether they may end there.
    fn read(bytes: &[u8], piece: usize) -> Result<(Pictures, bool), String> {
        let (mut multipart, mut at, mut come, mut pictures) = (Multipart::new(100), 0, 0, Vec::new());
        loop {
            match multipart.next(&bytes[at..come])? {
                Found::Skip(length) => at += length,
                Found::Picture { length, frame_id } => {
                    pictures.push((bytes[at..at + length].to_vec(), frame_id));
                    at += length;
                }
                Found::Nothing if come < bytes.len() => come = (come + piece).min(bytes.len()),
                Found::Nothing => return Ok((pictures, multipart.may_end(&bytes[at..]))),
            }
        }
    }

    #[test]
    fn parts_with_and_without_length() {
        let bytes = [
            b"\r\n--x\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\nX-Frame-Id: 7\r\n\r\nabc\r\n--x\r\n"
                .as_slice(),
            b"content-type: image/jpeg\nx-frame-id: 8\n\n",
            JPEG,
            b"\r\n--x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi\r\n--x\r\nX-Frame-Id: -1\r\n\r\n",
            JPEG,
            b"\r\n--x--\r\nwhatever",
        ]
        .concat();
        let expected = vec![(b"abc".to_vec(), Some(7)), (JPEG.to_vec(), Some(8)), (JPEG.to_vec(), None)];
        for piece in [1, 2, 7, bytes.len()] {
            assert_eq!(read(&bytes, piece), Ok((expected.clone(), true)), "{piece}");
        }
    }

    #[test]
    fn ends() {
        let whole = b"--x\r\nContent-Length: 3\r\n\r\nabc\r\n--x\r\n";
        for length in 1..=whole.len() {
            let may_end = [5, whole.len() - 7, whole.len() - 6, whole.len() - 5, whole.len()].contains(&length);
            assert_eq!(read(&whole[..length], 1).map(|(_, end)| end), Ok(may_end), "{length}");
        }
    }

    #[test]
    fn what_is_refused() {
        let long = [b"--".as_slice(), &[b'x'; 2000]].concat();
        let many = [b"--x\n".as_slice(), &b"a: b\n".repeat(100)].concat();
        for (bytes, word) in [
            (b"--x\r\nContent-Length: 101\r\n\r\n".as_slice(), "101 bytes"),
            (b"--x\r\nContent-Length: 3\r\n\r\nabcdef", "boundary should be"),
            (b"--x\r\nContent-Length: 3\r\n\r\nabc\r\n--y\r\n", "another boundary"),
            (b"--x\r\nContent-Length: much\r\n\r\n", "Content-Length"),
            (b"--x\r\nrubbish\r\n\r\n", "headers should be"),
            (b"--x\r\n\r\nrubbish", "begin like a JPEG"),
            (b"--x\r\nContent-Type: text/plain\r\n\r\n", "Content-Length"),
            (&long, "1024"),
            (&many, "64"),
        ] {
            let error = read(bytes, 5).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }
}
