//! RTSP cameras over TCP and UDP, with and without a password. The camera is a script beside this file.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use vigia_core::geometry::Size;
use vigia_core::source::SourceError;
use vigia_media::{IngestOptions, Transport};

use crate::support::{LONG, Told, failure, start};

struct Camera {
    child: Child,
    /// Everybody may look.
    open: u16,
    /// A name and a password are asked for.
    locked: u16,
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the camera; absent where Python's GStreamer bindings are not installed.
fn camera() -> Option<Camera> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rtsp_server.py");
    // Debian's own interpreter sees Debian's bindings; another one first in the path does not.
    for python in ["/usr/bin/python3", "python3"] {
        let Ok(mut child) =
            Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
        else {
            continue;
        };
        let mut line = String::new();
        let _ = BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line);
        let ports: Vec<u16> = line.split_whitespace().filter_map(|port| port.parse().ok()).collect();
        let mut camera = Camera { child, open: 0, locked: 0 };
        if let [open, locked] = ports[..] {
            (camera.open, camera.locked) = (open, locked);
            return Some(camera);
        }
    }
    eprintln!("skipped: python3-gi and gir1.2-gst-rtsp-server-1.0 are not installed");
    None
}

fn shows_pictures(address: &str, transport: Transport) {
    let options = IngestOptions { transport, ..IngestOptions::default() };
    let (handle, receiver) = start(address, options, 2).expect("a source");
    for n in 0..10 {
        match receiver.recv_timeout(LONG).expect("a word") {
            Told::Frame(frame) => {
                assert_eq!((frame.frame_id, frame.image.size()), (n, Size::new(160, 120)));
                assert!(frame.captured_at.is_some());
            }
            other => panic!("{address} over {transport:?}: {other:?}"),
        }
    }
    drop(receiver);
    drop(handle);
}

#[test]
fn pictures_come() {
    let Some(camera) = camera() else { return };
    let open = format!("rtsp://127.0.0.1:{}/camera", camera.open);
    for transport in [Transport::Tcp, Transport::Udp, Transport::Auto] {
        shows_pictures(&open, transport);
    }
    shows_pictures(&format!("rtsp://user:secret%20word@127.0.0.1:{}/camera", camera.locked), Transport::Tcp);
}

#[test]
fn refusals() {
    let Some(camera) = camera() else { return };
    let (port, locked) = (camera.open, camera.locked);
    for login in ["", "user:wrong@"] {
        let (_, error) = failure(&format!("rtsp://{login}127.0.0.1:{locked}/camera"));
        let SourceError::Unauthorized(message) = &error else { panic!("{error:?}") };
        assert!(!message.contains("wrong"), "{message}");
    }
    let (_, error) = failure(&format!("rtsp://127.0.0.1:{port}/elsewhere"));
    assert!(matches!(error, SourceError::Unreachable(_)), "a relay without its camera says so, too: {error:?}");
    drop(camera);
    let (_, error) = failure(&format!("rtsp://127.0.0.1:{port}/camera"));
    assert!(matches!(error, SourceError::Unreachable(_)), "{error:?}");
    let (_, error) = failure("rtsp://no-such-host.invalid/x");
    assert!(matches!(error, SourceError::Unreachable(_)), "{error:?}");
}

#[test]
fn a_camera_that_goes_away() {
    let Some(camera) = camera() else { return };
    let options = IngestOptions { inactivity_timeout: std::time::Duration::from_secs(1), ..IngestOptions::default() };
    let (handle, receiver) = start(&format!("rtsp://127.0.0.1:{}/camera", camera.open), options, 2).expect("a source");
    assert!(matches!(receiver.recv_timeout(LONG), Ok(Told::Frame(_))));
    drop(camera);
    let outcome = receiver.iter().find_map(|told| match told {
        Told::End(outcome) => Some(outcome),
        _ => None,
    });
    // Its last word may be that it goes, or none.
    let gone = matches!(outcome, Some(Err(SourceError::Unreachable(_) | SourceError::Stalled(_))));
    assert!(gone, "{outcome:?}");
    drop(handle);
}
