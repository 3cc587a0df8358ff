//! Results of several streams over one WebSocket, and what sockets share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream, SelectAll};
use tokio::time::timeout;
use vigia_engine::hub::{Delivery, Subscription};

use super::Shared;
use super::listener::Slot;
use super::watch::not_ending;
use crate::error::{ApiError, Code, said};
use crate::live::Outputs;
use crate::news::Notice;
use crate::wire::Problem;

/// A ping this often: what is between keeps the socket open, and one whose other side is gone is noticed.
pub(super) const PING: Duration = Duration::from_secs(10);
/// Why a socket is closed when the server ends.
pub(super) const ENDING: &str = "the server is shutting down";

/// How long the other side may take to say goodbye, too. What it still sends meanwhile is read: a connection that is closed
/// on that takes away what was said before the other side has read it.
const LINGER: Duration = Duration::from_secs(2);

/// Closes a socket; `why` is absent where the other side did so first.
pub(super) async fn goodbye(mut socket: WebSocket, why: Option<(u16, &'static str)>) {
    if let Some((code, reason)) = why {
        let close = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        if socket.send(Message::Close(Some(close))).await.is_err() {
            return;
        }
    }
    let _enough = timeout(LINGER, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
}

/// After so long without a word, not even the answer to a ping, the other side is taken for gone.
pub(super) const SILENCE: Duration = PING.saturating_mul(3);

/// What does not begin as a WebSocket does.
pub(super) fn no_handshake(why: &WebSocketUpgradeRejection) -> ApiError {
    let why = why.to_string();
    ApiError::new(Code::NoHandshake, format!("this address is for WebSockets: {}", why.trim_end_matches('.')))
}

/// Which streams, as it is described; [`wanted`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described, never built")]
struct Which {
    /// Ids of streams, with commas between them; all where absent
    #[param(example = "door,yard")]
    stream: Option<String>,
}

/// Follow the results of several streams (WebSocket)
///
/// Each text message is one result, or `{"stream": id, "missed": n}` when the reader was too slow for n of them. A stream
/// that is added later under a wanted id is followed from then on; without `stream`, all are.
#[utoipa::path(
    get, path = "/v1/results", tag = "streams", operation_id = "followManyResults",
    params(Which),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 400, description = "Not a WebSocket's handshake", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown stream", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is not valid", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Shutting down", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn results(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    Extension(slot): Extension<Slot>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let wanted = wanted(query.as_deref().unwrap_or_default())?;
    for id in wanted.iter().flatten() {
        shared.app.streams.get(id)?;
    }
    not_ending(&shared)?;
    let upgrade = upgrade.map_err(|why| no_handshake(&why))?;
    // Before the answer: what is published once a reader has that is for it.
    let follower = Follower::new(shared, wanted);
    Ok(upgrade.max_message_size(1024).on_upgrade(move |socket| async move {
        follower.serve(socket).await;
        drop(slot);
    }))
}

fn wanted(query: &str) -> Result<Option<BTreeSet<String>>, ApiError> {
    let mut wanted: Option<BTreeSet<String>> = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "stream" {
            let detail = format!("{}: no such parameter; there is stream", said(&name));
            return Err(ApiError::new(Code::InvalidParameter, detail));
        }
        wanted.get_or_insert_default().extend(value.split(',').map(|id| id.trim().to_owned()));
    }
    Ok(wanted)
}

/// One socket that follows streams.
struct Follower {
    shared: Shared,
    /// All where absent.
    wanted: Option<BTreeSet<String>>,
    /// The generations that are followed.
    followed: BTreeMap<String, u64>,
    results: SelectAll<BoxStream<'static, String>>,
    changes: Subscription<Notice>,
    /// The result after which a stream is followed: none of those that were there before the socket was, all of those that
    /// came later.
    since: Option<u64>,
}

impl Follower {
    fn new(shared: Shared, wanted: Option<BTreeSet<String>>) -> Self {
        // First the changes, then the streams: one that comes in between is in one of them at least.
        let changes = shared.app.streams.changes(None);
        let (followed, results) = (BTreeMap::new(), SelectAll::new());
        let mut follower = Self { shared, wanted, followed, results, changes, since: None };
        follower.follow_new();
        Self { since: Some(0), ..follower }
    }

    async fn serve(mut self, mut socket: WebSocket) {
        let drain = self.shared.app.drain.clone();
        let mut ending = std::pin::pin!(drain.ending());
        let mut ping = tokio::time::interval(PING);
        let mut heard = Instant::now();
        loop {
            let sent = tokio::select! {
                Some(text) = self.results.next() => socket.send(Message::text(text)).await,
                change = self.changes.next() => {
                    match change {
                        // No new stream comes of it.
                        Some(Delivery::Item(_, notice)) if notice.kind != Notice::STATE => {}
                        Some(_) => self.follow_new(),
                        None => {}
                    }
                    Ok(())
                }
                message = socket.recv() => match message.inspect(|_| heard = Instant::now()) {
                    // What a reader says is not listened to.
                    Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => Ok(()),
                    Some(Ok(Message::Close(_))) => return goodbye(socket, None).await,
                    Some(Err(_)) | None => return,
                },
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE {
                        return;
                    }
                    // A stream tells of its first state before it is in the dictionary.
                    self.follow_new();
                    socket.send(Message::Ping(Bytes::new())).await
                }
                () = &mut ending => return goodbye(socket, Some((close_code::AWAY, ENDING))).await,
            };
            if sent.is_err() {
                return;
            }
        }
    }

    /// Follows the wanted streams that are not followed yet.
    fn follow_new(&mut self) {
        let streams = self.shared.app.streams.list();
        let there: BTreeSet<&str> = streams.iter().map(|stream| stream.id()).collect();
        self.followed.retain(|id, _| there.contains(id.as_str()));
        for stream in &streams {
            let (id, outputs) = (stream.id(), stream.outputs());
            let is_wanted = self.wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
            if is_wanted && self.followed.insert(id.to_owned(), outputs.generation()) != Some(outputs.generation()) {
                self.results.push(texts(outputs, self.since));
            }
        }
    }
}

/// A stream's results as texts, from now on or after the one of this number, to its end.
fn texts(outputs: &Outputs, since: Option<u64>) -> BoxStream<'static, String> {
    let id = outputs.id().to_owned();
    let next = |(mut subscription, id): (Subscription<Bytes>, String)| async move {
        let text = match subscription.next().await? {
            Delivery::Item(_, json) => String::from_utf8_lossy(&json).into_owned(),
            Delivery::Missed(missed) => serde_json::json!({"stream": id, "missed": missed}).to_string(),
        };
        Some((text, (subscription, id)))
    };
    Box::pin(stream::unfold((outputs.subscribe(since), id), next))
}
