//! Metrics: in the format that Prometheus reads, with labels that clients cannot make more of.

use std::collections::BTreeSet;

use crate::client::Client;
use crate::pictures::good_jpeg;
use crate::support::Server;

/// The series of `/metrics`: names with labels, without values.
fn series(client: &Client) -> BTreeSet<String> {
    let answer = client.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').expect("a value").0.to_owned()).collect()
}

#[test]
fn clients_cannot_make_series() {
    let server = Server::plain();
    let client = server.client();
    let nonsense = |n: usize| {
        client.get(&format!("/nothing/{n}"));
        client.get(&format!("/v1/streams/{n}"));
        client.post(&format!("/predict/?model={n}"), "image/jpeg", b"");
        client.post(&format!("/predict/?{n}=1"), &format!("text/{n}"), b"");
        client.send(&format!("METHOD{n}"), "/nothing", &[], &[]);
        client.send(&format!("METHOD{n}"), "/predict/", &[], &[]);
        client.send("POST", "/v1/models", &[], &[]);
    };
    nonsense(0);
    series(&client);
    let before = series(&client);
    (1..=100).for_each(nonsense);
    let after = series(&client);
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:#?}");
    for label in ["/nothing", "METHOD", "streams/0"] {
        assert!(!after.iter().any(|series| series.contains(label)), "{label}");
    }
    let has = |labels: &str| assert!(after.iter().any(|series| series.contains(labels)), "{labels}: {after:#?}");
    has("http_requests_total{route=\"none\",method=\"GET\",status=\"404\"}");
    has("http_requests_total{route=\"/v1/streams/{id}\",method=\"GET\",status=\"404\"}");
    has("method=\"other\"");
}

#[test]
fn stages_and_requests_are_counted_in_units_of_their_names() {
    let server = Server::plain();
    let client = server.client();
    for _ in 0..3 {
        assert_eq!(client.post("/predict/", "image/jpeg", &good_jpeg()).status, 200);
    }
    let text = client.get("/metrics").text();
    let has = |line: &str| assert!(text.contains(line), "{line} is not in:\n{text}");
    for stage in ["decode", "queue", "preprocess", "inference", "postprocess"] {
        has(&format!("vigia_stage_duration_seconds_count{{model=\"finder\",stage=\"{stage}\"}} 3\n"));
    }
    has("# UNIT vigia_stage_duration_seconds seconds\n");
    has("vigia_model_requests_total{model=\"finder\",outcome=\"ok\"} 3\n");
    has("vigia_model_batch_size_count{model=\"finder\"} 3\n");
    has("vigia_model_waiting{model=\"finder\"} 0\n");
    has("vigia_http_requests_total{route=\"/predict/\",method=\"POST\",status=\"200\"} 3\n");
    has("vigia_http_request_duration_seconds_count{route=\"/predict/\"} 3\n");
    has(concat!("vigia_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"));
}
