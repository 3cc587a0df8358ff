//! The OpenAPI description, its examples, and the pages that show it.

use axum::Router;
use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::SwaggerUi;

/// What stands around the routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "vigia",
        description = "Real-time video inference: post a picture, watch a stream, get what the model sees in it.\n\nCoordinates are pixels of the source picture, x to the right, y down. Errors are problem+json (RFC 9457) with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "predict", description = "Pictures that are posted"),
        (name = "streams", description = "Live streams"),
        (name = "events", description = "Tracks that ended, with their best shot; changes of state"),
        (name = "models", description = "What is loaded"),
        (name = "operations", description = "Health, readiness, metrics"),
    ),
    servers((url = "/", description = "This server")),
)]
struct Frame;

pub(super) fn frame() -> OpenApi {
    <Frame as utoipa::OpenApi>::openapi()
}

/// The whole description, as `/openapi.json` answers it.
pub fn openapi() -> OpenApi {
    super::described().into_openapi()
}

/// `/openapi.json` and `/docs`.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(api: OpenApi) -> Router<S> {
    SwaggerUi::new("/docs").url("/openapi.json", api).into()
}

/// A multipart body with one field.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described, never built: the body is read by hand, within limits")]
pub(super) struct Upload {
    /// The picture: JPEG, PNG, WebP or BMP.
    file: PictureBytes,
}

/// The bytes of a picture's file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only described, never built")]
pub(super) struct PictureBytes(Vec<u8>);

/// The JSON body: `body::JsonPicture`.
pub(super) struct JsonPicture;

impl ToSchema for JsonPicture {}

impl PartialSchema for JsonPicture {
    fn schema() -> RefOr<Schema> {
        let text = |what: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(what));
        ObjectBuilder::new()
            .description(Some("A picture as text, or where it is: one of the two."))
            .property(
                "base64",
                text("The picture's bytes in base64, with or without `data:image/…;base64,` before it."),
            )
            .property("url", text("Where the picture is; only hosts that `fetch.allow` of the configuration lists."))
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .min_properties(Some(1))
            .max_properties(Some(1))
            // A grey picture of one pixel.
            .examples([json!({"base64": PIXEL})])
            .into()
    }
}

/// A PNG of one grey pixel, in base64.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg==";

pub(super) fn result_example() -> Value {
    json!({
        "width": 1280, "height": 720, "model": "tiny-face",
        "detections": [{
            "class": "face", "class_id": 0, "confidence": 0.93,
            "box": {"x1": 410.2, "y1": 120.0, "x2": 498.7, "y2": 236.4},
            "landmarks": [[431.0, 160.2], [433.1, 171.9]], "landmarks_source": "model"
        }],
        "timing_ms": {"decode": 1.9, "queue": 0.4, "preprocess": 0.6, "inference": 5.8, "postprocess": 0.1, "total": 8.8},
        "batch": {"size": 1, "position": 1}
    })
}

pub(super) fn problem_example() -> Value {
    json!({
        "type": "urn:vigia:error:not-a-picture", "title": "Not a picture", "status": 422, "code": "not-a-picture",
        "detail": "not a picture but text (it starts with 68 65 6c 6c 6f): send the bytes of a JPEG, PNG, WebP or BMP file"
    })
}

pub(super) fn stream_example() -> Value {
    json!({
        "id": "door", "source": "rtsp://user:***@10.0.0.7/h264", "url": null, "pipeline": "faces", "state": "online",
        "since": "2026-01-01T12:00:00.000Z", "reason": null, "attempts": 0, "reconnects": 0, "last_error": null, "width": 1280, "height": 720,
        "fps": {"in": 15.0, "inferred": 13.8},
        "frames": {"received": 1200, "inferred": 1100, "pending": 1, "dropped": {"superseded": 99}},
        "latency_ms": {"p50": 41.0, "p99": 88.0}, "cache": {"frames": 1, "bytes": 1_382_400}
    })
}

pub(super) fn event_example() -> Value {
    json!({
        "id": "door-1-7", "stream": "door", "track_id": 7, "class": "face",
        "started_at": "2026-01-01T12:00:00.000Z", "ended_at": "2026-01-01T12:00:02.800Z", "detections": 42,
        "best": {
            "event_id": 3301, "quality": 0.8, "confidence": 0.93,
            "box": {"x1": 410.2, "y1": 120.0, "x2": 498.7, "y2": 236.4},
            "landmarks": [[431.0, 160.2], [433.1, 171.9]], "landmarks_source": "model",
            "landmarks_event_id": 3301
        },
        "path": [{"t": 0.0, "x": 300.0, "y": 178.2}, {"t": 2.8, "x": 454.4, "y": 178.2}],
        "snapshot": "/v1/events/door-1-7/best.jpg"
    })
}

pub(super) fn models_example() -> Value {
    json!({
        "models": [{
            "name": "tiny-face", "family": "tiny-face", "task": "detect", "width": 416, "height": 416,
            "classes": ["face"], "confidence": 0.5, "iou": 0.4, "device": "cpu", "instances": 2, "threads": 1,
            "max_batch": 1, "mean_batch": 1.0, "waiting": 0, "answered": 1200, "refused": 0, "failed": 0, "restarts": 0,
            "latency_ms": {"p50": 8.1, "p99": 14.0}
        }],
        "pipelines": [{"name": "faces", "detect": "tiny-face", "stages": [{"model": "face-landmarks-68"}]}]
    })
}
