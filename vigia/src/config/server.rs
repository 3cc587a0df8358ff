//! The sections `server`, `limits` and `fetch`.

use std::net::Ipv6Addr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vigia_vision::picture::PictureLimits;

use super::units::{self, within, written};

/// Where the server listens and how it ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Host and port to listen on; port 0 takes a free one.
    #[schemars(example = "0.0.0.0:8080", example = "[::1]:8080")]
    pub listen: String,
    /// How long work that has begun may go on after the signal to stop; up to 1 hour.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".to_owned(), grace: Duration::from_secs(10) }
    }
}

impl ServerConfig {
    pub(super) fn validate(&self) -> Result<(), String> {
        check_listen(&self.listen).map_err(|why| format!("listen: {:?} {why}", super::hidden(&self.listen)))?;
        within("grace", self.grace, Duration::ZERO, Duration::from_hours(1), written)
    }
}

/// `HOST:PORT`, without asking whether the host is there.
pub(super) fn check_listen(listen: &str) -> Result<(), &'static str> {
    let (host, port) = listen.rsplit_once(':').ok_or("has no port: write for example 127.0.0.1:8080")?;
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err("has no port from 0 to 65535 after its last colon: write for example 127.0.0.1:8080");
    }
    if host.is_empty() {
        return Err("has no host: write 0.0.0.0 before the colon for all addresses of this machine");
    }
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().map(drop).map_err(|_no_address| "has no IPv6 address in its brackets"),
        None if host.contains(':') => Err("is an IPv6 address without brackets: write for example [::1]:8080"),
        None if is_host_name(host) => Ok(()),
        None => Err("is not a host name or address, a colon and a port"),
    }
}

/// Letters, digits, dots, hyphens and underscores, as in DNS and in IPv4 addresses.
fn is_host_name(host: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    (1..=253).contains(&host.len()) && host.bytes().all(known) && !host.starts_with(['.', '-'])
}

/// What is refused for being too large, too many or too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of one encoded picture; up to 1 GB.
    #[serde(deserialize_with = "units::bytes")]
    #[schemars(with = "units::Bytes")]
    pub body: u64,
    /// Pixels of one picture, read from its header before it is decoded; up to 1 G.
    #[serde(deserialize_with = "units::count")]
    #[schemars(with = "units::Count")]
    pub pixels: u64,
    /// Bytes of memory that pictures take while they wait, of posts and of the caches of all streams, all together; at
    /// least twice `body`.
    #[serde(deserialize_with = "units::bytes")]
    #[schemars(with = "units::Bytes")]
    pub cache: u64,
    /// Requests that may wait for one model; from 4 to 100000.
    #[serde(deserialize_with = "units::count")]
    #[schemars(with = "units::Count")]
    pub queue: usize,
    /// A request's body must have come within this time, and an answer of which nothing is read for so long is given up;
    /// from 100ms to 1 hour.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub body_timeout: Duration,
    /// How long a connection may stay open without the whole head of a request, also between two requests; from 1s to
    /// 1 hour.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub idle_timeout: Duration,
    /// Connections that may be open at a time; from 1 to 100000.
    #[serde(deserialize_with = "units::count")]
    #[schemars(with = "units::Count")]
    pub connections: usize,
    /// Streams that there may be at a time; from 1 to 100000.
    #[serde(deserialize_with = "units::count")]
    #[schemars(with = "units::Count")]
    pub streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 20_000_000,
            pixels: 50_000_000,
            cache: 512_000_000,
            queue: 256,
            body_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            connections: 1024,
            streams: 1024,
        }
    }
}

impl Limits {
    /// Those of them that a picture decoder holds.
    pub fn pictures(&self) -> PictureLimits {
        PictureLimits { bytes: self.body, pixels: self.pixels }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        within("body", self.body, 1, 1_000_000_000, u64::to_string)?;
        within("pixels", self.pixels, 1, 1_000_000_000, u64::to_string)?;
        // As base64 in JSON a picture takes a third more than its own bytes.
        if self.cache / 2 < self.body {
            let (cache, body) = (self.cache, self.body);
            return Err(format!("cache must be at least twice body ({body}), not {cache}: a picture could not wait"));
        }
        within("queue", self.queue, 4, 100_000, usize::to_string)?;
        within("body_timeout", self.body_timeout, Duration::from_millis(100), Duration::from_hours(1), written)?;
        within("idle_timeout", self.idle_timeout, Duration::from_secs(1), Duration::from_hours(1), written)?;
        within("connections", self.connections, 1, 100_000, usize::to_string)?;
        within("streams", self.streams, 1, 100_000, usize::to_string)
    }
}

/// What the server may fetch for clients that send an address in place of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FetchConfig {
    /// Hosts that pictures may be fetched from, on any port: names or addresses without scheme, port or path. With an
    /// empty list nothing is fetched.
    #[schemars(example = ["images.example.org", "10.0.0.7"])]
    pub allow: Vec<String>,
    /// How long fetching one picture may take; from 100ms to 10 minutes.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub timeout: Duration,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { allow: Vec::new(), timeout: Duration::from_secs(10) }
    }
}

impl FetchConfig {
    /// Host names as they are compared: in lower case, IPv6 addresses in brackets.
    pub(super) fn normalise(&mut self) {
        for host in &mut self.allow {
            let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
            *host = match bare.parse::<Ipv6Addr>() {
                Ok(address) => format!("[{address}]"),
                Err(_) => host.to_ascii_lowercase(),
            };
        }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        let is_v6 = |host: &str| {
            let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
            bare.parse::<Ipv6Addr>().is_ok()
        };
        if let Some(wrong) = self.allow.iter().find(|host| !is_host_name(host) && !is_v6(host)) {
            let wrong = super::hidden(wrong);
            return Err(format!(
                "allow: {wrong:?} is not a host: write a name or an address alone, for example images.example.org"
            ));
        }
        within("timeout", self.timeout, Duration::from_millis(100), Duration::from_mins(10), written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on() {
        for good in ["127.0.0.1:8080", "0.0.0.0:0", "localhost:1", "[::1]:8080", "[::]:65535", "my-host.lan:80"] {
            assert_eq!(check_listen(good), Ok(()), "{good}");
        }
        let bad = [
            "",
            "8080",
            ":8080",
            "localhost",
            "localhost:",
            "localhost:http",
            "localhost:65536",
            "localhost:-1",
            "localhost:+1",
            "::1:8080",
            "[::1]",
            "[x]:80",
            "http://localhost:80",
            "a b:80",
            "a/b:80",
            "-:80",
        ];
        for bad in bad {
            let config = ServerConfig { listen: bad.to_owned(), ..ServerConfig::default() };
            let error = config.validate().expect_err(bad);
            assert!(error.starts_with("listen: "), "{error}");
        }
    }

    #[test]
    fn hosts_are_compared_in_one_form() {
        let mut fetch = FetchConfig {
            allow: ["Example.ORG", "::1", "[FE80::1]"].map(str::to_owned).into(),
            ..FetchConfig::default()
        };
        fetch.normalise();
        assert_eq!(fetch.allow, ["example.org", "[::1]", "[fe80::1]"]);
        assert_eq!(fetch.validate(), Ok(()));
        for bad in ["", "http://a", "a:80", "a/b", "*.example.org", "a b", "ünicode.example", "[::1]:80"] {
            let fetch = FetchConfig { allow: vec![bad.to_owned()], ..FetchConfig::default() };
            let error = fetch.validate().expect_err(bad);
            assert!(error.contains("allow") && error.contains("example.org"), "{error}");
        }
    }
}
