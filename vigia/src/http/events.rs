//! Tracks that ended: listed, looked at, told as they come, together with the changes of state of the streams.

use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use vigia_engine::hub::{Delivery, Subscription};

use super::Shared;
use super::docs::PictureBytes;
use super::listener::Slot;
use super::sockets::{ENDING, PING, SILENCE, goodbye, no_handshake};
use super::watch::{self, last_event, not_ending};
use crate::config::check_stream_id;
use crate::error::{ApiError, Code, said};
use crate::events::Query;
use crate::news::Notice;
use crate::wire::{EventWire, EventsPage, Problem, StateEvent};

/// Most events of a page, and most names of a filter.
const MOST: usize = 500;
const NAMES: usize = 100;
/// Longest name of a class.
const LONGEST: usize = 200;

/// Which event, as it is described; [`id`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described, never built")]
struct OfEvent {
    /// The event's id
    #[param(example = "door-1-7")]
    id: String,
}

/// Which events, as it is described; [`query`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described, never built")]
struct Which {
    /// Ids of streams, with commas between them, whether they still are there or not; all where absent
    #[param(pattern = "^[A-Za-z0-9_.-]{1,64}(,[A-Za-z0-9_.-]{1,64})*$", example = "door,yard")]
    stream: Option<String>,
    /// Names of classes, with commas between them; all where absent. One that has a comma in it cannot be asked for
    #[param(pattern = r"^[^,\s\x00][^,\x00]{0,40}(,[^,\s\x00][^,\x00]{0,40})*$", example = "face")]
    class: Option<String>,
    /// Those that ended then or later (RFC 3339)
    #[param(format = DateTime)]
    from: Option<String>,
    /// Those that ended before that (RFC 3339)
    #[param(format = DateTime)]
    to: Option<String>,
    /// At most so many; 50 where absent
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u16>,
    /// Where to go on: `next` of the page before
    #[param(pattern = "^-?[0-9]{1,18}_.{1,200}$")]
    cursor: Option<String>,
}

/// List tracks that ended
///
/// The newest first. With `next` of one page as the `cursor` of the next, every event that was there all the time is listed
/// once, whatever comes and goes meanwhile.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "listEvents",
    params(Which),
    responses(
        (status = 200, description = "A page of them", body = EventsPage, content_type = "application/json", example = json!({"events": [super::docs::event_example()], "next": null})),
        (status = 422, description = "A parameter is not valid", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is away, or busy; try again later", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(State(shared): State<Shared>, RawQuery(text): RawQuery) -> Result<Response, ApiError> {
    let query = query(text.as_deref().unwrap_or_default())?;
    Ok(json(shared.app.events().list(query).await?))
}

/// Look at one track that ended
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "events", operation_id = "getEvent",
    params(OfEvent),
    responses(
        (status = 200, description = "It", body = EventWire, content_type = "application/json", example = json!(super::docs::event_example())),
        (status = 404, description = "Unknown event", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is away, or busy; try again later", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    Ok(json(shared.app.events().get(&id(path)?).await?))
}

/// Look at the best shot of a track that ended
#[utoipa::path(
    get, path = "/v1/events/{id}/best.jpg", tag = "events", operation_id = "bestShot",
    params(OfEvent),
    responses(
        (status = 200, description = "The object and a little around it, cut out of the frame of its best detection", content_type = "image/jpeg", body = PictureBytes),
        (status = 404, description = "Unknown event, or one without a picture", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is away, or busy; try again later", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn best(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let jpeg = shared.app.events().picture(&id(path)?).await?;
    // Ids are not given twice, and what stands under one does not change; but it may be of no concern to others.
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=86400, immutable")];
    Ok((headers, jpeg).into_response())
}

/// Where a reader was, as it is described; [`last`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described, never built")]
struct Since {
    /// The same as the header `Last-Event-ID`, for those that cannot set it: a browser's WebSocket
    last_event_id: Option<u64>,
}

/// Follow tracks that end, and the changes of state of all streams (server-sent events, or WebSocket)
///
/// `event: track_ended` carries an event as `GET /v1/events` has it, which is kept by then; `event: state` a change of a
/// stream's state. Each stands on one `data:` line and has its number as `id:`. `event: missed` carries `{"missed": n}` when
/// the reader was too slow for n of them. A reader that comes back with `Last-Event-ID` gets what came since, as far as it
/// is kept (1024).
///
/// Asked for a WebSocket, the same comes as text messages: `{"event": "track_ended", "id": 7, "data": {…}}`, and
/// `{"event": "missed", "data": {"missed": n}}`.
#[utoipa::path(
    get, path = "/v1/events/stream", tag = "events", operation_id = "followEvents",
    params(Since, ("Last-Event-ID" = Option<u64>, Header, description = "The last event that was read")),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 200, description = "News as they come; the `data` of each is an Event or a StateEvent", content_type = "text/event-stream", body = StateEvent),
        (status = 400, description = "A WebSocket's handshake that is none", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Last-Event-ID is not a number", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Shutting down", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn follow(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Extension(slot): Extension<Slot>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let last = last(query.as_deref().unwrap_or_default(), &headers)?;
    not_ending(&shared)?;
    let news = shared.app.events().news(last);
    if !headers.contains_key(header::UPGRADE) {
        return Ok(watch::events(&shared, news, |notice| (notice.kind, &notice.data)).into_response());
    }
    let upgrade = upgrade.map_err(|why| no_handshake(&why))?;
    Ok(upgrade.max_message_size(1024).on_upgrade(move |socket| async move {
        tell(&shared, news, socket).await;
        drop(slot);
    }))
}

/// Tells a socket everything, until one of both ends.
async fn tell(shared: &Shared, mut news: Subscription<Notice>, mut socket: WebSocket) {
    let drain = shared.app.drain.clone();
    let mut ending = std::pin::pin!(drain.ending());
    let mut ping = tokio::time::interval(PING);
    let mut heard = Instant::now();
    loop {
        let sent = tokio::select! {
            told = news.next() => match told {
                Some(told) => socket.send(Message::text(text(&told))).await,
                None => return goodbye(socket, Some((close_code::AWAY, ENDING))).await,
            },
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
                socket.send(Message::Ping(Bytes::new())).await
            }
            () = &mut ending => return goodbye(socket, Some((close_code::AWAY, ENDING))).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

fn text(told: &Delivery<Notice>) -> String {
    match told {
        Delivery::Item(number, Notice { kind, data }) => {
            format!("{{\"event\":\"{kind}\",\"id\":{number},\"data\":{}}}", String::from_utf8_lossy(data))
        }
        Delivery::Missed(missed) => format!("{{\"event\":\"missed\",\"data\":{{\"missed\":{missed}}}}}"),
    }
}

fn json(bytes: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

/// An event's id out of the address. What is no text there is the id of no event.
fn id(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let no_text = |_rejected| {
        let detail = "there is no event whose id is not UTF-8: GET /v1/events lists those that there are";
        ApiError::new(Code::UnknownEvent, detail)
    };
    // PostgreSQL knows no text with this character, and no id has it.
    path.map(|Path(id)| id.replace('\0', "\u{fffd}")).map_err(no_text)
}

fn last(query: &str, headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let mut last = last_event(headers)?;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "last_event_id" {
            return Err(invalid(&name, "no such parameter; there is last_event_id"));
        }
        let number = value.parse().map_err(|_no_number| invalid("last_event_id", "expected a number"))?;
        last = Some(number);
    }
    Ok(last)
}

fn invalid(name: &str, why: &str) -> ApiError {
    ApiError::new(Code::InvalidParameter, format!("{}: {why}", said(name)))
}

fn query(text: &str) -> Result<Query, ApiError> {
    let mut query = Query::default();
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        match name.as_ref() {
            "stream" => query.streams.extend(names("stream", &value, |id| check_stream_id(id).is_ok())?),
            "class" => query.classes.extend(names("class", &value, |class| class.len() <= LONGEST)?),
            "from" => query.from = Some(moment("from", &value)?),
            "to" => query.to = Some(moment("to", &value)?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                query.limit = limit.ok_or_else(|| invalid("limit", "expected a whole number from 1 to 500"))?;
            }
            "cursor" => {
                let cursor =
                    value.parse().map_err(|why: crate::events::NoCursor| invalid("cursor", &why.to_string()))?;
                query.cursor = Some(cursor);
            }
            other => {
                let why = "no such parameter; there are stream, class, from, to, limit, cursor";
                return Err(invalid(other, why));
            }
        }
        let may_repeat = matches!(name.as_ref(), "stream" | "class");
        if !may_repeat && seen.contains(&name) {
            return Err(invalid(&name, "it is there twice"));
        }
        seen.push(name);
    }
    for (name, list) in [("stream", &query.streams), ("class", &query.classes)] {
        if list.len() > NAMES {
            return Err(invalid(name, "expected at most 100 names"));
        }
    }
    Ok(query)
}

fn names(key: &str, value: &str, is_one: fn(&str) -> bool) -> Result<Vec<String>, ApiError> {
    let one = |name: &str| {
        let name = name.trim();
        if name.is_empty() || name.contains('\0') || !is_one(name) {
            return Err(invalid(
                key,
                &format!("\"{}\" is no name of a {key}; names have commas between them", said(name)),
            ));
        }
        Ok(name.to_owned())
    };
    value.split(',').map(one).collect()
}

/// A moment in milliseconds since 1970; one that is finer counts as the next, so that `from` and `to` mean what they say.
fn moment(key: &str, text: &str) -> Result<i64, ApiError> {
    let expected = || invalid(key, "expected a time (RFC 3339): write for example 2026-11-21T12:00:00Z");
    let (utc, ahead) = offset(text).ok_or_else(expected)?;
    // Before 1970 nothing was recorded; 2000 years later the calendar is the same, and known to whoever reads it.
    let year = utc.get(..4).and_then(|year| year.parse::<u32>().ok()).ok_or_else(expected)?;
    if year < 1970 {
        let later = format!("{:04}{}Z", year + 2000, &utc[4..]);
        humantime::parse_rfc3339(&later).map_err(|_no_time| expected())?;
        return Ok(0);
    }
    let at = humantime::parse_rfc3339(&format!("{utc}Z")).map_err(|_no_time| expected())?;
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = since.as_nanos().div_ceil(Duration::from_millis(1).as_nanos());
    Ok(i64::try_from(millis).unwrap_or(i64::MAX) - ahead)
}

/// A time without its zone, and how many milliseconds that is ahead of UTC. A `+` that was not encoded comes as a space.
fn offset(text: &str) -> Option<(&str, i64)> {
    if let Some(utc) = text.strip_suffix(['Z', 'z']) {
        return Some((utc, 0));
    }
    let (local, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+" | " ", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str, most: i64| {
        let is_two = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|n| is_two && *n <= most)
    };
    Some((local, sign * (number(hours, 23)? * 60 + number(minutes, 59)?) * 60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_zones() {
        let at = |text: &str| moment("from", text).ok();
        assert_eq!((at("0318-02-28T08:57:50Z"), at("1969-13-01T00:00:00Z"), at("0001-01-01")), (Some(0), None, None));
        let noon = at("2026-11-21T12:00:00Z").expect("a time");
        for same in [
            "2026-11-21T12:00:00.000z",
            "2026-11-21T14:00:00+02:00",
            "2026-11-21T14:00:00 02:00",
            "2026-11-21T08:30:00-03:30",
            "2026-11-21T11:59:59.9990001Z",
        ] {
            assert_eq!(at(same), Some(noon), "{same}");
        }
        assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
        for bad in [
            "",
            "Z",
            "now",
            "2026-11-21",
            "2026-11-21T12:00:00",
            "2026-11-21T12:00:00+2",
            "2026-11-21T12:00:00+24:00",
            "2026-13-21T12:00:00Z",
            "2026-11-21T12:00:00+0a:00",
            "ä-11-21T12:00:00+ä:00",
            "1763726400",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
