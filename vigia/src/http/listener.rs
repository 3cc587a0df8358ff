//! Connections: how many, how long a head may take, and how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower_http::add_extension::AddExtension;

use super::patient::Patient;
use crate::config::Limits;
use crate::drain::Drain;

/// Pause after a connection could not be taken, as when there are too many files open.
const RETRY: Duration = Duration::from_millis(50);
/// How long a connection that was just taken, or is idle, may still ask after the last request was answered: what it sent
/// by then gets its 503 rather than a closed door.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// Memory of a connection for a request's head and for what it reads ahead, in bytes.
const HEAD: usize = 65_536;
/// How long answers may take to be read once everything is answered.
const FLUSH: Duration = Duration::from_secs(5);

/// The place of a connection among those that may be open. Whoever takes a connection over keeps it.
#[derive(Clone, Debug)]
pub struct Slot(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// Serves until `drain` ends: then goes on answering until nothing is under way, at most for `grace`, and closes. Says
/// how many requests were not answered.
pub async fn serve(listener: TcpListener, router: Router, limits: &Limits, drain: &Drain, grace: Duration) -> usize {
    let mut connections = JoinSet::new();
    let closing = watch::Sender::new(false);
    let room = Arc::new(Semaphore::new(limits.connections));
    let patience = limits.body_timeout;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.idle_timeout).max_buf_size(HEAD);
    let finished = async {
        drain.ending().await;
        let finished = drain.finished(grace).await;
        if finished {
            sleep(LAST_WORDS).await;
            return 0;
        }
        // Counted now: what is closed below is not under way any more.
        drain.under_way()
    };
    let mut finished = std::pin::pin!(finished);
    let left = loop {
        tokio::select! {
            left = &mut finished => break left,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                }
            }
            accepted = accept(&listener, &room) => {
                let (socket, slot) = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be taken");
                        sleep(RETRY).await;
                        continue;
                    }
                };
                // Answers are small and somebody waits for them.
                let _best_effort = socket.set_nodelay(true);
                // A WebSocket outlives its connection's task here, and goes on taking up its place.
                let slot = Slot(Arc::new(slot));
                let service = TowerToHyperService::new(AddExtension::new(router.clone(), slot.clone()));
                let connection = http.serve_connection(TokioIo::new(Patient::new(socket, patience)), service);
                let mut closing = closing.subscribe();
                connections.spawn(async move {
                    let mut connection = std::pin::pin!(connection.with_upgrades());
                    let is_open = tokio::select! {
                        // A client that goes away is its own business.
                        _closed = &mut connection => false,
                        _ = closing.wait_for(|closing| *closing) => true,
                    };
                    if is_open {
                        connection.as_mut().graceful_shutdown();
                        let _closed = connection.await;
                    }
                    drop(slot);
                });
            }
        }
    };
    drop(listener);
    // Whoever still waits for an answer gets none, and is not waited for.
    let flush = if left == 0 { FLUSH } else { LAST_WORDS };
    closing.send_replace(true);
    let sockets = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let all = async {
        while connections.join_next().await.is_some() {}
        // WebSockets have tasks of their own: each gives its slot back when it has said goodbye.
        let _slots = room.acquire_many(sockets).await;
    };
    if tokio::time::timeout(flush, all).await.is_err() {
        tracing::warn!("some connections were closed before their answers were read");
    }
    connections.shutdown().await;
    left
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(tokio::net::TcpStream, OwnedSemaphorePermit)> {
    let slot = room.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (socket, _peer) = listener.accept().await?;
    Ok((socket, slot))
}
