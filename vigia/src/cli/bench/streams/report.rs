//! The measurement as a table and as JSON. Names that the peers' `meter.py` uses, too, mean the same here.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::case::Case;
use super::clip::Clip;
use super::posts::PostFigures;
use super::serving::Frames;
use super::stats::{Search, Spread};

/// Everything that was measured.
pub(super) struct Report {
    /// What is run, as it was named.
    pub(super) pipeline: String,
    /// Its models: name, device, settings.
    pub(super) models: Vec<Model>,
    pub(super) clip: Clip,
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) onnxruntime: String,
    pub(super) gstreamer: String,
    pub(super) bound: Duration,
    pub(super) min_fps: f64,
    pub(super) warm: Duration,
    pub(super) base_mib: f64,
    /// What came of posts while no stream ran.
    pub(super) posts_alone: Option<PostFigures>,
    /// By number of streams.
    pub(super) cases: Vec<Case>,
    /// The search for the largest number of streams, where that was asked for.
    pub(super) search: Option<Search>,
}

/// A model that runs.
pub(super) struct Model {
    pub(super) name: String,
    pub(super) device: String,
    pub(super) instances: usize,
    pub(super) threads: usize,
    pub(super) batch: usize,
}

impl Case {
    /// Whether the results are as fresh and as many as is asked for.
    pub(super) fn is_good(&self, bound: Duration, min_fps: f64) -> bool {
        let fresh = self.latency.is_some_and(|latency| latency.p99 <= bound.as_secs_f64() * 1e3);
        let [_, slowest, _] = self.fps;
        fresh && slowest > 0.0 && slowest >= min_fps
    }

    fn frames(&self) -> Frames {
        let [before, after] = &self.frames;
        let since = |(&reason, &count): (&&'static str, &u64)| {
            let before = before.dropped.get(reason).copied().unwrap_or(0);
            (count > before).then(|| (reason, count - before))
        };
        let dropped = after.dropped.iter().filter_map(since).collect();
        Frames {
            received: after.received - before.received,
            inferred: after.inferred - before.inferred,
            pending: after.pending,
            dropped,
        }
    }
}

/// Processors that others may take before the numbers are doubted: a machine at rest takes a few hundredths.
const OTHERS: f64 = 0.1;

/// Names and widths of the table's columns.
const COLUMNS: [(&str, usize); 12] = [
    ("streams", 7),
    ("fps", 7),
    ("per stream", 11),
    ("p50 ms", 7),
    ("p95", 7),
    ("p99", 7),
    ("max", 7),
    ("cores", 6),
    ("cameras", 7),
    ("RSS", 5),
    ("/stream", 7),
    ("posts p50/p99", 14),
];

/// To so many decimals.
fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

impl Report {
    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |l: String| writeln!(text, "{}", l.trim_end()).expect("a string takes all");
        line(format!("{} on {}, {} cores", self.pipeline, self.processor, self.cores));
        for Model { name, device, instances, threads, batch } in &self.models {
            line(format!("  {name}: {device}, {instances} x {threads} thr, batch {batch}"));
        }
        let Clip { path, frames, fps, bits } = &self.clip;
        let (name, mbits) = (path.file_name().unwrap_or_default().display(), *bits as f64 / 1e6);
        line(format!("cameras: {name}, {frames} frames, {fps} per second, {mbits:.1} Mbit/s, RTSP over TCP"));
        line(String::new());
        let columns = COLUMNS.map(|(name, width)| format!("{name:>width$}")).join(" ");
        line(format!("{columns}  dropped"));
        for case in &self.cases {
            line(Self::row(case));
        }
        line(String::new());
        let base = format!("memory in MiB: {:.0} without streams", self.base_mib);
        line(match self.additional_mib() {
            Some(mib) => format!("{base}, {mib:.1} for each additional one"),
            None => base,
        });
        if let Some(posts) = &self.posts_alone {
            line(format!("posts without streams p50/p99 {} ms at {:.1} a second", spread(posts), posts.per_second));
        }
        for complaint in self.complaints() {
            line(complaint);
        }
        if let Some(search) = &self.search {
            let bound = humantime::format_duration(self.bound);
            let floor = if self.min_fps > 0.0 { format!(" and {} fps each", self.min_fps) } else { String::new() };
            line(match search.largest() {
                Some(streams) => format!("\nlargest with p99 within {bound}{floor}: {streams} streams"),
                None => format!("\nnot even one stream has its p99 within {bound}{floor}"),
            });
        }
        text.trim_end().to_owned()
    }

    /// Memory that each further stream takes, once there are some: from the case with the fewest to that with the most.
    fn additional_mib(&self) -> Option<f64> {
        let grown: Vec<_> = self.cases.iter().filter(|case| case.stream_mib.is_some()).collect();
        let (few, many) = (grown.first()?, grown.last()?);
        let streams = many.streams - few.streams;
        (streams > 0).then(|| (many.rss_mib - few.rss_mib) / streams as f64)
    }

    fn row(case: &Case) -> String {
        let [total, slowest, fastest] = case.fps;
        let ms = |pick: fn(Spread) -> f64| case.latency.map_or("-".to_owned(), |spread| format!("{:.1}", pick(spread)));
        let values = [
            case.streams.to_string(),
            format!("{total:.1}"),
            format!("{slowest:.1}-{fastest:.1}"),
            ms(|s| s.p50),
            ms(|s| s.p95),
            ms(|s| s.p99),
            ms(|s| s.max),
            format!("{:.2}", case.cores),
            format!("{:.2}", case.camera_cores),
            format!("{:.0}", case.rss_mib),
            case.stream_mib.map_or("-".to_owned(), |mib| format!("{mib:.1}")),
            case.posts.as_ref().map_or("-".to_owned(), spread),
        ];
        let columns: Vec<_> =
            COLUMNS.iter().zip(values).map(|((_, width), value)| format!("{value:>width$}")).collect();
        let drops: Vec<_> = case.frames().dropped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        format!("{}  {}", columns.join(" "), if drops.is_empty() { "-".to_owned() } else { drops.join(", ") })
    }

    /// What makes the numbers doubtful.
    fn complaints(&self) -> Vec<String> {
        let mut said = Vec::new();
        for case in &self.cases {
            let (streams, [sent, late]) = (case.streams, case.camera_frames);
            if case.other_cores > OTHERS {
                said.push(format!("{streams} streams: other programs took {:.2} cores meanwhile", case.other_cores));
            }
            if late * 100 > sent {
                said.push(format!(
                    "{streams} streams: {late} of {sent} frames were sent late, the cameras had no time"
                ));
            }
            if case.unreadable > 0 {
                said.push(format!("{streams} streams: {} results whose frame has no known number", case.unreadable));
            }
            if case.repeats > 0 {
                said.push(format!("{streams} streams: {} results of a frame that had one", case.repeats));
            }
            if let Some(PostFigures { sent, failed, error: Some(error), .. }) = &case.posts {
                said.push(format!("{streams} streams: {failed} of {sent} posts failed: {error}"));
            }
        }
        said
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        let model = |model: &Model| {
            let Model { name, device, instances, threads, batch } = model;
            json!({"name": name, "device": device, "instances": instances, "threads": threads, "batch": batch})
        };
        let Clip { path, frames, fps, bits } = &self.clip;
        let mut json = json!({
            "pipeline": self.pipeline, "models": self.models.iter().map(model).collect::<Vec<_>>(),
            "clip": {"file": path.file_name().map(|name| name.display().to_string()), "frames": frames, "fps": fps,
                "bits_per_second": bits},
            "machine": {"processor": self.processor, "cores": self.cores},
            "versions": {"vigia": env!("CARGO_PKG_VERSION"), "onnxruntime": self.onnxruntime, "gstreamer": self.gstreamer},
            "bound_ms": self.bound.as_secs_f64() * 1e3, "min_fps": self.min_fps, "warm_s": self.warm.as_secs_f64(),
            "base_rss_mib": round(self.base_mib, 1),
            "rss_mib_per_additional_stream": self.additional_mib().map(|mib| round(mib, 1)),
            "cases": self.cases.iter().map(case_json).collect::<Vec<_>>(),
        });
        if let Some(search) = &self.search {
            json["largest"] = json!(search.largest());
        }
        if let Some(posts) = &self.posts_alone {
            json["posts_alone"] = posts_json(posts);
        }
        json
    }
}

fn spread(posts: &PostFigures) -> String {
    posts.latency.map_or("-".to_owned(), |latency| format!("{:.1} / {:.1}", latency.p50, latency.p99))
}

fn case_json(case: &Case) -> Value {
    let [total, slowest, fastest] = case.fps;
    let frames = case.frames();
    let [before, _] = &case.frames;
    let mut json = json!({
        "streams": case.streams, "seconds": round(case.seconds, 2), "fps_total": round(total, 1),
        "fps_min_stream": round(slowest, 2), "fps_max_stream": round(fastest, 2),
        "repeats": case.repeats, "unreadable": case.unreadable,
        "frames": {"received": frames.received, "inferred": frames.inferred, "pending_before": before.pending,
            "pending_after": frames.pending, "dropped": frames.dropped},
        "cores": round(case.cores, 2), "other_cores": round(case.other_cores, 2), "rss_mib": round(case.rss_mib, 1),
        "rss_mib_per_stream": case.stream_mib.map(|mib| round(mib, 1)),
        "cameras": {"cores": round(case.camera_cores, 3), "sent": case.camera_frames[0], "late": case.camera_frames[1]},
    });
    add_latency(&mut json, case.latency);
    if let Some(posts) = &case.posts {
        json["posts"] = posts_json(posts);
    }
    json
}

fn posts_json(posts: &PostFigures) -> Value {
    let PostFigures { per_second, sent, failed, error, latency } = posts;
    let mut json = json!({"per_second": round(*per_second, 1), "sent": sent, "failed": failed});
    if let Some(error) = error {
        json["error"] = json!(error);
    }
    add_latency(&mut json, *latency);
    json
}

fn add_latency(json: &mut Value, latency: Option<Spread>) {
    let ms = |pick: fn(Spread) -> f64| latency.map(|spread| round(pick(spread), 2));
    json["p50_ms"] = json!(ms(|s| s.p50));
    json["p95_ms"] = json!(ms(|s| s.p95));
    json["p99_ms"] = json!(ms(|s| s.p99));
    json["max_ms"] = json!(ms(|s| s.max));
    json["measured"] = json!(latency.map_or(0, |spread| spread.count));
}

#[cfg(test)]
mod tests;
