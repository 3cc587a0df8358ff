use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::{CacheConfig, CacheModeName, RetryConfig, TransportName};

fn added(body: &str) -> Result<NewStream, StreamBodyError> {
    NewStream::from_json(body.as_bytes())
}

/// A stream none of whose values is a default.
fn unusual() -> StreamConfig {
    StreamConfig {
        source: "rtsp://user:hunter2@cam/1?a=ü\"\\".to_owned(),
        pipeline: "people".to_owned(),
        latency: Duration::from_micros(1500),
        cache: CacheConfig { mode: CacheModeName::Fifo, frames: 25 },
        timeout: Duration::from_millis(1234),
        linger: Duration::ZERO,
        transport: TransportName::Auto,
        every: 3,
        max_fps: Some(29.97),
        repeat: true,
        retry: RetryConfig { initial: Duration::from_millis(20), max: Duration::from_secs(90) },
    }
}

#[test]
fn a_stream_is_read_with_its_id() {
    let stream = added(r#" {"source": "push", "id": "door"} "#).expect("valid");
    assert_eq!(stream, NewStream { id: "door".to_owned(), config: StreamConfig::at("push") });
    let body = r#"{"id": "cam.1", "source": "test://", "latency": "1s", "cache": {"frames": 2}, "max_fps": null,
        "transport": "udp", "loop": true, "retry": {"max": "20s"}, "every": 2, "timeout": "2s", "linger": "0s"}"#;
    let config = StreamConfig {
        latency: Duration::from_secs(1),
        cache: CacheConfig { frames: 2, ..CacheConfig::default() },
        transport: TransportName::Udp,
        repeat: true,
        retry: RetryConfig { max: Duration::from_secs(20), ..RetryConfig::default() },
        every: 2,
        timeout: Duration::from_secs(2),
        linger: Duration::ZERO,
        ..StreamConfig::at("test://")
    };
    assert_eq!(added(body), Ok(NewStream { id: "cam.1".to_owned(), config }));
}

#[test]
fn what_is_written_is_read_again() {
    for stream in [unusual(), StreamConfig::at("push")] {
        let text = serde_json::to_string(&stream).expect("written");
        assert_eq!(serde_json::from_str::<StreamConfig>(&text).expect("read"), stream);
        // Also as the body that adds it, and as a change of any other.
        let body = text.replacen('{', "{\"id\":\"a\",", 1);
        assert_eq!(added(&body).map(|new| new.config), Ok(stream.clone()));
        assert_eq!(StreamConfig::at("test://").patched(text.as_bytes()), Ok(stream));
    }
    let written = serde_json::to_value(unusual()).expect("written");
    assert_eq!((&written["latency"], &written["retry"]["max"]), (&json!("1ms 500us"), &json!("1m 30s")));
}

#[test]
fn what_is_no_json_is_told_from_what_is_no_stream() {
    let deep = "[".repeat(100_000);
    let cases: [&[u8]; 10] = [
        b"",
        b" ",
        b"{",
        b"door",
        b"{'id': 1}",
        b"{\"id\": \"a\"} x",
        b"{\"id\": \"\xff\"}",
        b"{\"every\": 1e999}",
        b"{\"source\": \"rtsp://user:hunter2@cam\"",
        deep.as_bytes(),
    ];
    for body in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        for outcome in [NewStream::from_json(body).map(|new| new.config), unusual().patched(body)] {
            let Err(StreamBodyError::Syntax(why)) = outcome else { panic!("{shown}: {outcome:?}") };
            assert!(why.starts_with("the body is not JSON: ") && why.contains(" line "), "{shown}: {why}");
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}

#[test]
fn mistakes_in_a_new_stream_name_the_key() {
    let object = "the body must be a JSON object with a stream's keys, not ";
    let cases = [
        ("null", "not null"),
        ("5", "not a number"),
        ("\"rtsp://user:hunter2@cam\"", "not a string"),
        (r#"["rtsp://user:hunter2@cam", "faces"]"#, object),
        ("[]", "not a list"),
        ("{}", "missing key `id`"),
        (r#"{"id": "a"}"#, "missing key `source`"),
        (r#"{"source": "a"}"#, "missing key `id`"),
        (r#"{"id": 7, "source": "a"}"#, "id: expected a string, not a number"),
        (r#"{"id": null, "source": "a"}"#, "id: expected a string, not null"),
        (r#"{"id": "a/b", "source": "a"}"#, "id: \"a/b\" is not a stream's id: use 1 to 64 letters"),
        (r#"{"id": "", "source": "a"}"#, "id: \"\" is not a stream's id"),
        (r#"{"Id": "a", "source": "a"}"#, "unknown key `Id`, did you mean `id`? Known here: id, source, pipeline, "),
        (r#"{"id": "a", "sorce": "hunter2"}"#, "unknown key `sorce`, did you mean `source`?"),
        (r#"{"id": "a", "rtsp://user:hunter2@cam": 1}"#, "unknown key `"),
        (r#"{"id": "a", "source": "a", "name": "x"}"#, "unknown key `name`. Known here: id, source, "),
        (r#"{"id": "a", "source": ["hunter2"]}"#, "source: expected a string, not a list"),
        (r#"{"id": "a", "source": {"hunter2": 1}}"#, "source: expected a string, not an object"),
        (r#"{"id": "a", "source": 2}"#, "source: expected a string, not a number"),
        (r#"{"id": "a", "source": null}"#, "source: expected a string, not null"),
        (r#"{"id": "a", "source": ""}"#, "source is empty"),
        (r#"{"id": "a", "source": "hunter2\n"}"#, "source must be one line"),
        (r#"{"id": "a", "source": "tcp-listen://5000"}"#, "source: \"tcp-listen://5000\" has no port"),
        (r#"{"id": "a", "source": "a", "source": "hunter2"}"#, "the key `source` is there twice at line 1"),
        (r#"{"id": "a", "source": "a", "retry": {"max": "1s", "max": "1s"}}"#, "the key `max` is there twice"),
        (r#"{"id": "a", "source": "a", "every": null}"#, "every: expected a whole number from 0"),
        (r#"{"id": "a", "source": "a", "every": 0}"#, "every must be from 1 to 1000000, not 0"),
        (r#"{"id": "a", "source": "a", "every": 1.5}"#, "every: \"1.5\" is not a whole number"),
        (r#"{"id": "a", "source": "a", "every": [2]}"#, "every: expected a whole number from 0: write for example 256"),
        (r#"{"id": "a", "source": "a", "timeout": 5}"#, "timeout: \"5\" is not a duration: write for example 500ms"),
        (r#"{"id": "a", "source": "a", "latency": "1us"}"#, "latency must be from 1ms to 1h, not 1us"),
        (r#"{"id": "a", "source": "a", "max_fps": "fast"}"#, "max_fps: expected a number, not a string"),
        (r#"{"id": "a", "source": "a", "max_fps": "a, expected hunter2"}"#, "max_fps: expected a number, not a string"),
        (r#"{"id": "a", "source": "a", "max_fps": -1}"#, "max_fps must be above 0 and up to 1000"),
        (r#"{"id": "a", "source": "a", "loop": "yes"}"#, "loop: expected true or false, not a string"),
        (r#"{"id": "a", "source": "a", "pipeline": ""}"#, "pipeline is empty"),
        (
            r#"{"id": "a", "source": "a", "cache": ["fifo", 2]}"#,
            "cache: expected an object with mode and frames, not a list",
        ),
        (r#"{"id": "a", "source": "a", "cache": null}"#, "cache: expected an object with mode and frames, not null"),
        (r#"{"id": "a", "source": "a", "cache": {"mod": "fifo"}}"#, "cache: unknown key `mod`, did you mean `mode`?"),
        (
            r#"{"id": "a", "source": "a", "cache": {"mode": "fifa"}}"#,
            "cache.mode: unknown value `fifa`, did you mean `fifo`?",
        ),
        (
            r#"{"id": "a", "source": "a", "cache": {"mode": {"fifo": null}}}"#,
            "cache.mode: expected latest or fifo, not an object",
        ),
        (r#"{"id": "a", "source": "a", "cache": {"frames": "all"}}"#, "cache.frames: \"all\" is not a whole number"),
        (
            r#"{"id": "a", "source": "a", "cache": {"frames": 10001}}"#,
            "cache.frames must be from 1 to 10000, not 10001",
        ),
        (r#"{"id": "a", "source": "a", "transport": true}"#, "transport: expected tcp, udp or auto, not true or false"),
        (r#"{"id": "a", "source": "a", "retry": {"initial": []}}"#, "retry.initial: expected a duration"),
        (r#"{"id": "a", "source": "a", "retry": {"max": "1ms"}}"#, "retry.max must be from 250ms to 1h, not 1ms"),
        (r#"{"id": "a", "source": "a", "timeout": "rtsp://u:hunter2hunter2hunter2hunter2@cam"}"#, "timeout: \"rtsp"),
        (r#"{"id": "a", "source": "a", "transport": "rtsp://u:hunter2@cam"}"#, "transport: unknown value `rtsp://"),
    ];
    for (body, expected) in cases {
        let Err(StreamBodyError::Invalid(why)) = added(body) else { panic!("{body}: {:?}", added(body)) };
        println!("{body}\n    {why}");
        assert!(why.contains(expected), "{body}: {why}");
        assert!(!why.contains("hunter2") && why.len() < 600, "{body}: {why}");
    }
    let long = "k".repeat(1_000_000);
    for body in [
        format!(r#"{{"{long}": 1}}"#),
        format!(r#"{{"id": "{long}", "source": "a"}}"#),
        format!(r#"{{"every": "{long}"}}"#),
    ] {
        let error = added(&body).expect_err("wrong").to_string();
        assert!(error.len() < 600, "{error}");
    }
}

#[test]
fn a_patch_changes_what_it_names() {
    type Change = fn(&mut StreamConfig);
    let before = unusual();
    let cases: [(&str, Change); 10] = [
        ("{}", |_| ()),
        (r#"{"every": 7, "latency": "3s"}"#, |s| (s.every, s.latency) = (7, Duration::from_secs(3))),
        (r#"{"source": "push"}"#, |s| s.source = "push".to_owned()),
        (r#"{"cache": {"frames": 2}}"#, |s| s.cache.frames = 2),
        (r#"{"cache": {"mode": null}}"#, |s| s.cache.mode = CacheModeName::Latest),
        (r#"{"cache": null, "max_fps": null}"#, |s| (s.cache, s.max_fps) = (CacheConfig::default(), None)),
        (r#"{"retry": {"max": "30s", "initial": null}}"#, |s| {
            s.retry = RetryConfig { initial: Duration::from_millis(250), max: Duration::from_secs(30) };
        }),
        (r#"{"retry": {}}"#, |_| ()),
        (r#"{"pipeline": null, "transport": null, "loop": null}"#, |s| {
            (s.pipeline, s.transport, s.repeat) = ("faces".to_owned(), TransportName::Tcp, false);
        }),
        (
            r#"{"pipeline": null, "latency": null, "cache": null, "timeout": null, "linger": null, "transport": null,
                "every": null, "max_fps": null, "loop": null, "retry": null}"#,
            |s| *s = StreamConfig::at(s.source.clone()),
        ),
    ];
    for (patch, change) in cases {
        let mut expected = before.clone();
        change(&mut expected);
        assert_eq!(before.patched(patch.as_bytes()), Ok(expected), "{patch}");
    }
}

#[test]
fn mistakes_in_a_patch_name_the_key() {
    let cases = [
        ("[]", "not a list"),
        ("null", "not null"),
        (r#"[{"op": "replace"}]"#, "the body must be a JSON object with a stream's keys"),
        (r#"{"id": "b"}"#, "id cannot be changed: add a stream under the new id and remove this one"),
        (r#"{"id": null}"#, "id cannot be changed"),
        (r#"{"source": null}"#, "source cannot be null: it has no default"),
        (r#"{"source": " "}"#, "source is empty"),
        (r#"{"evry": null}"#, "unknown key `evry`, did you mean `every`? Known here: source, "),
        (r#"{"cache": {"frame": null}}"#, "cache: unknown key `frame`, did you mean `frames`?"),
        (r#"{"cache": 5}"#, "cache: expected an object with mode and frames, not a number"),
        (r#"{"cache": {"frames": {"a": 1}}}"#, "cache.frames: expected a whole number"),
        (r#"{"transport": {"tcp": null}}"#, "transport: expected tcp, udp or auto, not an object"),
        (r#"{"retry": {"initial": "2m"}}"#, "retry.max must be from 2m to 1h, not 1m 30s"),
        (r#"{"every": 2, "every": 3}"#, "the key `every` is there twice"),
        (r#"{"max_fps": 2000}"#, "max_fps must be above 0"),
    ];
    for (body, expected) in cases {
        let outcome = unusual().patched(body.as_bytes());
        let Err(StreamBodyError::Invalid(why)) = outcome else { panic!("{body}: {outcome:?}") };
        assert!(why.contains(expected) && !why.contains("hunter2"), "{body}: {why}");
    }
}
