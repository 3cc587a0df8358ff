//! Watching streams: results as they come, the newest one, pictures.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use vigia_engine::hub::{Delivery, Subscription};

use super::Shared;
use super::docs::PictureBytes;
use super::streams::{Id, OfStream};
use crate::error::{ApiError, Code, said};
use crate::live::{Outputs, Shown};
use crate::wire::{Problem, ResultLine};

/// A comment on an idle event stream this often, so that what is between keeps it open.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// What separates the pictures of a live view.
const BOUNDARY: &str = "vigia-frame";

/// How a picture is shown, as it is described; [`annotated`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described, never built")]
struct Look {
    /// 1: with what was found in it
    #[param(minimum = 0, maximum = 1)]
    annotate: Option<u8>,
}

/// Follow a stream's results (server-sent events)
///
/// `event: result` carries one result on one `data:` line and its number as `id:`; `event: missed` carries
/// `{"missed": n}` when the reader was too slow for n of them. A reader that comes back with `Last-Event-ID` gets what
/// came since, as far as it is kept (256 results). The events end when the stream does.
#[utoipa::path(
    get, path = "/v1/streams/{id}/results", tag = "streams", operation_id = "followResults",
    params(
        OfStream,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last result that was read"),
    ),
    responses(
        (status = 200, description = "Results as they come", content_type = "text/event-stream", body = String),
        (status = 404, description = "Unknown stream", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Last-Event-ID is not a number", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Shutting down", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn results(
    State(shared): State<Shared>,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let outputs = shared.app.streams.get(&id)?.outputs().clone();
    not_ending(&shared)?;
    Ok(events(&shared, outputs.subscribe(last_event(&headers)?), |json| ("result", json)))
}

/// The number that a reader had last.
pub(super) fn last_event(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    number.map(Some).ok_or_else(|| ApiError::new(Code::InvalidParameter, "Last-Event-ID: expected a number"))
}

/// What a hub publishes, as events; `told` says the name of each and what it says.
pub(super) fn events<T: Clone + Send + Sync + 'static>(
    shared: &Shared,
    subscription: Subscription<T>,
    told: fn(&T) -> (&'static str, &Bytes),
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<T>> {
    let events = stream::unfold(subscription, move |mut subscription| async move {
        let event = match subscription.next().await? {
            Delivery::Item(number, item) => {
                let (name, json) = told(&item);
                Event::default().event(name).id(number.to_string()).data(String::from_utf8_lossy(json))
            }
            Delivery::Missed(missed) => Event::default().event("missed").data(format!("{{\"missed\":{missed}}}")),
        };
        Some((Ok(event), subscription))
    });
    let drain = shared.app.drain.clone();
    let events = events.take_until(async move { drain.ending().await });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// Get a stream's newest result
#[utoipa::path(
    get, path = "/v1/streams/{id}/results/latest", tag = "streams", operation_id = "latestResult",
    params(OfStream),
    responses(
        (status = 200, description = "The newest result", body = ResultLine<'static>),
        (status = 404, description = "Unknown stream, or no result yet", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn latest(State(shared): State<Shared>, Id(id): Id) -> Result<Response, ApiError> {
    let json = shared.app.streams.get(&id)?.outputs().latest().ok_or_else(|| nothing_yet(&id))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// Look at a stream's newest picture
#[utoipa::path(
    get, path = "/v1/streams/{id}/snapshot.jpg", tag = "streams", operation_id = "snapshot",
    params(OfStream, Look),
    responses(
        (status = 200, description = "The newest picture that has a result", content_type = "image/jpeg", body = PictureBytes),
        (status = 404, description = "Unknown stream, or no result yet", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is not valid", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No room now; try again later", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn snapshot(
    State(shared): State<Shared>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let annotated = annotated(query.as_deref().unwrap_or_default())?;
    let outputs = shared.app.streams.get(&id)?.outputs().clone();
    let shown = outputs.newest().borrow().clone().ok_or_else(|| nothing_yet(&id))?;
    let jpeg = shared.app.frame_jpeg(&outputs, &shown, annotated).await?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "no-store")], jpeg).into_response())
}

/// Watch a stream (motion JPEG)
///
/// Each picture that has a result, as `multipart/x-mixed-replace`, which an `<img>` shows. A slow viewer is shown fewer
/// pictures, never older ones.
#[utoipa::path(
    get, path = "/v1/streams/{id}/live.mjpeg", tag = "streams", operation_id = "watch",
    params(OfStream, Look),
    responses(
        (status = 200, description = "Pictures as they come", content_type = "multipart/x-mixed-replace; boundary=vigia-frame", body = PictureBytes),
        (status = 404, description = "Unknown stream", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is not valid", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Shutting down", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn live(
    State(shared): State<Shared>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let annotated = annotated(query.as_deref().unwrap_or_default())?;
    let outputs = shared.app.streams.get(&id)?.outputs().clone();
    not_ending(&shared)?;
    let mut newest = outputs.newest();
    // Whoever comes is shown what there is at once.
    newest.mark_changed();
    let viewer = Viewer { shared: shared.clone(), outputs, newest, annotated, is_first: true };
    let parts = stream::unfold(viewer, |mut viewer| async move {
        let part = viewer.next().await?;
        Some((Ok::<_, Infallible>(part), viewer))
    });
    let drain = shared.app.drain.clone();
    let parts = parts.take_until(async move { drain.ending().await });
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// One that watches.
struct Viewer {
    shared: Shared,
    outputs: Arc<Outputs>,
    newest: watch::Receiver<Option<Arc<Shown>>>,
    annotated: bool,
    is_first: bool,
}

impl Viewer {
    /// The next picture as a part; `None` when the stream is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.newest.changed().await.ok()?;
            let Some(shown) = self.newest.borrow_and_update().clone() else { continue };
            match self.shared.app.frame_jpeg(&self.outputs, &shown, self.annotated).await {
                Ok(jpeg) => {
                    let is_first = std::mem::take(&mut self.is_first);
                    return Some(part(&jpeg, is_first));
                }
                // The next picture may be luckier.
                Err(error) => tracing::debug!(stream = self.outputs.id(), ?error, "a picture was not drawn"),
            }
        }
    }
}

/// A picture as a part, with the boundary that ends it: a browser shows a part when it has read that, which must not
/// have to wait for the next picture.
fn part(jpeg: &[u8], is_first: bool) -> Bytes {
    let mut part = Vec::with_capacity(jpeg.len() + 128);
    if is_first {
        part.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
    }
    part.extend_from_slice(format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len()).as_bytes());
    part.extend_from_slice(jpeg);
    part.extend_from_slice(format!("\r\n--{BOUNDARY}\r\n").as_bytes());
    Bytes::from(part)
}

fn annotated(query: &str) -> Result<bool, ApiError> {
    let mut annotated = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        annotated = match (name.as_ref(), value.as_ref()) {
            ("annotate", "1") => true,
            ("annotate", "0") => false,
            ("annotate", _) => {
                return Err(ApiError::new(Code::InvalidParameter, "annotate: expected 0 or 1"));
            }
            (other, _) => {
                let detail = format!("{}: no such parameter; there is annotate", said(other));
                return Err(ApiError::new(Code::InvalidParameter, detail));
            }
        };
    }
    Ok(annotated)
}

fn nothing_yet(id: &str) -> ApiError {
    ApiError::new(Code::NoResultYet, format!("no frame of stream \"{id}\" has a result yet: look at its state"))
}

pub(super) fn not_ending(shared: &Shared) -> Result<(), ApiError> {
    if shared.app.drain.is_ending() {
        return Err(ApiError::new(Code::ShuttingDown, "the server is shutting down"));
    }
    Ok(())
}
