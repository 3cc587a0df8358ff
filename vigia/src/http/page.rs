//! The live page: files that are part of the program.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::Shared;

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'self'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", include_str!("../dashboard/index.html"))))
        .route("/app.js", get(async || file(SCRIPT, include_str!("../dashboard/app.js"))))
        .route("/common.js", get(async || file(SCRIPT, include_str!("../dashboard/common.js"))))
        .route("/shots.js", get(async || file(SCRIPT, include_str!("../dashboard/shots.js"))))
        .route("/style.css", get(async || file("text/css; charset=utf-8", include_str!("../dashboard/style.css"))))
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}
