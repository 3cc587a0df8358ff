//! Frames that are pushed: one by one with PUT, or many over a WebSocket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, FromRequestParts, Path, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use vigia_core::backend::InferError;
use vigia_core::source::EncodedPicture;
use vigia_engine::memory::Charge;
use vigia_engine::stream::{Outcome, Refused};

use super::docs::PictureBytes;
use super::listener::Slot;
use super::sockets::{self, PING, SILENCE};
use super::streams::{Id, OfStream, no_text};
use super::watch::not_ending;
use super::{Shared, body};
use crate::drain::UnderWay;
use crate::error::{ApiError, Code, said};
use crate::live::LiveStream;
use crate::wire::{Problem, ResultLine};

/// Frames of one socket that may be under way; more are read when one of them is answered.
const PIPELINE: usize = 64;
/// Bytes of a message before the picture: the frame's id.
const HEAD: usize = 8;

/// A frame's address, as it is described; [`FrameAddress`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described, never built")]
struct OfFrame {
    /// The stream's id
    #[param(pattern = "^[A-Za-z0-9_.-]{1,64}$", example = "door")]
    id: String,
    /// The frame's number; above that of the frame before
    #[param(schema_with = number, example = 7)]
    frame_id: u64,
}

/// Any number of 64 bits.
fn number() -> Schema {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u64::MAX)).into()
}

/// What is wanted, as it is described; [`waits`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described, never built")]
struct Wait {
    /// `result`: the answer comes when the frame has its result, and is the result
    #[param(inline)]
    wait: Option<WaitFor>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only described, never built")]
enum WaitFor {
    Result,
}

/// A stream's id and a frame's number out of the address.
pub(super) struct FrameAddress {
    id: String,
    frame_id: u64,
}

impl<S: Send + Sync> FromRequestParts<S> for FrameAddress {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((id, number)) = path.map_err(|_no_text| no_text())?;
        let frame_id = number.parse().map_err(|_no_number| {
            let detail = format!("frame_id: expected a number from 0 to {}, not \"{}\"", u64::MAX, said(&number));
            ApiError::new(Code::InvalidParameter, detail)
        })?;
        Ok(Self { id, frame_id })
    }
}

/// A frame was taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    /// The stream's id.
    stream: String,
    /// The frame's number.
    frame_id: u64,
}

/// Push one frame
///
/// For a stream whose source is `push`. The picture waits encoded, and is decoded only when its turn has come; a newer one
/// may take its place before (see `cache` of the stream). Without `wait=result` the answer says only that it was taken.
#[utoipa::path(
    put, path = "/v1/streams/{id}/frames/{frame_id}", tag = "streams", operation_id = "pushFrame",
    params(OfFrame, Wait),
    request_body(content(
        (PictureBytes = "image/jpeg"), (PictureBytes = "image/png"), (PictureBytes = "image/webp"),
    )),
    responses(
        (status = 200, description = "With `wait=result`: what was found", body = ResultLine<'static>),
        (status = 202, description = "It was taken", body = Accepted, example = json!({"stream": "door", "frame_id": 7})),
        (status = 404, description = "Unknown stream", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The id is not above the last one, the stream has ended, or its frames are not pushed", body = Problem, content_type = "application/problem+json"),
        super::predict::PictureProblems,
    ),
)]
pub(super) async fn put(
    State(shared): State<Shared>,
    address: FrameAddress,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut body = body::Incoming::new(&headers, body);
    let answer = take(&shared, address, query.as_deref().unwrap_or_default(), &headers, &mut body).await;
    if answer.is_err() {
        shared.lingering.read_on(body);
    }
    answer
}

async fn take(
    shared: &Shared,
    address: FrameAddress,
    query: &str,
    headers: &HeaderMap,
    body: &mut body::Incoming,
) -> Result<Response, ApiError> {
    let _under_way = begin(shared)?;
    let FrameAddress { id, frame_id } = address;
    let waits = waits(query)?;
    let stream = pushed(shared, &id)?;
    let body::Picture { bytes, held } = body::picture(shared, headers, body).await?;
    if !waits {
        push(shared, &stream, frame_id, bytes, held, None)?;
        return Ok((StatusCode::ACCEPTED, Json(Accepted { stream: id, frame_id })).into_response());
    }
    let (sender, receiver) = oneshot::channel::<Outcome>();
    let waiter = move |outcome| {
        // A client that went away does not want it.
        let _gone = sender.send(outcome);
    };
    push(shared, &stream, frame_id, bytes, held, Some(Box::new(waiter)))?;
    let result = receiver.await.map_err(|_untold| lost())??;
    let json = stream.outputs().json(&result);
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

fn lost() -> ApiError {
    ApiError::new(Code::StreamEnded, "the stream ended before the frame had its result")
}

fn begin(shared: &Shared) -> Result<UnderWay, ApiError> {
    shared.app.drain.begin().ok_or_else(ending)
}

fn over(id: &str) -> ApiError {
    ApiError::new(Code::StreamEnded, format!("stream \"{id}\" takes no more frames: add it again"))
}

fn ending() -> ApiError {
    ApiError::new(Code::ShuttingDown, "the server is shutting down and takes no new frames: ask another one")
}

/// The stream, where its frames are pushed.
fn pushed(shared: &Shared, id: &str) -> Result<Arc<LiveStream>, ApiError> {
    let stream = shared.app.streams.get(id)?;
    if stream.is_pushed() {
        return Ok(stream);
    }
    let detail = format!("the frames of stream \"{id}\" come from its source: push into one whose source is push");
    Err(ApiError::new(Code::NotPushed, detail))
}

fn push(
    shared: &Shared,
    stream: &LiveStream,
    frame_id: u64,
    bytes: Bytes,
    held: Charge,
    waiter: Option<vigia_engine::stream::Waiter>,
) -> Result<(), ApiError> {
    shared.app.check_picture(&bytes)?;
    // From here on the stream's cache counts it. Nobody else has the bytes, so that they are not copied.
    drop(held);
    let picture = EncodedPicture { frame_id: Some(frame_id), captured_at: SystemTime::now(), bytes: Vec::from(bytes) };
    stream.push(picture, waiter).map(drop).map_err(|refused| match refused {
        // Streams end with the server, and that begins first.
        Refused::Ended if shared.app.drain.is_ending() => ending(),
        Refused::Ended => over(stream.id()),
        Refused::NotAbove { last } => {
            let detail =
                format!("frame_id: {frame_id} is not above the last one, {last}: ids grow from frame to frame");
            ApiError::new(Code::FrameIdNotAbove, detail)
        }
    })
}

fn waits(query: &str) -> Result<bool, ApiError> {
    let mut waits = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let detail = match (name.as_ref(), value.as_ref()) {
            ("wait", "result") => {
                waits = true;
                continue;
            }
            ("wait", other) => format!("wait: expected result, not \"{}\"", said(other)),
            (other, _) => format!("{}: no such parameter; there is wait", said(other)),
        };
        return Err(ApiError::new(Code::InvalidParameter, detail));
    }
    Ok(waits)
}

/// Push frames (WebSocket)
///
/// Each binary message is one frame: its number as 8 bytes, the most significant first, then the picture. What becomes of
/// each frame comes back as one text message, in the order of the frames: its result; or, where it has none,
/// `{"stream", "frame_id", "dropped": reason}` or `{"stream", "frame_id", "problem": {…}}`. Frames may be sent without
/// waiting for answers; after 64 without one, no more are read. The socket is closed when the stream ends.
#[utoipa::path(
    get, path = "/v1/streams/{id}/frames", tag = "streams", operation_id = "pushFrames",
    params(OfStream),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 400, description = "Not a WebSocket's handshake", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown stream", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The stream has ended, or its frames are not pushed", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Shutting down", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn socket(
    State(shared): State<Shared>,
    Id(id): Id,
    Extension(slot): Extension<Slot>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let stream = pushed(&shared, &id)?;
    not_ending(&shared)?;
    if stream.is_over() {
        return Err(over(&id));
    }
    let upgrade = upgrade.map_err(|why| sockets::no_handshake(&why))?;
    let most = usize::try_from(shared.app.limits.body).unwrap_or(usize::MAX).saturating_add(HEAD);
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let pusher = Pusher::new(shared, stream);
        pusher.serve(socket).await;
        drop(slot);
    }))
}

/// What became of a message.
struct Answer {
    /// Which message of the socket it was.
    number: u64,
    frame_id: Option<u64>,
    outcome: Result<Outcome, ApiError>,
}

/// One socket over which frames come.
struct Pusher {
    shared: Shared,
    stream: Arc<LiveStream>,
    answers: mpsc::Sender<Answer>,
    answered: mpsc::Receiver<Answer>,
    /// Messages that came.
    came: u64,
    /// Messages whose answer was said.
    said: u64,
    /// Answers that wait for their turn.
    early: BTreeMap<u64, Answer>,
}

/// A frame that has no result.
#[derive(Serialize)]
struct NoResult<'a> {
    stream: &'a str,
    frame_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

impl Pusher {
    fn new(shared: Shared, stream: Arc<LiveStream>) -> Self {
        // Room for each frame under way, so that nobody who answers waits.
        let (answers, answered) = mpsc::channel(PIPELINE);
        Self { shared, stream, answers, answered, came: 0, said: 0, early: BTreeMap::new() }
    }

    async fn serve(mut self, mut socket: WebSocket) {
        let outputs = self.stream.outputs().clone();
        let drain = self.shared.app.drain.clone();
        let (mut ended, mut ending) = (std::pin::pin!(outputs.ended()), std::pin::pin!(drain.ending()));
        let mut ping = tokio::time::interval(PING);
        // When the other side was heard last; it answers pings, if nothing else.
        let mut heard = Instant::now();
        // Why no more is read: the socket is closed with it once everything is answered.
        let mut close = None;
        loop {
            while let Some(answer) = self.early.remove(&self.said) {
                self.said += 1;
                if socket.send(Message::text(self.text(answer))).await.is_err() {
                    return;
                }
            }
            let under_way = self.came - self.said;
            if close.is_some() && under_way == 0 {
                return sockets::goodbye(socket, close).await;
            }
            let reads = close.is_none() && under_way < PIPELINE as u64;
            tokio::select! {
                Some(answer) = self.answered.recv() => drop(self.early.insert(answer.number, answer)),
                message = socket.recv(), if reads => match message.inspect(|_| heard = Instant::now()) {
                    Some(Ok(Message::Binary(message))) => self.frame(message),
                    Some(Ok(Message::Text(_))) => {
                        let why = "a frame is a binary message: its number in 8 bytes, then the picture";
                        self.refuse(None, ApiError::new(Code::NotAPicture, why));
                    }
                    // Pings are answered by the library.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_))) => return sockets::goodbye(socket, None).await,
                    None => return,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "a socket broke");
                        close = Some((close_code::SIZE, "a message is longer than limits.body, or no WebSocket's"));
                    }
                },
                () = &mut ended, if close.is_none() => {
                    // Streams end with the server, and that begins first.
                    let ends = (close_code::NORMAL, "the stream has ended");
                    close = Some(if drain.is_ending() { (close_code::AWAY, sockets::ENDING) } else { ends });
                }
                () = &mut ending, if close.is_none() => close = Some((close_code::AWAY, sockets::ENDING)),
                _ = ping.tick() => {
                    // While nothing is read, nothing is heard.
                    if !reads {
                        heard = Instant::now();
                    }
                    // Gone, or with a message that does not come to its end and takes memory that long.
                    if heard.elapsed() > SILENCE || socket.send(Message::Ping(Bytes::new())).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// One message.
    fn frame(&mut self, mut message: Bytes) {
        let Some(head) = message.first_chunk::<HEAD>() else {
            let why = format!("a message of {} bytes: its first 8 are the frame's number", message.len());
            return self.refuse(None, ApiError::new(Code::NotAPicture, why));
        };
        let frame_id = u64::from_be_bytes(*head);
        let picture = message.split_off(HEAD);
        drop(message);
        let taken = begin(&self.shared).and_then(|under_way| {
            let held = self.shared.app.reserve(picture.len() as u64)?;
            let (answers, number) = (self.answers.clone(), self.came);
            let waiter = move |outcome| {
                // There is room for each; a socket that is gone wants none.
                let _gone = answers.try_send(Answer { number, frame_id: Some(frame_id), outcome: Ok(outcome) });
                drop(under_way);
            };
            push(&self.shared, &self.stream, frame_id, picture, held, Some(Box::new(waiter)))
        });
        match taken {
            Ok(()) => self.came += 1,
            Err(error) => self.refuse(Some(frame_id), error),
        }
    }

    /// Answers a message that came to nothing.
    fn refuse(&mut self, frame_id: Option<u64>, error: ApiError) {
        let number = self.came;
        self.came += 1;
        self.early.insert(number, Answer { number, frame_id, outcome: Err(error) });
    }

    fn text(&self, answer: Answer) -> String {
        let Answer { number: _, frame_id, outcome } = answer;
        let (dropped, problem) = match outcome {
            Ok(Ok(result)) => {
                return String::from_utf8(Vec::from(self.stream.outputs().json(&result))).unwrap_or_default();
            }
            Ok(Err(InferError::Dropped(reason))) => (Some(reason.as_str()), None),
            Ok(Err(error)) => (None, Some(ApiError::from(error).problem())),
            Err(error) => (None, Some(error.problem())),
        };
        let answer = NoResult { stream: self.stream.id(), frame_id, dropped, problem };
        // Nothing in it can fail to be written.
        serde_json::to_string(&answer).unwrap_or_default()
    }
}
