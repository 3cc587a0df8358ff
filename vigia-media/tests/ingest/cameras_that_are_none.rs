//! What answers like no camera is named in time, and no password with it.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use vigia_core::source::SourceError;
use vigia_media::{IngestOptions, Transport};

use crate::http_serves_files_and_cameras::serve;
use crate::support::read;

/// How the camera at this port fails, in how long.
fn failure(port: u16, transport: Transport) -> (SourceError, Duration) {
    let timeout = Duration::from_millis(500);
    let options = IngestOptions { connect_timeout: timeout, transport, ..IngestOptions::default() };
    let began = Instant::now();
    let (count, outcome) = read(&format!("rtsp://admin:geheim@127.0.0.1:{port}/x"), options, drop);
    let error = outcome.expect_err("no camera");
    assert!(count == 0 && !error.to_string().contains("geheim"), "{error:?}");
    (error, began.elapsed())
}

#[test]
fn silence() {
    // Connections are made, and nobody reads.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    for transport in [Transport::Tcp, Transport::Udp, Transport::Auto] {
        let (error, took) = failure(port, transport);
        assert!(matches!(error, SourceError::Unreachable(_)), "{error:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn rubbish() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
        "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 9999999999\r\n\r\n",
        "RTSP/1.0 500 Internal Error\r\nCSeq: 1\r\n\r\n",
        "\u{0}\u{1}\u{2}$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$\r\n\r\n",
        "",
    ] {
        let port = serve(move |_, stream| {
            let _ = stream.write_all(answer.as_bytes());
        });
        let (error, took) = failure(port, Transport::Tcp);
        assert!(matches!(error, SourceError::Unreachable(_) | SourceError::Undecodable(_)), "{answer:?}: {error:?}");
        assert!(took < Duration::from_secs(15), "{answer:?}: {took:?}");
    }
}
