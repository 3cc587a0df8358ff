//! Clients: an ordinary one, one that does as it likes with the bytes, and a reader of server-sent events.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;
use ureq::http::{HeaderMap, Method, Request};

use crate::support::GUARD;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible characters"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| unreachable!("{error}: {}", self.text()))
    }

    /// Asserts that it is a problem of this kind, well-formed; its detail.
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        let keys: Vec<&str> = problem.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "detail", "status", "title", "type"], "{problem}");
        assert_eq!((&problem["code"], &problem["status"]), (&Value::from(code), &Value::from(status)), "{problem}");
        assert_eq!(problem["type"], format!("urn:vigia:error:{code}"));
        assert_eq!(self.headers.contains_key("retry-after"), status == 503, "{problem}");
        let detail = problem["detail"].as_str().expect("a sentence").to_owned();
        assert!(detail.contains(' ') && detail.len() < 500, "{detail}");
        detail
    }
}

/// An ordinary client.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    address: SocketAddr,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(GUARD))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build()
            .new_agent();
        Self { agent, address }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[])
    }

    pub(crate) fn post(&self, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[("content-type", kind)], body)
    }

    pub(crate) fn put(&self, path: &str, picture: &[u8]) -> Answer {
        self.send("PUT", path, &[("content-type", "image/jpeg")], picture)
    }

    pub(crate) fn patch(&self, stream: &str, patch: &Value) -> Answer {
        let kind = [("content-type", "application/merge-patch+json")];
        self.send("PATCH", &format!("/v1/streams/{stream}"), &kind, patch.to_string().as_bytes())
    }

    /// A JSON body.
    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, "application/json", body.to_string().as_bytes())
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let response = self.open(method, path, headers, body);
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(u64::MAX).read_to_vec().expect("a whole answer");
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// An answer whose body is read as it comes.
    pub(crate) fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> ureq::http::Response<ureq::Body> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.agent.run(request.body(body).expect("a request")).expect("an answer")
    }
}

/// A client that does as it likes with the bytes.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_read_timeout(Some(GUARD)).expect("a time");
        socket.set_write_timeout(Some(GUARD)).expect("a time");
        Self(socket)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("sent");
    }

    /// Sends no more, but reads on.
    pub(crate) fn say_no_more(&self) {
        self.0.shutdown(Shutdown::Write).expect("open");
    }

    /// The next answer; its body has to have a length.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("ASCII");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name = ureq::http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        let length = headers.get("content-length").map_or("0", |value| value.to_str().expect("digits"));
        let mut body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut body).expect("a whole answer");
        Answer { status, headers, body }
    }

    /// Asserts that the server closes the connection without another word.
    pub(crate) fn assert_closed(mut self) {
        let mut rest = Vec::new();
        // A reset closes, too.
        let _reset = self.0.read_to_end(&mut rest);
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<u64>,
    pub(crate) data: String,
}

/// A reader of server-sent events.
pub(crate) struct Events(BufReader<ureq::BodyReader<'static>>);

impl Events {
    /// Follows a stream's results, from now on or after those that were read.
    pub(crate) fn follow(client: &Client, stream: &str, last: Option<u64>) -> Self {
        Self::open(client, &format!("/v1/streams/{stream}/results"), last)
    }

    /// Follows the changes of state of all streams, from now on or after those that were read.
    pub(crate) fn changes(client: &Client, last: Option<u64>) -> Self {
        Self::open(client, "/v1/events/stream", last)
    }

    /// Follows whatever is told there.
    pub(crate) fn open(client: &Client, path: &str, last: Option<u64>) -> Self {
        let last = last.map(|last| last.to_string());
        let headers: Vec<(&str, &str)> = last.iter().map(|last| ("last-event-id", last.as_str())).collect();
        let response = client.open("GET", path, &headers, &[]);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(BufReader::new(response.into_body().into_reader()))
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("an orderly end") == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                None if event == Event::default() => {}
                None => return Some(event),
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("id", id)) => event.id = Some(id.parse().expect("a number")),
                Some(("data", data)) => event.data.push_str(data),
                // A comment.
                Some(_) => {}
            }
        }
    }
}
