//! Other people's servers, for as long as a test needs them: PostgreSQL of the system, and moto, which speaks as S3 does.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Running, free_port, wait_until};

/// PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;
/// Its only user, and the password, which is to be seen nowhere.
const LOGIN: &str = "vigia:hunter2";

/// A PostgreSQL of its own; it and its folder are gone with this value.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

impl Postgres {
    /// `None`, and says so, where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("VIGIA_TESTS_MUST_RUN").is_none(), "no PostgreSQL: run scripts/setup.sh");
            eprintln!("skipped: no PostgreSQL in /usr/lib/postgresql: VIGIA_SETUP_TESTS=1 scripts/setup.sh");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let mut this = Self { programs, folder, port: free_port(), running: None };
        this.make();
        this.begin();
        Some(this)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).env_clear().stdout(Stdio::null()).stderr(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn make(&self) {
        let folder = self.folder.path();
        let password = folder.join("password");
        fs::write(&password, LOGIN.split(':').nth(1).unwrap_or_default()).expect("written");
        if is_root() {
            chown(folder, Some(NOBODY), Some(NOBODY)).expect("given away");
            chown(&password, Some(NOBODY), Some(NOBODY)).expect("given away");
        }
        let make = |locale: &[&str]| {
            let mut command = self.command("initdb");
            command.args([
                "-D",
                "data",
                "-U",
                "vigia",
                "-A",
                "scram-sha-256",
                "--pwfile",
                "password",
                "-E",
                "UTF8",
                "-N",
            ]);
            command.args(locale).status().expect("it runs").success()
        };
        // An order that is not that of the bytes, where there is one.
        let made = make(&["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]) || make(&["--locale=C"]);
        assert!(made, "initdb failed");
    }

    /// Starts it, also again.
    pub(crate) fn begin(&mut self) {
        let mut command = self.command("postgres");
        command.args(["-D", "data", "-k", ".", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-p"]);
        command.arg(self.port.to_string());
        for (setting, file) in [("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")] {
            if self.path(file).exists() {
                command.args(["-c", "ssl=on", "-c", &format!("{setting}={}", self.path(file).display())]);
            }
        }
        wait_until("PostgreSQL answers", || {
            // It gives up while a process of the one before is still there.
            if self.running.as_mut().is_none_or(Running::has_ended) {
                self.running = Some(Running::start(&mut command));
            }
            self.client().is_ok()
        });
    }

    /// It is gone, as when its machine fails.
    pub(crate) fn end(&mut self) {
        self.running = None;
        wait_until("nobody listens", || TcpStream::connect(("127.0.0.1", self.port)).is_err());
    }

    /// It stays connected and answers nothing, until it goes on.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        let Some(Running(main)) = &self.running else { return };
        let main = main.id();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).expect("its processes");
        let signal = if is_frozen { "-STOP" } else { "-CONT" };
        let all = children.split_whitespace().map(str::to_owned).chain([main.to_string()]);
        Command::new("kill").arg(signal).args(all).status().expect("signalled");
    }

    pub(crate) fn client(&self) -> Result<postgres::Client, postgres::Error> {
        postgres::Client::connect(&self.url("sslmode=disable"), postgres::NoTls)
    }

    /// Runs a statement as somebody else; the number of rows.
    pub(crate) fn run(&self, sql: &str) -> usize {
        self.client().expect("a connection").query(sql, &[]).expect("it runs").len()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its address.
    pub(crate) fn url(&self, parameters: &str) -> String {
        format!("postgres://{LOGIN}@127.0.0.1:{}/postgres?{parameters}", self.port)
    }

    /// Gives it a certificate for `localhost` that signs itself; says whether that was possible.
    pub(crate) fn certify(&mut self) -> bool {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        command.args([
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
        command.arg("-keyout").arg(self.path("server.key")).arg("-out").arg(self.path("server.pem"));
        let made = command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !made {
            eprintln!("skipped: no openssl to make a certificate with");
            return false;
        }
        if is_root() {
            chown(self.path("server.key"), Some(NOBODY), Some(NOBODY)).expect("given away");
        }
        self.end();
        self.begin();
        true
    }
}

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.retain(|programs| programs.join("initdb").exists() && programs.join("postgres").exists());
    found.sort();
    found.pop()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

/// A bucket in a moto of its own.
pub(crate) struct Bucket {
    program: PathBuf,
    pub(crate) port: u16,
    running: Option<Running>,
}

impl Bucket {
    /// `None`, and says so, where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member of the workspace");
        let program = root.join(".vigia/moto/bin/moto_server");
        if !program.exists() {
            assert!(std::env::var_os("VIGIA_TESTS_MUST_RUN").is_none(), "no .vigia/moto: run scripts/setup.sh");
            eprintln!("skipped: no .vigia/moto: VIGIA_SETUP_TESTS=1 scripts/setup.sh");
            return None;
        }
        let mut this = Self { program, port: free_port(), running: None };
        this.begin();
        Some(this)
    }

    /// Starts it, also again; the bucket is empty.
    pub(crate) fn begin(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["-H", "127.0.0.1", "-p", &self.port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(Running::start(&mut command));
        let address = format!("{}/cameras", self.url());
        wait_until("moto has made the bucket", || ureq::put(&address).send_empty().is_ok());
    }

    /// It is gone.
    pub(crate) fn end(&mut self) {
        self.running = None;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The names of what is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut answer = ureq::get(format!("{}/cameras?list-type=2", self.url())).call().expect("an answer");
        let xml = answer.body_mut().read_to_string().expect("text");
        let names = xml.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        names.map(str::to_owned).collect()
    }
}
