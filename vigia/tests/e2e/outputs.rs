//! What is written where: nothing of the user's is overwritten, nothing is lost on the way, and stopping stops.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{is_set_up, root, text, vigia, vigia_with};

fn sample(folder: &Path, name: &str) -> (std::path::PathBuf, Vec<u8>) {
    let path = folder.join(name);
    std::fs::copy(root().join(".vigia/samples/sample1.jpg"), &path).expect("copied");
    let bytes = std::fs::read(&path).expect("there");
    (path, bytes)
}

#[test]
fn copies_never_take_the_place_of_inputs() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, bytes) = sample(folder.path(), "a.jpg");
    let (second, _) = sample(folder.path(), "a-2.jpg");
    let run = vigia(&["detect", text(folder.path()), "--save", text(folder.path())]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    for path in [&first, &second] {
        assert!(std::fs::read(path).expect("there") == bytes, "{} was overwritten", path.display());
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 4, "each has its copy under another name");
}

#[test]
fn results_never_take_the_place_of_an_input() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, bytes) = sample(folder.path(), "a.jpg");
    let link = folder.path().join("link.jsonl");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    for output in [&path, &link] {
        let run = vigia(&["detect", text(&path), "--json", text(output)]);
        assert_eq!(run.status, 2, "{}", run.stderr);
        assert!(run.stderr.contains("overwrite"), "{}", run.stderr);
        assert!(std::fs::read(&path).expect("there") == bytes);
    }
}

#[test]
fn a_copy_that_fails_ends_no_other() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Too small for any encoder.
    let run = vigia(&[
        "detect",
        "test://?width=12&height=12&frames=3",
        ".vigia/samples/sample1.jpg",
        "--save",
        text(folder.path()),
    ]);
    assert_eq!(run.status, 1);
    assert_eq!(run.stderr.matches("no annotated copy").count(), 1, "once, not for each frame: {}", run.stderr);
    assert!(folder.path().join("sample1.jpg").is_file());
}

#[test]
fn a_full_disk_is_named() {
    if !is_set_up() || !Path::new("/dev/full").exists() {
        return;
    }
    let run = vigia(&["detect", "--model", "tiny-face", "test://?frames=5", "--json", "/dev/full"]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("cannot be written"), "{}", run.stderr);
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").expect("there"));
    let run = vigia_with(&["models", "list"], |c| {
        c.stdout(full());
    });
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("standard output"), "{}", run.stderr);
    let run = vigia_with(&["detect", "nothing.jpg"], |c| {
        c.stderr(full());
    });
    assert_eq!(run.status, 1);
}

#[test]
fn pipes_and_devices_are_refused_by_name() {
    if !is_set_up() {
        return;
    }
    let run = vigia(&["detect", "/dev/zero"]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("/dev/zero") && run.stderr.contains("device"), "{}", run.stderr);
}

#[test]
fn names_that_are_no_utf_8_are_read() {
    use std::os::unix::ffi::OsStrExt as _;
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.jpg"));
    std::fs::copy(root().join(".vigia/samples/sample2.jpg"), &odd).expect("copied");
    let run = vigia_with(&["detect"], |c| {
        c.arg(&odd);
    });
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert_eq!(run.lines().len(), 1);
}

/// Starts a run that would never end, waits for its first line, sends the signal that Ctrl-C sends, and waits.
fn interrupt(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vigia"))
        .args(arguments)
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a first line");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(kill.success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("UTF-8");
    let status = child.wait().expect("it ends").code();
    (status, line + &rest)
}

#[test]
fn one_interrupt_ends_it_and_whole_lines_are_left() {
    if !is_set_up() {
        return;
    }
    let (status, text) = interrupt(&["detect", "--model", "tiny-face", "test://"]);
    assert_eq!(status, Some(130));
    assert!(text.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
}

#[test]
fn an_interrupt_reaches_a_video_of_which_no_frame_is_looked_at() {
    if !is_set_up() {
        return;
    }
    let (status, text) = interrupt(&["detect", "--model", "tiny-face", "--every", "1000000000", "test://"]);
    assert_eq!((status, text.lines().count()), (Some(130), 1));
}
