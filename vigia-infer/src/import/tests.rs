//! Broken packages: every one is an error that names what is wrong, and never a panic.

use std::fs;

use prost::Message as _;
use tempfile::TempDir;

use super::*;

/// A package of one network, `net`, with the manifest and the binary given.
fn package(weights: &str, binary: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let manifest = format!(r#"[{{"weights":[{weights}],"paths":["net.bin"]}}]"#);
    fs::write(dir.path().join("net-weights_manifest.json"), manifest).expect("the manifest");
    fs::write(dir.path().join("net.bin"), binary).expect("the binary");
    dir
}

fn load(weights: &str, binary: &[u8]) -> Result<Weights, ImportError> {
    Weights::load(package(weights, binary).path(), "net")
}

/// The problem with the tensor `a` that loading reports, `None` for any other outcome.
fn problem(weights: &str, binary: &[u8]) -> Option<TensorProblem> {
    match load(weights, binary) {
        Err(ImportError::Tensor { tensor, problem, .. }) if tensor == "a" => Some(problem),
        _ => None,
    }
}

#[test]
fn quantised_and_plain_tensors_follow_each_other() {
    let weights = r#"{"name":"a","shape":[2],"dtype":"float32","quantization":{"dtype":"uint8","scale":0.5,"min":-1.0}},
        {"name":"b","shape":[1,2],"dtype":"float32"}"#;
    let mut binary = vec![0, 255];
    binary.extend(1.25f32.to_le_bytes());
    binary.extend((-3.0f32).to_le_bytes());
    let weights = load(weights, &binary).expect("a good package");
    assert_eq!(weights.get("a", &[2]).expect("a"), [-1.0, 126.5]);
    assert_eq!(weights.get("b", &[1, 2]).expect("b"), [1.25, -3.0]);
}

#[test]
fn a_truncated_binary_says_how_much_is_missing() {
    let found = problem(r#"{"name":"a","shape":[3],"dtype":"float32"}"#, &[0; 11]);
    assert_eq!(found, Some(TensorProblem::Truncated { needed: 12, left: 11 }));
}

#[test]
fn bytes_after_the_last_tensor_are_refused() {
    let weights = r#"{"name":"a","shape":[1],"dtype":"float32"}"#;
    let error = load(weights, &[0; 7]).expect_err("three bytes too many");
    assert!(matches!(error, ImportError::SurplusBytes { bytes: 3, .. }), "{error}");
}

#[test]
fn unknown_element_types_are_named() {
    let plain = problem(r#"{"name":"a","shape":[1],"dtype":"int32"}"#, &[0; 4]);
    assert_eq!(plain, Some(TensorProblem::UnknownDtype("int32".to_owned())));
    let quantised = r#"{"name":"a","shape":[1],"dtype":"float32","quantization":{"dtype":"uint16","scale":1,"min":0}}"#;
    assert_eq!(problem(quantised, &[0; 4]), Some(TensorProblem::UnknownDtype("uint16".to_owned())));
}

#[test]
fn absurd_shapes_are_refused_before_memory_is_taken() {
    for shape in ["[]", "[0]", "[4294967296,4294967296]", "[18446744073709551615]", "[1099511627776]"] {
        let weights = format!(r#"{{"name":"a","shape":{shape},"dtype":"float32"}}"#);
        let found = problem(&weights, &[0; 4]);
        assert!(matches!(found, Some(TensorProblem::ImpossibleShape(_))), "{shape}: {found:?}");
    }
}

#[test]
fn values_that_are_no_numbers_are_refused() {
    let plain = r#"{"name":"a","shape":[1],"dtype":"float32"}"#;
    assert_eq!(problem(plain, &f32::NAN.to_le_bytes()), Some(TensorProblem::NotFinite));
    let overflow =
        r#"{"name":"a","shape":[1],"dtype":"float32","quantization":{"dtype":"uint8","scale":1e300,"min":0}}"#;
    assert_eq!(problem(overflow, &[1]), Some(TensorProblem::NotFinite));
}

#[test]
fn a_tensor_that_is_there_twice_is_refused() {
    let one = r#"{"name":"a","shape":[1],"dtype":"float32"}"#;
    assert_eq!(problem(&format!("{one},{one}"), &[0; 8]), Some(TensorProblem::Duplicate));
}

#[test]
fn a_missing_tensor_and_a_wrong_shape_name_the_tensor() {
    let weights = load(r#"{"name":"a","shape":[1],"dtype":"float32"}"#, &[0; 4]).expect("a good package");
    let missing = weights.get("conv0/bias", &[16]).expect_err("not there").to_string();
    assert!(missing.contains(r#"tensor "conv0/bias" is missing"#), "{missing}");
    let shape = weights.get("a", &[2, 3]).expect_err("another shape").to_string();
    assert!(shape.contains("has the shape [1], the network needs [2, 3]"), "{shape}");
}

#[test]
fn a_manifest_that_is_no_manifest_says_where() {
    for manifest in ["", "{", "[{}]", r#"[{"weights":[{"name":"a","shape":[-1],"dtype":"float32"}],"paths":[]}]"#] {
        let dir = package("", &[]);
        fs::write(dir.path().join("net-weights_manifest.json"), manifest).expect("the manifest");
        let error = Weights::load(dir.path(), "net").expect_err("no manifest");
        assert!(matches!(error, ImportError::Manifest { .. }), "{manifest}: {error}");
        assert!(error.to_string().contains("line"), "{error}");
    }
}

#[test]
fn a_manifest_cannot_reach_out_of_its_folder() {
    for path in ["../net.bin", "/etc/passwd", "sub/net.bin", "..", ""] {
        let dir = package("", &[]);
        let manifest = format!(r#"[{{"weights":[],"paths":["{path}"]}}]"#);
        fs::write(dir.path().join("net-weights_manifest.json"), manifest).expect("the manifest");
        let error = Weights::load(dir.path(), "net").expect_err("outside");
        assert!(matches!(error, ImportError::UnsafePath { .. }), "{path}: {error}");
    }
}

#[test]
fn a_huge_file_is_refused_unread() {
    let dir = package("", &[]);
    let file = fs::File::create(dir.path().join("net.bin")).expect("the binary");
    file.set_len(1 << 40).expect("a sparse file");
    let error = Weights::load(dir.path(), "net").expect_err("a terabyte");
    assert!(matches!(error, ImportError::TooLarge { bytes, .. } if bytes == 1 << 40), "{error}");
}

#[test]
fn an_empty_folder_names_the_first_missing_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("out");
    let error = import_face_api(dir.path(), &out).expect_err("nothing there").to_string();
    assert!(error.contains("tiny_face_detector_model-weights_manifest.json"), "{error}");
    assert!(!out.exists(), "nothing is written when a network cannot be converted");
}

#[test]
fn a_file_in_the_way_of_the_output_folder_is_a_write_error() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("models");
    fs::write(&file, "").expect("a file");
    let error = write::create_dir(&file).expect_err("a file is there");
    assert!(matches!(error, ImportError::Write { .. }), "{error}");
    let error = write::atomically(&file.join("a.onnx"), b"").expect_err("no folder");
    assert!(matches!(error, ImportError::Write { .. }), "{error}");
}

#[test]
fn the_real_package_converts() {
    let Some(models) = real_package() else { return };
    let out = tempfile::tempdir().expect("a temporary folder");
    let imported = import_face_api(&models, out.path()).expect("the package converts");
    let families: Vec<_> = imported.iter().map(|model| model.family).collect();
    assert_eq!(families, ["tiny-face", "face-landmarks-68", "face-expression", "age-gender", "face-recognition"]);
    for model in &imported {
        let bytes = fs::read(&model.path).expect("the model was written");
        assert_eq!(bytes.len() as u64, model.bytes);
        let decoded = ModelProto::decode(bytes.as_slice()).expect("the model is readable");
        assert_eq!(decoded.metadata("vigia.family"), Some(model.family));
        assert_eq!(decoded.metadata("vigia.scale"), Some("0.00392156862745098"));
    }
    let files = fs::read_dir(out.path()).expect("the output folder").count();
    assert_eq!(files, imported.len(), "no temporary file is left");
}

/// The package's `model` folder from `VIGIA_FACE_API`, else where `scripts/setup.sh` leaves it.
fn real_package() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.vigia/npm/node_modules/@vladmandic/face-api/model");
    let folder = std::env::var_os("VIGIA_FACE_API").map_or(installed, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no face-api package; run scripts/setup.sh, or set VIGIA_FACE_API to its `model` folder");
    None
}
