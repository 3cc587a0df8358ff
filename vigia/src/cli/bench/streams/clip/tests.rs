use super::*;

/// Hands the numbers that it sees to whoever waits for them.
struct Reader(Vec<Option<usize>>, Arc<Mutex<Vec<Option<usize>>>>, Arc<Over>);

impl FrameSink for Reader {
    fn frame(&mut self, frame: Frame) -> Flow {
        self.0.push(number::read(&frame.image));
        Flow::Continue
    }

    fn picture(&mut self, _picture: EncodedPicture) -> Flow {
        Flow::Continue
    }

    fn trouble(&mut self, _error: &SourceError) {}

    fn end(&mut self, outcome: Result<(), SourceError>) {
        self.1.lock().append(&mut self.0);
        *self.2.outcome.lock() = Some(outcome);
        self.2.changed.notify_all();
    }
}

#[test]
fn numbers_are_read_from_the_encoded_clip() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("clip.h264");
    // Noise, which takes the encoder all the bits that it has.
    let (size, fps, frames) = (Size::new(1280, 720), 15, 80);
    let address = format!("test://?width=1280&height=720&fps={fps}&pattern=snow");
    match write(&address, &path, size, fps, frames, |_| ()) {
        Err(error @ SourceError::Library(_)) => return eprintln!("skipped: {error}"),
        other => other.expect("a clip"),
    }
    let clip = Clip::open(&path, fps).expect("a clip");
    assert_eq!(clip.frames, frames);
    assert!((1_000_000..3_000_000).contains(&clip.bits), "{} bits per second", clip.bits);

    let stream = StreamRef { id: StreamId::new("clip"), generation: 0 };
    let address = path.to_str().expect("UTF-8");
    let source = MediaSource::open(address, stream, IngestOptions::default()).expect("a source");
    let (numbers, over) = (Arc::default(), Arc::new(Over::default()));
    let sink = Reader(Vec::new(), Arc::clone(&numbers), over.clone());
    let handle = Box::new(source).start(Box::new(sink)).expect("it starts");
    assert_eq!(over.wait(), Ok(()));
    drop(handle);
    assert_eq!(*numbers.lock(), (0..frames).map(Some).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_played_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, units: usize| {
        let path = folder.path().join(name);
        std::fs::write(&path, [0, 0, 0, 1, 9, 16, 0, 0, 1, 0x41, 7].repeat(units)).expect("written");
        path
    };
    let refused = |path: &Path| Clip::open(path, 15).expect_err("no clip");
    assert!(refused(&folder.path().join("missing")).contains("missing"));
    assert!(refused(&file("empty", 0)).contains("access unit delimiters"));
    assert!(refused(&file("short", 74)).contains("it takes 75"));
    assert!(refused(&file("long", 1025)).contains("1024 numbers"));
    let clip = Clip::open(&file("right", 75), 15).expect("a clip");
    assert_eq!((clip.frames, clip.bits), (75, 11 * 8 * 15));
}

#[test]
fn samples_are_shown_where_there_are_any() {
    let size = Size::new(640, 360);
    let address = pictures(Some(PathBuf::from("a b")), size, 10);
    assert_eq!(address, "slides:a b?width=640&height=360&fps=10&seconds=6");
    assert!(pictures(None, size, 10).starts_with("test://?width=640&height=360&fps=10"));
}
