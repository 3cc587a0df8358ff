//! `load`, `run`, `drain`: the order in which a server comes up and goes down.
//!
//! Up: the port first (one that is taken is known at once), then the events, the models, the streams, and HTTP. Down: no
//! new work, what is under way is answered, then the connections, the streams, the models; last, what the streams still
//! told is written.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::App;
use crate::http;

/// Why a server does not come up.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {}", listen_hint(source))]
    Listen {
        /// As configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// No thread, no signal handler.
    #[error("the system refuses what the server needs: {0}")]
    System(#[from] io::Error),
}

impl ServerError {
    /// True where another program has the port.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

fn listen_hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use: stop the other program, or take another port with --listen or server.listen".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{error}: this machine has no such address; 0.0.0.0 means all it has")
        }
        io::ErrorKind::InvalidInput => format!("{error}: expected HOST:PORT, as in 127.0.0.1:8080"),
        io::ErrorKind::PermissionDenied => format!("{error}: ports below 1024 need privileges; take a higher one"),
        _ => error.to_string(),
    }
}

/// A port that is listened on, and signals that are heard; nothing answers yet.
pub struct Bound {
    runtime: tokio::runtime::Runtime,
    listener: TcpListener,
    address: SocketAddr,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was accepted was answered.
    Finished,
    /// The time for that ran out with so many requests under way.
    Unfinished(usize),
}

impl Bound {
    /// Listens on `address`, `host:port`; port 0 takes a free one.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn listen(address: &str) -> Result<Self, ServerError> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("http").enable_all().build()?;
        let failed = |source| ServerError::Listen { address: address.to_owned(), source };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(failed)?;
        let address = listener.local_addr()?;
        // From here on a signal ends the server in order, also one that comes before it answers.
        let inside = runtime.enter();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let hangup = signal(SignalKind::hangup())?;
        drop(inside);
        Ok(Self { runtime, listener, address, terminate, interrupt, hangup })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `app.drain` ends, or SIGTERM or Ctrl-C comes; SIGHUP reads the configuration again. All threads of `app` have ended when it returns,
    /// unless somebody else still has it.
    pub fn run(self, app: Arc<App>, grace: Duration) -> Ended {
        let Self { runtime, listener, address: _, mut terminate, mut interrupt, mut hangup } = self;
        let router = http::router(app.clone());
        let ended = runtime.block_on(async {
            let drain = app.drain.clone();
            let serving = http::listener::serve(listener, router, &app.limits, &drain, grace);
            let mut serving = std::pin::pin!(serving);
            let left = loop {
                tokio::select! {
                    left = &mut serving => break left,
                    _ = terminate.recv() => begin_to_end(&app, grace),
                    _ = hangup.recv() => app.arrange_later(reload),
                    // The second one does not wait.
                    _ = interrupt.recv() => {
                        if drain.is_ending() {
                            break drain.under_way();
                        }
                        begin_to_end(&app, grace);
                    }
                }
            };
            if left == 0 { Ended::Finished } else { Ended::Unfinished(left) }
        });
        // Whatever still runs there is not waited for: everything that counts has its own owner.
        runtime.shutdown_timeout(Duration::from_secs(1));
        // The last owner of streams and models, whose threads end here; the one that writes events does so last.
        drop(app);
        ended
    }
}

fn reload(app: &App) {
    match app.reload() {
        Ok(reloaded) => tracing::info!(?reloaded, "the configuration was read again"),
        Err(error) => tracing::error!(%error, "the configuration was not applied; the server goes on as it was"),
    }
}

fn begin_to_end(app: &App, grace: Duration) {
    if app.drain.is_ending() {
        return;
    }
    tracing::info!(under_way = app.drain.under_way(), ?grace, "shutting down");
    app.end();
}
