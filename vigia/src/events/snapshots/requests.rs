//! Requests to buckets, by the HTTP client that the server has anyway, on a few threads of their own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use ureq::http::Request;
use vigia_engine::worker::WorkerPool;

use super::Loose;

/// Requests at the same time, and how many may wait.
pub(super) const THREADS: usize = 8;
const WAITING: usize = 256;
/// How long a connection may take, and how long one request.
const CONNECT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(15);
/// Longest answer that is read: a picture, or a page of names.
const LONGEST: u64 = 64_000_000;

/// Makes clients of buckets.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    pool: Arc<Loose<WorkerPool>>,
}

impl Requests {
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { pool: Arc::new(Loose::new(WorkerPool::start("bucket", THREADS, WAITING)?)) })
    }
}

impl HttpConnector for Requests {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let plain = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(REQUEST))
            .https_only(!plain)
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("vigia/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(HttpClient::new(Client { agent, pool: self.pool.clone() }))
    }
}

#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
    pool: Arc<Loose<WorkerPool>>,
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let agent = self.agent.clone();
        let answer = self.pool.get().call(move || run(&agent, Request::from_parts(head, body.to_vec()))).await;
        answer.map_err(|error| HttpError::new(HttpErrorKind::Connect, error))?
    }
}

fn run(agent: &ureq::Agent, request: Request<Vec<u8>>) -> Result<HttpResponse, HttpError> {
    // A request without a body says so, and one with a body that has no place for it by its method has none.
    let answer = if request.body().is_empty() && !matches!(request.method().as_str(), "PUT" | "POST") {
        agent.run(request.map(|_empty| ()))
    } else {
        agent.run(request)
    };
    let (head, mut body) = answer.map_err(explain)?.into_parts();
    let bytes = body.with_config().limit(LONGEST).read_to_vec().map_err(explain)?;
    Ok(HttpResponse::from_parts(head, HttpResponseBody::from(bytes)))
}

fn explain(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Io(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
