use super::*;

fn tensor(name: &str, dims: &[i64]) -> TensorInfo {
    TensorInfo {
        name: name.to_owned(),
        element: "float32".to_owned(),
        dims: dims.iter().map(|&d| usize::try_from(d).ok()).collect(),
    }
}

fn graph(input: &[i64], outputs: &[(&str, &[i64])], metadata: &[(&str, &str)]) -> GraphInfo {
    GraphInfo {
        inputs: vec![tensor("images", input)],
        outputs: outputs.iter().map(|(name, dims)| tensor(name, dims)).collect(),
        metadata: metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        producer: String::new(),
    }
}

fn look(graph: &GraphInfo, manifest: &str) -> Result<Recognised, String> {
    let manifest = Manifest::parse(manifest).expect("a valid manifest");
    recognise(ModelId::new("m"), Path::new("m.onnx"), graph, &manifest)
}

fn family_of(graph: &GraphInfo) -> Family {
    look(graph, "{}").map(|r| r.spec.family).expect("recognised")
}

const ULTRALYTICS: &[(&str, &str)] =
    &[("author", "Ultralytics"), ("task", "detect"), ("imgsz", "[480, 640]"), ("names", "{0: 'cat', 1: 'dog'}")];

#[test]
fn the_common_exports_are_told_apart() {
    assert_eq!(family_of(&graph(&[1, 3, 416, 416], &[("output", &[1, 3549, 85])], &[])), Family::YoloX);
    assert_eq!(family_of(&graph(&[1, 3, 640, 640], &[("output0", &[1, 25200, 85])], &[])), Family::YoloV5);
    assert_eq!(family_of(&graph(&[1, 3, 640, 640], &[("output0", &[1, 84, 8400])], &[])), Family::YoloV8);
    assert_eq!(family_of(&graph(&[1, 3, 640, 640], &[("output0", &[1, 300, 6])], &[])), Family::YoloNms);
    assert_eq!(family_of(&graph(&[1, 3, 352, 352], &[("out", &[1, 85, 22, 22])], &[])), Family::FastestDet);
}

#[test]
fn ultralytics_metadata_gives_size_and_labels() {
    let free = graph(&[-1, 3, -1, -1], &[("output0", &[-1, 6, -1])], ULTRALYTICS);
    let found = look(&free, "{}").expect("recognised");
    assert_eq!(found.spec.family, Family::YoloV8);
    assert_eq!(found.spec.input.size, Size::new(640, 480));
    assert_eq!(found.spec.labels.as_ref(), ["cat", "dog"]);
    assert_eq!((found.spec.min_batch, found.spec.max_batch), (1, MAX_BATCH));
}

#[test]
fn second_stages_are_known_by_their_metadata() {
    let face = |side: i64, family: &str, outputs: &[(&str, &[i64])], labels: &str| {
        let metadata = [("vigia.family", family), ("vigia.labels", labels), ("vigia.mean", "122.782,117.001,104.298")];
        look(&graph(&[-1, 3, side, side], outputs, &metadata), "{}").map(|found| found.spec)
    };
    let both: &[(&str, &[i64])] = &[("age", &[-1, 1]), ("gender", &[-1, 2])];
    let spec = face(112, "age-gender", both, "male,female").expect("recognised");
    assert_eq!((spec.family, spec.labels.as_ref()), (Family::AgeGender, &["male".to_owned(), "female".to_owned()][..]));
    assert_eq!(
        (spec.input.fit, spec.max_batch),
        (Fit::Letterbox { align: Align::Centre, pad: 0.0, enlarge: true }, 32)
    );
    let spec = face(150, "face-recognition", &[("descriptor", &[-1, 128])], "descriptor").expect("recognised");
    assert!(spec.labels.is_empty() && spec.family.is_second_stage());
    let error = face(112, "face-expression", &[("probabilities", &[-1, 8])], "").expect_err("refused");
    assert!(error.contains("face-expression must be [batch, 7]"), "{error}");
}

#[test]
fn a_batch_that_only_the_input_leaves_free_is_no_free_batch() {
    let half = graph(&[-1, 3, 640, 640], &[("output0", &[1, 84, 8400])], &[]);
    assert_eq!(look(&half, "{}").expect("recognised").spec.max_batch, 1);
}

#[test]
fn a_batch_in_the_graph_is_the_only_one_and_must_make_sense() {
    let four = look(&graph(&[4, 3, 640, 640], &[("output0", &[4, 84, 8400])], &[]), "{}").expect("recognised").spec;
    assert_eq!((four.min_batch, four.max_batch), (4, 4));
    for batch in [0, 100_000] {
        let error = look(&graph(&[batch, 3, 640, 640], &[("output0", &[batch, 84, 8400])], &[]), "{}");
        assert!(error.err().expect("refused").contains("batch"));
    }
}

#[test]
fn what_is_not_a_detector_is_named_with_what_was_seen() {
    let segment = graph(
        &[1, 3, 640, 640],
        &[("output0", &[1, 116, 8400]), ("output1", &[1, 32, 160, 160])],
        &[("author", "Ultralytics"), ("task", "segment")],
    );
    let error = look(&segment, "{}").err().expect("refused");
    assert!(error.contains("task segment") && error.contains("[1, 116, 8400]"), "{error}");
    let classifier = graph(&[1, 3, 224, 224], &[("logits", &[1, 1000])], &[]);
    let error = look(&classifier, "{}").err().expect("refused");
    assert!(error.contains("logits float32 [1, 1000]") && error.contains("m.yaml"), "{error}");
    let sound = graph(&[1, 16000], &[("logits", &[1, 10])], &[]);
    assert!(look(&sound, "{}").err().expect("refused").contains("NCHW"));
}

#[test]
fn the_manifest_wins_and_is_checked_against_the_graph() {
    let yolox = graph(&[1, 3, 416, 416], &[("output", &[1, 3549, 7])], &[]);
    let manifest = "family: yolox\nlabels: [cat, dog]\nconfidence: 0.6\ninput: {channels: rgb, pad: 0, scale: 0.5}";
    let spec = look(&yolox, manifest).expect("recognised").spec;
    assert_eq!(spec.input.channels, Channels::Rgb);
    assert_eq!(spec.input.fit, Fit::Letterbox { align: Align::TopLeft, pad: 0.0, enlarge: true });
    assert!((spec.input.scale[0] - 0.5).abs() < 1e-6 && (spec.thresholds.confidence - 0.6).abs() < 1e-6);
    let wrong = look(&yolox, "labels: [cat]").err().expect("refused");
    assert!(wrong.contains("names 1 classes, the graph has 2"), "{wrong}");
    let wrong = look(&yolox, "input: {size: 640}").err().expect("refused");
    assert!(wrong.contains("made for 416x416"), "{wrong}");
    let wrong = look(&yolox, "family: yolov8").err().expect("refused");
    assert!(wrong.contains("yolov8"), "{wrong}");
    let wrong = look(&yolox, "family: resnet").err().expect("refused");
    assert!(wrong.contains("resnet") && wrong.contains("fastestdet"), "{wrong}");
}
