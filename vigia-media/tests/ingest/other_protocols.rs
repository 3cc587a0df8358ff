//! HLS, SRT and RTMP, sent by ffmpeg. Debian has the elements that read them in gstreamer1.0-plugins-bad, and the one
//! that speaks HTTP in gstreamer1.0-plugins-good.

use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use vigia_core::geometry::Size;
use vigia_core::source::SourceError;
use vigia_media::IngestOptions;

use crate::http_serves_files_and_cameras::serve;
use crate::support::{LONG, Told, ffmpeg, ffmpeg_runs, start};

const CLIP: &str = "-re -f lavfi -i testsrc=size=160x120:rate=25 -c:v libx264 -tune zerolatency -g 10";

/// Says what is missing.
fn has(elements: &[&str], package: &str) -> bool {
    vigia_media::init().expect("GStreamer starts");
    let found = elements.iter().any(|element| gst::ElementFactory::find(element).is_some());
    if !found {
        eprintln!("skipped: none of {elements:?} is installed; Debian has them in {package}");
    }
    found
}

/// The first frames; a server that is not there yet is asked again.
fn frames_come(address: &str) {
    let began = Instant::now();
    loop {
        let (count, end) = first_frames(address);
        if count == 10 {
            return;
        }
        assert!(began.elapsed() < LONG, "{address}: {end:?} after {count} frames");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn first_frames(address: &str) -> (u32, Option<SourceError>) {
    let (_handle, receiver) = match start(address, IngestOptions::default(), 100) {
        Ok(started) => started,
        Err(error) => return (0, Some(error)),
    };
    let mut count = 0;
    while count < 10 {
        match receiver.recv_timeout(LONG).expect("a word") {
            Told::Frame(frame) => assert_eq!(frame.image.size(), Size::new(160, 120)),
            Told::End(outcome) => return (count, outcome.err()),
            other => unreachable!("{address}: {other:?}"),
        }
        count += 1;
    }
    (count, None)
}

#[test]
fn hls() {
    if !has(&["hlsdemux", "hlsdemux2"], "gstreamer1.0-plugins-bad")
        || !has(&["souphttpsrc"], "gstreamer1.0-plugins-good")
    {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("live.m3u8");
    let clip = CLIP.replace("-re ", "").replace("rate=25", "rate=25:duration=4");
    if ffmpeg(&format!("{clip} -f hls -hls_time 1 -hls_list_size 0 {}", list.display())).is_none() {
        return;
    }
    let root = folder.path().to_owned();
    let port = serve(move |request, stream| {
        let name = request.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('/');
        let body = std::fs::read(root.join(name)).unwrap_or_default();
        let kind = if name.ends_with("m3u8") { "application/vnd.apple.mpegurl" } else { "video/mp2t" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let _ = std::io::Write::write_all(stream, &[head.into_bytes(), body].concat());
    });
    frames_come(&format!("http://127.0.0.1:{port}/live.m3u8"));
}

#[test]
fn srt() {
    if !has(&["srtsrc"], "gstreamer1.0-plugins-bad") {
        return;
    }
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let address = format!("srt://127.0.0.1:{port}");
    let Some(_server) = ffmpeg_runs(&format!("{CLIP} -f mpegts {address}?mode=listener")) else { return };
    frames_come(&address);
}

#[test]
fn rtmp() {
    if !has(&["rtmpsrc"], "gstreamer1.0-plugins-bad") {
        return;
    }
    // ffmpeg's server does not get along with rtmp2src, which real ones do; the other element is for this test.
    if let Some(preferred) = gst::ElementFactory::find("rtmp2src") {
        preferred.set_rank(gst::Rank::NONE);
    }
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let address = format!("rtmp://127.0.0.1:{port}/live/camera");
    let Some(_server) = ffmpeg_runs(&format!("{CLIP} -f flv -listen 1 {address}")) else { return };
    frames_come(&address);
}
