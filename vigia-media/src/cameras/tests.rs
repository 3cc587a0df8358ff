use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::atomic::AtomicUsize;

use vigia_core::geometry::Size;

use super::*;

const SIZE: Size = Size { width: 64, height: 48 };

/// A clip of some grey pictures; absent where nothing can encode it.
fn clip(frames: usize) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("clip.h264");
    let mut writer = match ClipWriter::create(&path, SIZE, 30, 100_000) {
        Ok(writer) => writer,
        Err(error) => {
            eprintln!("skipped: {error}");
            return None;
        }
    };
    for n in 0..frames {
        writer.write(&vec![(n * 40) as u8; 64 * 48 * 3 / 2]).expect("taken");
    }
    writer.finish().expect("written");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    Some(std::fs::read(path).expect("a clip"))
}

#[test]
fn a_clip_has_one_access_unit_for_each_picture() {
    let Some(clip) = clip(65) else { return };
    let units = access_units(&clip);
    assert_eq!((units.len(), units.first().map(|unit| unit.start)), (65, Some(0)));
    assert_eq!(units.last().map(|unit| unit.end), Some(clip.len()));
    let kinds = |unit: &Range<usize>| {
        let unit = &clip[unit.clone()];
        let starts = unit.windows(4).filter(|four| four[..3] == [0, 0, 1]);
        starts.map(|four| four[3] & 0x1f).collect::<Vec<_>>()
    };
    for (n, unit) in units.iter().enumerate() {
        let kinds = kinds(unit);
        let is_key = n % 30 == 0;
        assert_eq!(kinds.first(), Some(&9), "frame {n}");
        assert_eq!(kinds.contains(&7) && kinds.contains(&8) && kinds.contains(&5), is_key, "frame {n}: {kinds:?}");
    }
}

#[test]
fn a_clip_that_is_not_finished_is_not_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("clip.h264");
    let Ok(mut writer) = ClipWriter::create(&path, SIZE, 30, 100_000) else { return };
    assert!(writer.write(&[1, 2, 3]).is_err());
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    assert!(matches!(ClipWriter::create(&folder.path().join("a/b"), SIZE, 30, 1), Err(SourceError::NotFound(_))));
}

#[test]
fn what_is_no_clip_is_refused() {
    let options = CameraOptions { port: 0, count: 1, fps: 30.0 };
    assert!(matches!(Cameras::listen(options, vec![0; 100]), Err(SourceError::Undecodable(_))));
}

/// Enough of a client to make a camera send: RTSP up to PLAY, packets within the connection.
fn watch(port: u16, camera: usize) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let mut reader = BufReader::new(stream);
    let url = format!("rtsp://127.0.0.1:{port}/{camera}");
    let mut session = String::new();
    let tcp = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
    let requests = [("DESCRIBE", "", ""), ("SETUP", "/stream=0", tcp), ("PLAY", "", "")];
    for (n, (method, path, header)) in requests.into_iter().enumerate() {
        let request = format!("{method} {url}{path} RTSP/1.0\r\nCSeq: {}\r\n{session}{header}\r\n", n + 1);
        reader.get_mut().write_all(request.as_bytes()).expect("sent");
        let mut length = 0;
        let mut line = String::new();
        assert!(reader.read_line(&mut line).expect("an answer") > 0 && line.contains("200"), "{method}: {line}");
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).expect("a header");
            if let Some(id) = line.strip_prefix("Session: ") {
                session = format!("Session: {}\r\n", id.split(';').next().unwrap_or(id).trim());
            }
            if let Some(bytes) = line.strip_prefix("Content-Length: ") {
                length = bytes.trim().parse().expect("a number");
            }
        }
        std::io::Read::read_exact(&mut reader, &mut vec![0; length]).expect("a body");
    }
    reader
}

#[test]
fn cameras_send_to_those_that_are_watched_and_end() {
    let Some(clip) = clip(6) else { return };
    let cameras = Cameras::listen(CameraOptions { port: 0, count: 2, fps: 200.0 }, clip).expect("they listen");
    assert!(cameras.port() > 0);
    assert_eq!(cameras.frames(), 6);
    let sent = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let numbers = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| cameras.serve());
        scope.spawn(|| {
            cameras.play(|camera, number, _late| {
                sent[camera].fetch_add(1, Ordering::Relaxed);
                numbers.lock().push(number);
            });
        });
        let mut watched = watch(cameras.port(), 1);
        let mut packet = [0; 4];
        std::io::Read::read_exact(&mut watched, &mut packet).expect("a packet");
        assert_eq!(packet[0], b'$');
        while sent[1].load(Ordering::Relaxed) < 13 {
            std::thread::yield_now();
        }
        drop(watched);
        cameras.stop();
    });
    assert_eq!(sent[0].load(Ordering::Relaxed), 0, "nobody looked at the first one");
    let numbers = numbers.into_inner();
    assert_eq!(numbers[..13], [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0]);
}
