//! PostgreSQL: a connection that is made when it is needed, and made again once it broke, or once it does not answer.

use std::error::Error as _;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::str::FromStr as _;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Error, NoTls, Row};

use super::tls::{Tls, Trust};
use super::{Cell, Database, Rows, StoreError};

/// How long the other side may take to answer a connection, and how long nothing may be heard of what was sent.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a statement may take before the connection is given up: longer than the other side gives it by `LIMITS`, so that
/// this is for one that does not answer at all.
const ANSWER: Duration = Duration::from_secs(30);
/// What the other side gives up, in milliseconds: a statement, waiting for others, a transaction that goes on no more.
const LIMITS: &str = "SET statement_timeout = 25000; SET lock_timeout = 5000; \
                      SET idle_in_transaction_session_timeout = 30000";
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_millis(200);

/// Where the database is, as `postgres://USER:PASSWORD@HOST/DATABASE` says it.
#[derive(Clone, Debug)]
pub(in super::super) struct Target {
    config: Config,
    trust: Option<Trust>,
}

impl Target {
    /// Understands an address; connects to nothing. Besides what the driver knows there are libpq's `sslmode=verify-full`
    /// and `sslrootcert`.
    ///
    /// # Errors
    /// What is wrong; never the address itself, nor a part of it.
    pub(in super::super) fn parse(url: &str) -> Result<Self, String> {
        const EXPECTED: &str = "write for example postgres://USER:PASSWORD@HOST/DATABASE, with %2F and %40 for a / and \
                                an @ in the password";
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(format!("not a PostgreSQL address: {EXPECTED}; leave it out for a file in data_dir"));
        }
        let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots) = ("prefer".to_owned(), None);
        let mut theirs = Vec::new();
        for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
            match form_urlencoded::parse(pair.as_bytes()).next() {
                Some((name, value)) if name == "sslmode" => mode = value.into_owned(),
                Some((name, value)) if name == "sslrootcert" => roots = Some(PathBuf::from(value.as_ref())),
                _ => theirs.push(pair),
            }
        }
        let (ssl, trust) = match mode.as_str() {
            "disable" => (SslMode::Disable, None),
            "prefer" => (SslMode::Prefer, Some(Trust::Anybody)),
            "require" if roots.is_none() => (SslMode::Require, Some(Trust::Anybody)),
            "require" | "verify-full" => (SslMode::Require, Some(Trust::Known(roots))),
            _ => return Err("sslmode in a postgres:// address is disable, prefer, require or verify-full".to_owned()),
        };
        let address = if theirs.is_empty() { address.to_owned() } else { format!("{address}?{}", theirs.join("&")) };
        let parsed = Config::from_str(&address);
        let mut config = parsed.map_err(|_may_show_it| format!("not a PostgreSQL address: {EXPECTED}"))?;
        config.ssl_mode(ssl).application_name("vigia");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        config.tcp_user_timeout(PATIENCE).keepalives_idle(Duration::from_secs(30));
        config.keepalives_interval(PATIENCE).keepalives_retries(3);
        Ok(Self { config, trust })
    }

    /// The database as it may be shown.
    pub(in super::super) fn shown(&self) -> String {
        let mut shown = "PostgreSQL".to_owned();
        for (n, host) in self.config.get_hosts().iter().enumerate() {
            let joint = if n == 0 { " at " } else { ", " };
            let _fits = match host {
                Host::Tcp(host) => write!(shown, "{joint}{host}"),
                Host::Unix(path) => write!(shown, "{joint}{}", path.display()),
            };
        }
        if let Some(name) = self.config.get_dbname() {
            let _fits = write!(shown, ", database {name}");
        }
        shown
    }

    async fn connect(&self) -> Result<Line, StoreError> {
        let explain = |error| explain(&error);
        let mut line = match &self.trust {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(explain)?;
                Line { client, connection: Some(Box::pin(connection)) }
            }
            Some(trust) => {
                let tls = Tls::new(trust).map_err(StoreError::Unavailable)?;
                let (client, connection) = self.config.connect(tls).await.map_err(explain)?;
                Line { client, connection: Some(Box::pin(connection)) }
            }
        };
        let Line { client, connection } = &mut line;
        along(connection, client.batch_execute(LIMITS)).await.map_err(explain)?;
        Ok(line)
    }
}

/// What carries a connection's messages; gone once it broke.
type Connection = Option<Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>>;

/// A connection and what goes over it.
struct Line {
    client: Client,
    connection: Connection,
}

/// Does something on a connection, which goes on meanwhile.
async fn along<T>(connection: &mut Connection, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Some(open) = connection
            && let Poll::Ready(ended) = open.as_mut().poll(context)
        {
            *connection = None;
            if let Err(error) = ended {
                return Poll::Ready(Err(error));
            }
        }
        work.as_mut().poll(context)
    })
    .await
}

/// A database, as long as it can be reached.
pub(in super::super) struct Postgres {
    target: Target,
    runtime: Runtime,
    line: Option<Line>,
    /// A transaction was begun on this very connection: what is left of it cannot go on on another one.
    is_within: bool,
}

impl Postgres {
    /// Connects.
    pub(in super::super) fn open(target: Target) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let mut this = Self { target, runtime, line: None, is_within: false };
        this.line = Some(this.connect()?);
        Ok(this)
    }

    fn connect(&self) -> Result<Line, StoreError> {
        let connected = self.runtime.block_on(async { timeout(PATIENCE * 2, self.target.connect()).await });
        connected.unwrap_or_else(|_late| Err(silent(PATIENCE * 2)))
    }

    /// Does something on the connection. Where `may_repeat`, and no transaction is open, a connection that turns out to
    /// have broken meanwhile is made again. One that does not answer is given up.
    fn with<T>(&mut self, may_repeat: bool, work: &impl AsyncFn(&Client) -> Result<T, Error>) -> Result<T, StoreError> {
        let mut is_old = true;
        loop {
            let is_open = self.line.as_ref().is_some_and(|line| line.connection.is_some() && !line.client.is_closed());
            if !is_open {
                if self.is_within {
                    return Err(lost());
                }
                is_old = false;
                self.line = Some(self.connect()?);
            }
            let Some(Line { client, connection }) = &mut self.line else { return Err(lost()) };
            let done = self.runtime.block_on(async { timeout(ANSWER, along(connection, work(client))).await });
            let error = match done {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_late) => {
                    self.line = None;
                    return Err(silent(ANSWER));
                }
            };
            if is_lost(&error) {
                self.line = None;
                if may_repeat && is_old && !self.is_within {
                    continue;
                }
            }
            return Err(explain(&error));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Without its client, a connection says good-bye and ends.
        if let Some(Line { client, connection: Some(connection) }) = self.line.take() {
            drop(client);
            let _whatever_it_says = self.runtime.block_on(async { timeout(FAREWELL, connection).await });
        }
    }
}

impl Database for Postgres {
    fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Rows, StoreError> {
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = values.iter().map(typed).collect();
        let rows =
            self.with(sql.starts_with("SELECT"), &async |client: &Client| client.query_typed(sql, &typed).await)?;
        let cell = |row: &Row, at: usize| match *row.columns()[at].type_() {
            Type::INT8 => row.try_get(at).map(Cell::Int),
            _ => row.try_get(at).map(Cell::Text),
        };
        let cells = |row: &Row| (0..row.len()).map(|at| cell(row, at)).collect::<Result<_, _>>();
        rows.iter().map(cells).collect::<Result<_, _>>().map_err(|error| explain(&error))
    }

    fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        let begins = sql == self.begin();
        let done = self.with(begins, &async |client: &Client| client.batch_execute(sql).await);
        if begins {
            self.is_within = done.is_ok();
        } else if matches!(sql, "COMMIT" | "ROLLBACK") {
            self.is_within = false;
        }
        done
    }

    fn layout(&self) -> String {
        // Ids are compared byte by byte, as SQLite does. Whoever comes second at the same moment waits.
        "SELECT pg_advisory_xact_lock(8246153001);
         CREATE TABLE IF NOT EXISTS vigia_meta (name TEXT PRIMARY KEY, number BIGINT NOT NULL);
         CREATE TABLE IF NOT EXISTS vigia_events (
             id TEXT COLLATE \"C\" PRIMARY KEY, item TEXT NOT NULL, stream TEXT NOT NULL, generation BIGINT NOT NULL,
             class TEXT NOT NULL, ended_at BIGINT NOT NULL, size BIGINT NOT NULL, snapshot TEXT, body TEXT NOT NULL
         );
         CREATE INDEX IF NOT EXISTS vigia_events_time ON vigia_events (ended_at, id, size);
         CREATE INDEX IF NOT EXISTS vigia_events_stream ON vigia_events (stream, ended_at, id);
         CREATE INDEX IF NOT EXISTS vigia_events_class ON vigia_events (class, ended_at, id);
         CREATE INDEX IF NOT EXISTS vigia_events_snapshot ON vigia_events (snapshot);"
            .to_owned()
    }

    fn begin(&self) -> &'static str {
        "BEGIN"
    }

    fn tidy(&mut self) -> Result<(), StoreError> {
        // PostgreSQL does so by itself.
        Ok(())
    }
}

fn typed(cell: &Cell) -> (&(dyn ToSql + Sync), Type) {
    match cell {
        Cell::Int(number) => (number, Type::INT8),
        Cell::Text(text) => (text, Type::TEXT),
    }
}

/// Whether the connection is gone: nothing was answered, or that the other side ends (class 57P), or that it is (08).
fn is_lost(error: &Error) -> bool {
    error.code().is_none_or(|code| ["57P", "08"].iter().any(|class| code.code().starts_with(class)))
}

fn silent(time: Duration) -> StoreError {
    StoreError::Unavailable(format!("PostgreSQL does not answer (for {} s)", time.as_secs()))
}

fn lost() -> StoreError {
    StoreError::Unavailable("the connection to PostgreSQL is lost".to_owned())
}

/// What went wrong, with what is behind it.
fn reason(error: &Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !reason.contains(&cause_text) {
            let _fits = write!(reason, ": {cause_text}");
        }
        source = cause.source();
    }
    reason
}

fn explain(error: &Error) -> StoreError {
    // Class 22 is about the data, 23 about constraints, 54 about what is too large: trying again does not help.
    let is_data = |code: &str| ["22", "23", "54"].iter().any(|class| code.starts_with(class));
    match error.code() {
        Some(code) if is_data(code.code()) => StoreError::Refused(reason(error)),
        _ => StoreError::Unavailable(reason(error)),
    }
}
