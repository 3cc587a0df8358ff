//! PostgreSQL: a connection that is made when it is needed, and made again once it broke.

use std::error::Error as _;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use postgres::config::{Host, SslMode};
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, Error, NoTls};

use super::tls::{Tls, Trust};
use super::{Cell, Database, Rows, StoreError};

/// How long the other side may take to answer a connection, and how long nothing may be heard of what was sent.
const PATIENCE: Duration = Duration::from_secs(5);

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

    fn connect(&self) -> Result<Client, StoreError> {
        match &self.trust {
            None => self.config.connect(NoTls).map_err(|error| explain(&error)),
            Some(trust) => {
                let tls = Tls::new(trust).map_err(StoreError::Unavailable)?;
                self.config.connect(tls).map_err(|error| explain(&error))
            }
        }
    }
}

/// A database, as long as it can be reached.
pub(in super::super) struct Postgres {
    target: Target,
    client: Option<Client>,
    /// A transaction was begun on this very connection: what is left of it cannot go on on another one.
    is_within: bool,
}

impl Postgres {
    /// Connects.
    pub(in super::super) fn open(target: Target) -> Result<Self, StoreError> {
        let client = Some(target.connect()?);
        Ok(Self { target, client, is_within: false })
    }

    /// Does something on the connection. Where `may_repeat`, and no transaction is open, a connection that turns out to
    /// have broken meanwhile is made again.
    fn with<T>(&mut self, may_repeat: bool, work: impl Fn(&mut Client) -> Result<T, Error>) -> Result<T, StoreError> {
        let mut is_old = true;
        loop {
            let client = match &mut self.client {
                Some(client) if !client.is_closed() => client,
                _ if self.is_within => return Err(lost()),
                client => {
                    is_old = false;
                    client.insert(self.target.connect()?)
                }
            };
            let error = match work(client) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if is_lost(&error) {
                self.client = None;
                if may_repeat && is_old && !self.is_within {
                    continue;
                }
            }
            return Err(explain(&error));
        }
    }
}

impl Database for Postgres {
    fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Rows, StoreError> {
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = values.iter().map(typed).collect();
        let rows = self.with(sql.starts_with("SELECT"), |client| client.query_typed(sql, &typed))?;
        let cell = |row: &postgres::Row, at: usize| match *row.columns()[at].type_() {
            Type::INT8 => row.try_get(at).map(Cell::Int),
            _ => row.try_get(at).map(Cell::Text),
        };
        let cells = |row: &postgres::Row| (0..row.len()).map(|at| cell(row, at)).collect::<Result<_, _>>();
        rows.iter().map(cells).collect::<Result<_, _>>().map_err(|error| explain(&error))
    }

    fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        let begins = sql == self.begin();
        let done = self.with(begins, |client| client.batch_execute(sql));
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
    // Class 22 is about the data, 23 about constraints: trying again does not help.
    let is_data = |code: &str| code.starts_with("22") || code.starts_with("23");
    match error.code() {
        Some(code) if is_data(code.code()) => StoreError::Refused(reason(error)),
        _ => StoreError::Unavailable(reason(error)),
    }
}
