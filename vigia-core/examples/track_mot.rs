//! Runs the tracker over detections in MOTChallenge's text format, for `bench/track.py`.
//!
//! ```text
//! cargo run --release -p vigia-core --example track_mot -- FPS DET.txt RESULT.txt [DET.txt RESULT.txt ...]
//! ```
//! A line of the input is `frame,-1,left,top,width,height,confidence,...`, in order of frames; a frame without a line is one
//! that was dropped. A line of the output is a detection with its track: `frame,id,left,top,width,height,confidence,-1,-1,-1`.
//! Prints the mean time of an update in microseconds, and the number of updates.
#![expect(clippy::print_stdout, reason = "a command-line tool: what it prints is its result")]

use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use std::{env, fs};

use vigia_core::detection::Detection;
use vigia_core::geometry::BBox;
use vigia_core::track::{Tracker, TrackerPolicy};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [fps, files @ ..] = arguments.as_slice() else { return Err("FPS DET.txt RESULT.txt ...".into()) };
    let fps: f64 = fps.parse()?;
    let (mut spent, mut updates) = (Duration::ZERO, 0u32);
    for pair in files.chunks_exact(2) {
        let frames = read(&fs::read_to_string(&pair[0])?)?;
        let mut tracker = Tracker::new(TrackerPolicy::default());
        let mut out = String::new();
        for (frame, detections) in &frames {
            let begun = Instant::now();
            let update = tracker.update(Duration::from_secs_f64(f64::from(*frame) / fps), detections);
            spent += begun.elapsed();
            updates += 1;
            for (detection, id) in detections.iter().zip(update.ids) {
                let Some(id) = id else { continue };
                let BBox { x1, y1, .. } = detection.bbox;
                let (width, height) = (detection.bbox.width(), detection.bbox.height());
                let confidence = detection.confidence;
                writeln!(out, "{frame},{id},{x1:.3},{y1:.3},{width:.3},{height:.3},{confidence:.4},-1,-1,-1")?;
            }
        }
        fs::write(&pair[1], out)?;
    }
    println!("{:.2} {updates}", spent.as_secs_f64() * 1e6 / f64::from(updates.max(1)));
    Ok(())
}

/// A frame's number, and its detections.
type Found = (u32, Vec<Detection>);

/// The frames that have a line.
fn read(text: &str) -> Result<Vec<Found>, Box<dyn Error>> {
    let mut frames: Vec<Found> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let [frame, _, x, y, width, height, confidence, ..] = fields.as_slice() else {
            return Err(format!("not a detection: {line}").into());
        };
        let frame: u32 = frame.parse()?;
        let (x, y): (f32, f32) = (x.parse()?, y.parse()?);
        let bbox = BBox { x1: x, y1: y, x2: x + width.parse::<f32>()?, y2: y + height.parse::<f32>()? };
        let detection = Detection::new(0, confidence.parse()?, bbox);
        match frames.last_mut() {
            Some((last, detections)) if *last == frame => detections.push(detection),
            _ => frames.push((frame, vec![detection])),
        }
    }
    Ok(frames)
}
