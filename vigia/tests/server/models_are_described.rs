//! `GET /v1/models`, health, readiness, the page and the documentation.

use serde_json::json;
use vigia_testkit::finds;

use crate::pictures::good_jpeg;
use crate::support::{Server, Setup, one_box};

#[test]
fn models_and_pipelines_with_their_figures() {
    let setup = Setup::new(finds(one_box())).second_stage("points").pipeline("both", "finder", Some("points"));
    let server = setup.start();
    let client = server.client();
    let unused = |name: &str, family: &str, task: &str, max_batch: u64| {
        let mut model = json!({
            "name": name, "family": family, "task": task, "width": 32, "height": 32,
            "device": "cpu", "instances": 1, "threads": 1, "max_batch": max_batch,
            "waiting": 0, "answered": 0, "refused": 0, "failed": 0, "restarts": 0,
        });
        if task == "detect" {
            model["classes"] = json!(["thing"]);
            model["confidence"] = json!(0.5);
            model["iou"] = json!(0.5);
        }
        model
    };
    let expected = json!({
        "models": [unused("finder", "yolox", "detect", 1), unused("points", "face-landmarks-68", "landmarks", 4)],
        "pipelines": [
            {"name": "plain", "detect": "finder", "stages": []},
            {"name": "both", "detect": "finder", "stages": [{"model": "points"}]},
        ],
    });
    assert_eq!(client.get("/v1/models").json(), expected);
    for _ in 0..5 {
        assert_eq!(client.post("/predict/?pipeline=both", "image/jpeg", &good_jpeg()).status, 200);
    }
    let models = client.get("/v1/models").json();
    for model in models["models"].as_array().expect("models") {
        assert_eq!((&model["answered"], &model["mean_batch"]), (&json!(5), &json!(1.0)), "{model}");
        assert!(model["latency_ms"]["p99"].as_f64() >= model["latency_ms"]["p50"].as_f64(), "{model}");
    }
}

#[test]
fn health_page_and_documentation() {
    let server = Server::plain();
    let client = server.client();
    for (path, kind, part) in [
        ("/healthz", "text/plain; charset=utf-8", "ok"),
        ("/readyz", "text/plain; charset=utf-8", "ready"),
        ("/", "text/html; charset=utf-8", "<html"),
        ("/app.js", "text/javascript; charset=utf-8", "fetch"),
        ("/common.js", "text/javascript; charset=utf-8", "export"),
        ("/shots.js", "text/javascript; charset=utf-8", "/v1/events/stream"),
        ("/style.css", "text/css; charset=utf-8", "{"),
        ("/openapi.json", "application/json", "\"openapi\":\"3.1"),
        ("/docs/", "text/html", "swagger"),
    ] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
        assert_eq!(client.send("HEAD", path, &[], &[]).status, 200, "HEAD {path}");
    }
    assert_eq!(client.get("/docs").status, 200, "with and without the slash, after a redirect");
}
