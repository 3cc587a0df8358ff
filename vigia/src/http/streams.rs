//! The dictionary of streams: list, add, look, change, remove; the configuration read again.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::{Shared, body};
use crate::app::App;
use crate::config::{NewStream, StreamBodyError, StreamPatch};
use crate::error::{ApiError, Code};
use crate::wire::{Problem, Reloaded, StreamWire, Streams};

/// Most bytes of a stream's configuration.
const LONGEST: u64 = 65_536;

/// Which stream, as it is described; [`Id`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described, never built")]
pub(super) struct OfStream {
    /// The stream's id
    #[param(pattern = "^[A-Za-z0-9_.-]{1,64}$", example = "door")]
    id: String,
}

/// A stream's id out of the address. What is no text there is the id of no stream.
pub(super) struct Id(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|_no_text| no_text())
    }
}

/// An id that is no text is that of no stream.
pub(super) fn no_text() -> ApiError {
    let detail = "there is no stream whose id is not UTF-8: /v1/streams lists those that are there";
    ApiError::new(Code::UnknownStream, detail)
}

/// List the streams
#[utoipa::path(
    get, path = "/v1/streams", tag = "streams", operation_id = "listStreams",
    responses((status = 200, description = "The dictionary of streams", body = Streams, example = json!({"streams": [super::docs::stream_example()]}))),
)]
pub(super) async fn list(State(shared): State<Shared>) -> Json<Streams> {
    Json(Streams { streams: shared.app.streams.list().iter().map(|stream| stream.status()).collect() })
}

/// Look at one stream
#[utoipa::path(
    get, path = "/v1/streams/{id}", tag = "streams", operation_id = "getStream",
    params(OfStream),
    responses(
        (status = 200, description = "How it is doing", body = StreamWire, example = json!(super::docs::stream_example())),
        (status = 404, description = "Unknown stream", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(State(shared): State<Shared>, Id(id): Id) -> Result<Json<StreamWire>, ApiError> {
    Ok(Json(shared.app.streams.get(&id)?.status()))
}

/// Add a stream
///
/// It has the same keys as a stream of the configuration file, and its `id`. It stays until it is removed, also over a
/// restart of the server; one whose frames are pushed, or that listens, ends when no frame comes for `timeout`, and leaves
/// after `linger`.
#[utoipa::path(
    post, path = "/v1/streams", tag = "streams", operation_id = "addStream",
    request_body(content = NewStream, content_type = "application/json", example = json!({"id": "door", "source": "rtsp://user:secret@10.0.0.7/h264", "pipeline": "faces"})),
    responses(
        (status = 201, description = "It was added", body = StreamWire, headers(("Location" = String, description = "Its address")), example = json!(super::docs::stream_example())),
        (status = 409, description = "The id is in use", body = Problem, content_type = "application/problem+json"),
        StreamProblems,
    ),
)]
pub(super) async fn add(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let json = json(&shared, &headers, body).await?;
    let NewStream { id, config } = NewStream::from_json(&json)?;
    shared.app.check_stream(&id, &config)?;
    // A source's address may be a file, a name, a port: looking at it is no work for a thread that serves connections.
    let stream = shared.app.arrange(move |app| app.streams.add(&id, &config)).await??;
    let location = format!("/v1/streams/{}", stream.id());
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(stream.status())).into_response())
}

/// Change a stream (JSON merge patch)
///
/// Keys that are given are changed; `null` sets one back to its default. A stream whose `source`, `pipeline`, `cache`,
/// `loop`, `transport` or `timeout` changes starts anew (one whose source is `push` not for its `timeout`); everything else changes while it runs. A stream of the configuration file is
/// as the file says again when the server starts anew.
#[utoipa::path(
    patch, path = "/v1/streams/{id}", tag = "streams", operation_id = "changeStream",
    params(OfStream),
    request_body(content((StreamPatch = "application/merge-patch+json", example = json!({"max_fps": 5})), (StreamPatch = "application/json", example = json!({"max_fps": 5})))),
    responses(
        (status = 200, description = "It was changed", body = StreamWire, example = json!(super::docs::stream_example())),
        (status = 404, description = "Unknown stream", body = Problem, content_type = "application/problem+json"),
        StreamProblems,
    ),
)]
pub(super) async fn change(
    State(shared): State<Shared>,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<StreamWire>, ApiError> {
    shared.app.streams.get(&id)?;
    let json = json(&shared, &headers, body).await?;
    let change = move |app: &App| {
        app.streams.change(&id, |before| {
            let config = before.patched(&json)?;
            app.check_stream(&id, &config)?;
            Ok(config)
        })
    };
    Ok(Json(shared.app.arrange(change).await??.status()))
}

/// Remove a stream
///
/// Its worker ends, and only that one; readers of its results are told the end. The id is free at once: a stream that is
/// added under it again gets nothing of the old one.
#[utoipa::path(
    delete, path = "/v1/streams/{id}", tag = "streams", operation_id = "removeStream",
    params(OfStream),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "Unknown stream", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No room now, or shutting down; try again later", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn remove(State(shared): State<Shared>, Id(id): Id) -> Result<StatusCode, ApiError> {
    shared.app.arrange(move |app| app.streams.remove(&id)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Read the configuration file again
///
/// What differs in its `streams` is applied, and those of them that have ended or were removed come back; nothing else is touched. A file with a mistake is refused whole. SIGHUP does
/// the same.
#[utoipa::path(
    post, path = "/v1/reload", tag = "operations", operation_id = "reload",
    responses(
        (status = 200, description = "What was done", body = Reloaded, example = json!({"added": ["yard"], "changed": [], "removed": ["door"], "failed": [], "restart_needed": []})),
        (status = 409, description = "There is no configuration file, or a stream of the same id was added over the API", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The file is not valid; the detail has line and hint", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No room now, or shutting down; try again later", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn reload(State(shared): State<Shared>) -> Result<Json<Reloaded>, ApiError> {
    Ok(Json(shared.app.arrange(App::reload).await??))
}

/// What can be wrong with a stream's configuration.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described, never built")]
enum StreamProblems {
    /// Not JSON, or the body broke off
    #[response(status = 400, content_type = "application/problem+json")]
    Syntax(#[to_schema] Problem),
    /// The body came too slowly
    #[response(status = 408, content_type = "application/problem+json")]
    Slow(#[to_schema] Problem),
    /// The body is too large
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] Problem),
    /// Another content type than JSON
    #[response(status = 415, content_type = "application/problem+json")]
    Unsupported(#[to_schema] Problem),
    /// A key, a value, the pipeline or the source is not valid
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(#[to_schema] Problem),
    /// As many streams as may be, or shutting down
    #[response(status = 503, content_type = "application/problem+json")]
    Full(#[to_schema] Problem),
}

impl From<StreamBodyError> for ApiError {
    fn from(error: StreamBodyError) -> Self {
        match error {
            StreamBodyError::Syntax(why) => Self::new(Code::InvalidJson, why),
            StreamBodyError::Invalid(why) => Self::new(Code::InvalidStream, why),
        }
    }
}

/// A JSON body within its limits.
async fn json(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let _under_way = shared.app.drain.begin().ok_or_else(|| {
        ApiError::new(Code::ShuttingDown, "the server is shutting down and takes no changes: ask another one")
    })?;
    let mut body = body::Incoming::new(headers, body);
    let json = body::json(shared, headers, &mut body, LONGEST).await;
    if json.is_err() {
        shared.lingering.read_on(body);
    }
    json
}
