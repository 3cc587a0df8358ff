//! Each picture comes as it was sent, whatever it holds and however its bytes arrive.

use std::io::Write as _;
use std::time::Duration;

use vigia_core::source::SourceError;
use vigia_media::IngestOptions;

use crate::support::{jpeg, listen};

/// A picture whose application segment holds a whole one, as cameras store a preview.
fn with_thumbnail() -> Vec<u8> {
    let inner = jpeg(9, 500);
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1];
    bytes.extend(u16::try_from(inner.len() + 2).expect("a short one").to_be_bytes());
    bytes.extend(inner);
    bytes.extend(&jpeg(1, 300)[2..]);
    bytes
}

#[test]
fn with_a_thumbnail() {
    let source = listen(IngestOptions::default());
    let mut client = source.connect();
    for _ in 0..3 {
        client.write_all(&[with_thumbnail(), jpeg(2, 10)].concat()).expect("a listener");
        assert_eq!(source.picture().bytes, with_thumbnail());
        assert_eq!(source.picture().bytes, jpeg(2, 10));
    }
    drop(client);
    source.stop();
}

#[test]
fn with_numbers() {
    let source = listen(IngestOptions::default());
    let mut client = source.connect();
    for number in [3, 4, 70_000_000_000_u64] {
        let length = if number == 4 { "" } else { "Content-Length: 109\r\n" };
        write!(client, "--frame\r\nContent-Type: image/jpeg\r\nX-Frame-ID: {number}\r\n{length}\r\n")
            .expect("a listener");
        client.write_all(&jpeg(5, 100)).expect("a listener");
        let picture = source.picture();
        assert_eq!((picture.frame_id, picture.bytes), (Some(number), jpeg(5, 100)));
        client.write_all(b"\r\n").expect("a listener");
    }
    write!(client, "--frame\r\nX-Frame-ID: next\r\n\r\n").expect("a listener");
    client.write_all(&jpeg(6, 1)).expect("a listener");
    let error = source.trouble();
    assert!(matches!(&error, SourceError::Undecodable(message) if message.contains("X-Frame-Id")), "{error:?}");
    assert_eq!(source.picture().frame_id, None);
    client.write_all(b"\r\n--frame--\r\n").expect("a listener");
    drop(client);
    source.stop();
}

#[test]
fn byte_by_byte() {
    let source = listen(IngestOptions::default());
    let mut client = source.connect();
    client.set_nodelay(true).expect("a setting");
    for _ in 0..2 {
        for byte in with_thumbnail().chunks(40) {
            client.write_all(byte).expect("a listener");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(source.picture().bytes, with_thumbnail());
    }
    drop(client);
    source.stop();
}

#[test]
fn many_at_once() {
    let source = listen(IngestOptions::default());
    let mut client = source.connect();
    let pictures: Vec<_> = (0..200).map(|n| jpeg(n, usize::from(n) * 97)).collect();
    client.write_all(&pictures.concat()).expect("a listener");
    for picture in &pictures {
        assert_eq!(&source.picture().bytes, picture);
    }
    drop(client);
    source.stop();
}
