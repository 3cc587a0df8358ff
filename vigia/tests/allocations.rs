//! In steady state no frame-sized memory is allocated per frame: planes are borrowed, tensors and pictures are pooled.
//!
//! Counted is what Rust code allocates. The C libraries' share shows in page faults: docs/performance.md.

use std::alloc::System;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use vigia::config::Config;
use vigia::inputs::{self, Opener};
use vigia::pipelines::{Loader, Overrides};
use vigia_core::detection::Thresholds;
use vigia_core::source::Flow;
use vigia_engine::offline::{self, Event, OfflineOptions};
use vigia_engine::pipeline::Pipeline;
use vigia_engine::worker::StopFlag;
use vigia_vision::picture::{PictureDecoder, PictureLimits};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Detections, JSON, queue entries: what a result is made of.
const RESULT_SIZED: usize = 32 * 1024;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member of the workspace").to_owned()
}

/// Results that are counted together.
const WINDOW: usize = 10;

/// Bytes allocated per result in steady state: the median of windows of ten results.
///
/// The median, because pools grow when by chance more is under way at once than ever before, a few times in a run; what
/// allocates for every frame shows in every window.
fn bytes_per_result(pipeline: &Arc<Pipeline>, arguments: &[OsString]) -> usize {
    let opener = Opener {
        decoder: Arc::new(PictureDecoder::new(PictureLimits::default())),
        cover: None,
        max_bytes: 20_000_000,
        ingest: vigia_media::IngestOptions::default(),
        on_video: Arc::new(|_name, _info| ()),
    };
    let named = inputs::find(arguments);
    let thresholds = Thresholds { confidence: 0.5, iou: 0.4 };
    let options = OfflineOptions { every: 1, thresholds, decoders: 2, window: 8 };
    let region = Region::new(GLOBAL);
    // Bytes allocated so far, at each result.
    let mut so_far = Vec::with_capacity(1000);
    let opened = named.into_iter().map(move |input| opener.open(input));
    offline::run(pipeline, opened, options, &StopFlag::default(), |name, event| {
        match event {
            Event::Result(_) => {
                let change = region.change();
                so_far.push(change.bytes_allocated + usize::try_from(change.bytes_reallocated.max(0)).unwrap_or(0));
            }
            Event::Failed(error) => unreachable!("{name}: {error}"),
            Event::Skipped(_) | Event::Done => {}
        }
        Flow::Continue
    })
    .expect("threads");
    let ends: Vec<usize> = so_far.into_iter().step_by(WINDOW).collect();
    let mut windows: Vec<usize> = ends.windows(2).map(|w| (w[1] - w[0]) / WINDOW).collect();
    windows.sort_unstable();
    assert!(windows.len() >= 7, "only {} windows", windows.len());
    windows[windows.len() / 2]
}

#[test]
fn steady_state_allocates_no_frames() {
    if !root().join(".vigia/models/tiny-face.onnx").exists() {
        assert!(std::env::var_os("VIGIA_TESTS_MUST_RUN").is_none(), "run scripts/setup.sh");
        eprintln!("skipped: no .vigia/models: run scripts/setup.sh");
        return;
    }
    std::env::set_current_dir(root()).expect("the repository is there");
    let mut loader = Loader::new(Config::default(), Overrides::default()).expect("ONNX Runtime");
    let pipeline = Arc::new(loader.pipeline("faces").expect("the built-in pipeline"));

    // 640 x 360: 345,600 bytes a frame, 2 MB a tensor.
    let video = ["test://?width=640&height=360&frames=200".into()];
    let per_frame = bytes_per_result(&pipeline, &video);
    eprintln!("video: {per_frame} bytes per frame");
    assert!(per_frame < RESULT_SIZED, "{per_frame} bytes allocated per frame");

    // 1920 x 1280: 4.9 MB of planes; the encoded file is read into memory of its own.
    let file = ".vigia/samples/sample1.jpg";
    let encoded = usize::try_from(std::fs::metadata(file).expect("there").len()).expect("small");
    let per_picture = bytes_per_result(&pipeline, &vec![OsString::from(file); 100]);
    eprintln!("pictures: {per_picture} bytes per picture, {encoded} of them the file");
    assert!(per_picture < encoded + 3 * RESULT_SIZED, "{per_picture} bytes allocated per picture of {encoded} bytes");
}
