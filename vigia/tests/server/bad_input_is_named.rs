//! Every kind of bad input: a 4xx with a stable code and a sentence that names the field, and the server goes on.

use serde_json::{Value, json};
use vigia_testkit::damaged::{jpeg_that_declares, png_bomb};
use vigia_testkit::finds;

use crate::client::{Answer, Client, Raw};
use crate::pictures::{MULTIPART, base64, good, good_jpeg, multipart};
use crate::support::{Server, Setup, one_box};

/// Each of these is refused with this status and code, and a detail that holds all of these words.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, words: &[&str]) {
    let detail = answer.problem(status, code);
    for word in words {
        assert!(detail.contains(word), "{word:?} is not in: {detail}");
    }
}

#[test]
fn pictures_that_are_none() {
    let server = Server::plain();
    let jpeg = good_jpeg();
    let png = good(image::ImageFormat::Png);
    let mut damaged = png.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xff);
    let cases: [(Vec<u8>, &str, &[&str]); 10] = [
        (Vec::new(), "empty-picture", &["empty", "JPEG"]),
        (b"this is text, whatever it is called".to_vec(), "not-a-picture", &["text", "74 68 69 73"]),
        (jpeg[..jpeg.len() / 2].to_vec(), "truncated-picture", &["cut off", "whole file"]),
        (jpeg[..3].to_vec(), "truncated-picture", &["cut off"]),
        (png[..png.len() / 2].to_vec(), "truncated-picture", &["cut off"]),
        (damaged, "damaged-picture", &["damaged"]),
        (jpeg_that_declares(&jpeg, 65_535, 65_535), "too-many-pixels", &["65535x65535", "limit"]),
        (png_bomb(), "too-many-pixels", &["60000x60000", "limit"]),
        (b"GIF89a\x01\0\x01\0\x80\0\0".to_vec(), "unsupported-picture", &["GIF", "convert"]),
        (vec![0; 4096], "not-a-picture", &["00 00"]),
    ];
    for (bytes, code, words) in &cases {
        for path in ["/predict/", "/v1/predict"] {
            let client = server.client();
            assert_refused(&client.post(path, "image/jpeg", bytes), 422, code, words);
            assert_refused(&client.post(path, MULTIPART, &multipart(&[("file", bytes)])), 422, code, words);
            assert_refused(&client.post_json(path, &json!({"base64": base64(bytes)})), 422, code, words);
        }
    }
    server.assert_unharmed();
}

#[test]
fn multipart_that_is_not_one_picture_in_file() {
    let server = Server::plain();
    let jpeg = good_jpeg();
    let post = |kind: &str, body: &[u8]| server.client().post("/predict/", kind, body);
    let wrong_name = multipart(&[("image", &jpeg)]);
    assert_refused(&post(MULTIPART, &wrong_name), 422, "unexpected-field", &["image: ", "field file"]);
    let two = multipart(&[("file", &jpeg), ("file", &jpeg)]);
    assert_refused(&post(MULTIPART, &two), 422, "several-files", &["file: ", "one picture"]);
    let beside = multipart(&[("file", &jpeg), ("model", b"finder")]);
    assert_refused(&post(MULTIPART, &beside), 422, "unexpected-field", &["model: ", "field file"]);
    assert_refused(&post(MULTIPART, b"--edge--\r\n"), 422, "missing-field", &["file: ", "missing"]);
    let long = multipart(&[(&"n".repeat(5000), &jpeg)]);
    assert_refused(&post(MULTIPART, &long), 422, "unexpected-field", &["nnn…: ", "field file"]);
    let whole = multipart(&[("file", &jpeg)]);
    let end = &whole[..whole.len() - 20];
    for broken in [end, b"".as_slice(), b"no boundary in it", &whole[..30]] {
        assert_refused(&post(MULTIPART, broken), 400, "malformed-multipart", &["multipart"]);
    }
    let other = "multipart/form-data; boundary=another";
    assert_refused(&post(other, &whole), 400, "malformed-multipart", &["multipart"]);
    assert_refused(&post("multipart/form-data", &whole), 400, "malformed-multipart", &["boundary"]);
    server.assert_unharmed();
}

#[test]
fn json_that_holds_no_picture() {
    let server = Server::plain();
    let client = server.client();
    let post = |body: &str| client.post("/v1/predict", "application/json", body.as_bytes());
    for (broken, word) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("{\"base64\": ", "EOF"),
        ("[]", "column 1"),
        ("\"base64\"", "unit"),
        ("{\"base64\": 7}", "integer"),
        ("{\"base64\": null}", "null"),
        ("{\"image\": \"x\"}", "image"),
        ("{}", "column 2"),
        ("{\"base64\": \"\"} {}", "trailing"),
        ("{\"base64\": \"a\", \"base64\": \"b\"}", "expected value"),
        ("{\"base64\": \"\", \"url\": \"http://a/\"}", "expected value"),
    ] {
        assert_refused(&post(broken), 400, "invalid-json", &[word, "either {\"base64\": \"…\"} or {\"url\": "]);
    }
    for broken in ["%%%", "abc", "data:image/jpeg;base64,///", "a b"] {
        let answer = client.post_json("/v1/predict", &json!({ "base64": broken }));
        assert_refused(&answer, 422, "invalid-base64", &["base64: ", "padding"]);
    }
    for empty in ["", "data:", "data:image/jpeg;base64,"] {
        assert_refused(&client.post_json("/v1/predict", &json!({"base64": empty})), 422, "empty-picture", &["empty"]);
    }
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_refused(&post(&nested), 400, "invalid-json", &["{\"base64\": "]);
    server.assert_unharmed();
}

#[test]
fn parameters_that_are_wrong() {
    let server = Setup::new(finds(one_box())).second_stage("points").start();
    let long = "x".repeat(3000);
    let cases: [(&str, u16, &str, &[&str]); 15] = [
        ("conf=2", 422, "invalid-parameter", &["conf: ", "0 to 1", "\"2\""]),
        ("conf=abc", 422, "invalid-parameter", &["conf: ", "0 to 1", "\"abc\""]),
        ("conf=NaN", 422, "invalid-parameter", &["conf: "]),
        ("conf=", 422, "invalid-parameter", &["conf: "]),
        ("iou=-1", 422, "invalid-parameter", &["iou: ", "0 to 1"]),
        ("annotate=png", 422, "invalid-parameter", &["annotate: ", "jpeg"]),
        ("confidence=0.5", 422, "invalid-parameter", &["confidence: ", "model, pipeline, conf, iou, annotate"]),
        ("conf=0.5&conf=0.5", 422, "invalid-parameter", &["conf: ", "more than once"]),
        ("model=finder&pipeline=plain", 422, "invalid-parameter", &["model, pipeline: "]),
        ("model=nobody", 404, "unknown-model", &["model: ", "\"nobody\"", "finder"]),
        ("model=", 404, "unknown-model", &["model: ", "finder"]),
        ("model=points", 422, "not-a-detector", &["model: ", "\"points\"", "finder"]),
        ("pipeline=nothing", 404, "unknown-pipeline", &["pipeline: ", "\"nothing\"", "plain"]),
        ("model=%ff%00%0a", 404, "unknown-model", &["model: "]),
        (&format!("model={long}"), 404, "unknown-model", &["model: ", "x…"]),
    ];
    for (query, status, code, words) in cases {
        for path in ["/predict/", "/predict", "/v1/predict"] {
            let answer = server.client().post(&format!("{path}?{query}"), "image/jpeg", &good_jpeg());
            assert_refused(&answer, status, code, words);
        }
    }
    server.assert_unharmed();
}

#[test]
fn content_types_that_are_not_read() {
    let server = Server::plain();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "video/mp4", "multipart/mixed; boundary=edge", "x"]
    {
        let answer = server.client().post("/v1/predict", kind, &good_jpeg());
        let kind = kind.split(';').next().unwrap_or_default();
        assert_refused(&answer, 415, "unsupported-media-type", &[kind, "multipart/form-data", "image/jpeg"]);
    }
    // What was declared so was not read.
    server.assert_unharmed();
}

#[test]
fn places_and_methods_that_are_not_there() {
    let server = Server::plain();
    let client = server.client();
    for path in ["/predict/x", "/v1", "/v1/predict/", "/%2e%2e/etc/passwd", "/v1/streams/a/b", "/favicon.ico"] {
        assert_refused(&client.get(path), 404, "not-found", &["/docs"]);
    }
    assert_refused(&client.get(&format!("/{}", "x".repeat(3000))), 404, "not-found", &["/xxx", "/docs"]);
    for (method, path, allowed) in [
        ("GET", "/predict/", "POST"),
        ("GET", "/predict", "POST"),
        ("PUT", "/v1/predict", "POST"),
        ("POST", "/v1/models", "GET,HEAD"),
        ("PUT", "/v1/streams/door", "GET,HEAD,PATCH,DELETE"),
        ("DELETE", "/v1/streams", "GET,HEAD,POST"),
        ("POST", "/v1/streams/door/frames/1", "PUT"),
        ("BREW", "/metrics", "GET,HEAD"),
        ("POST", "/", "GET,HEAD"),
    ] {
        let answer = client.send(method, path, &[], &[]);
        assert_refused(&answer, 405, "method-not-allowed", &[method, path, "/docs"]);
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
    }
    for path in [
        "/v1/streams/door",
        "/v1/streams/door/results",
        "/v1/streams/door/results/latest",
        "/v1/streams/door/snapshot.jpg",
        "/v1/streams/door/live.mjpeg",
    ] {
        assert_refused(&client.get(path), 404, "unknown-stream", &["\"door\"", "/v1/streams"]);
    }
    // An id that is no text.
    assert_eq!(client.get("/v1/streams/%ff").status / 100, 4);
}

#[test]
fn what_is_no_http() {
    let server = Server::plain();
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET\r\n\r\n",
        b"POST /predict/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"POST /predict/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
    ] {
        let mut raw = Raw::connect(server.address);
        raw.send(bytes);
        raw.say_no_more();
        let answer = raw.answer();
        assert_eq!(answer.status / 100, 4, "{}", String::from_utf8_lossy(bytes));
    }
    server.assert_unharmed();
}

/// What the caller sent is said back as text, whatever it was.
#[test]
fn details_are_json_whatever_was_sent() {
    let server = Server::plain();
    let client: Client = server.client();
    for sent in ["\"", "\\", "\u{1}", "</script>", "ä€🦀"] {
        let sent: String = form_urlencoded::byte_serialize(sent.as_bytes()).collect();
        let answer = client.post(&format!("/predict/?conf={sent}"), "image/jpeg", b"");
        assert!(matches!(answer.json()["detail"], Value::String(_)));
    }
}
