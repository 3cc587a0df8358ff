//! Videos: every frame, in order, with its time.

use serde_json::Value;

use crate::support::{is_set_up, shared, text, vigia};

fn frame_ids(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|l| l["frame_id"].as_u64().expect("a frame id")).collect()
}

#[test]
fn every_frame_has_one_line_in_order() {
    if !is_set_up() {
        return;
    }
    let run = vigia(&["detect", "--model", "tiny-face", "test://?width=320&height=240&fps=25&frames=60"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let lines = run.lines();
    assert_eq!(frame_ids(&lines), (0..60).collect::<Vec<_>>());
    for (n, line) in lines.iter().enumerate() {
        let pts = line["pts"].as_f64().expect("seconds");
        assert!((pts - n as f64 / 25.0).abs() < 0.002, "frame {n} at {pts}");
        assert_eq!((line["width"].as_u64(), line["height"].as_u64()), (Some(320), Some(240)));
    }
}

#[test]
fn every_nth_frame_keeps_its_number() {
    if !is_set_up() {
        return;
    }
    let run = vigia(&["detect", "--model", "tiny-face", "--every", "7", "test://?frames=30"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(frame_ids(&run.lines()), [0, 7, 14, 21, 28]);
}

#[test]
fn an_annotated_copy_is_a_video_with_the_same_frames() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = vigia(&["detect", "test://?width=320&height=240&frames=40", "--save", text(folder.path())]);
    // libopenh264 itself writes a line of its own at the end of some recordings.
    let said: Vec<&str> = run.stderr.lines().filter(|l| !l.starts_with("[OpenH264]")).collect();
    assert_eq!((run.status, run.stdout.as_str(), said), (0, "", Vec::new()));
    let copies: Vec<_> = std::fs::read_dir(folder.path()).expect("made").map(|e| e.expect("readable").path()).collect();
    let [copy] = copies.as_slice() else { panic!("one copy, not {copies:?}") };
    let again = vigia(&["detect", "--model", "tiny-face", text(copy)]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert_eq!(again.lines().len(), 40);
}

#[test]
fn pictures_and_videos_mix_in_the_order_given() {
    if !is_set_up() {
        return;
    }
    let (picture, video) = (".vigia/samples/sample2.jpg", "test://?frames=5");
    let run = vigia(&["detect", "--model", "tiny-face", picture, video, picture]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let sources: Vec<_> = run.lines().iter().map(|l| l["source"].as_str().expect("a source").to_owned()).collect();
    let expected: Vec<_> = [picture].into_iter().chain([video; 5]).chain([picture]).collect();
    assert_eq!(sources, expected);
    assert_eq!(run.lines()[0].get("frame_id"), None);
}

#[test]
fn a_truncated_video_gives_its_frames_and_then_the_error() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = vigia(&["detect", "test://?frames=100", "--save", text(folder.path())]);
    assert_eq!(made.status, 0, "{}", made.stderr);
    let whole = std::fs::read_dir(folder.path()).expect("made").next().expect("a copy").expect("readable").path();
    let bytes = std::fs::read(&whole).expect("readable");
    let cut = folder.path().join("cut").with_extension(whole.extension().expect("one"));
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).expect("written");
    let run = vigia(&["detect", "--model", "tiny-face", text(&cut)]);
    assert_eq!(run.status, 1, "half a video is no whole one");
    assert!(run.stderr.contains("cut."), "{}", run.stderr);
    assert!(run.lines().len() < 100);
}

#[test]
fn a_video_without_pictures_says_so() {
    if !is_set_up() {
        return;
    }
    // A WAV file of silence, written by hand: RIFF, fmt, data.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("silence.wav");
    let samples = vec![0u8; 16_000];
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + samples.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(8000u32.to_le_bytes());
    wav.extend(16_000u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend((samples.len() as u32).to_le_bytes());
    wav.extend(samples);
    std::fs::write(&path, wav).expect("written");
    let run = vigia(&["detect", text(&path)]);
    assert_eq!((run.status, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("silence.wav") && run.stderr.contains("no video"), "{}", run.stderr);
}

#[test]
fn all_frames_of_a_real_video() {
    if !is_set_up() {
        return;
    }
    let (Some(video), Some(model)) = (shared("media/people.mp4"), shared("models/yolox_nano.onnx")) else { return };
    let run = vigia(&["detect", "--model", text(&model), "--every", "4", text(&video)]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let lines = run.lines();
    assert_eq!(frame_ids(&lines), (0..1394).step_by(4).collect::<Vec<_>>());
    let people = |l: &&Value| l["detections"].as_array().expect("detections").iter().any(|d| d["class"] == "person");
    let with_people = lines.iter().filter(people).count();
    assert!(with_people > 150, "a person walks through most of it, seen in {with_people} of {}", lines.len());
}
