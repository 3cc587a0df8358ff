//! What may be shown of an address: everything but its secrets. Where in doubt, less is shown.

/// Parts of names whose values are secrets; cameras take them as `?user=admin&password=…`, recorders also in the path,
/// cloud stores sign addresses.
const SECRET_NAMES: [&str; 11] =
    ["password", "passwd", "pass", "pwd", "psw", "token", "key", "secret", "auth", "sig", "credential"];

/// What follows a password where recorders put underscores between parameters:
/// `user=admin_password=…_channel=1_stream=0.sdp`.
const AFTER_PASSWORD: [&str; 4] = ["_channel=", "_stream=", "_subtype=", "_user="];

/// A user name of this many bytes is taken for a token.
const TOKEN: usize = 16;

/// The address with its password, and the values of parameters that look like secrets, shown as `***`.
///
/// So is a user name without a password where it may be a token: on `http(s)`, and any long one. An address with
/// mistyped slashes is still one.
///
/// ```
/// assert_eq!(vigia_media::redact("rtsp://user:secret@cam/1"), "rtsp://user:***@cam/1");
/// assert_eq!(vigia_media::redact("rtsp://cam/user=a&password=b&channel=1"), "rtsp://cam/user=a&password=***&channel=1");
/// ```
pub fn redact(url: &str) -> String {
    let Some((scheme, rest)) = split(url) else { return url.to_owned() };
    let slashes = rest.len() - rest.trim_start_matches('/').len();
    let (slashes, rest) = rest.split_at(slashes);
    if scheme.eq_ignore_ascii_case("file") || scheme.eq_ignore_ascii_case("slides") {
        return url.to_owned();
    }
    let mut end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password with an unescaped "/" or "?" in it: the address is broken, but must not be shown either.
    let looks_cut = rest[..end].split_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_err());
    if !rest[..end].contains('@') && looks_cut && !rest.starts_with('[') {
        end = rest.rfind('@').map_or(end, |at| at + 1);
    }
    let (authority, tail) = rest.split_at(end);
    let Some((login, host)) = authority.rsplit_once('@') else {
        return format!("{scheme}:{slashes}{authority}{}", hide_values(tail));
    };
    let tail = hide_values(tail);
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    match login.split_once(':') {
        Some((user, _)) if user.len() < TOKEN => format!("{scheme}:{slashes}{user}:***@{host}{tail}"),
        Some(_) => format!("{scheme}:{slashes}***@{host}{tail}"),
        // Without slashes and a second colon this is a login whose scheme was forgotten.
        None if is_http || slashes.is_empty() || login.len() >= TOKEN => format!("{scheme}:{slashes}***@{host}{tail}"),
        None => format!("{scheme}:{slashes}{login}@{host}{tail}"),
    }
}

/// What stands before the colon of an address and what follows it; `None` for a path.
fn split(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    // A path has a slash before any colon; drives have one letter.
    let proper = rest.starts_with("//") || (scheme.len() > 1 && !scheme.contains(['/', '\\']));
    proper.then_some((scheme, rest))
}

/// `text` with the values of `name=value` pairs hidden whose names look like those of secrets.
pub(crate) fn hide_values(text: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, value)) = rest.split_once('=') {
        let name_start = before.rfind(ends_name).map_or(0, |at| at + 1);
        let name = before[name_start..].to_ascii_lowercase();
        shown.push_str(before);
        shown.push('=');
        rest = value;
        if SECRET_NAMES.iter().any(|secret| name.contains(secret)) {
            // In a query a slash is a character like others.
            let in_query = shown.contains('?');
            let ends = |c: char| ends_value(c) || (c == '/' && !in_query);
            let end = value.find(ends).unwrap_or(value.len());
            let end = AFTER_PASSWORD.iter().filter_map(|next| value[..end].find(next)).min().unwrap_or(end);
            shown.push_str("***");
            rest = &value[end..];
        }
    }
    shown + rest
}

fn ends_name(c: char) -> bool {
    c == '/' || ends_value(c)
}

fn ends_value(c: char) -> bool {
    c.is_ascii() && (c.is_ascii_whitespace() || "?&;#\"'()<>".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cases: &[(&str, &str)]) {
        for (given, shown) in cases {
            assert_eq!(redact(given), *shown);
        }
    }

    #[test]
    fn logins() {
        check(&[
            ("rtsp://user:secret@host/path", "rtsp://user:***@host/path"),
            ("rtsp://user:se@cr:et@host:554/a?b=c", "rtsp://user:***@host:554/a?b=c"),
            ("rtsp://user:se/cret@host/a", "rtsp://user:***@host/a"),
            ("rtsp://user@host/", "rtsp://user@host/"),
            ("http://host:80/cam@1", "http://host:80/cam@1"),
            ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ]);
    }

    #[test]
    fn tokens_in_a_users_place() {
        check(&[
            ("http://user@host/", "http://***@host/"),
            ("HTTPS://ghp_16C7e42F292c69@host/a", "HTTPS://***@host/a"),
            ("https://ghp_16C7e42F292c69:x-oauth@host/a", "https://***@host/a"),
            ("rtsp://ghp_16C7e42F292c69@host/a", "rtsp://***@host/a"),
        ]);
    }

    #[test]
    fn parameters_of_the_query() {
        check(&[
            ("http://host/v?user=a&Password=b&x=1", "http://host/v?user=a&Password=***&x=1"),
            ("http://host?access_token=b", "http://host?access_token=***"),
            ("http://host?token=a/b==&x=1", "http://host?token=***&x=1"),
            ("http://host?token=a_b_c=d&x=1#key=2", "http://host?token=***&x=1#key=***"),
        ]);
        for name in ["sig", "X-Amz-Signature", "auth", "apikey", "api_key", "pwd", "pass", "passwd", "X-Amz-Credential"]
        {
            assert_eq!(redact(&format!("https://h/a.mp4?{name}=b&n=1")), format!("https://h/a.mp4?{name}=***&n=1"));
        }
    }

    #[test]
    fn parameters_in_the_path() {
        check(&[
            ("rtsp://h/user=admin&password=X&channel=1.sdp", "rtsp://h/user=admin&password=***&channel=1.sdp"),
            (
                "rtsp://h:554/user=admin_password=X_y_channel=1_stream=0.sdp?real_stream",
                "rtsp://h:554/user=admin_password=***_channel=1_stream=0.sdp?real_stream",
            ),
            ("rtsp://h/user=admin_password=_channel=1", "rtsp://h/user=admin_password=***_channel=1"),
            ("rtsp://h/password=X/1?y=z", "rtsp://h/password=***/1?y=z"),
        ]);
    }

    #[test]
    fn mistyped_slashes() {
        check(&[
            ("rtsp:/user:X@host", "rtsp:/user:***@host"),
            ("rtsp:user:X@host/1", "rtsp:user:***@host/1"),
            ("rtsp:///user:X@host/1", "rtsp:///user:***@host/1"),
            ("user:X@host/1", "user:***@host/1"),
            ("rtsp:/h/user=a&password=X", "rtsp:/h/user=a&password=***"),
        ]);
    }

    #[test]
    fn paths_stay_as_they_are() {
        for path in [
            "/videos/a:b@c.mp4",
            "videos/a:b@c.mp4",
            "C:\\b@c.mp4",
            "a=b.mp4",
            "file:///a:b@c.mp4",
            "slides:a:b@c?fps=5",
            "test://?fps=5",
        ] {
            assert_eq!(redact(path), path);
        }
    }
}
