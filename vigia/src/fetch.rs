//! Pictures from other servers, where the configuration allows their hosts.

use std::time::Duration;

use axum::http::Uri;
use ureq::http::StatusCode;
use vigia_engine::worker::{PoolError, WorkerPool};

use crate::config::FetchConfig;
use crate::error::{ApiError, Code};

/// Downloads at the same time, and how many may wait.
const THREADS: usize = 4;
const WAITING: usize = 64;

/// Fetches pictures by URL.
#[derive(Debug)]
pub struct Fetcher {
    allow: Vec<String>,
    agent: ureq::Agent,
    pool: Option<WorkerPool>,
    limit: u64,
    timeout: Duration,
}

impl Fetcher {
    /// A fetcher of pictures of up to `limit` bytes from the hosts that `config` lists; without any, it has no threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(config: &FetchConfig, limit: u64) -> std::io::Result<Self> {
        let pool = (!config.allow.is_empty()).then(|| WorkerPool::start("fetch", THREADS, WAITING)).transpose()?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(config.timeout))
            // A redirect could lead to a host that is not listed.
            .max_redirects(0)
            // Nor through a proxy that only the environment knows of: the list is about where we connect to.
            .proxy(None)
            .http_status_as_error(false)
            .user_agent(concat!("vigia/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { allow: config.allow.clone(), agent, pool, limit, timeout: config.timeout })
    }

    /// The bytes at an address.
    ///
    /// # Errors
    /// When the host is not listed, or does not give a picture in time.
    pub async fn get(&self, url: &str) -> Result<Vec<u8>, ApiError> {
        let uri = self.allowed(url)?;
        let Some(pool) = &self.pool else { return Err(not_allowed("")) };
        let (agent, limit, timeout) = (self.agent.clone(), self.limit, self.timeout);
        let fetched = pool.call(move || fetch(&agent, &uri, limit, timeout)).await;
        fetched.map_err(|error| match error {
            PoolError::Full => ApiError::new(Code::Overloaded, "too many URLs are being fetched; try again later"),
            PoolError::Panicked => ApiError::new(Code::Internal, "fetching the URL failed in a way it should not"),
        })?
    }

    fn allowed(&self, url: &str) -> Result<Uri, ApiError> {
        let invalid =
            |why: &str| ApiError::new(Code::InvalidParameter, format!("url: {why}: expected http(s)://HOST/PATH"));
        let uri: Uri = url.parse().map_err(|_invalid| invalid("it is no URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(invalid("its scheme is not http or https"));
        }
        let host = uri.host().ok_or_else(|| invalid("it has no host"))?.to_ascii_lowercase();
        if self.allow.contains(&host) { Ok(uri) } else { Err(not_allowed(&host)) }
    }
}

fn not_allowed(host: &str) -> ApiError {
    let detail =
        format!("the host \"{host}\" is not in fetch.allow of the server's configuration: post the picture itself");
    ApiError::new(Code::UrlNotAllowed, detail)
}

fn fetch(agent: &ureq::Agent, uri: &Uri, limit: u64, timeout: Duration) -> Result<Vec<u8>, ApiError> {
    // The address may hold a secret: only its host is named.
    let host = uri.host().unwrap_or_default();
    let failed = |why: String| ApiError::new(Code::UrlFailed, format!("{host}: {why}"));
    let explain = |error: ureq::Error| match error {
        ureq::Error::Timeout(_) => failed(format!("no whole answer within {}", humantime::format_duration(timeout))),
        ureq::Error::BodyExceedsLimit(limit) => {
            let detail = format!("{host}: the picture has more than {limit} bytes (limits.body)");
            ApiError::new(Code::BodyTooLarge, detail)
        }
        error => failed(error.to_string()),
    };
    let mut response = agent.get(uri).call().map_err(explain)?;
    match response.status() {
        StatusCode::OK => response.body_mut().with_config().limit(limit).read_to_vec().map_err(explain),
        status if status.is_redirection() => {
            Err(failed(format!("it answered {status}; redirects are not followed: give the final URL")))
        }
        status => Err(failed(format!("it answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(allow: &[&str], url: &str) -> Option<Code> {
        let allow = allow.iter().map(|&host| host.to_owned()).collect();
        let config = FetchConfig { allow, timeout: Duration::from_secs(1) };
        Fetcher::new(&config, 100).expect("threads").allowed(url).err().map(|error| error.code())
    }

    #[test]
    fn only_listed_hosts_are_fetched() {
        assert_eq!(code(&[], "http://camera/a.jpg"), Some(Code::UrlNotAllowed));
        assert_eq!(code(&["camera"], "http://camera/a.jpg"), None);
        assert_eq!(code(&["camera"], "https://CAMERA:8443/a.jpg"), None);
        for other in
            ["http://camera.example/", "http://10.0.0.1/", "http://camera@evil/", "http://evil/camera", "http://[::1]/"]
        {
            assert_eq!(code(&["camera"], other), Some(Code::UrlNotAllowed), "{other}");
        }
        for bad in ["", "camera/a.jpg", "file:///etc/passwd", "ftp://camera/a.jpg", "http://"] {
            assert_eq!(code(&["camera"], bad), Some(Code::InvalidParameter), "{bad}");
        }
    }
}
