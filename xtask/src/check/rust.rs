//! A Rust source as the checks see it: which bytes are code, which lines are tests, what an `#[expect]` covers.
//!
//! This is a lexer, not a parser: it knows comments, texts, characters and brackets, which is enough to find a call and the
//! item that an attribute stands on. It does not expand macros.

use std::ops::Range;

/// A Rust source.
pub(super) struct Rust {
    /// The lines with comments and the contents of texts as blanks, so that positions stay.
    code: Vec<String>,
    /// For every attribute, in code's form: the lines of what it stands on, from 0, the attribute's own included.
    attributes: Vec<(String, Range<usize>)>,
}

impl Rust {
    pub(super) fn new(source: &str) -> Self {
        let masked = mask(source);
        let attributes = attributes(&masked);
        let code = String::from_utf8_lossy(&masked).lines().map(str::to_owned).collect();
        Self { code, attributes }
    }

    /// The number of lines.
    pub(super) fn len(&self) -> usize {
        self.code.len()
    }

    /// Every line of code with its number, from 1.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }

    /// Every line of code outside of `#[cfg(test)]`, with its number, from 1.
    pub(super) fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        self.all().filter(|(number, _)| !self.tests().any(|lines| lines.contains(&(number - 1))))
    }

    /// The lines of everything that stands on a `#[cfg(test)]`, from 0.
    pub(super) fn tests(&self) -> impl Iterator<Item = &Range<usize>> {
        let is_test = |attribute: &str| {
            attribute.contains("cfg(") && !attribute.contains("not(test") && has_word(attribute, "test")
        };
        self.attributes.iter().filter(move |(attribute, _)| is_test(attribute)).map(|(_, lines)| lines)
    }

    /// Whether the line, from 1, is under an `#[expect]` of this lint that gives a reason.
    pub(super) fn is_expected(&self, line: usize, lint: &str) -> bool {
        self.attributes.iter().any(|(attribute, lines)| {
            attribute.contains("expect(")
                && has_word(attribute, lint)
                && attribute.contains("reason")
                && lines.contains(&(line - 1))
        })
    }
}

/// Whether `word` stands in `text` as a name of its own.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        ![before, after].into_iter().flatten().any(is_word)
    })
}

/// Whether the character may be a part of a name.
pub(super) fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The source with comments and the contents of texts and characters as blanks. Lines keep their places.
fn mask(source: &str) -> Vec<u8> {
    let bytes = source.as_bytes();
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        // What is blank, and where reading goes on.
        let (blank, next) = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => {
                let end = find(bytes, at, b"\n");
                (at..end, end)
            }
            b'/' if bytes[at..].starts_with(b"/*") => {
                let end = comment_end(bytes, at);
                (at..end, end)
            }
            b'"' => {
                let (end, next) = text_end(bytes, at);
                (at + 1..end, next)
            }
            b'\'' => match character_end(source, at) {
                Some(end) => (at + 1..end, end + 1),
                None => (at..at, at + 1),
            },
            _ => (at..at, at + 1),
        };
        for byte in &mut masked[blank] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = next;
    }
    masked
}

/// Where `what` next is at or after `from`, or the end.
fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    bytes[from..].windows(what.len()).position(|window| window == what).map_or(bytes.len(), |at| from + at)
}

/// The end of a block comment, which may hold others.
fn comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if bytes[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The closing quote of the text that opens at `quote`, and where code goes on.
fn text_end(bytes: &[u8], quote: usize) -> (usize, usize) {
    let hashes = bytes[..quote].iter().rev().take_while(|byte| **byte == b'#').count();
    let mut before = bytes[..quote - hashes].iter().rev().copied();
    if before.next() == Some(b'r') {
        // b, c or nothing before the r; another letter makes it the end of a name.
        let prefix = before.next().filter(|byte| is_word(char::from(*byte)));
        if matches!(prefix, None | Some(b'b' | b'c')) {
            let mut closing = vec![b'"'];
            closing.resize(1 + hashes, b'#');
            let end = find(bytes, quote + 1, &closing);
            return (end, (end + closing.len()).min(bytes.len()));
        }
    }
    let mut at = quote + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let end = at.min(bytes.len());
    (end, (end + 1).min(bytes.len()))
}

/// The closing quote of the character that opens at `quote`; `None` for a lifetime.
fn character_end(source: &str, quote: usize) -> Option<usize> {
    let inside = &source[quote + 1..];
    let mut characters = inside.char_indices();
    let (_, first) = characters.next()?;
    if first == '\\' {
        // The escaped character may itself be a quote.
        return inside.get(2..)?.find('\'').map(|at| quote + 3 + at);
    }
    characters.next().filter(|(_, second)| *second == '\'').map(|(at, _)| quote + 1 + at)
}

/// Every attribute, with the lines of what it stands on.
fn attributes(masked: &[u8]) -> Vec<(String, Range<usize>)> {
    let ends: Vec<usize> = masked.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    let line = |at: usize| ends.partition_point(|end| *end < at);
    let mut found = Vec::new();
    for (at, _) in masked.iter().enumerate().filter(|(_, byte)| **byte == b'#') {
        let whole_file = masked[at + 1..].starts_with(b"![");
        if !whole_file && !masked[at + 1..].starts_with(b"[") {
            continue;
        }
        let end = closed(masked, at + 1 + usize::from(whole_file));
        // An inner attribute covers what is around it: all of the file, as written here.
        let lines =
            if whole_file { 0..line(masked.len()) + 1 } else { line(at)..line(item_end(masked, end).max(1) - 1) + 1 };
        found.push((String::from_utf8_lossy(&masked[at..end]).into_owned(), lines));
    }
    found
}

/// Where the bracket that opens at `open` has closed.
fn closed(masked: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in masked.iter().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    masked.len()
}

/// The end of the item, statement or field at `from`: its semicolon or comma, the end of its braces, or what closes around.
fn item_end(masked: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < masked.len() {
        match masked[at] {
            b'#' if masked[at + 1..].starts_with(b"[") => at = closed(masked, at + 1),
            b'(' | b'[' => at = closed(masked, at),
            b'{' => return closed(masked, at),
            b';' => return at + 1,
            b',' if !is_item(&masked[from..at]) => return at + 1,
            b')' | b']' | b'}' => return at,
            _ => at += 1,
        }
    }
    masked.len()
}

/// Whether this is the beginning of an item, which a comma does not end: it stands between generics or bounds.
fn is_item(start: &[u8]) -> bool {
    let start = String::from_utf8_lossy(start);
    ["fn", "impl", "struct", "enum", "union", "trait", "type"].iter().any(|keyword| has_word(&start, keyword))
}

#[cfg(test)]
mod tests;
