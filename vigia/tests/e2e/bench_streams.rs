//! `vigia bench streams`: cameras, the streams that look at them, and the numbers.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{is_set_up, text, vigia};

/// True where a clip can be made; says so when not.
fn can_encode() -> bool {
    let ffmpeg = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status();
    if ffmpeg.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(std::env::var_os("VIGIA_TESTS_MUST_RUN").is_none(), "ffmpeg is missing: run scripts/setup.sh");
    eprintln!("skipped: no ffmpeg: run scripts/setup.sh with VIGIA_SETUP_TESTS=1");
    false
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

#[test]
fn streams_are_measured_and_every_frame_is_counted() {
    if !is_set_up() || !can_encode() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("vigia.yaml");
    std::fs::write(&config, format!("data_dir: {}\n", text(folder.path()))).expect("written");
    // Settings that are given are not measured first.
    let settings = ["--instances", "1", "--threads", "1", "--batch", "1"];
    let small = ["--size", "480x272", "--seconds", "2", "--warm", "0.5", "--posts", "5", "--json", "-"];
    let command = ["--config", text(&config), "bench", "streams", "--streams", "2"];
    let run = vigia(&[&command[..], &small, &settings].concat());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");

    assert_eq!((&report["pipeline"], &report["clip"]["frames"]), (&json!("faces"), &json!(900)));
    assert_eq!(report["versions"]["vigia"], env!("CARGO_PKG_VERSION"));
    let names: Vec<_> = report["models"].as_array().expect("models").iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["face-landmarks-68", "tiny-face"]);
    let [case] = report["cases"].as_array().expect("cases").as_slice() else { panic!("one case: {report}") };
    assert_eq!((&case["streams"], &case["unreadable"]), (&json!(2), &json!(0)));
    assert!(number(&case["measured"]) > 0 && number(&case["cameras"]["sent"]) > 0, "{case}");
    for key in ["fps_total", "p50_ms", "p95_ms", "p99_ms", "max_ms", "cores", "rss_mib", "rss_mib_per_stream"] {
        assert!(case[key].is_number(), "{key}: {case}");
    }
    let frames = &case["frames"];
    let dropped: u64 = frames["dropped"].as_object().expect("by reason").values().map(number).sum();
    assert_eq!(
        number(&frames["received"]) + number(&frames["pending_before"]),
        number(&frames["inferred"]) + number(&frames["pending_after"]) + dropped,
        "{frames}"
    );
    for posts in [&report["posts_alone"], &case["posts"]] {
        assert!(number(&posts["sent"]) > 0 && posts["failed"] == 0 && posts["p99_ms"].is_number(), "{posts}");
    }
    // The clip is kept for the next time, the file of times is not.
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("bench")).expect("a folder").collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let missing = vigia(&["bench", "streams", "--clip", "nowhere.h264"]);
    assert_eq!(missing.status, 1);
    assert!(missing.stderr.contains("nowhere.h264"), "{}", missing.stderr);
    for (wrong, named) in [
        (["--pipeline", "nonsense"], "nonsense"),
        (["--size", "100x100"], "428x68"),
        (["--streams", "0"], "--streams"),
        (["--fps", "61"], "--fps"),
        (["--bound", "soon"], "--bound"),
    ] {
        let run = vigia(&[&["bench", "streams"], &wrong[..]].concat());
        assert_eq!(run.status, 2, "{wrong:?}: {}", run.stderr);
        assert!(run.stderr.contains(named), "{wrong:?}: {}", run.stderr);
    }
    let none = vigia(&["bench"]);
    assert_eq!(none.status, 2, "{}", none.stderr);
}

#[test]
fn cameras_end_with_whoever_wanted_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (clip, times) = (folder.path().join("clip.h264"), folder.path().join("times"));
    std::fs::write(&clip, [0, 0, 0, 1, 9, 16, 0, 0, 1, 0x41, 7].repeat(5)).expect("written");
    // Standard input is at its end from the start.
    let run = vigia(&["bench", "cameras", "--streams", "3", "--clip", text(&clip), "--times", text(&times)]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let listening: Value = serde_json::from_str(&run.stdout).expect("one line of JSON");
    assert!(number(&listening["port"]) > 0 && listening["frames"] == 5, "{listening}");
    assert_eq!(std::fs::metadata(&times).expect("made").len(), 3 * 5 * 8);
}
