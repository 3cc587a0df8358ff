//! What is said about a mistake: the name that was probably meant, and nothing that is secret.

use std::borrow::Cow;

use serde_saphyr::{Error as YamlError, MessageFormatter, RenderOptions, UserMessageFormatter};

/// The one known name that is close to this one: `bodi` is `body`.
pub(super) fn close<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let name = plain(name);
    if name.chars().count() > 64 {
        return None;
    }
    // One slip in three letters still looks like the name; with more, any short name would.
    let most = (name.chars().count() / 3).max(1);
    let near = known.into_iter().map(|other| (strsim::osa_distance(&name, &plain(other)), other));
    let near: Vec<_> =
        near.filter(|(distance, other)| *distance <= most && *distance < other.chars().count()).collect();
    let best = near.iter().map(|(distance, _)| *distance).min()?;
    let mut best = near.iter().filter(|(distance, _)| *distance == best);
    match (best.next(), best.next()) {
        (Some((_, only)), None) => Some(only),
        _ => None,
    }
}

/// `, did you mean ...?`, or nothing where no known name is close.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    close(name, known).map(|close| format!(", did you mean `{close}`?")).unwrap_or_default()
}

/// An unknown name, the known one that was probably meant, and all of them.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    format!(
        "unknown {what} `{name}`{} Known here: {}",
        end(&did_you_mean(name, known.iter().copied())),
        known.join(", ")
    )
}

/// A hint ends with its question mark.
fn end(hint: &str) -> String {
    if hint.is_empty() { ".".to_owned() } else { hint.to_owned() }
}

/// What serde says of an unknown name, as a message with a hint; other messages as they are.
pub(super) fn reworded(message: &str) -> String {
    let what = match message {
        m if m.starts_with("unknown field `") => "key",
        m if m.starts_with("unknown variant `") => "value",
        _ => return in_words(message),
    };
    // The name that was given, then those that are known, are what stands in backticks.
    let mut names = message.split('`').skip(1).step_by(2);
    let name = names.next().unwrap_or_default();
    unknown(what, name, &names.collect::<Vec<_>>())
}

/// Types as people call them.
fn in_words(message: &str) -> String {
    let message = message.replacen("missing field `", "missing key `", 1);
    let words = [
        ("f32", "a number"),
        ("f64", "a number"),
        ("a boolean", "true or false"),
        ("a sequence", "a list"),
        ("a map", "keys with values"),
    ];
    let end = words.iter().find_map(|(theirs, ours)| Some((message.strip_suffix(theirs)?, ours)));
    match end {
        Some((start, ours)) if start.ends_with("expected ") => format!("{start}{ours}"),
        _ => message,
    }
}

/// So much of a text as tells what it is.
pub(super) fn short(text: &str, most: usize) -> String {
    let mut characters = text.chars();
    let start: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() { start + "..." } else { start }
}

/// So much of what somebody wrote as tells what it is, without the credentials that it may hold.
pub(super) fn excerpt(text: &str, most: usize) -> String {
    short(&hidden(text), most)
}

/// What serde expected in the place of a value that it calls invalid; the value stands before that and may be secret.
pub(super) fn expected(message: &str) -> Option<&str> {
    let (_, expected) = message.rsplit_once(", expected ")?;
    message.starts_with("invalid ").then_some(expected)
}

/// Words for the mistakes that people make in a configuration.
struct Wording;

impl MessageFormatter for Wording {
    fn format_message<'a>(&self, error: &'a YamlError) -> Cow<'a, str> {
        match error {
            YamlError::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected).into(),
            YamlError::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected).into(),
            YamlError::SerdeMissingField { field, .. } => format!("missing key `{field}`").into(),
            YamlError::Unexpected { expected: "mapping start", .. } => "expected keys with values".into(),
            YamlError::Unexpected { expected: "sequence start", .. } => {
                "expected a list: write for example [a, b]".into()
            }
            YamlError::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is there twice").into(),
            YamlError::Budget { .. }
            | YamlError::AliasReplayLimitExceeded { .. }
            | YamlError::AliasReplayStackDepthExceeded { .. }
            | YamlError::AliasExpansionLimitExceeded { .. } => {
                "this is too long, too deep or too entangled to be a configuration".into()
            }
            other => UserMessageFormatter.format_message(other),
        }
    }
}

/// The whole message: what is wrong, line, column, the lines around it.
pub(super) fn rendered(error: &YamlError, file: Option<&str>) -> String {
    let mut options = RenderOptions::new(&Wording);
    options.source_name = file;
    error.render_with_options(options)
}

/// The text with what may be a password in it made unreadable, every character in its place: what is shown of a
/// configuration keeps lines and columns. More is hidden than need be, where that cannot be told.
pub(super) fn without_secrets(text: &str) -> String {
    let keys = ["source", "store", "snapshots"];
    let after = |line: &str| keys.iter().filter_map(|key| Some(line.find(key)? + key.len())).min();
    let mask = |line: &str| match (line.find("://"), after(line)) {
        (Some(at), _) => masked_values(&masked_login(line, at + 3, '*')),
        // An address whose slashes were forgotten; an asterisk at the start of a value would be YAML's.
        (None, Some(at)) => masked_login(line, at, 'x'),
        (None, None) => line.to_owned(),
    };
    text.split_inclusive('\n').map(mask).collect()
}

/// What stands before the last `@`.
fn masked_login(line: &str, from: usize, mask: char) -> String {
    let Some(until) = line.rfind('@').filter(|until| *until > from) else { return line.to_owned() };
    let hide = |c: char| if c.is_whitespace() || "\"'{}[],:#/".contains(c) { c } else { mask };
    [&line[..from], &line[from..until].chars().map(hide).collect::<String>(), &line[until..]].concat()
}

/// What stands behind `=`: cameras take `?user=admin&password=...`.
fn masked_values(line: &str) -> String {
    let mut inside = false;
    let hide = |c: char| {
        let ends = c.is_whitespace() || "\"'{}[],&#;".contains(c);
        let hidden = inside && !ends;
        inside = hidden || c == '=';
        if hidden { '*' } else { c }
    };
    line.chars().map(hide).collect()
}

/// An address as it may be shown: without its credentials.
pub(crate) fn hidden(address: &str) -> String {
    #[cfg(feature = "gstreamer")]
    let shown = vigia_media::redact(address);
    #[cfg(not(feature = "gstreamer"))]
    let shown = masked_values(&masked_login(address, address.find("://").map_or(0, |at| at + 3), '*'));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_found() {
        let known = ["body", "pixels", "queue", "body_timeout", "max_fps", "source", "max"];
        let cases = [
            ("bodi", Some("body")),
            ("Body", Some("body")),
            ("pixel", Some("pixels")),
            ("quueue", Some("queue")),
            ("qeuue", Some("queue")),
            ("body-timeout", Some("body_timeout")),
            ("max_fp", Some("max_fps")),
            ("sorce", Some("source")),
            ("mx", Some("max")),
            ("listen", None),
            ("", None),
            ("x", None),
        ];
        for (name, expected) in cases {
            assert_eq!(close(name, known), expected, "{name}");
        }
        assert_eq!(close("cat", ["bat", "rat"]), None, "two are as close");
        assert_eq!(close(&"a".repeat(1_000_000), known), None);
    }

    #[test]
    fn messages_of_serde_get_a_hint() {
        let json = |text: &str| serde_json::from_str::<crate::config::Config>(text).expect_err(text).to_string();
        let said = reworded(&json(r#"{"limits": {"bodi": 1}}"#));
        assert!(said.starts_with("unknown key `bodi`, did you mean `body`? Known here: body, pixels, "), "{said}");
        let said = reworded(&json(r#"{"models": {"a": {"path": "a", "device": "cud"}}}"#));
        assert!(said.starts_with("unknown value `cud`, did you mean `cuda`? Known here: auto, "), "{said}");
    }

    #[test]
    fn secrets_are_hidden_in_place() {
        let cases = [
            ("source: rtsp://user:se/cr et@cam/1\n", "source: rtsp://****:**/** **@cam/1\n"),
            ("{source: \"rtsp://u:p@cam?pwd=a&x=1\", evry: 2}", "{source: \"rtsp://*:*@cam?pwd=*&x=*\", evry: 2}"),
            ("source: rtsp:user:secret@cam", "source: xxxx:xxxx:xxxxxx@cam"),
            ("store: postgres://vigia:secret@db/vigia", "store: postgres://*****:******@db/vigia"),
            ("store: vigia:secret@db/vigia", "store: xxxxx:xxxxxx@db/vigia"),
            ("source: rtsp://cam/user=a_password=b\nevery: 2", "source: rtsp://cam/user=************\nevery: 2"),
            ("limits: {body: 20MB} # a@b", "limits: {body: 20MB} # a@b"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_secrets(text), expected);
            assert_eq!(text.chars().count(), expected.chars().count());
        }
    }
}
