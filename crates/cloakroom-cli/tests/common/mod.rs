//! What the tests of the program share: a room of its own for each test, runs with a bounded wait, and a
//! PostgreSQL schema of its own.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// No run in these tests may take longer; most take a fraction of a second.
const LONGEST: Duration = Duration::from_secs(120);

/// The repository's root, where `examples/` and `schemas/` are.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder with keys, state, input and output of one test.
pub(crate) struct Room {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Room {
    /// A room with a key ring.
    pub(crate) fn new() -> Self {
        let room = Self::without_keys();
        room.run(&["keys", "init"]).expect_code(0);
        room
    }

    /// A room without one.
    pub(crate) fn without_keys() -> Self {
        Self { folder: TempDir::new().unwrap(), variables: Vec::new() }
    }

    /// Sets a variable for all runs.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `CLOAKROOM_HOME` of the runs: keys and state.
    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path as text, for pipeline files and arguments.
    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.name(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The program with an environment of its own: nothing of the caller's reaches it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder()).env("CLOAKROOM_HOME", self.home());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Started::new(self.command(arguments).stdin(Stdio::null())).wait()
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Finished {
        let mut started = Started::new(self.command(arguments).stdin(Stdio::piped()));
        let mut stdin = started.stdin();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let finished = started.wait();
        writer.join().unwrap();
        finished
    }

    /// `cloakroom run FILE --output json`: the summary, which must reconcile, and the exit code.
    pub(crate) fn summary(&self, pipeline: &str) -> (Value, i32) {
        let finished = self.run(&["run", pipeline, "--output", "json"]);
        let summary = finished.json();
        assert_reconciled(&summary);
        (summary, finished.code)
    }

    /// `cloakroom dead-letters list [FILE] --output json`.
    pub(crate) fn dead_letters(&self, pipeline: &str) -> Vec<Value> {
        let finished = self.run(&["dead-letters", "list", pipeline, "--limit", "10000000", "--output", "json"]);
        finished.expect_code(0);
        finished.json().as_array().unwrap().clone()
    }

    /// `cloakroom sample …` into a file; gives the file's name.
    pub(crate) fn sample(&self, name: &str, arguments: &[&str]) -> String {
        let finished = self.run(&[&["sample"], arguments].concat());
        finished.expect_code(0);
        self.write(name, &finished.stdout)
    }
}

/// The program: `CLOAKROOM_TEST_PROGRAM` names another build than the one of the tests, such as the one that is to be shipped.
pub(crate) fn program() -> OsString {
    std::env::var_os("CLOAKROOM_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_cloakroom").into())
}

/// `received` is the sum of all outcomes.
pub(crate) fn assert_reconciled(summary: &Value) {
    let outcomes = ["delivered", "duplicate", "filtered", "dead", "returned"];
    let sum: u64 = outcomes.iter().map(|name| summary[name].as_u64().unwrap()).sum();
    assert_eq!(summary["received"].as_u64().unwrap(), sum, "{summary}");
}

/// The number under a name.
pub(crate) fn count(summary: &Value, name: &str) -> u64 {
    summary[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {summary}"))
}

/// A program that runs. It is killed when the test ends before it does.
pub(crate) struct Started {
    child: Option<Child>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

/// What a run left behind.
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

impl Started {
    /// Starts it; both outputs are collected.
    pub(crate) fn new(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        Self { child: Some(child), stdout, stderr }
    }

    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.as_mut().unwrap().stdin.take().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal by its name: TERM, INT.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end, and kills it when it takes too long.
    pub(crate) fn wait(self) -> Finished {
        self.wait_for(LONGEST)
    }

    pub(crate) fn wait_for(mut self, longest: Duration) -> Finished {
        let mut child = self.child.take().unwrap();
        let ended = ended_within(&mut child, longest);
        let hung = ended.is_none();
        if hung {
            let _ = child.kill();
        }
        let status = child.wait().unwrap();
        let collect = |thread: Option<JoinHandle<Vec<u8>>>| thread.unwrap().join().unwrap();
        let (stdout, stderr) = (collect(self.stdout.take()), collect(self.stderr.take()));
        let finished = Finished { code: status.code().unwrap_or(-1), stdout, stderr };
        assert!(!hung, "still running after {longest:?}\n{finished}");
        finished
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn ended_within(child: &mut Child, longest: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < longest {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Finished {
    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8(self.stderr.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("standard output is no JSON: {error}\n{self}"))
    }

    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "exit code\n{self}");
        self
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned();
        write!(
            formatter,
            "exit code {}\n--- stdout\n{}\n--- stderr\n{}",
            self.code,
            text(&self.stdout),
            text(&self.stderr)
        )
    }
}

/// `cloakroom sample serve` on a free port.
pub(crate) struct SampleApi {
    child: Child,
    pub(crate) url: String,
}

impl SampleApi {
    pub(crate) fn start(room: &Room, arguments: &[&str]) -> Self {
        let mut command = room.command(&["sample", "serve", "--address", "127.0.0.1:0"]);
        let mut child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        let url = line.trim().strip_prefix("serving ").expect("the address it serves").to_owned();
        Self { child, url }
    }
}

impl Drop for SampleApi {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All rows of a query on an SQLite file, as text; `None` is NULL.
pub(crate) fn sqlite(path: &Path, sql: &str) -> Vec<Vec<Option<String>>> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        (0..width)
            .map(|at| {
                use rusqlite::types::ValueRef;
                Ok(match row.get_ref(at)? {
                    ValueRef::Null => None,
                    ValueRef::Integer(number) => Some(number.to_string()),
                    ValueRef::Real(number) => Some(number.to_string()),
                    ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8_lossy(text).into_owned()),
                })
            })
            .collect()
    };
    statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
}

/// One number from an SQLite file.
pub(crate) fn sqlite_count(path: &Path, sql: &str) -> u64 {
    sqlite(path, sql)[0][0].as_deref().unwrap().parse().unwrap()
}

/// A schema of its own on the test server, dropped at the end.
pub(crate) struct Schema {
    runtime: tokio::runtime::Runtime,
    client: Client,
    pub(crate) name: String,
    /// A URL whose connections see this schema first and alone.
    pub(crate) url: String,
}

impl Schema {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("CLOAKROOM_TEST_POSTGRES_URL")
            .expect("CLOAKROOM_TEST_POSTGRES_URL; run the tests with `make test`");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        let name = format!("cli{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}options=-csearch_path%3D{name}");
        let schema = Self { runtime, client, name, url };
        let name = &schema.name;
        schema
            .execute(&format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}; SET search_path = {name}"));
        schema
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }

    /// All rows of a query, as text; `None` is NULL.
    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let messages = self.runtime.block_on(self.client.simple_query(sql)).unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()).collect()
    }

    pub(crate) fn count(&self, sql: &str) -> u64 {
        self.query(sql)[0][0].as_deref().unwrap().parse().unwrap()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name);
        let _ = self.runtime.block_on(self.client.batch_execute(&sql));
    }
}

/// True when the bytes stand somewhere in the text.
pub(crate) fn contains(text: &[u8], wanted: &str) -> bool {
    let mut at = 0;
    let (first, wanted) = (wanted.as_bytes()[0], wanted.as_bytes());
    while let Some(found) = text[at..].iter().position(|byte| *byte == first) {
        at += found;
        if text[at..].starts_with(wanted) {
            return true;
        }
        at += 1;
    }
    false
}

/// Every file below a folder with its content: databases with their logs, journals, keys.
pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.is_file() {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    files
}
