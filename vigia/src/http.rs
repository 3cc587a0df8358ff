//! The HTTP interface: routes, what every request passes, and the description of it all.
//!
//! `predict` takes pictures; `streams` is the dictionary of live ones, `push` takes their frames, `watch` and `sockets` show
//! them; `events` are the tracks that ended; `operations` tells how the server is doing, `page` is the live page; `body` reads what is sent, [`listener`] owns
//! connections.

mod body;
mod docs;
mod events;
pub mod listener;
mod operations;
mod page;
mod patient;
mod predict;
mod push;
mod sockets;
mod streams;
mod watch;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::{ApiError, Code, said};

pub use docs::openapi;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Shared {
    app: Arc<App>,
    metrics: Arc<operations::HttpMetrics>,
    lingering: Arc<body::Lingering>,
}

/// All routes over `app`.
pub fn router(app: Arc<App>) -> Router {
    let shared = Shared {
        metrics: Arc::new(operations::HttpMetrics::new(&app.metrics, app.events().metrics())),
        lingering: Arc::default(),
        app,
    };
    let (described, api) = described().split_for_parts();
    let plain = Router::new()
        // FastAPI answers both; here, too, without a redirect that a client would have to follow with its body.
        .route("/predict", axum::routing::post(predict::predict))
        .merge(page::routes());
    described
        .merge(plain)
        .merge(docs::routes(api))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(|_panic: Box<dyn std::any::Any + Send>| {
            tracing::error!("a request's handler panicked");
            ApiError::new(Code::Internal, "the request failed in a way it should not; it is in the server's log")
                .into_response()
        }))
        // Outside: a handler that panicked is counted, too.
        .layer(middleware::from_fn_with_state(shared.clone(), every_request))
        .with_state(shared)
}

/// The routes that the OpenAPI description shows.
fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(docs::frame())
        .routes(routes!(predict::predict))
        .routes(routes!(predict::predict_v1))
        .routes(routes!(operations::models))
        .routes(routes!(streams::list, streams::add))
        .routes(routes!(streams::get, streams::change, streams::remove))
        .routes(routes!(streams::reload))
        .routes(routes!(push::put))
        .routes(routes!(push::socket))
        .routes(routes!(watch::results))
        .routes(routes!(watch::latest))
        .routes(routes!(watch::snapshot))
        .routes(routes!(watch::live))
        .routes(routes!(events::list))
        .routes(routes!(events::get))
        .routes(routes!(events::best))
        .routes(routes!(events::follow))
        .routes(routes!(sockets::results))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
}

/// What every request passes: it is counted and timed under its route, and a server that is ending says so.
async fn every_request(
    State(shared): State<Shared>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let mut response = if from_another_site(&request) {
        let detail = "a browser sent this for another site's page: only pages of this server may change things here";
        ApiError::new(Code::CrossOrigin, detail).into_response()
    } else {
        next.run(request).await
    };
    shared.metrics.answered(route.as_ref().map(MatchedPath::as_str), &method, response.status(), started.elapsed());
    if shared.app.drain.is_ending() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether a browser sends this for the page of another site: what only reads is safe, since such a page is not shown the
/// answer; what changes something, and a WebSocket, is not. Other clients than browsers say nothing of the kind.
fn from_another_site(request: &Request) -> bool {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let reads = request.method().is_safe() && !headers.contains_key(header::UPGRADE);
    if reads {
        return false;
    }
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        // Older browsers, and pages that did not come over TLS or from this machine.
        (None, Some(origin)) => origin.split_once("://").map(|(_, host)| host) != text("host"),
        (None, None) => false,
    }
}

async fn nothing_here(uri: Uri) -> ApiError {
    let path = said(uri.path());
    ApiError::new(Code::NotFound, format!("there is nothing at {path}; /docs describes what there is"))
}

async fn wrong_method(request: Request<Body>) -> ApiError {
    let (method, path) = (said(request.method().as_str()), said(request.uri().path()));
    let detail = format!("{method} is not possible at {path}; see /docs");
    ApiError::new(Code::MethodNotAllowed, detail)
}
