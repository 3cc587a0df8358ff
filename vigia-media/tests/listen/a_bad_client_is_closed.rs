//! Whatever a client does, it is told of and closed, and the next one is served.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use vigia_core::source::SourceError;
use vigia_media::IngestOptions;

use crate::support::{Listening, jpeg, listen, patience};

/// The connection was closed by the other side.
fn assert_closed(mut client: TcpStream) {
    client.set_read_timeout(Some(crate::sources::LONG)).expect("a setting");
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "somebody answers");
}

/// Somebody else can still send pictures.
fn goes_on(source: &Listening) {
    let mut client = source.connect();
    client.write_all(&jpeg(1, 5)).expect("a listener");
    assert_eq!(source.picture().bytes, jpeg(1, 5));
}

#[test]
fn rubbish() {
    let source = listen(patience(Duration::from_secs(5)));
    let after_good_start = [jpeg(1, 9), b"rubbish".to_vec()].concat();
    let one_packet = [b"G".as_slice(), &[0; 300]].concat();
    for (sent, word) in [
        (b"GET / HTTP/1.1\r\n\r\n".as_slice(), "neither MPEG-TS nor MJPEG; send"),
        (&[0; 1000], "neither MPEG-TS nor MJPEG; send"),
        (&one_packet, "neither MPEG-TS nor MJPEG; send"),
        (b"G", "neither MPEG-TS nor MJPEG; send"),
        (&after_good_start, "does not begin like a JPEG"),
        (&[0xFF, 0xD8, 0xFF, 0xE0, 0, 0, 0], "damaged at byte 2"),
        (b"--a\r\nnothing\r\n", "a part's headers"),
    ] {
        let mut client = source.connect();
        let me = client.local_addr().expect("an address").to_string();
        client.write_all(sent).expect("a listener");
        let error = source.trouble();
        let SourceError::Undecodable(message) = &error else { panic!("{error:?}") };
        assert!(message.contains(word) && message.contains(&me), "{message}");
        assert!(message.starts_with(source.listener.url().trim_start_matches("tcp://")), "{message}");
        assert_closed(client);
        goes_on(&source);
    }
    source.stop();
}

#[test]
fn packets_that_hold_nothing() {
    let source = listen(patience(Duration::from_secs(1)));
    let mut packets = vec![0; 188 * 200];
    for packet in packets.chunks_mut(188) {
        packet[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
    }
    let mut client = source.connect();
    client.write_all(&packets).expect("a listener");
    // One that waits is silent, one that goes has sent nothing.
    let error = source.trouble();
    assert!(matches!(error, SourceError::Unreachable(_) | SourceError::Undecodable(_)), "{error:?}");
    assert_closed(client);
    let mut client = source.connect();
    client.write_all(&packets).expect("a listener");
    drop(client);
    let error = source.trouble();
    assert!(matches!(error, SourceError::Undecodable(_)), "{error:?}");
    goes_on(&source);
    source.stop();
}

#[test]
fn half_a_picture() {
    let source = listen(IngestOptions::default());
    let part = b"--a\r\nContent-Length: 200\r\n\r\n".to_vec();
    for sent in [jpeg(1, 100)[..50].to_vec(), [part, jpeg(1, 100)].concat()] {
        let mut client = source.connect();
        client.write_all(&sent).expect("a listener");
        drop(client);
        let error = source.trouble();
        assert!(matches!(&error, SourceError::Undecodable(m) if m.contains("middle of a picture")), "{error:?}");
        goes_on(&source);
    }
    source.stop();
}

#[test]
fn too_long_a_picture() {
    let source = listen(IngestOptions { picture_limit: 1000, ..IngestOptions::default() });
    for sent in [jpeg(1, 100_000), b"--a\r\nContent-Length: 1001\r\n\r\n".to_vec(), jpeg(1, 1000)] {
        let mut client = source.connect();
        // It may be closed before all is sent.
        let _ = client.write_all(&sent);
        let error = source.trouble();
        assert!(matches!(&error, SourceError::Undecodable(m) if m.contains("1000")), "{error:?}");
        assert_closed(client);
        goes_on(&source);
    }
    source.stop();
}

#[test]
fn silence() {
    let source = listen(patience(Duration::from_millis(300)));
    let client = source.connect();
    let error = source.trouble();
    assert!(matches!(&error, SourceError::Unreachable(m) if m.contains("sent nothing for 300ms")), "{error:?}");
    assert_closed(client);
    let mut client = source.connect();
    client.write_all(&jpeg(1, 5)).expect("a listener");
    assert_eq!(source.picture().bytes, jpeg(1, 5));
    let error = source.trouble();
    assert!(matches!(&error, SourceError::Stalled(m) if m.contains("no new picture for 300ms")), "{error:?}");
    assert_closed(client);
    goes_on(&source);
    source.stop();
}

#[test]
fn a_trickle() {
    let source = listen(patience(Duration::from_millis(500)));
    for head in [&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2][..], b"G"] {
        let mut client = source.connect();
        client.write_all(head).expect("a listener");
        let start = Instant::now();
        while client.write_all(&[7]).is_ok() && start.elapsed() < crate::sources::LONG {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(source.trouble());
        goes_on(&source);
    }
    source.stop();
}

#[test]
fn coming_and_going_is_no_trouble() {
    let source = listen(IngestOptions::default());
    drop(source.connect());
    let client = source.connect();
    client.shutdown(Shutdown::Write).expect("a connection");
    assert_closed(client);
    goes_on(&source);
    source.stop();
}
