//! Pictures by URL: only from listed hosts, no redirects, within the limits.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;
use vigia_engine::worker::Worker;
use vigia_testkit::finds;

use crate::client::Answer;
use crate::pictures::good_jpeg;
use crate::support::{Server, Setup, one_box};

/// A tiny HTTP server: each connection gets one answer, chosen by the path.
struct Upstream {
    address: SocketAddr,
    worker: Worker,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let worker = Worker::start("upstream", move |stop| {
            for socket in listener.incoming() {
                if stop.is_set() {
                    break;
                }
                // A client that has seen enough hangs up.
                let _gone = socket.and_then(|socket| Self::answer(socket, address));
            }
        });
        Self { address, worker: worker.expect("a thread") }
    }

    fn answer(mut socket: TcpStream, address: SocketAddr) -> std::io::Result<()> {
        let mut lines = BufReader::new(socket.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let mut answer = |status: &str, headers: &str, body: &[u8]| {
            let length = body.len();
            write!(socket, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n")?;
            socket.write_all(body)
        };
        match path {
            "/good.jpg?secret=1" => answer("200 OK", "", &good_jpeg()),
            "/moved.jpg" => answer("302 Found", &format!("Location: http://{address}/good.jpg?secret=1\r\n"), b""),
            "/text" => answer("200 OK", "", b"this is no picture"),
            "/empty" => answer("200 OK", "", b""),
            "/large" => answer("200 OK", "", &vec![0; 1_000_001]),
            "/endless" => {
                socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                let chunk = [b"10000\r\n".as_slice(), &vec![0; 0x10000], b"\r\n"].concat();
                loop {
                    socket.write_all(&chunk)?;
                }
            }
            // Says nothing until the other side has had enough.
            "/silent" => lines.next().transpose().map(drop),
            "/broken" => socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"),
            _ => answer("404 Not Found", "", b"nothing here"),
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.worker.stop();
        // Wakes it.
        let _gone = TcpStream::connect(self.address);
    }
}

fn setup() -> Setup {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.body = 1_000_000;
    setup.config.fetch.allow = vec!["127.0.0.1".to_owned()];
    setup
}

fn ask(server: &Server, url: &str) -> Answer {
    server.client().post_json("/v1/predict", &json!({ "url": url }))
}

#[test]
fn a_listed_host_is_asked() {
    let (upstream, server) = (Upstream::start(), setup().start());
    let answer = ask(&server, &format!("http://{}/good.jpg?secret=1", upstream.address));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["detections"][0]["class"], "thing");
}

#[test]
fn others_are_not() {
    let (upstream, server) = (Upstream::start(), setup().start());
    for url in
        ["http://localhost:{port}/good.jpg?secret=1", "http://127.0.0.2:{port}/a", "http://127.0.0.1@[::1]:{port}/"]
    {
        let answer = ask(&server, &url.replace("{port}", &upstream.address.port().to_string()));
        let detail = answer.problem(403, "url-not-allowed");
        assert!(detail.contains("fetch.allow") && !detail.contains("secret"), "{detail}");
    }
    for url in ["", "no url", "file:///etc/passwd", "ftp://127.0.0.1/a", "//127.0.0.1/a"] {
        let detail = ask(&server, url).problem(422, "invalid-parameter");
        assert!(detail.starts_with("url: "), "{detail}");
    }
    drop(server);
    // By default none is.
    let server = Server::plain();
    ask(&server, &format!("http://{}/good.jpg?secret=1", upstream.address)).problem(403, "url-not-allowed");
}

#[test]
fn what_gives_no_picture_says_why() {
    let (upstream, server) = (Upstream::start(), setup().start());
    let cases = [
        ("/moved.jpg", 502, "url-failed", "redirects are not followed"),
        ("/missing.jpg?secret=1", 502, "url-failed", "404"),
        ("/broken", 502, "url-failed", "127.0.0.1"),
        ("/large", 413, "body-too-large", "1000000 bytes"),
        ("/endless", 413, "body-too-large", "1000000 bytes"),
        ("/text", 422, "not-a-picture", "text"),
        ("/empty", 422, "empty-picture", "empty"),
    ];
    for (path, status, code, said) in cases {
        let answer = ask(&server, &format!("http://{}{path}", upstream.address));
        let detail = answer.problem(status, code);
        assert!(detail.contains(said) && !detail.contains("secret"), "{path}: {detail}");
    }
    // Nobody listens there.
    ask(&server, "http://127.0.0.1:1/").problem(502, "url-failed");
    server.assert_unharmed();
}

#[test]
fn a_host_that_says_nothing_is_not_waited_for_longer_than_configured() {
    let mut setup = setup();
    setup.config.fetch.timeout = Duration::from_millis(200);
    let (upstream, server) = (Upstream::start(), setup.start());
    let detail = ask(&server, &format!("http://{}/silent", upstream.address)).problem(502, "url-failed");
    assert!(detail.contains("200ms"), "{detail}");
}
