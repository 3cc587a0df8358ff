//! Pictures that are posted.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};

use super::docs::{JsonPicture, PictureBytes, Upload};
use super::{Shared, body};
use crate::app::{PredictOptions, Prediction};
use crate::error::{ApiError, Code, said};
use crate::wire::{Origin, Problem, ResultLine};

/// Detect objects in a picture (multipart)
///
/// Posts a picture in the multipart field `file` and answers what the model sees in it, in pixels of the picture.
#[utoipa::path(
    post, path = "/predict/", tag = "predict", operation_id = "predict",
    params(PredictQuery),
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "What was found; with `annotate=jpeg` the drawn picture", content((ResultLine<'static> = "application/json", example = json!(super::docs::result_example())), (PictureBytes = "image/jpeg"))),
        PictureProblems,
    ),
)]
pub(super) async fn predict(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut body = body::Incoming::new(&headers, body);
    let answer = answer(&shared, query.as_deref().unwrap_or_default(), &headers, &mut body).await;
    if answer.is_err() {
        shared.lingering.read_on(body);
    }
    answer
}

async fn answer(
    shared: &Shared,
    query: &str,
    headers: &HeaderMap,
    body: &mut body::Incoming,
) -> Result<Response, ApiError> {
    let _under_way = shared.app.drain.begin().ok_or_else(|| {
        ApiError::new(Code::ShuttingDown, "the server is shutting down and takes no new pictures: ask another one")
    })?;
    let options = options(query)?;
    let target = shared.app.target(&options)?;
    let body::Picture { bytes, held } = body::picture(shared, headers, body).await?;
    match shared.app.predict(&target, &options, bytes, held).await? {
        Prediction::Picture(jpeg) => Ok(([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response()),
        Prediction::Result(result, spec) => {
            let line = ResultLine::new(Origin::Posted, &result, &|class| spec.label(class));
            let json = serde_json::to_vec(&line)
                .map_err(|error| ApiError::new(Code::Internal, format!("the result could not be written: {error}")))?;
            Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
        }
    }
}

/// Detect objects in a picture (any form)
///
/// The same as `POST /predict/` for a picture as the body itself, as base64 or URL in JSON, or in multipart. URLs are
/// fetched only from hosts that the server's configuration lists.
#[utoipa::path(
    post, path = "/v1/predict", tag = "predict", operation_id = "predictAny",
    params(PredictQuery),
    request_body(content(
        (JsonPicture = "application/json"),
        (Upload = "multipart/form-data"),
        (PictureBytes = "image/jpeg"), (PictureBytes = "image/png"), (PictureBytes = "image/webp"),
    )),
    responses(
        (status = 200, description = "What was found; with `annotate=jpeg` the drawn picture", content((ResultLine<'static> = "application/json", example = json!(super::docs::result_example())), (PictureBytes = "image/jpeg"))),
        (status = 403, description = "The URL's host is not allowed", body = Problem, content_type = "application/problem+json"),
        PictureProblems,
        (status = 502, description = "The URL could not be fetched", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn predict_v1(
    state: State<Shared>,
    query: RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    predict(state, query, headers, body).await
}

/// The parameters as they are described; [`options`] reads them.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described, never built")]
struct PredictQuery {
    /// A detector alone, by its name in /v1/models; not together with `pipeline`
    model: Option<String>,
    /// A pipeline, by its name in /v1/models; the default one where absent
    #[param(example = "faces")]
    pipeline: Option<String>,
    /// Leave out what the model is less sure of; its own value where absent
    #[param(minimum = 0, maximum = 1, example = 0.5)]
    conf: Option<f32>,
    /// Of boxes that overlap by more, keep the best; the model's own value where absent
    #[param(minimum = 0, maximum = 1, example = 0.45)]
    iou: Option<f32>,
    /// Answer the drawn picture in place of the result
    #[param(inline)]
    annotate: Option<Annotate>,
}

/// What can be wrong with every picture that is posted.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described, never built")]
pub(super) enum PictureProblems {
    #[response(
        status = 400,
        description = "The body's syntax is broken, or it broke off",
        content_type = "application/problem+json"
    )]
    Malformed(Problem),
    #[response(status = 404, description = "Unknown model or pipeline", content_type = "application/problem+json")]
    Unknown(Problem),
    #[response(status = 408, description = "The body came too slowly", content_type = "application/problem+json")]
    Slow(Problem),
    #[response(status = 413, description = "The body is too large", content_type = "application/problem+json")]
    Large(Problem),
    #[response(status = 415, description = "Unsupported content type", content_type = "application/problem+json")]
    Kind(Problem),
    #[response(status = 422, description = "Not a picture that can be read, a field or a parameter that is not valid", content_type = "application/problem+json", example = json!(super::docs::problem_example()))]
    Unusable(Problem),
    #[response(status = 500, description = "The model failed", content_type = "application/problem+json")]
    Failed(Problem),
    #[response(status = 503, description = "No room now, or shutting down; try again later", content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds")))]
    Busy(Problem),
}

/// How the drawn picture is encoded.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only described, never built")]
pub(super) enum Annotate {
    /// A JPEG.
    Jpeg,
}

/// The query's parameters.
fn options(query: &str) -> Result<PredictOptions, ApiError> {
    let mut options = PredictOptions::default();
    let invalid = |detail: String| ApiError::new(Code::InvalidParameter, detail);
    let share = |name: &str, value: &str| match value.parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(Some(number as f32)),
        _ => Err(invalid(format!("{name}: expected a number from 0 to 1, not \"{}\"", said(value)))),
    };
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if seen.contains(&name) {
            return Err(invalid(format!("{}: it is given more than once", said(&name))));
        }
        match name.as_ref() {
            "model" => options.model = Some(value.into_owned()),
            "pipeline" => options.pipeline = Some(value.into_owned()),
            "conf" => options.confidence = share("conf", &value)?,
            "iou" => options.iou = share("iou", &value)?,
            "annotate" if value == "jpeg" => options.annotated = true,
            "annotate" => {
                return Err(invalid(format!("annotate: expected jpeg, not \"{}\"", said(&value))));
            }
            other => {
                let known = "model, pipeline, conf, iou, annotate";
                return Err(invalid(format!("{}: no such parameter; there is {known}", said(other))));
            }
        }
        seen.push(name);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        assert_eq!(options(""), Ok(PredictOptions::default()));
        let expected = PredictOptions {
            model: Some("a b".to_owned()),
            confidence: Some(0.25),
            iou: Some(1.0),
            annotated: true,
            pipeline: None,
        };
        assert_eq!(options("model=a%20b&conf=0.25&iou=1&annotate=jpeg"), Ok(expected));
    }

    #[test]
    fn mistakes_are_named() {
        for (query, named) in [
            ("conf=2", "conf"),
            ("conf=abc", "conf"),
            ("conf=NaN", "conf"),
            ("conf=-0.1", "conf"),
            // 1 once it is rounded.
            ("conf=1.0000000000000002", "conf"),
            ("iou=", "iou"),
            ("iou=inf", "iou"),
            ("annotate=png", "annotate"),
            ("confidence=0.3", "confidence"),
            ("conf=0.1&conf=0.2", "more than once"),
        ] {
            let error = options(query).expect_err(query).problem();
            assert!(error.status == 422 && error.detail.contains(named), "{query}: {error:?}");
        }
    }
}
