//! `vigia serve` as a process: how the tests start it, talk to it and end it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;

use crate::socket::Socket;
use crate::support::root;

/// Longest that anything may take here; only what hangs gets there.
pub(crate) const GUARD: Duration = Duration::from_mins(2);

/// A running server; killed when dropped before it has ended.
pub(crate) struct Serve {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    /// What was read of its log so far.
    heard: String,
    pub(crate) address: String,
    agent: Mutex<ureq::Agent>,
    /// Where it keeps what it remembers, unless a test gave it a folder.
    _data: Option<tempfile::TempDir>,
}

/// How a server ended.
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stderr: String,
}

impl Serve {
    /// On a free port, without a configuration.
    pub(crate) fn start() -> Self {
        Self::start_with("serve", None, |_| ())
    }

    /// `vigia demo` in its place.
    pub(crate) fn demo() -> Self {
        Self::start_with("demo", None, |_| ())
    }

    /// The same with a configuration; what it remembers is in the same folder.
    pub(crate) fn configured(folder: &Path, config: &str) -> Self {
        Self::configured_with(folder, config, |_| ())
    }

    /// The same with changes to the command.
    pub(crate) fn configured_with(folder: &Path, config: &str, change: impl FnOnce(&mut Command)) -> Self {
        let file = folder.join("vigia.yaml");
        std::fs::write(&file, config).expect("written");
        Self::start_with("serve", Some(folder), |command| {
            command.arg("--config").arg(&file);
            change(command);
        })
    }

    fn start_with(subcommand: &str, folder: Option<&Path>, change: impl FnOnce(&mut Command)) -> Self {
        let data = folder.is_none().then(|| tempfile::tempdir().expect("a folder"));
        let folder = folder.or(data.as_ref().map(tempfile::TempDir::path)).expect("one of them").join("data");
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::copy(measured(), folder.join("tuning.json")).expect("copied");
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
        command.args([subcommand, "--listen", "127.0.0.1:0"]).current_dir(root()).env("RUST_LOG", "warn");
        command.env("VIGIA_DATA_DIR", &folder);
        change(&mut command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("UTF-8");
        let address = line.trim_end().rsplit_once("listens on ").map(|(_, address)| address.to_owned());
        let address = address.unwrap_or_else(|| {
            let mut said = String::new();
            // What it says is only for the message.
            let _unread = stderr.read_to_string(&mut said);
            unreachable!("the server did not start: {line}{said}")
        });
        let agent = Mutex::new(agent());
        Self { child, stdout, stderr, heard: String::new(), address, agent, _data: data }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn agent(&self) -> ureq::Agent {
        self.agent.lock().clone()
    }

    /// Closes the connections that are kept for the next request.
    pub(crate) fn hang_up(&self) {
        *self.agent.lock() = agent();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let mut response = self.agent().get(self.url(path)).call().expect("an answer");
        let text = response.body_mut().read_to_string().expect("a whole answer");
        assert_eq!(response.status(), 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Sends a body; status and answer, which is null where there is none.
    pub(crate) fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        let request = ureq::http::Request::builder().method(method).uri(self.url(path)).header("content-type", kind);
        let mut response = self.agent().run(request.body(body).expect("a request")).expect("an answer");
        let text = response.body_mut().read_to_string().expect("a whole answer");
        let answer = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") };
        (response.status().as_u16(), answer)
    }

    /// Sends JSON, and asserts that it is answered with this status.
    #[track_caller]
    pub(crate) fn json(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let (got, answer) = self.send(method, path, "application/json", body.to_string().as_bytes());
        assert_eq!(got, status, "{method} {path} {body}: {answer}");
        answer
    }

    /// Adds a stream.
    pub(crate) fn add(&self, stream: &Value) -> Value {
        self.json("POST", "/v1/streams", stream, 201)
    }

    /// Removes a stream.
    pub(crate) fn remove(&self, id: &str) {
        self.json("DELETE", &format!("/v1/streams/{id}"), &Value::Null, 204);
    }

    /// Pushes a frame and waits for its result; status and answer.
    pub(crate) fn put(&self, id: &str, frame_id: u64, picture: &[u8]) -> (u16, Value) {
        self.send("PUT", &format!("/v1/streams/{id}/frames/{frame_id}?wait=result"), "image/jpeg", picture)
    }

    /// Opens a WebSocket.
    pub(crate) fn socket(&self, path: &str) -> Socket {
        Socket::open(self.address.strip_prefix("http://").expect("an address"), path, GUARD)
    }

    /// What it says of itself to Prometheus.
    pub(crate) fn metrics(&self) -> String {
        let mut response = self.agent().get(self.url("/metrics")).call().expect("an answer");
        response.body_mut().read_to_string().expect("a whole answer")
    }

    /// Posts a picture's bytes; status and answer.
    pub(crate) fn post(&self, path: &str, picture: &[u8]) -> (u16, Value) {
        post(&self.agent(), &self.url(path), picture).expect("an answer")
    }

    /// Waits until something on a path is so.
    pub(crate) fn wait_for(&self, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + GUARD;
        loop {
            let value = self.get(path);
            if is(&value) {
                return value;
            }
            assert!(Instant::now() < until, "waited in vain until {what}: {value}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Waits until its log says something.
    pub(crate) fn hear(&mut self, what: &str) {
        loop {
            let start = self.heard.len();
            assert_ne!(self.stderr.read_line(&mut self.heard).expect("UTF-8"), 0, "it ended: {}", self.heard);
            if self.heard[start..].contains(what) {
                return;
            }
        }
    }

    /// Any signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let mut stderr = std::mem::take(&mut self.heard);
        self.stderr.read_to_string(&mut stderr).expect("UTF-8");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("UTF-8");
        assert_eq!(rest, "", "the address is all that it prints");
        Ended { status: self.child.wait().expect("it ends").code(), stderr }
    }

    /// SIGTERM, and asserts that it ends in order.
    pub(crate) fn assert_ends_in_order(self) {
        self.terminate();
        let Ended { status, stderr } = self.ended();
        assert_eq!((status, stderr.as_str()), (Some(0), ""));
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // One that has ended is not there any more.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// How the default models run best on this machine: measured once, not by each server.
fn measured() -> &'static Path {
    static MEASURED: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("measured");
        let file = folder.join("tuning.json");
        if !file.exists() {
            let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
            command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(root()).env("VIGIA_DATA_DIR", &folder);
            let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
            // It listens once everything is measured.
            let _address = BufReader::new(server.stdout.take().expect("piped")).read_line(&mut String::new());
            server.kill().and_then(|()| server.wait()).expect("it runs");
        }
        file
    });
    &MEASURED
}

/// A client with its own connections.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(GUARD)).http_status_as_error(false).build().new_agent()
}

/// Posts a picture's bytes; status and answer.
pub(crate) fn post(agent: &ureq::Agent, url: &str, picture: &[u8]) -> Result<(u16, Value), ureq::Error> {
    let mut response = agent.post(url).header("content-type", "image/jpeg").send(picture)?;
    let text = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), serde_json::from_str(&text).expect("JSON")))
}

/// A sample picture's bytes.
pub(crate) fn sample(n: u32) -> Vec<u8> {
    std::fs::read(root().join(format!(".vigia/samples/sample{n}.jpg"))).expect("set-up left it")
}
