//! What a caller is told when something is wrong: one table of codes, one shape (RFC 9457).
//!
//! A [`Code`] is stable: clients may decide by it. The detail is a sentence for people: what was wrong, where, and what to
//! do. Nothing internal stands in it but the model's own words; the rest is in the log.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use vigia_core::backend::InferError;
use vigia_engine::worker::PoolError;
use vigia_vision::picture::PictureError;

use crate::wire::Problem;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident, $code:literal, $status:ident, $title:literal;)*) => {
        /// Every kind of failure that a caller can see.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name, the status, and the title.
            pub fn row(self) -> (&'static str, StatusCode, &'static str) {
                match self {
                    $(Self::$variant => ($code, StatusCode::$status, $title),)*
                }
            }
        }
    };
}

codes! {
    /// The request's syntax: a broken multipart body.
    MalformedMultipart, "malformed-multipart", BAD_REQUEST, "The multipart body is broken";
    /// The request's syntax: JSON that is none, or has other keys.
    InvalidJson, "invalid-json", BAD_REQUEST, "The JSON body is not valid";
    /// The body broke off.
    IncompleteBody, "incomplete-body", BAD_REQUEST, "The body broke off";
    /// A WebSocket was expected.
    NoHandshake, "no-handshake", BAD_REQUEST, "Not a WebSocket's handshake";
    /// No such address.
    NotFound, "not-found", NOT_FOUND, "There is nothing here";
    /// A model that is not served.
    UnknownModel, "unknown-model", NOT_FOUND, "Unknown model";
    /// A pipeline that is not served.
    UnknownPipeline, "unknown-pipeline", NOT_FOUND, "Unknown pipeline";
    /// A stream that is not there.
    UnknownStream, "unknown-stream", NOT_FOUND, "Unknown stream";
    /// An id that is in use.
    StreamExists, "stream-exists", CONFLICT, "The stream exists already";
    /// A stream that is no more than shown.
    StreamEnded, "stream-ended", CONFLICT, "The stream has ended";
    /// A stream whose frames are fetched.
    NotPushed, "not-pushed", CONFLICT, "Frames of this stream are not pushed";
    /// The id of a frame that is not above the last one.
    FrameIdNotAbove, "frame-id-not-above", CONFLICT, "The frame's id is not above the last one";
    /// A stream's id or configuration that is not valid.
    InvalidStream, "invalid-stream", UNPROCESSABLE_ENTITY, "The stream is not valid";
    /// A source that can never give a frame.
    SourceUnusable, "source-unusable", UNPROCESSABLE_ENTITY, "The source cannot be used";
    /// A configuration file that is not valid.
    InvalidConfig, "invalid-config", UNPROCESSABLE_ENTITY, "The configuration is not valid";
    /// A server that was started without a configuration file.
    NoConfig, "no-config", CONFLICT, "There is no configuration file";
    /// As many streams as may be.
    TooManyStreams, "too-many-streams", SERVICE_UNAVAILABLE, "Too many streams";
    /// A frame that was taken and then dropped.
    FrameDropped, "frame-dropped", SERVICE_UNAVAILABLE, "The frame was dropped";
    /// A stream that has nothing to show yet.
    NoResultYet, "no-result-yet", NOT_FOUND, "No result yet";
    /// An event that is not there.
    UnknownEvent, "unknown-event", NOT_FOUND, "Unknown event";
    /// An event without a picture.
    NoSnapshot, "no-snapshot", NOT_FOUND, "No picture of this event";
    /// Another method than the address knows.
    MethodNotAllowed, "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    /// The body came too slowly.
    BodyTimeout, "body-timeout", REQUEST_TIMEOUT, "The body came too slowly";
    /// More bytes than are taken.
    BodyTooLarge, "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// A content type that is not read.
    UnsupportedMediaType, "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Unsupported content type";
    /// A query parameter that is unknown or out of range.
    InvalidParameter, "invalid-parameter", UNPROCESSABLE_ENTITY, "A parameter is not valid";
    /// The picture's field is not there.
    MissingField, "missing-field", UNPROCESSABLE_ENTITY, "The picture is missing";
    /// A field that is not read.
    UnexpectedField, "unexpected-field", UNPROCESSABLE_ENTITY, "Unexpected field";
    /// More than one picture.
    SeveralFiles, "several-files", UNPROCESSABLE_ENTITY, "More than one picture";
    /// Base64 that is none.
    InvalidBase64, "invalid-base64", UNPROCESSABLE_ENTITY, "The base64 is not valid";
    /// A browser asks for the page of somebody else.
    CrossOrigin, "cross-origin", FORBIDDEN, "Another site's page may not do this";
    /// An address that may not be fetched.
    UrlNotAllowed, "url-not-allowed", FORBIDDEN, "The URL is not allowed";
    /// An address that did not give a picture.
    UrlFailed, "url-failed", BAD_GATEWAY, "The URL could not be fetched";
    /// A model that cannot answer such a request.
    NotADetector, "not-a-detector", UNPROCESSABLE_ENTITY, "The model is not a detector";
    /// No bytes.
    EmptyPicture, "empty-picture", UNPROCESSABLE_ENTITY, "The picture is empty";
    /// Something else than a picture.
    NotAPicture, "not-a-picture", UNPROCESSABLE_ENTITY, "Not a picture";
    /// The end is missing.
    TruncatedPicture, "truncated-picture", UNPROCESSABLE_ENTITY, "The picture is cut off";
    /// Damaged data.
    DamagedPicture, "damaged-picture", UNPROCESSABLE_ENTITY, "The picture is damaged";
    /// A kind of picture that is not read.
    UnsupportedPicture, "unsupported-picture", UNPROCESSABLE_ENTITY, "Unsupported kind of picture";
    /// More pixels than are taken.
    TooManyPixels, "too-many-pixels", UNPROCESSABLE_ENTITY, "The picture has too many pixels";
    /// The model failed on this picture.
    InferenceFailed, "inference-failed", INTERNAL_SERVER_ERROR, "The model failed";
    /// The worker that had this picture panicked; it is running again.
    WorkerPanicked, "worker-panicked", INTERNAL_SERVER_ERROR, "The worker failed and was restarted";
    /// A mistake of ours.
    Internal, "internal", INTERNAL_SERVER_ERROR, "Internal error";
    /// Too many requests wait for the model.
    QueueFull, "queue-full", SERVICE_UNAVAILABLE, "The queue is full";
    /// Too much memory is in use by requests.
    Overloaded, "overloaded", SERVICE_UNAVAILABLE, "The server is overloaded";
    /// The events cannot be read.
    StoreUnavailable, "store-unavailable", SERVICE_UNAVAILABLE, "The store of events is away";
    /// The server is ending.
    ShuttingDown, "shutting-down", SERVICE_UNAVAILABLE, "The server is shutting down";
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.row().0)]
pub struct ApiError {
    code: Code,
    detail: String,
}

/// What somebody sent, short enough to be said back.
pub(crate) fn said(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut characters = text.chars();
    let start: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() { start + "…" } else { start }
}

/// Seconds after which a client may try again what was refused for lack of room.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

impl ApiError {
    /// An error of this kind, with a sentence for people.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The same, where it happened said first.
    pub(crate) fn within(self, place: &str) -> Self {
        Self { detail: format!("{place}: {}", self.detail), ..self }
    }

    /// Its kind.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What is sent.
    pub fn problem(&self) -> Problem {
        let (code, status, title) = self.code.row();
        Problem {
            kind: format!("urn:vigia:error:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: code.to_owned(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.code.row().1;
        let body = serde_json::to_vec(&self.problem()).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

impl From<PictureError> for ApiError {
    fn from(error: PictureError) -> Self {
        let code = match &error {
            PictureError::Empty => Code::EmptyPicture,
            PictureError::TooLarge { .. } => Code::BodyTooLarge,
            PictureError::TooManyPixels { .. } => Code::TooManyPixels,
            PictureError::NotAPicture { .. } => Code::NotAPicture,
            PictureError::Truncated { .. } => Code::TruncatedPicture,
            PictureError::Unsupported { .. } => Code::UnsupportedPicture,
            PictureError::Broken { .. } => Code::DamagedPicture,
            PictureError::Codec { .. } => Code::Overloaded,
        };
        Self::new(code, error.to_string())
    }
}

impl From<InferError> for ApiError {
    fn from(error: InferError) -> Self {
        let code = match &error {
            InferError::QueueFull { .. } => Code::QueueFull,
            InferError::Panicked { .. } => Code::WorkerPanicked,
            InferError::Shutdown { .. } => Code::ShuttingDown,
            InferError::Failed { .. } => Code::InferenceFailed,
            InferError::Dropped(_) => Code::FrameDropped,
            InferError::Unusable { code, .. } => {
                let known = Code::ALL.iter().copied().find(|known| known.row().0 == *code);
                known.unwrap_or(Code::DamagedPicture)
            }
            // It does not happen to a whole picture.
            InferError::EmptyCrop => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        let code = match error {
            PoolError::Full => Code::QueueFull,
            PoolError::Panicked => Code::WorkerPanicked,
        };
        Self::new(code, error.to_string())
    }
}

/// A picture that cannot be used, as the engine passes it on.
pub(crate) fn unusable(error: PictureError) -> InferError {
    let ApiError { code, detail } = error.into();
    InferError::Unusable { code: code.row().0, reason: detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_errors() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.row().0).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let (name, status, title) = code.row();
            assert!(status.is_client_error() || status.is_server_error(), "{name}");
            assert!(!title.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
        }
    }

    #[test]
    fn what_is_said_back_is_short() {
        assert_eq!(said("door"), "door");
        assert_eq!(said(&"ä".repeat(64)), "ä".repeat(64));
        assert_eq!(said(&"ä".repeat(65)), format!("{}…", "ä".repeat(64)));
    }

    #[test]
    fn what_may_work_later_says_when() {
        let response = ApiError::new(Code::QueueFull, "full").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        assert!(!ApiError::new(Code::NotAPicture, "text").into_response().headers().contains_key(header::RETRY_AFTER));
    }
}
