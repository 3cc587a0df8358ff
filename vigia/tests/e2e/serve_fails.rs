//! A server that cannot start says why in one line, and exits with another status than 0.

use std::net::TcpListener;

use crate::support::{Run, is_set_up, text, vigia, vigia_with};

#[track_caller]
fn assert_one_line(run: &Run, status: i32, words: &[&str]) {
    assert_eq!((run.status, run.stdout.as_str()), (status, ""), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    for word in words {
        assert!(run.stderr.contains(word), "{word:?} is not in: {}", run.stderr);
    }
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    assert_one_line(&vigia(&["serve", "--listen", &address]), 1, &[&address, "in use", "--listen"]);
}

#[test]
fn an_address_that_is_none() {
    assert_one_line(&vigia(&["serve", "--listen", "nonsense"]), 1, &["nonsense"]);
    assert_one_line(&vigia(&["serve", "--listen", "192.0.2.1:0"]), 1, &["192.0.2.1", "0.0.0.0"]);
}

#[test]
fn a_missing_library() {
    let run = vigia_with(&["serve", "--listen", "127.0.0.1:0"], |command| {
        command.env("ORT_DYLIB_PATH", "/nonexistent/libonnxruntime.so");
    });
    assert_one_line(&run, 1, &["/nonexistent/libonnxruntime.so", "scripts/setup.sh"]);
}

#[test]
fn missing_models() {
    if !is_set_up() {
        return;
    }
    let run = vigia_with(&["serve", "--listen", "127.0.0.1:0"], |command| {
        command.env("VIGIA_MODELS", "/nonexistent");
    });
    assert_one_line(&run, 1, &["tiny-face", "/nonexistent", "scripts/setup.sh"]);
}

#[test]
fn a_damaged_store_of_events() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("events.db"), "no database".repeat(1000)).expect("written");
    let run = vigia_with(&["serve", "--listen", "127.0.0.1:0"], |command| {
        command.env("VIGIA_DATA_DIR", folder.path());
    });
    assert_one_line(&run, 1, &["events.db", "not a database", "move it away"]);
    let run = vigia_with(&["serve", "--listen", "127.0.0.1:0"], |command| {
        command.env("VIGIA_EVENTS__STORE", "postgres://vigia:hunter2@127.0.0.1:1/vigia");
    });
    assert_one_line(&run, 1, &["PostgreSQL at 127.0.0.1", "refused"]);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
}

#[test]
fn a_broken_configuration() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("vigia.yaml");
    for (config, words) in [
        ("server:\n  gracee: 1s\n", &["line 2", "gracee", "did you mean `grace`"][..]),
        ("server:\n  grace: soon\n", &["line 2", "soon"]),
        ("streams:\n  a b: {source: \"test://\"}\n", &["a b", "letters"]),
        ("streams:\n  door: {source: \"test://\", pipeline: nothing}\n", &["nothing", "faces"]),
    ] {
        std::fs::write(&file, config).expect("written");
        let run = vigia(&["--config", text(&file), "serve", "--listen", "127.0.0.1:0"]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        // The lines after the first show the place.
        let first = run.stderr.lines().next().unwrap_or_default();
        assert!(words.iter().all(|word| first.contains(word)), "{words:?}: {}", run.stderr);
    }
    let run = vigia(&["--config", "/nonexistent/vigia.yaml", "serve"]);
    assert_one_line(&run, 2, &["/nonexistent/vigia.yaml"]);
}
