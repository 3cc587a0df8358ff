//! The other commands, and how the program ends.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{is_set_up, root, shared, text, vigia, vigia_with};

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [
        &["detect"][..],
        &["detect", "a.jpg", "--conf", "2"],
        &["detect", "a.jpg", "--conf", "abc"],
        &["detect", "a.jpg", "--every", "0"],
        &["detect", "a.jpg", "--model", "x", "--pipeline", "y"],
        &["detect", "a.jpg", "--instances", "0"],
        &["dance"],
    ] {
        let run = vigia(arguments);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(!run.stderr.is_empty());
    }
}

#[test]
fn unknown_names_say_what_there_is() {
    if !is_set_up() {
        return;
    }
    let run = vigia(&["detect", "a.jpg", "--model", "tiny-fase"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("tiny-fase") && run.stderr.contains("tiny-face"), "{}", run.stderr);
    let run = vigia(&["detect", "a.jpg", "--pipeline", "people"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("people") && run.stderr.contains("faces"), "{}", run.stderr);
    let run = vigia(&["detect", "a.jpg", "--model", "face-landmarks-68"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("second stage"), "{}", run.stderr);
}

#[test]
fn missing_default_models_say_how_to_get_them() {
    if !is_set_up() {
        return;
    }
    let run = vigia_with(&["detect", ".vigia/samples/sample1.jpg"], |c| {
        c.env("VIGIA_MODELS", "nowhere");
    });
    assert_eq!((run.status, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("tiny-face") && run.stderr.contains("scripts/setup.sh"), "{}", run.stderr);
}

#[test]
fn the_model_folder_is_listed_and_models_inspected() {
    if !is_set_up() {
        return;
    }
    let run = vigia(&["models", "list", "--json"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let list: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let families: Vec<_> = list["models"].as_array().expect("models").iter().map(|m| m["family"].clone()).collect();
    assert!(families.contains(&Value::from("tiny-face")) && families.contains(&Value::from("face-landmarks-68")));
    let run = vigia(&["models", "inspect", "tiny-face", "--json"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let model: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&model["family"], &model["input"]["width"]), (&Value::from("tiny-face"), &Value::from(416)));
    assert_eq!(model["labels"], serde_json::json!(["face"]));
}

#[test]
fn stock_exports_are_recognised() {
    if !is_set_up() {
        return;
    }
    let expected = [
        ("yolo11n.onnx", "yolov8", 80),
        ("yolox_nano.onnx", "yolox", 80),
        ("FastestDet.onnx", "fastestdet", 80),
        ("yunet_n_640_640.onnx", "yunet", 1),
        ("yunet_n_dynamic.onnx", "yunet", 1),
    ];
    for (file, family, classes) in expected {
        let Some(model) = shared(&format!("models/{file}")) else { return };
        let run = vigia(&["models", "inspect", "--json", text(&model)]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let seen: Value = serde_json::from_str(&run.stdout).expect("JSON");
        assert_eq!(seen["family"], family);
        assert_eq!(seen["labels"].as_array().map(Vec::len), Some(classes), "{file}");
    }
    let other = shared("models/openseeface_lm0.onnx").expect("beside the others");
    let run = vigia(&["models", "inspect", text(&other)]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("[?, 198, 28, 28]") && run.stderr.contains("openseeface_lm0.yaml"), "{}", run.stderr);
}

#[test]
fn import_makes_the_same_files_again() {
    if !is_set_up() {
        return;
    }
    let package = root().join(".vigia/npm/node_modules/@vladmandic/face-api");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = vigia(&["models", "import", text(&package), "--out", text(folder.path())]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    for model in ["tiny-face.onnx", "face-landmarks-68.onnx"] {
        let read = |path: std::path::PathBuf| std::fs::read(path).expect("there");
        assert!(read(folder.path().join(model)) == read(root().join(".vigia/models").join(model)), "{model} differs");
    }
    let run = vigia(&["models", "import", text(folder.path())]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("@vladmandic/face-api"), "{}", run.stderr);
}

#[test]
fn check_draws_the_pipelines_and_names_mistakes() {
    if !is_set_up() {
        return;
    }
    let run = vigia(&["check", "vigia.example.yaml"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let drawing = "pipeline faces: tiny-face\n          ├─ track    confirmed after 2 detections, kept 2s without one\n          \
                   ├─ stage    face-landmarks-68: face, from 24 px, margin 0, when better or 1s old\n          └─ events   face\n";
    assert!(run.stdout.contains(drawing), "{}", run.stdout);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("vigia.yaml");
    let check = |content: &str| {
        std::fs::write(&file, content).expect("written");
        vigia(&["check", text(&file)])
    };
    let run = check("models:\n  a: {path: nowhere.onnx}\npipelines:\n  p: {detect: {model: a}}\n");
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("failed  model a") && run.stdout.contains("nowhere.onnx"), "{}", run.stdout);
    let run = check("limits:\n  bodi: 20MB\n");
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("bodi") && run.stderr.contains('2'), "{}", run.stderr);
    let stages = "pipelines: {p: {detect: {model: tiny-face}, stages: [{model: face-landmarks-68, classes: [cat]}]}}";
    let run = check(stages);
    assert!(run.stdout.contains("no class \"cat\""), "{}", run.stdout);
}

#[test]
fn a_configured_pipeline_is_used() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("vigia.yaml");
    let config =
        "models: {strict: {path: tiny-face.onnx, confidence: 0.84}}\npipelines: {few: {detect: {model: strict}}}";
    std::fs::write(&file, config).expect("written");
    let run = vigia(&["--config", text(&file), "detect", "--pipeline", "few", ".vigia/samples/sample6.jpg"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let line = &run.lines()[0];
    assert_eq!((&line["model"], line["detections"].as_array().map(Vec::len)), (&Value::from("strict"), Some(1)));
    assert_eq!(line["detections"][0].get("landmarks"), None);
}

#[test]
fn bench_measures_and_remembers() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("vigia.yaml");
    std::fs::write(&file, format!("data_dir: {}\n", text(folder.path()))).expect("written");
    let run = vigia(&["--config", text(&file), "bench", "tiny-face", "--seconds", "0.2", "--json", "-"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    for key in ["limit_images_per_second", "ratio"] {
        assert!(report[key].as_f64().is_some_and(|v| v > 0.0), "{key}: {report}");
    }
    assert!(report["engine"].as_array().is_some_and(|e| e.len() >= 3));
    assert!(report["step_ms"]["decode"].as_f64().is_some_and(|v| v > 0.0));
    let listed = vigia(&["--config", text(&file), "-v", "models", "inspect", "tiny-face"]);
    assert!(listed.stdout.contains("Measured"), "{}", listed.stdout);
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    if !is_set_up() {
        return;
    }
    // A pipe whose reading end is closed at once.
    let run = vigia_with(&["detect", "--model", "tiny-face", "test://?frames=50"], |c| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        c.stdout(Stdio::from(writer));
    });
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
}

#[test]
fn the_engine_reports_to_nobody() {
    if !is_set_up() {
        return;
    }
    // Before it asks for its maker's address, ONNX Runtime leaves a file of its session among the temporary ones.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = vigia_with(&["detect", ".vigia/samples/sample1.jpg"], |command| {
        command.env_remove("ORT_DISABLE_TELEMETRY").env("TMPDIR", folder.path());
    });
    assert_eq!(run.status, 0, "{}", run.stderr);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("readable").map(|e| e.map(|e| e.file_name())).collect();
    assert!(left.is_empty(), "{left:?}");
}
