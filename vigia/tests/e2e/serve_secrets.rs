//! A camera's name and password reach no log, however much is logged, no answer and no metric.

use serde_json::{Value, json};

use crate::serve::Serve;
use crate::support::is_set_up;

#[test]
fn they_are_nowhere_to_be_read() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = "streams:\n  rtsp: {source: \"rtsp://hidden:secret@127.0.0.1:1/a\"}\n  \
                  file: {source: \"file:///nowhere/secret?user=hidden\"}\n";
    let server = Serve::configured_with(folder.path(), config, |command| {
        command.env("RUST_LOG", "trace");
    });
    let mut seen = Vec::new();
    for (id, source) in [
        ("http", "http://hidden:secret@127.0.0.1:1/a.mjpg?password=secret"),
        ("rtsps", "rtsps://hidden:secret@127.0.0.1:1/a"),
        ("none", "hidden:secret@camera"),
        ("scheme", "xyz://hidden:secret@127.0.0.1/"),
        ("listens", "tcp-listen://hidden:secret@127.0.0.1:0"),
    ] {
        let body = json!({"id": id, "source": source});
        let (_, answer) = server.send("POST", "/v1/streams", "application/json", body.to_string().as_bytes());
        seen.push(answer);
    }
    let path = "/v1/streams/rtsp";
    server.wait_for(path, "it could not be reached", |stream| stream["state"] == "retrying");
    seen.push(server.json("PATCH", path, &json!({"source": "rtsp://hidden:secret@127.0.0.1:1/b"}), 200));
    server.wait_for(path, "it could not be reached again", |stream| stream["state"] == "retrying");
    seen.push(server.json("PATCH", path, &json!({"source": "rtsp://hidden:secret@127.0.0.1:1/b", "sorce": 1}), 422));
    std::fs::write(folder.path().join("vigia.yaml"), config.replace("/a", "/c")).expect("written");
    seen.push(server.json("POST", "/v1/reload", &Value::Null, 200));
    std::fs::write(folder.path().join("vigia.yaml"), config.replace("{source", "{sorce")).expect("written");
    seen.push(server.json("POST", "/v1/reload", &Value::Null, 422));
    for path in ["/v1/streams", path, "/v1/models"] {
        seen.push(server.get(path));
    }
    seen.push(server.metrics().into());
    server.remove("rtsp");
    server.terminate();
    let ended = server.ended();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    seen.push(ended.stderr.into());
    for text in seen {
        // A path is no secret, whatever it is called.
        let text = text.to_string().replace("nowhere/secret", "");
        let place = text.find("secret").map(|at| text[at.saturating_sub(300)..].chars().take(400).collect::<String>());
        assert_eq!(place, None);
    }
}
