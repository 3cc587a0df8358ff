//! Over HTTP come files, which end and have no capture time, and cameras' endless JPEGs, which have one.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use vigia_core::source::SourceError;
use vigia_media::IngestOptions;

use crate::support::{LONG, Told, clip, failure, launch, read, start};

/// Serves one answer per connection, made by `answer` from the request, on a free port.
pub(crate) fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if !matches!(stream.read(&mut byte), Ok(1)) {
                    break;
                }
                request.push(byte[0]);
            }
            answer(&String::from_utf8_lossy(&request), &mut stream);
        }
    });
    port
}

/// A whole file, and parts of it, as a web server gives them.
fn serve_file(bytes: Vec<u8>) -> u16 {
    serve(move |request, stream| {
        let from = request
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned))
            .and_then(|range| range.split('-').next()?.parse::<usize>().ok())
            .filter(|&from| from < bytes.len());
        let (status, range) = match from {
            Some(from) => {
                ("206 Partial Content", format!("Content-Range: bytes {from}-{}/{1}\r\n", bytes.len() - 1, bytes.len()))
            }
            None => ("200 OK", String::new()),
        };
        let body = &bytes[from.unwrap_or(0)..];
        let head = format!(
            "HTTP/1.1 {status}\r\nAccept-Ranges: bytes\r\n{range}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    })
}

fn status(line: &'static str) -> u16 {
    serve(move |_, stream| {
        let head = format!(
            "HTTP/1.1 {line}\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes());
    })
}

#[test]
fn a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = clip(folder.path(), "clip.mov", 12, "width=96,height=64");
    let port = serve_file(std::fs::read(path).expect("a clip"));
    let (count, outcome) = read(&format!("http://127.0.0.1:{port}/clip.mov"), IngestOptions::default(), |frame| {
        assert_eq!(frame.captured_at, None);
        assert_eq!(frame.pts, Some(Duration::from_millis(100 * frame.frame_id)));
    });
    assert_eq!((count, outcome), (12, Ok(())));
}

#[test]
fn a_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("one.jpg");
    launch(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,width=96,height=64 ! jpegenc ! filesink location=\"{}\"",
        path.display()
    ));
    let jpeg = std::fs::read(path).expect("a picture");
    let port = serve(move |request, stream| {
        let mut send = |bytes: &[u8]| stream.write_all(bytes);
        if !request.contains("Authorization: Basic dXNlcjpwQHNz") {
            let challenge = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = send(challenge);
            return;
        }
        let head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
        let part = format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
        if send(head).is_ok() {
            let mut left = if request.contains("GET /short") { 3 } else { u32::MAX };
            while left > 0 && send(part.as_bytes()).and_then(|()| send(&jpeg)).and_then(|()| send(b"\r\n")).is_ok() {
                left -= 1;
            }
        }
    });
    let address = format!("http://user:p%40ss@127.0.0.1:{port}/video");
    let (handle, receiver) = start(&address, IngestOptions::default(), 2).expect("a source");
    let mut last = None;
    for _ in 0..20 {
        let Ok(Told::Frame(frame)) = receiver.recv_timeout(LONG) else { panic!("no frame") };
        assert!(frame.captured_at.is_some());
        assert!(frame.pts >= last);
        last = frame.pts;
    }
    drop(receiver);
    drop(handle);
    let (count, error) = failure(&address.replace("/video", "/short"));
    assert!(count > 0, "{error:?}");
    let SourceError::Unreachable(message) = &error else { panic!("{error:?}") };
    assert!(message.contains("ended") && !message.contains("p@ss") && !message.contains("p%40ss"), "{message}");
}

#[test]
fn refusals() {
    let (_, error) = failure(&format!("http://127.0.0.1:{}/x", status("404 Not Found")));
    assert!(matches!(error, SourceError::Unreachable(_)), "{error:?}");
    let (_, error) = failure(&format!("http://me:geheim@127.0.0.1:{}/x", status("401 Unauthorized")));
    assert!(matches!(&error, SourceError::Unauthorized(message) if !message.contains("geheim")), "{error:?}");
    let (_, error) = failure(&format!("http://127.0.0.1:{}/x", status("503 Service Unavailable")));
    assert!(matches!(error, SourceError::Unreachable(_)), "{error:?}");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let (_, error) = failure(&format!("http://127.0.0.1:{port}/x"));
    assert!(matches!(error, SourceError::Unreachable(_)), "{error:?}");
    let (_, error) = failure("http://no-such-host.invalid/x");
    assert!(matches!(error, SourceError::Unreachable(_)), "{error:?}");
}

#[test]
fn silence() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let options = IngestOptions { connect_timeout: Duration::from_millis(300), ..IngestOptions::default() };
    for scheme in ["http", "rtsp"] {
        let (_, outcome) = read(&format!("{scheme}://127.0.0.1:{port}/x"), options.clone(), drop);
        assert!(matches!(outcome, Err(SourceError::Unreachable(_))), "{outcome:?}");
    }
}

#[test]
fn a_camera_that_falls_silent() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = clip(folder.path(), "clip.mov", 40, "width=96,height=64");
    let bytes = std::fs::read(Path::new(&whole)).expect("a clip");
    let port = serve(move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
        let half = &bytes[..bytes.len() / 2];
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(half));
        // Says nothing more until the other side goes away.
        let _ = stream.read(&mut [0; 64]);
    });
    let options = IngestOptions { inactivity_timeout: Duration::from_millis(400), ..IngestOptions::default() };
    let (count, outcome) = read(&format!("http://127.0.0.1:{port}/clip.mov"), options, drop);
    assert!(count > 5 && count < 40, "{count}");
    assert!(matches!(outcome, Err(SourceError::Stalled(_))), "{outcome:?}");
}
