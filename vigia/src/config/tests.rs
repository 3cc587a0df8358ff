use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::*;

const EXAMPLE: &str = include_str!("../../../vigia.example.yaml");

/// The example with each comment sign before a key taken away.
fn opened_example() -> String {
    EXAMPLE.lines().map(|l| l.strip_prefix("#| ").unwrap_or(l)).collect::<Vec<_>>().join("\n")
}

/// All keys of a schema or of a configuration, those of maps left out.
fn keys_of_schema(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| keys_of_schema(value, keys));
        }
        Value::Array(items) => items.iter().for_each(|value| keys_of_schema(value, keys)),
        _ => {}
    }
}

#[test]
fn the_example_says_what_the_defaults_are() {
    assert_eq!(Config::parse(EXAMPLE), Ok(Config::default()));
}

#[test]
fn the_example_documents_every_key() {
    let open = opened_example();
    let config = Config::parse(&open).expect("valid with all keys");
    assert!(config.models.contains_key("people") && config.pipelines.contains_key("people"));
    // Keys that bear the same name in several places stand in each.
    let (text, all) = (yaml::<Value>(&open).expect("YAML"), serde_json::to_value(&config).expect("JSON"));
    for place in [
        "/server",
        "/limits",
        "/fetch",
        "/events",
        "/models/people",
        "/streams/door",
        "/streams/door/cache",
        "/streams/door/retry",
    ] {
        let keys = |tree: &Value| tree.pointer(place).and_then(Value::as_object).map(|o| o.keys().cloned().collect());
        let written: Option<BTreeSet<String>> = keys(&text);
        assert_eq!(written, keys(&all), "{place}");
    }
    // What the example gives as the defaults of a stream are its defaults.
    assert_eq!(config.streams["door"], StreamConfig::at("rtsp://user:secret@camera/h264"));
    let mut keys = BTreeSet::new();
    keys_of_schema(&Config::schema(), &mut keys);
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        assert!(open.contains(&format!("{key}:")), "{key} is not documented");
    }
}

#[test]
fn nothing_is_a_configuration() {
    for text in ["", "# only a comment\n\n", "---\n", "{}", "null", "streams:\n", "streams:\nfetch: {}\n"] {
        let parsed = Config::parse(text);
        assert!(parsed == Ok(Config::default()) || parsed.is_err(), "{text:?}: {parsed:?}");
    }
    assert_eq!(Config::parse(""), Ok(Config::default()));
    assert_eq!(Config::parse("# only a comment\n\n"), Ok(Config::default()));
    assert!(Config::load(None).is_ok(), "the defaults are valid");
}

#[test]
fn the_built_in_pipeline_stays_beside_others() {
    let config = Config::parse("pipelines: {people: {detect: {model: people}}}").expect("valid");
    assert_eq!(config.pipelines.keys().collect::<Vec<_>>(), ["faces", "people"]);
}

#[test]
fn all_sections_are_read() {
    let text = "
server: {listen: '[::]:0', grace: 1m 30s}
limits: {body: 1MB, cache: 2GB, body_timeout: 500ms, idle_timeout: 5s, connections: 3k, queue: 1e3, streams: 64}
fetch: {allow: [Images.Example.ORG], timeout: 2s}
streams:
  cam.1: {source: 'test://', every: 2, max_fps: 7.5, loop: true, retry: {initial: 1s}}
  gate: {source: push, latency: 1m, cache: {mode: fifo, frames: 1k}, linger: 0s, transport: udp}
";
    let config = Config::parse(text).expect("valid");
    let seconds = Duration::from_secs;
    assert_eq!(config.server, ServerConfig { listen: "[::]:0".to_owned(), grace: seconds(90) });
    let limits = Limits {
        body: 1_000_000,
        cache: 2_000_000_000,
        body_timeout: Duration::from_millis(500),
        idle_timeout: seconds(5),
        connections: 3000,
        queue: 1000,
        streams: 64,
        ..Limits::default()
    };
    assert_eq!(config.limits, limits);
    assert_eq!(config.fetch, FetchConfig { allow: vec!["images.example.org".to_owned()], timeout: seconds(2) });
    let retry = RetryConfig { initial: seconds(1), max: seconds(10) };
    let stream = StreamConfig { every: 2, max_fps: Some(7.5), repeat: true, retry, ..StreamConfig::at("test://") };
    let gate = StreamConfig {
        latency: seconds(60),
        cache: CacheConfig { mode: CacheModeName::Fifo, frames: 1000 },
        linger: Duration::ZERO,
        transport: TransportName::Udp,
        ..StreamConfig::at("push")
    };
    assert_eq!(config.streams, BTreeMap::from([("cam.1".to_owned(), stream), ("gate".to_owned(), gate)]));
}

#[test]
fn a_stream_reads_from_json_as_from_yaml() {
    let stream: StreamConfig =
        serde_json::from_str(r#"{"source": "test://", "every": 2, "timeout": "2s"}"#).expect("valid");
    let expected = StreamConfig { every: 2, timeout: Duration::from_secs(2), ..StreamConfig::at("test://") };
    assert_eq!(stream, expected);
    let written = serde_json::to_value(&stream).expect("written");
    assert_eq!(written["timeout"], "2s");
    assert_eq!(serde_json::from_value::<StreamConfig>(written).expect("read again"), expected);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let cases = [
        ("limits:\n  bodi: 20MB\n", "unknown key `bodi`, did you mean `body`?", "line 2 column 3"),
        ("serve:\n  listen: a:1\n", "unknown key `serve`, did you mean `server`?", "line 1 column 1"),
        ("limits:\n  body: much\n", "\"much\" is not a number of bytes: write for example 20MB", "line 2"),
        ("limits:\n  body: -5\n", "\"-5\" is not a number of bytes", "line 2"),
        ("limits:\n  body: 99999999999999999999999999\n", "is not a number of bytes", "line 2"),
        ("limits:\n  body: 1e400\n", "", "line 2"),
        ("limits:\n  body: .nan\n", "", "line 2"),
        ("limits:\n  body: ''\n", "\"\" is not a number of bytes", "line 2"),
        ("limits:\n  body: [1]\n", "a number of bytes", "line 2"),
        ("limits:\n  body:\n", "a number of bytes", "line 2"),
        ("limits:\n  queue: 2.5\n", "\"2.5\" is not a whole number", "line 2"),
        ("limits:\n  queue: true\n", "a whole number", "line 2"),
        ("limits: 5\n", "", "line 1"),
        ("server:\n  grace: 10\n", "\"10\" is not a duration: write for example 500ms or 2s", "line 2"),
        ("server:\n  grace: -1s\n", "is not a duration", "line 2"),
        ("server:\n  grace: 99999999999999999999y\n", "is not a duration", "line 2"),
        ("server:\n  grace: ''\n", "is not a duration", "line 2"),
        ("fetch:\n  allow: example.org\n", "", "line 2"),
        ("streams:\n  door: {pipeline: faces}\n", "missing key `source`", "line 2"),
        ("streams:\n  door: {source: a, evry: 2}\n", "unknown key `evry`, did you mean `every`?", "line 2 column 21"),
        ("streams:\n  door: {source: a, latenci: 2s}\n", "unknown key `latenci`, did you mean `latency`?", "line 2"),
        ("streams:\n  door: {source: a, latency: 200}\n", "\"200\" is not a duration", "line 2"),
        (
            "streams:\n  door: {source: a, cache: {mod: fifo}}\n",
            "did you mean `mode`? Known here: mode, frames",
            "line 2",
        ),
        (
            "streams:\n  door: {source: a, cache: {mode: fifa}}\n",
            "unknown value `fifa`, did you mean `fifo`?",
            "line 2",
        ),
        ("streams:\n  door: {source: a, cache: {mode: [fifo]}}\n", "latest or fifo", "line 2"),
        ("streams:\n  door: {source: a, cache: [fifo, 2]}\n", "", "line 2"),
        ("streams:\n  door: {source: a, cache: {frames: all}}\n", "\"all\" is not a whole number", "line 2"),
        ("streams:\n  door: {source: a, transport: tpc}\n", "unknown value `tpc`, did you mean `tcp`?", "line 2"),
        ("streams:\n  door: {source: a, transport: tcpip}\n", "Known here: tcp, udp, auto", "line 2"),
        ("streams:\n  door: {source: a, loop: maybe}\n", "", "line 2"),
        ("streams:\n  door: {source: a, max_fps: fast}\n", "", "line 2"),
        ("streams:\n  door: {source: a, source: b}\n", "the key `source` is there twice", "line 2"),
        ("models:\n  a: {path: a.onnx, instances: 0}\n", "1 to 1024", "line 2"),
        ("models:\n  a: {path: a.onnx, device: gpu}\n", "unknown value `gpu`", "line 2"),
        ("models:\n  a: {path: a.onnx, device: cud}\n", "did you mean `cuda`?", "line 2"),
        ("models:\n  a: {confidence: 0.4}\n", "path", "line 2"),
        ("models: [", "", "line 1"),
        ("a: *nothing", "", "line 1"),
    ];
    for (text, what, place) in cases {
        let error = Config::parse(text).expect_err(text);
        println!("--- {text}\n{error}");
        assert!(error.contains(what) && error.contains(place), "{text}: {error}");
        assert!(error.contains("-->"), "there is no snippet: {error}");
    }
}

#[test]
fn values_out_of_range_are_named_by_their_key() {
    let cases = [
        ("models: {a: {path: a.onnx, confidence: 40}}", "models.a: confidence must be from 0 to 1, not 40"),
        ("models: {a: {path: a.onnx, iou: .nan}}", "models.a: iou must be from 0 to 1, not NaN"),
        ("models: {a: {path: ''}}", "models.a: path is empty"),
        ("pipelines: {p: {detect: {model: a}, stages: [{model: b, margin: -1}]}}", "pipelines.p: stages: margin must"),
        ("server: {listen: 8080}", "server.listen: \"8080\" has no port"),
        ("server: {grace: 2h}", "server.grace must be from 0s to 1h, not 2h"),
        ("limits: {body: 0}", "limits.body must be from 1 to 1000000000, not 0"),
        ("limits: {body: 18446744073709551615}", "limits.body must be"),
        ("limits: {pixels: 2G}", "limits.pixels must be"),
        ("limits: {queue: 3}", "limits.queue must be from 4 to 100000, not 3"),
        ("limits: {cache: 1MB}", "limits.cache must be at least twice body (20000000), not 1000000"),
        ("limits: {connections: 0}", "limits.connections must be from 1 to 100000, not 0"),
        ("limits: {streams: 0}", "limits.streams must be from 1 to 100000, not 0"),
        ("limits: {streams: 100001}", "limits.streams must be from 1 to 100000, not 100001"),
        ("limits: {body_timeout: 1ms}", "limits.body_timeout must be from 100ms to 1h, not 1ms"),
        ("limits: {idle_timeout: 500ms}", "limits.idle_timeout must be from 1s to 1h, not 500ms"),
        ("limits: {idle_timeout: 2h}", "limits.idle_timeout must be from 1s to 1h, not 2h"),
        ("fetch: {allow: ['']}", "fetch.allow: \"\" is not a host"),
        ("fetch: {timeout: 0s}", "fetch.timeout must be from 100ms to 10m, not 0s"),
        ("streams: {door: {source: ''}}", "streams.door: source is empty"),
        ("streams: {door: {source: a, every: 0}}", "streams.door: every must be from 1 to 1000000, not 0"),
        ("streams: {door: {source: a, max_fps: .nan}}", "streams.door: max_fps must be above 0 and up to 1000"),
        ("streams: {door: {source: a, max_fps: -1}}", "streams.door: max_fps must be"),
        (
            "streams: {door: {source: a, retry: {max: 1ms}}}",
            "streams.door: retry.max must be from 250ms to 1h, not 1ms",
        ),
        ("streams: {door: {source: a, latency: 0s}}", "streams.door: latency must be from 1ms to 1h, not 0s"),
        ("streams: {door: {source: a, linger: 2h}}", "streams.door: linger must be from 0s to 1h, not 2h"),
        (
            "streams: {door: {source: a, cache: {frames: 0}}}",
            "streams.door: cache.frames must be from 1 to 10000, not 0",
        ),
        ("streams: {door: {source: 'tcp-listen://5000'}}", "streams.door: source: \"tcp-listen://5000\" has no port"),
        ("streams: {door/1: {source: a}}", "streams: \"door/1\" is not a stream's id"),
        ("streams: {'': {source: a}}", "streams: \"\" is not a stream's id"),
        ("streams: {door: {source: a, pipeline: fases}}", "there is no pipeline \"fases\", did you mean `faces`?"),
        ("streams: {door: {source: a, pipeline: x}}", "streams.door: there is no pipeline \"x\" (pipelines: faces)"),
    ];
    for (text, expected) in cases {
        let error = Config::parse(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_stream_is_checked_by_itself_as_in_the_file() {
    let config = Config::parse("pipelines: {people: {detect: {model: people}}}").expect("valid");
    let push = StreamConfig::at("push");
    assert_eq!(config.check_stream("door", &push), Ok(()));
    assert_eq!(config.check_stream("door", &StreamConfig { pipeline: "people".to_owned(), ..push.clone() }), Ok(()));
    let cases = [
        ("a/b", push.clone(), "id: \"a/b\" is not a stream's id"),
        ("a", StreamConfig { every: 0, ..push.clone() }, "every must be from 1 to 1000000, not 0"),
        ("a", StreamConfig { pipeline: "peopl".to_owned(), ..push }, "no pipeline \"peopl\", did you mean `people`?"),
    ];
    for (id, stream, expected) in cases {
        let error = config.check_stream(id, &stream).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn sections_that_differ_are_named_in_their_order() {
    let config = Config::default();
    let differs = |text: &str| config.differs(&Config::parse(text).expect("valid"));
    assert_eq!(differs(""), [""; 0]);
    assert_eq!(differs("streams: {door: {source: push}}"), [""; 0]);
    let all = "
pipelines: {people: {detect: {model: people}}}
models: {}
events: {keep: 1d}
fetch: {timeout: 1s}
limits: {streams: 5}
model_dir: m
onnxruntime: o
data_dir: d
server: {grace: 1s}
";
    let sections =
        ["server", "data_dir", "onnxruntime", "model_dir", "limits", "fetch", "events", "models", "pipelines"];
    assert_eq!(differs(all), sections);
    assert_eq!(differs("limits: {queue: 9}"), ["limits"]);
}

#[test]
fn no_error_shows_a_password() {
    let cases = [
        "streams:\n  door:\n    source: \"rtsp://user:hunter2@camera/h264\"\n    evry: 2\n",
        "streams: {door: {source: rtsp://user:hunter2@camera, evry: 2}}",
        "streams: {door: {source: 'rtsp://user:hun,ter2 hunter2@camera/with/a/very/long/path/0123456789/0123456789', evry: 2}}",
        "streams: {door: 'rtsp://user:hunter2@camera'}",
        "streams: {door: {source: [rtsp://user:hunter2@camera]}}",
        "streams: {door: {source: 'http://camera/?user=a&password=hunter2', evry: 2}}",
        "streams: {door: {source: 'rtsp:user:hunter2@camera', evry: 2}}",
        "streams:\n  door:\n    source: rtsp://user:hunter2@camera\n    source: rtsp://user:hunter2@camera\n",
        "streams: {door: {source: rtsp://user:hunter2@camera, pipeline: x}}",
        "streams: {door: {source: rtsp://user:hunter2@camera, every: 0}}",
        "streams: {'rtsp://user:hunter2@camera': {source: a, evry: 1}}",
        "streams: {'rtsp://user:hunter2@camera': {source: a}}",
        "streams: {door: {source: 'tcp-listen://user:hunter2@camera'}}",
        "streams: {door: {source: a, pipeline: 'rtsp://user:hunter2@camera'}}",
        "streams: {door: {source: a, timeout: 'rtsp://user:hunter2hunter2hunter2hunter2hunter2@camera'}}",
        "streams: {door: {source: a, transport: 'rtsp://user:hunter2hunter2hunter2hunter2hunter2@camera'}}",
        "models: {a: {path: a, batch: 'rtsp://user:hunter2hunter2hunter2hunter2hunter2@camera'}}",
        "fetch: {allow: ['http://user:hunter2@camera']}",
        "server: {listen: 'http://user:hunter2@camera'}",
        "events: {store: 'postgres://user:hunter2@db/vigia', kep: 1d}",
        "events: {store: 'postgres://user:hunter2@db:x/vigia'}",
        "events: {store: 'postgres://db/vigia?password=hunter2', kep: 1d}",
        "events: {store: 'user:hunter2@db/vigia', kep: 1d}",
        "events: {store: ['postgres://user:hunter2@db/vigia']}",
        "events: {stor: 'postgres://user:hunter2@db/vigia'}",
        "events:\n  snapshots: s3://key:hunter2@bucket\n",
        "events:\n  snapshots: key:hunter2@bucket\n  kep: 1d\n",
        "rtsp://user:hunter2@camera",
    ];
    for text in cases {
        let error = Config::parse(text).expect_err(text);
        println!("--- {text}\n{error}");
        assert!(!error.contains("unter2"), "{text}: {error}");
    }
    let config = Config::parse("streams: {door: {source: rtsp://user:hunter2@camera}}").expect("valid");
    assert!(!format!("{config:?}").contains("hunter2"));
    let config = Config::parse("events: {store: 'postgres://user:hunter2@db/vigia?password=hunter2'}").expect("valid");
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[test]
fn hostile_text_is_an_error_and_no_more() {
    let nested = |open: &str, close: &str, n: usize| format!("models: {}{}", open.repeat(n), close.repeat(n));
    let mut billion = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..20 {
        let alias = format!("*a{}", n - 1);
        writeln!(billion, "a{n}: &a{n} [{}]", vec![alias; 10].join(", ")).expect("text");
    }
    // Inside a list that is wanted, so that it is not an unknown key that ends it.
    let classes = "&a x".to_owned() + &", *a".repeat(100_000);
    let in_place = format!("pipelines: {{p: {{detect: {{model: a}}, stages: [{{model: b, classes: [{classes}]}}]}}}}");
    let cases = [
        nested("[", "]", 100_000),
        nested("{a: ", "}", 100_000),
        format!("models:\n{}", (1..2000).map(|n| " ".repeat(n) + "a:").collect::<Vec<_>>().join("\n")),
        "- ".repeat(100_000),
        billion,
        in_place,
        "&a [*a]".to_owned(),
        "a: &a {b: *a}".to_owned(),
        "%YAML 9.9\n---\n".to_owned(),
        "---\n{}\n---\n{}\n".to_owned(),
        "\u{0}\u{1}".to_owned(),
        "? ".repeat(10_000),
        "!!python/object:os.system x".to_owned(),
        format!("models: {{a: {{path: a, confidence: {}}}}}", "9".repeat(100_000)),
        format!("{}: 1", "k".repeat(100_000)),
        format!("fetch: {{allow: [{}]}}", "a, ".repeat(200_000)),
    ];
    for text in cases {
        let start: String = text.chars().take(40).collect();
        let error = Config::parse(&text).expect_err(&start);
        println!("--- {start}\n{}", error.chars().take(400).collect::<String>());
        assert!(error.len() < 5_000, "{start}: {} bytes: {}", error.len(), &error[..2000]);
    }
}

#[test]
fn files_are_read_within_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("vigia.yaml");
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        Config::load(Some(&path)).map_err(|e| e.to_string())
    };
    assert_eq!(load(b"limits: {queue: 8}").expect("valid").limits.queue, 8);
    let error = load(b"limits:\n  bodi: 1\n").expect_err("an unknown key");
    assert!(error.contains("vigia.yaml:2:3"), "{error}");
    assert!(load(b"\xff\xfe\xff").expect_err("no UTF-8").contains("vigia.yaml"));
    assert!(load(&vec![b'#'; 5_000_000]).expect_err("too long").contains("4000000 bytes"));
    assert!(matches!(Config::load(Some(folder.path())), Err(ConfigError::Read { .. })));
    assert!(matches!(Config::load(Some(&folder.path().join("none.yaml"))), Err(ConfigError::Read { .. })));
}
