//! Running the program, and finding what it is run on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A finished run.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The JSON lines on standard output.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|l| serde_json::from_str(l).expect("each line is JSON")).collect()
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member of the workspace").to_owned()
}

/// Runs `vigia` in the repository's root, with what `scripts/setup.sh` left there.
pub(crate) fn vigia(arguments: &[&str]) -> Run {
    vigia_with(arguments, |_| ())
}

/// The same, with changes to the command.
pub(crate) fn vigia_with(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    command.args(arguments).current_dir(root()).env_remove("RUST_LOG");
    change(&mut command);
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Run { status: status.code().expect("no signal ended it"), stdout: text(stdout), stderr: text(stderr) }
}

/// True when set-up was done; says so when not. `scripts/test.sh` does it first and lets nothing be skipped.
pub(crate) fn is_set_up() -> bool {
    found(&root().join(".vigia/models/tiny-face.onnx"), "run scripts/setup.sh")
}

/// A file or folder of the developers' shared material, where it is at hand.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = root().parent().expect("a folder above").join("shared").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: there is no ../shared with {}", path.file_name().unwrap_or_default().to_string_lossy());
    None
}

fn found(path: &Path, hint: &str) -> bool {
    if path.exists() {
        return true;
    }
    assert!(std::env::var_os("VIGIA_TESTS_MUST_RUN").is_none(), "{} is missing: {hint}", path.display());
    eprintln!("skipped: no {}: {hint}", path.display());
    false
}

/// Left, top, right, bottom.
pub(crate) type Box4 = [f64; 4];

/// A detection's box on the wire.
pub(crate) fn wire_box(detection: &Value) -> Box4 {
    ["x1", "y1", "x2", "y2"].map(|k| detection["box"][k].as_f64().expect("a number"))
}

/// Numbers of a JSON array.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Intersection over union.
pub(crate) fn iou(a: Box4, b: Box4) -> f64 {
    let area = |r: Box4| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    if shared > 0.0 { shared / (area(a) + area(b) - shared) } else { 0.0 }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
