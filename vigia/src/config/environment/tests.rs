use super::*;

const FILE: &str = "
limits: {queue: 8}
models: {tiny-face: {path: tiny-face.onnx, confidence: 0.4}}
streams: {Door-1: {source: 'rtsp://user:hunter2@cam', retry: {initial: 20ms, max: 1s}}}
";

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables: Vec<Variable> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Config::merge(text, None, &variables).map_err(|problem| match problem {
        super::super::Problem::Environment(why) => why,
        super::super::Problem::Text(why) => format!("in the text: {why}"),
    })
}

/// What the configuration says at this place.
fn at(config: &Config, pointer: &str) -> Value {
    let tree = serde_json::to_value(config).expect("JSON");
    tree.pointer(pointer).cloned().unwrap_or_else(|| panic!("{pointer} is not there"))
}

#[test]
fn variables_go_before_the_file() {
    let cases: [(&str, &str, &str, Value); 31] = [
        ("VIGIA_SERVER__LISTEN", "0.0.0.0:80", "/server/listen", "0.0.0.0:80".into()),
        ("VIGIA_SERVER__LISTEN", "[::1]:80", "/server/listen", "[::1]:80".into()),
        ("VIGIA_SERVER__GRACE", "1m", "/server/grace", "1m".into()),
        ("VIGIA_LIMITS__BODY", "5MB", "/limits/body", 5_000_000.into()),
        ("VIGIA_LIMITS__BODY", "5000000", "/limits/body", 5_000_000.into()),
        ("VIGIA_LIMITS__BODY_TIMEOUT", "2s", "/limits/body_timeout", "2s".into()),
        ("VIGIA_LIMITS__QUEUE", "16", "/limits/queue", 16.into()),
        ("VIGIA_limits__Queue", "16", "/limits/queue", 16.into()),
        ("VIGIA_FETCH__ALLOW", "[A.org, b.org]", "/fetch/allow", serde_json::json!(["a.org", "b.org"])),
        ("VIGIA_DATA_DIR", "/var/lib/vigia", "/data_dir", "/var/lib/vigia".into()),
        ("VIGIA_DATA_DIR", "2024", "/data_dir", "2024".into()),
        ("VIGIA_DATA_DIR", "0755", "/data_dir", "0755".into()),
        ("VIGIA_ONNXRUNTIME", "lib.so", "/onnxruntime", "lib.so".into()),
        ("VIGIA_MODEL_DIR", "models", "/model_dir", "models".into()),
        ("VIGIA_MODELS__TINY_FACE__CONFIDENCE", "0.25", "/models/tiny-face/confidence", 0.25.into()),
        ("VIGIA_MODELS__TINY_FACE__CONFIDENCE", "null", "/models/tiny-face/confidence", Value::Null),
        ("VIGIA_MODELS__TINY_FACE__INSTANCES", "2", "/models/tiny-face/instances", 2.into()),
        ("VIGIA_MODELS__PEOPLE__PATH", "p.onnx", "/models/people/path", "p.onnx".into()),
        ("VIGIA_PIPELINES__PEOPLE__DETECT__MODEL", "people", "/pipelines/people/detect/model", "people".into()),
        ("VIGIA_PIPELINES__FACES__STAGES__0__MARGIN", "0.5", "/pipelines/faces/stages/0/margin", 0.5.into()),
        ("VIGIA_STREAMS__DOOR_1__SOURCE", "test://", "/streams/Door-1/source", "test://".into()),
        ("VIGIA_STREAMS__DOOR_1__SOURCE", "'rtsp://a'", "/streams/Door-1/source", "rtsp://a".into()),
        ("VIGIA_STREAMS__DOOR_1__SOURCE", "*a&b", "/streams/Door-1/source", "*a&b".into()),
        ("VIGIA_STREAMS__DOOR_1__LOOP", "true", "/streams/Door-1/loop", true.into()),
        ("VIGIA_STREAMS__DOOR_1__RETRY__MAX", "30s", "/streams/Door-1/retry/max", "30s".into()),
        ("VIGIA_STREAMS__DOOR_1__CACHE__MODE", "fifo", "/streams/Door-1/cache/mode", "fifo".into()),
        ("VIGIA_STREAMS__DOOR_1__CACHE", "{frames: 5}", "/streams/Door-1/cache/frames", 5.into()),
        ("VIGIA_STREAMS__DOOR_1__LATENCY", "1s", "/streams/Door-1/latency", "1s".into()),
        ("VIGIA_LIMITS__STREAMS", "8", "/limits/streams", 8.into()),
        ("VIGIA_STREAMS__YARD", "{source: 'test://', every: 3}", "/streams/yard/every", 3.into()),
        ("VIGIA_STREAMS", "ignored", "/streams/Door-1/every", 1.into()),
    ];
    for (name, value, pointer, expected) in cases {
        let config = with(FILE, &[(name, value)]).unwrap_or_else(|e| panic!("{name}={value}: {e}"));
        assert_eq!(at(&config, pointer), expected, "{name}={value}");
    }
}

#[test]
fn everything_else_stays_as_it_is() {
    let plain = with(FILE, &[]).expect("valid");
    let others = [
        ("VIGIA_MODELS", "models"),
        ("VIGIA_PROFILE", "x"),
        ("VIGIA_SETUP_TESTS", "1"),
        ("VIGIA_TESTS_MUST_RUN", "1"),
        ("VIGIA_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
        ("OTHER__KEY", "1"),
        ("VIGIA_LIMITS__QUEUE", ""),
    ];
    assert_eq!(with(FILE, &others), Ok(plain.clone()));
    assert_eq!(with(FILE, &[("VIGIA_LIMITS__QUEUE", "8")]), Ok(plain));
    assert_eq!(with("", &[("VIGIA_LIMITS__QUEUE", "256")]), Ok(Config::default()));
}

#[test]
fn several_variables_make_one_entry() {
    // In whatever order the system has them.
    let mut variables = [
        ("VIGIA_STREAMS__YARD__EVERY", "2"),
        ("VIGIA_STREAMS__YARD__SOURCE", "test://"),
        ("VIGIA_STREAMS__YARD__PIPELINE", "people"),
        ("VIGIA_STREAMS__YARD__RETRY__INITIAL", "20s"),
        ("VIGIA_STREAMS__YARD__RETRY__MAX", "30s"),
        ("VIGIA_PIPELINES__PEOPLE__DETECT__MODEL", "people"),
        ("VIGIA_MODELS__PEOPLE__CONFIDENCE", "0.5"),
        ("VIGIA_MODELS__PEOPLE__PATH", "people.onnx"),
    ];
    let config = with(FILE, &variables).expect("valid");
    assert_eq!((at(&config, "/streams/yard/every"), at(&config, "/streams/yard/retry/max")), (2.into(), "30s".into()));
    assert_eq!(at(&config, "/models/people/confidence"), 0.5);
    assert!(config.streams.contains_key("Door-1"));
    variables.reverse();
    assert_eq!(with(FILE, &variables), Ok(config));
}

#[test]
fn what_the_file_leaves_open_the_environment_can_fill() {
    let text = "streams: {door: {source: '', retry: {initial: 20s}}}";
    assert!(with(text, &[]).expect_err("no source").starts_with("in the text: streams.door: source is empty"));
    let set = [("VIGIA_STREAMS__DOOR__SOURCE", "test://"), ("VIGIA_STREAMS__DOOR__RETRY__MAX", "30s")];
    assert_eq!(at(&with(text, &set).expect("valid"), "/streams/door/source"), "test://");
    let other = with(text, &[("VIGIA_LIMITS__QUEUE", "16")]).expect_err("still no source");
    assert!(other.starts_with("in the text: streams.door: source is empty"), "{other}");
}

#[test]
fn mistakes_name_the_variable_its_value_and_what_was_expected() {
    type Variables = [(&'static str, &'static str)];
    let cases: [(&Variables, &[&str]); 26] = [
        (&[("VIGIA_LIMITS__QUEUE", "lots")], &["VIGIA_LIMITS__QUEUE=\"lots\"", "is not a whole number"]),
        (&[("VIGIA_LIMITS__QUEUE", "-1")], &["VIGIA_LIMITS__QUEUE=\"-1\"", "is not a whole number"]),
        (&[("VIGIA_LIMITS__QUEUE", ".nan")], &["VIGIA_LIMITS__QUEUE=\".nan\"", "whole number"]),
        (&[("VIGIA_LIMITS__QUEUE", "3")], &["limits.queue must be from 4 to 100000", "set by VIGIA_LIMITS__QUEUE"]),
        (&[("VIGIA_LIMITS__BODI", "1")], &["VIGIA_LIMITS__BODI", "unknown key `bodi`, did you mean `body`?"]),
        (&[("VIGIA_SEVER__LISTEN", "a:1")], &["VIGIA_SEVER__LISTEN", "unknown key `sever`, did you mean `server`?"]),
        (&[("VIGIA_DATA__DIR", "x")], &["VIGIA_DATA__DIR", "unknown key `data`"]),
        (&[("VIGIA_SERVER__GRACE", "10")], &["VIGIA_SERVER__GRACE=\"10\"", "500ms or 2s"]),
        (&[("VIGIA_SERVER", "x"), ("VIGIA_SERVER__", "x")], &["VIGIA_SERVER__ lacks a key"]),
        (&[("VIGIA___LISTEN", "x")], &["VIGIA___LISTEN lacks a key"]),
        (&[("VIGIA_SERVER__LISTEN__PORT", "80")], &["VIGIA_SERVER__LISTEN__PORT", "server.listen is a single value"]),
        (&[("VIGIA_SERVER__LISTEN", "80")], &["server.listen: \"80\" has no port", "set by VIGIA_SERVER__LISTEN"]),
        (&[("VIGIA_SERVER__LISTEN", "[a, b]")], &["VIGIA_SERVER__LISTEN=\"[a, b]\"", "expected a string"]),
        (&[("VIGIA_FETCH__ALLOW", "a.org")], &["VIGIA_FETCH__ALLOW=\"a.org\"", "expected a list"]),
        (&[("VIGIA_FETCH__ALLOW", "[a.org")], &["VIGIA_FETCH__ALLOW=\"[a.org\"", "expected a list"]),
        (&[("VIGIA_MODELS__TINY_FACE__DEVICE", "cud")], &["DEVICE=\"cud\"", "did you mean `cuda`?"]),
        (&[("VIGIA_MODELS__NEW__IOU", "0.5")], &["missing key `path`", "VIGIA_MODELS__NEW__IOU"]),
        (&[("VIGIA_PIPELINES__FACES__STAGES__7__MARGIN", "1")], &["STAGES__7__MARGIN", "a list with 1 entries"]),
        (&[("VIGIA_STREAMS__DOOR_1__EVERY", "0")], &["streams.Door-1: every must", "VIGIA_STREAMS__DOOR_1__EVERY"]),
        (&[("VIGIA_STREAMS__DOOR_1__PIPELINE", "x")], &["there is no pipeline \"x\"", "DOOR_1__PIPELINE"]),
        (&[("VIGIA_STREAMS__DOOR_1__TRANSPORT", "tpc")], &["TRANSPORT=\"tpc\"", "did you mean `tcp`?"]),
        (&[("VIGIA_STREAMS__DOOR_1__LINGER", "2h")], &["streams.Door-1: linger must", "VIGIA_STREAMS__DOOR_1__LINGER"]),
        (&[("VIGIA_STREAMS__NEW__EVERY", "2")], &["missing key `source`", "VIGIA_STREAMS__NEW__EVERY"]),
        (&[("VIGIA_A__B__C__D__E__F__G__H__I__J", "2")], &["more levels than there are"]),
        (
            &[("VIGIA_LIMITS__QUEUE", "x"), ("VIGIA_LIMITS__BODY", "1"), ("VIGIA_SERVER__GRACE", "1s")],
            &["VIGIA_LIMITS__QUEUE=\"x\""],
        ),
        (&[("VIGIA_LIMITS__QUEUE", "&a [*a, *a]")], &["VIGIA_LIMITS__QUEUE", "a whole number"]),
    ];
    for (variables, expected) in cases {
        let error = with(FILE, variables).expect_err(variables[0].0);
        println!("{variables:?}\n    {error}");
        assert!(expected.iter().all(|part| error.contains(part)), "{variables:?}: {error}");
        assert!(!error.contains("in the text") && error.len() < 600, "{error}");
    }
    let text = "streams: {a-b: {source: x}, a_b: {source: x}}";
    let error = with(text, &[("VIGIA_STREAMS__A_B__EVERY", "2")]).expect_err("two of them");
    assert!(error.contains("may be a-b or a_b"), "{error}");
}

#[test]
fn no_message_shows_a_source() {
    let long = "hunter2 ".repeat(10_000);
    let values = [
        "rtsp://user:hunter2@cam",
        "{source: 'rtsp://user:hunter2@cam', evry: 1}",
        "{sorce: 'rtsp://user:hunter2@cam'}",
        "{source: ['rtsp://user:hunter2@cam']}",
        "{'rtsp://user:hunter2@cam': 1}",
        "[rtsp://user:hunter2@cam",
        "['hunter2', 1]",
        "{\"rtsp://hunter2\": ",
        "hunter2",
        "hunter2\n",
        &long,
    ];
    let names = [
        "VIGIA_STREAMS__DOOR_1",
        "VIGIA_STREAMS__DOOR_1__SORCE",
        "VIGIA_STREAM__DOOR_1__SOURCE",
        "VIGIA_STREAMS__DOOR_1__SOURCE__X",
        "VIGIA_STREAMS__NEW__SOURCES",
        "VIGIA_STREAMS__",
    ];
    for (name, value) in names.into_iter().flat_map(|name| values.map(|value| (name, value))) {
        let error = with(FILE, &[(name, value)]).expect_err(name);
        assert!(!error.contains("hunter2"), "{name}={value}: {error}");
        assert!(error.contains(name), "{name}={value}: {error}");
    }
    for value in ["['hunter2']", "{a: hunter2}", "hunter2\n\nhunter2"] {
        let error = with(FILE, &[("VIGIA_STREAMS__DOOR_1__SOURCE", value)]).expect_err(value);
        assert!(!error.contains("hunter2") && error.contains("VIGIA_STREAMS__DOOR_1__SOURCE"), "{value}: {error}");
    }
    // An address elsewhere keeps its password, too.
    for (name, value) in [
        ("VIGIA_EVENTS__STORE", "hunter2"),
        ("VIGIA_EVENTS__STORE", "postgres://u:hunter2@db:x/vigia"),
        ("VIGIA_EVENTS__STORE", "['postgres://u:hunter2@db/vigia']"),
        ("VIGIA_EVENTS__STOR", "postgres://u:hunter2@db/vigia"),
        ("VIGIA_EVENT__STORE", "postgres://u:hunter2@db/vigia"),
        ("VIGIA_EVENTS__SNAPSHOTS", "s3://key:hunter2@bucket"),
        ("VIGIA_EVENTS__SNAPSHOTS", "hunter2://bucket"),
    ] {
        let error = with(FILE, &[(name, value)]).expect_err(value);
        assert!(!error.contains("hunter2") && error.contains(name), "{name}={value}: {error}");
    }
    let error = with(FILE, &[("VIGIA_FETCH__ALLOW", "http://u:hunter2@host")]).expect_err("no list");
    assert!(!error.contains("hunter2"), "{error}");
    let error = with(FILE, &[("VIGIA_FETCH__ALLOW", "[\"http://u:hunter2@host\"]")]).expect_err("no host");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn hostile_values_are_errors_and_no_more() {
    let deep = "[".repeat(100_000);
    let mut bomb = "&a0 [x, x, x, x, x, x, x, x, x, x]".to_owned();
    for n in 1..12 {
        let ten = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb = [bomb, format!("&a{n} [{ten}]")].join(", ");
    }
    let bomb = format!("[{bomb}]");
    let deep_name = format!("VIGIA_{}", "A__".repeat(100_000));
    let cases = [
        ("VIGIA_LIMITS__QUEUE", deep.as_str()),
        ("VIGIA_LIMITS__QUEUE", "99999999999999999999999999999999999999999999999999"),
        ("VIGIA_LIMITS__QUEUE", "1e400"),
        ("VIGIA_MODELS__TINY_FACE__CONFIDENCE", ".inf"),
        ("VIGIA_MODELS__TINY_FACE__CONFIDENCE", "-1"),
        ("VIGIA_STREAMS__DOOR_1__MAX_FPS", ".nan"),
        ("VIGIA_STREAMS__DOOR_1__MAX_FPS", "1e999"),
        ("VIGIA_FETCH__ALLOW", &bomb),
        (&deep_name, "1"),
    ];
    for (name, value) in cases {
        let error = with(FILE, &[(name, value)]).expect_err(name);
        println!("{error}");
        assert!(error.len() < 800, "{error}");
    }
}
