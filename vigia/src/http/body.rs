//! Bodies: read within limits of size, time and memory, and unpacked to the picture in them.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use vigia_engine::memory::Charge;

use super::Shared;
use crate::error::{ApiError, Code, said};

/// What a multipart body or JSON may have around the picture, in bytes.
const AROUND: u64 = 16_384;
/// Memory is counted in steps of so many bytes while a body comes.
const STEP: u64 = 65_536;
/// Room that a body gets at once, when it declares that it needs it, in bytes.
const FIRST: u64 = 1_048_576;

/// A picture, still encoded, and the memory that it takes.
pub(super) struct Picture {
    pub(super) bytes: Bytes,
    pub(super) held: Charge,
}

/// A JSON body: one of the two.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum JsonPicture<'a> {
    /// The picture's bytes in base64, with or without `data:image/…;base64,` before it.
    #[serde(borrow)]
    Base64(Cow<'a, str>),
    /// Where the picture is; only hosts that `fetch.allow` of the configuration lists.
    Url(String),
}

/// The forms of a body.
enum Form {
    Multipart(String),
    Json,
    Raw,
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Self::Raw) };
        let text = value.to_str().unwrap_or_default();
        let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "multipart/form-data" => multer::parse_boundary(text).map(Self::Multipart).map_err(|_none| {
                let detail = "the content type multipart/form-data names no boundary: let your HTTP library write it";
                ApiError::new(Code::MalformedMultipart, detail)
            }),
            "application/json" => Ok(Self::Json),
            "application/octet-stream" | "" => Ok(Self::Raw),
            kind if kind.starts_with("image/") => Ok(Self::Raw),
            _ => Err(ApiError::new(
                Code::UnsupportedMediaType,
                format!(
                    "the content type \"{}\" is not read: send multipart/form-data with the field file, the picture itself \
                     as image/jpeg, image/png, image/webp or image/bmp, or application/json with base64 or url",
                    said(&kind)
                ),
            )),
        }
    }

    /// Most bytes of a body in this form, for a picture of up to `limit`.
    fn most(&self, limit: u64) -> u64 {
        match self {
            Self::Multipart(_) => limit.saturating_add(AROUND),
            Self::Json => (limit / 3 + 1).saturating_mul(4).saturating_add(AROUND),
            Self::Raw => limit,
        }
    }
}

/// Reads the picture out of a request.
///
/// # Errors
/// What is wrong with the body. One that is too large is refused before all of it was read.
pub(super) async fn picture(shared: &Shared, headers: &HeaderMap, body: &mut Incoming) -> Result<Picture, ApiError> {
    let limit = shared.app.limits.body;
    let form = Form::of(headers)?;
    let whole = read(shared, headers, body, form.most(limit)).await?;
    let Picture { bytes, mut held } = whole;
    let bytes = match form {
        Form::Raw => bytes,
        Form::Multipart(boundary) => multipart(bytes, boundary).await?,
        // Megabytes of text are no work for a thread that serves connections.
        Form::Json => match shared.app.compute(move || unpack(&bytes)).await?? {
            Unpacked::Bytes(bytes) => bytes,
            Unpacked::Url(url) => {
                let bytes = shared.app.fetcher.get(&url).await?;
                shared.app.grow(&mut held, bytes.len() as u64)?;
                Bytes::from(bytes)
            }
        },
    };
    Ok(Picture { bytes, held })
}

/// Reads a JSON body of up to `most` bytes.
///
/// # Errors
/// What is wrong with it; whether it is JSON is not looked at.
pub(super) async fn json(
    shared: &Shared,
    headers: &HeaderMap,
    body: &mut Incoming,
    most: u64,
) -> Result<Bytes, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if let Some(kind) = kind.filter(|kind| kind != "application/json" && kind != "application/merge-patch+json") {
        let detail = format!("the content type \"{}\" is not read: send application/json", said(&kind));
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    let refuse =
        || ApiError::new(Code::BodyTooLarge, format!("the body may have {most} bytes: a stream needs far less"));
    Ok(collect(shared, headers, body, most, refuse).await?.bytes)
}

async fn read(shared: &Shared, headers: &HeaderMap, body: &mut Incoming, most: u64) -> Result<Picture, ApiError> {
    collect(shared, headers, body, most, || too_large(shared)).await
}

async fn collect(
    shared: &Shared,
    headers: &HeaderMap,
    body: &mut Incoming,
    most: u64,
    too_large: impl Fn() -> ApiError,
) -> Result<Picture, ApiError> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > most) {
        return Err(too_large());
    }
    // Memory is counted as it comes, not as it is announced: who announces much and sends little holds nobody up.
    let mut counted = declared.unwrap_or(STEP).min(STEP);
    let mut held = shared.app.reserve(counted)?;
    let mut bytes = BytesMut::with_capacity(usize::try_from(declared.unwrap_or(STEP).min(FIRST)).unwrap_or(0));
    let wait = shared.app.limits.body_timeout;
    let deadline = Instant::now() + wait;
    loop {
        let chunk = match timeout_at(deadline, body.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => return Ok(Picture { bytes: bytes.freeze(), held }),
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "a body broke off");
                let detail = format!("the body broke off after {} bytes: send it again", bytes.len());
                return Err(ApiError::new(Code::IncompleteBody, detail));
            }
            Err(_late) => {
                let (seconds, got) = (humantime::format_duration(wait), bytes.len());
                let detail = format!("after {seconds} only {got} bytes had come (limits.body_timeout): send it faster");
                return Err(ApiError::new(Code::BodyTimeout, detail));
            }
        };
        if (bytes.len() + chunk.len()) as u64 > most {
            return Err(too_large());
        }
        let came = (bytes.len() + chunk.len()) as u64;
        if came > counted {
            // Never for more than the body can have: the largest that is allowed fits when nothing else is there.
            let next = came.max((counted + STEP).min(declared.unwrap_or(most)));
            shared.app.grow(&mut held, next - counted)?;
            counted = next;
        }
        bytes.extend_from_slice(&chunk);
    }
}

fn too_large(shared: &Shared) -> ApiError {
    let limit = shared.app.limits.body;
    let detail = format!("a picture may have {limit} bytes (limits.body): send it smaller or compress it more");
    ApiError::new(Code::BodyTooLarge, detail)
}

/// The one field `file`.
async fn multipart(body: Bytes, boundary: String) -> Result<Bytes, ApiError> {
    let malformed = |error: multer::Error| {
        ApiError::new(Code::MalformedMultipart, format!("the multipart body is broken ({error}): send the whole body"))
    };
    let once = futures_util::stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut fields = multer::Multipart::new(once, boundary);
    let mut file = None;
    while let Some(field) = fields.next_field().await.map_err(malformed)? {
        match field.name() {
            Some("file") if file.is_none() => file = Some(field.bytes().await.map_err(malformed)?),
            Some("file") => {
                let detail = "file: there is more than one: send one picture per request";
                return Err(ApiError::new(Code::SeveralFiles, detail));
            }
            name => {
                let name = said(name.unwrap_or("(without a name)"));
                let detail = format!("{name}: this field is not read: the picture belongs into the field file");
                return Err(ApiError::new(Code::UnexpectedField, detail));
            }
        }
    }
    file.ok_or_else(|| ApiError::new(Code::MissingField, "file: the field is missing: send the picture in it"))
}

/// What was in a JSON body.
enum Unpacked {
    Bytes(Bytes),
    Url(String),
}

fn unpack(body: &[u8]) -> Result<Unpacked, ApiError> {
    let picture: JsonPicture<'_> = serde_json::from_slice(body).map_err(|error| {
        let detail = format!("{error}: send either {{\"base64\": \"…\"}} or {{\"url\": \"https://…\"}}");
        ApiError::new(Code::InvalidJson, detail)
    })?;
    match picture {
        JsonPicture::Base64(text) => decoded(&text).map(Bytes::from).map(Unpacked::Bytes),
        JsonPicture::Url(url) => Ok(Unpacked::Url(url)),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, ApiError> {
    let text = match text.strip_prefix("data:") {
        Some(data) => data.split_once(',').map_or("", |(_, text)| text),
        None => text,
    };
    base64::engine::general_purpose::STANDARD.decode(text.trim()).map_err(|error| {
        let detail = format!("base64: {error}: send the picture's bytes in standard base64 with padding");
        ApiError::new(Code::InvalidBase64, detail)
    })
}

/// A request's body on its way.
pub(super) struct Incoming {
    stream: BodyDataStream,
    /// The client sends: one that asks first (`Expect: 100-continue`) does so only once it is read.
    sends: bool,
    ended: bool,
}

impl Incoming {
    pub(super) fn new(headers: &HeaderMap, body: Body) -> Self {
        Self { stream: body.into_data_stream(), sends: !headers.contains_key(header::EXPECT), ended: false }
    }

    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        self.sends = true;
        let next = self.stream.next().await;
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Reads on, for a while, what a client still sends that was refused already: closing the connection on it would take the
/// answer away before the client has read it.
#[derive(Debug, Default)]
pub(super) struct Lingering(Mutex<JoinSet<()>>);

/// How long, and how many bodies at once.
const LINGER: Duration = Duration::from_secs(2);
const LINGERING: usize = 1024;

impl Lingering {
    /// What is left of the body of a request that is refused.
    pub(super) fn read_on(&self, mut body: Incoming) {
        if body.ended || !body.sends {
            return;
        }
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        if tasks.len() < LINGERING {
            tasks.spawn(async move {
                let _enough = timeout(LINGER, async { while let Some(Ok(_)) = body.next().await {} }).await;
            });
        }
    }
}
