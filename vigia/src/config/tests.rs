use super::*;

#[test]
fn the_example_says_what_the_defaults_are() {
    let text = include_str!("../../../vigia.example.yaml");
    assert_eq!(Config::parse(text), Ok(Config::default()));
}

#[test]
fn the_example_documents_every_key() {
    // With each comment sign before a key taken away, the example must still be valid, and every key be there.
    let text = include_str!("../../../vigia.example.yaml");
    let open = text.lines().map(|l| l.strip_prefix("#| ").unwrap_or(l)).collect::<Vec<_>>().join("\n");
    let config = Config::parse(&open).expect("valid with all keys");
    assert!(config.models.contains_key("people") && config.pipelines.contains_key("people"));
    let keys = [
        "data_dir",
        "onnxruntime",
        "model_dir",
        "limits",
        "body",
        "pixels",
        "queue",
        "models",
        "path",
        "confidence",
        "iou",
        "instances",
        "threads",
        "batch",
        "device",
        "pipelines",
        "detect",
        "model",
        "stages",
        "classes",
        "min_size",
        "margin",
    ];
    for key in keys {
        assert!(open.contains(&format!("{key}:")), "{key} is not documented");
    }
}

#[test]
fn nothing_is_a_configuration() {
    assert_eq!(Config::parse(""), Ok(Config::default()));
    assert_eq!(Config::parse("# only a comment\n\n"), Ok(Config::default()));
}

#[test]
fn the_built_in_pipeline_stays_beside_others() {
    let config = Config::parse("pipelines: {people: {detect: {model: people}}}").expect("valid");
    assert_eq!(config.pipelines.keys().collect::<Vec<_>>(), ["faces", "people"]);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let cases = [
        ("limits:\n  bodi: 20MB\n", "bodi", "2"),
        ("limits:\n  body: much\n", "much", "2"),
        ("models:\n  a: {path: a.onnx, instances: 0}\n", "1 to 1024", "2"),
        ("models:\n  a: {path: a.onnx, device: gpu}\n", "gpu", "2"),
        ("models:\n  a: {confidence: 0.4}\n", "path", "2"),
        ("models: [", "", "1"),
    ];
    for (text, what, line) in cases {
        let error = Config::parse(text).expect_err(text);
        assert!(error.contains(what) && error.contains(line), "{text}: {error}");
    }
    let error = Config::parse("models: {a: {path: a.onnx, confidence: 40}}").expect_err("out of range");
    assert!(error.contains("models.a") && error.contains("0 to 1"), "{error}");
    let error = Config::parse("pipelines: {p: {detect: {model: a}, stages: [{model: b, margin: -1}]}}");
    assert!(error.expect_err("out of range").contains("margin"));
}
