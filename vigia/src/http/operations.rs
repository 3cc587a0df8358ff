//! How the server is doing: models, health, readiness, metrics.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use vigia_engine::metrics::Metrics;

use super::Shared;
use crate::error::{ApiError, Code};
use crate::events::EventMetrics;
use crate::wire::{Models, Problem};

/// What is counted of HTTP, and the registry of everything.
#[derive(Debug)]
pub(super) struct HttpMetrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    method: &'static str,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

/// 0.5 ms to 16 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
}

impl HttpMetrics {
    pub(super) fn new(engine: &Metrics, events: &EventMetrics) -> Self {
        let mut registry = Registry::with_prefix("vigia");
        engine.register(&mut registry);
        events.register(&mut registry);
        let requests = Family::<Labels, Counter>::default();
        registry.register("http_requests", "Requests by route, method and status", requests.clone());
        let durations = Family::<Route, Histogram, fn() -> Histogram>::new_with_constructor(seconds);
        let help = "From a request's head to the head of its answer";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, durations.clone());
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What is running", version);
        Self { registry, requests, durations }
    }

    /// Counts a request. Labels are bounded: routes are ours, and what matched none is one of them.
    pub(super) fn answered(&self, route: Option<&str>, method: &Method, status: StatusCode, took: Duration) {
        let route = route.unwrap_or("none").to_owned();
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        self.durations.get_or_create(&Route { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Labels { route, method, status: status.as_u16().into() }).inc();
    }
}

/// List what is loaded
///
/// Models with where they run, their batches and latency; pipelines, the default one first.
#[utoipa::path(
    get, path = "/v1/models", tag = "models", operation_id = "listModels",
    responses((status = 200, description = "Models and pipelines", body = Models, example = json!(super::docs::models_example()))),
)]
pub(super) async fn models(State(shared): State<Shared>) -> Json<Models> {
    Json(shared.app.models())
}

/// Is it alive?
///
/// 200 as long as the process answers, also while it shuts down.
#[utoipa::path(
    get, path = "/healthz", tag = "operations", operation_id = "healthz",
    responses((status = 200, description = "It is", content_type = "text/plain", body = String, example = json!("ok"))),
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// May it be sent work?
///
/// 503 while it shuts down: then it finishes what it has.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "readyz",
    responses(
        (status = 200, description = "It may", content_type = "text/plain", body = String, example = json!("ready")),
        (status = 503, description = "It is shutting down", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn readyz(State(shared): State<Shared>) -> Result<&'static str, ApiError> {
    if shared.app.drain.is_ending() {
        return Err(ApiError::new(Code::ShuttingDown, "the server is shutting down"));
    }
    Ok("ready\n")
}

/// Get the metrics (OpenMetrics text, for Prometheus)
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "metrics",
    responses((status = 200, description = "Metrics", content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8", body = String)),
)]
pub(super) async fn metrics(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let mut text = String::new();
    encode(&mut text, &shared.metrics.registry)
        .map_err(|error| ApiError::new(Code::Internal, format!("the metrics could not be written: {error}")))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
