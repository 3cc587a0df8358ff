//! A sink that does not return keeps the source from going on; no picture is lost or piled up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;

use vigia_core::frame::Frame;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, Source as _, SourceError};
use vigia_media::IngestOptions;

use crate::support::{LONG, open};

struct Gate {
    entered: Arc<AtomicU64>,
    arrived: std::sync::mpsc::SyncSender<u64>,
    permits: std::sync::mpsc::Receiver<()>,
}

impl FrameSink for Gate {
    fn frame(&mut self, frame: Frame) -> Flow {
        self.entered.fetch_add(1, Ordering::SeqCst);
        self.arrived.send(frame.frame_id).expect("the test listens");
        if self.permits.recv().is_ok() { Flow::Continue } else { Flow::Stop }
    }

    fn picture(&mut self, _: EncodedPicture) -> Flow {
        Flow::Stop
    }

    fn trouble(&mut self, error: &SourceError) {
        panic!("{error}");
    }

    fn end(&mut self, _: Result<(), SourceError>) {}
}

#[test]
fn one_frame_per_permit() {
    let entered = Arc::new(AtomicU64::new(0));
    let ((arrived, arrivals), (permits, gate)) = (sync_channel(8), sync_channel(8));
    let sink = Gate { entered: Arc::clone(&entered), arrived, permits: gate };
    let source = open("test://?width=64&height=48", IngestOptions::default()).expect("a source");
    let handle = Box::new(source).start(Box::new(sink)).expect("a start");
    for n in 0..20 {
        assert_eq!(arrivals.recv_timeout(LONG), Ok(n));
        assert_eq!(entered.load(Ordering::SeqCst), n + 1, "the next frame came before the last was done");
        permits.send(()).expect("the sink waits");
    }
    drop(permits);
    drop(handle);
}
