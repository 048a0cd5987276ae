//! No value and no secret leaves by a side door. Every field of every record holds a marker, and so does every
//! secret; whatever fails, no marker may stand in what the program prints and logs, in the state store and its log,
//! or beside a sink: only in the sink itself, and there only in fields that the policy keeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

use common::{Finished, Room, SampleApi, Schema, contains, files_below};

/// What markers begin with: those of texts, those of numbers, those of keys.
const MARKERS: [&str; 4] = ["CANARY", "77000000000000", "canary.", "Q0FOQVJZ"];

/// Everything below these folders may hold markers: what was put in, and what a policy kept.
const EXEMPT: [&str; 2] = ["given", "kept"];

/// A room under watch. Each run is searched, with every file that it left.
struct Watch {
    room: Room,
    searched: Vec<String>,
    /// Keeps SQLite from folding the state store's log away at the end of each run, so that it can be searched.
    _state: Option<rusqlite::Connection>,
}

impl Watch {
    fn new() -> Self {
        let room = Room::new();
        for folder in EXEMPT {
            std::fs::create_dir(room.path(folder)).unwrap();
        }
        Self { room, searched: Vec::new(), _state: None }
    }

    fn run(&mut self, arguments: &[&str]) -> Finished {
        self.run_with(arguments, b"")
    }

    fn run_with(&mut self, arguments: &[&str], input: &[u8]) -> Finished {
        let finished = self.room.run_with_input(arguments, input);
        let label = arguments.join(" ").replace(&self.room.name(""), "");
        self.search(&format!("{label}: standard output"), &finished.stdout);
        self.search(&format!("{label}: standard error"), &finished.stderr);
        for (path, bytes) in files_below(self.room.folder()) {
            let name = path.strip_prefix(self.room.folder()).unwrap();
            if !EXEMPT.iter().any(|folder| name.starts_with(folder)) {
                self.search(&format!("{label}: {}", name.display()), &bytes);
            }
        }
        let state = self.room.path("home/state.db");
        if self._state.is_none() && state.exists() {
            let connection = rusqlite::Connection::open(&state).unwrap();
            connection.query_row("SELECT count(*) FROM dead_letters", [], |_| Ok(())).unwrap();
            self._state = Some(connection);
        }
        finished
    }

    fn search(&mut self, what: &str, bytes: &[u8]) {
        if let Some(marker) = marker_in(bytes) {
            panic!("`{marker}` in {what}:\n{}", String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]));
        }
        // The same search, on the same bytes with a marker planted among them, finds it.
        let planted = [&bytes[..bytes.len() / 2], b"CANARY-planted", &bytes[bytes.len() / 2..]].concat();
        assert!(marker_in(&planted).is_some(), "the search of {what} finds nothing");
        self.searched.push(what.to_owned());
    }

    /// Says what was searched, and makes sure that the places that matter were.
    fn report(self, places: &[&str]) {
        for (path, bytes) in files_below(&self.room.path("given")) {
            assert!(marker_in(&bytes).is_some(), "{} should hold markers", path.display());
        }
        for place in places {
            assert!(self.searched.iter().any(|what| what.contains(place)), "{place} was not searched");
        }
        println!("searched {} outputs:\n  {}", self.searched.len(), self.searched.join("\n  "));
    }
}

fn marker_in(bytes: &[u8]) -> Option<&'static str> {
    MARKERS.into_iter().find(|marker| contains(bytes, marker))
}

fn record(number: u64) -> String {
    let text = |field: &str| format!("CANARY-{number}-{field}-x9");
    format!(
        r#"{{"id":"{}","name":"{}","card":"{}","code":{},"ip":"192.0.2.{number}","day":"2024-02-29","more":{{"canary.{number}@example.com":"{}","770000000000000{number}":[{}]}}}}"#,
        text("id"),
        text("name"),
        text("card"),
        7_700_000_000_000_001 + number,
        text("more"),
        7_700_000_000_000_001 + number,
    )
}

/// Good records with bad ones of all kinds between them.
fn input() -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = (1..=5).map(|number| record(number).into_bytes()).collect();
    let change = |from: &str, to: &str| record(6).replacen(from, to, 1).into_bytes();
    lines.extend([
        change("\"CANARY-6-name-x9\"", "7700000000000006"),
        change("192.0.2.6", "CANARY-6-ip-x9"),
        change("2024-02-29", "CANARY-6-day-x9"),
        change("\"name\":", "\"id\":"),
        change("\"code\":", "\"CANARY-6-surprise@x9\":1,\"code\":"),
        change("CANARY-6-more", "CANARY-6-\\ud800more"),
        change("}}", "} CANARY-6-rest-x9"),
        change("{\"id\"", "[\"id\""),
        change("\"code\":", "\"code\":CANARY-6-x9"),
        change("CANARY-6-card", &format!("CANARY-6-{}", "y".repeat(300))),
        change("\"more\":", &format!("\"more\":{}1{},\"most\":", "[".repeat(90), "]".repeat(90))),
        [&b"{\"id\":\"CANARY-6-\xFF\xFE\",\"name\":\"CANARY\"}"[..]].concat(),
        b"CANARY-6-no-json-x9".to_vec(),
        b"\"CANARY-6-text-x9\"".to_vec(),
        b"7700000000000007".to_vec(),
    ]);
    lines.join(&b'\n')
}

/// Nothing of a record is kept in clear.
const POLICY: &str = "
record: { require: [id], unlisted: reject }
fields:
  id:   { protect: hmac }
  name: { type: string, protect: encrypt }
  card: { max_length: 100, protect: { mask: last4 } }
  code: { protect: { hash: sha256, allow_reversible: true } }
  ip:   { protect: { mask: ip } }
  day:  { date: { from: [iso8601], to: date } }
  more: { protect: drop }
";

/// Everything is kept: markers may stand in the sink and nowhere else.
const KEEP: &str = "
fields:
  name: { type: string }
  ip:   { protect: { mask: ip } }
  more: { protect: drop }
";

const QUICK: &str = "retry: { base_ms: 50, max_ms: 100, give_up_after_s: 1 }\n";

fn pipeline(watch: &Watch, name: &str, policy: &str, sink: &str) -> String {
    let text =
        format!("name: {name}\nsource: {{ file: {{ path: given/input.jsonl }} }}{policy}sink: {{ {sink} }}\n{QUICK}");
    watch.room.write(&format!("{name}.yaml"), text)
}

/// Everything that can be asked about the letters of a pipeline.
fn look_at_letters(watch: &mut Watch, pipeline: &str) {
    let letters = watch.run(&["dead-letters", "list", pipeline, "--output", "json"]).json();
    let ids: Vec<String> = letters.as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap().to_owned()).collect();
    assert!(!ids.is_empty(), "there are letters to look at");
    watch.run(&["dead-letters", "list", "--all"]).expect_code(0);
    for id in &ids {
        watch.run(&["dead-letters", "show", id, "--file", pipeline]).expect_code(0);
        watch.run(&["dead-letters", "show", id, "--file", pipeline, "--output", "json"]).expect_code(0);
    }
    watch.run(&["--log", "debug", "dead-letters", "replay", pipeline]).expect_code(1);
    watch.run(&["dead-letters", "discard", &ids[0], "--file", pipeline]).expect_code(0);
}

#[test]
fn bad_records_of_all_kinds() {
    let mut watch = Watch::new();
    watch.room.write("given/input.jsonl", input());
    let policy = format!("{POLICY}metrics: {{ emf: {{ path: metrics.jsonl }} }}\n");
    let protected = pipeline(&watch, "protected", &policy, "sqlite: { path: out.db, table: rows }");
    watch.run(&["check", &protected, "--connect"]).expect_code(0);
    for log in [&["--log", "debug"][..], &["--log", "debug", "--log-format", "json"]] {
        watch.run(&[log, &["run", &protected]].concat());
    }
    assert_eq!(common::sqlite_count(&watch.room.path("out.db"), "SELECT count(*) FROM rows"), 5);
    look_at_letters(&mut watch, &protected);
    for (name, sink) in [
        ("sqlite", "sqlite: { path: kept/out.db, table: rows }"),
        ("file", "file: { path: kept/out.jsonl }"),
        ("csv", "file: { path: out.csv, format: csv }"),
    ] {
        let policy = if name == "csv" { POLICY } else { KEEP };
        let kept = pipeline(&watch, name, policy, sink);
        watch.run(&["--log", "debug", "run", &kept, "--output", "json"]).expect_code(1);
    }
    let kept = files_below(&watch.room.path("kept"));
    assert!(kept.iter().any(|(path, bytes)| path.ends_with("out.db") && marker_in(bytes).is_some()));
    let journal = kept.iter().find(|(path, _)| path.ends_with("out.jsonl.cloakroom")).expect("a journal");
    watch.search("the journal beside a file that keeps values", &journal.1);
    let input = watch.room.read("given/input.jsonl");
    for log in ["off", "debug"] {
        let finished = watch.run_with(&["--log", log, "protect", "--policy", &protected], &input);
        assert_eq!(finished.expect_code(1).out().lines().count(), 5);
    }
    watch
        .run(&["protect", "--policy", &protected, "given/input.jsonl", "safe.jsonl", "--output", "json"])
        .expect_code(1);
    watch.report(&[
        "standard error",
        "state.db-wal",
        "home/state.db",
        "out.csv.cloakroom",
        "out.db",
        "safe.jsonl",
        "metrics.jsonl",
        "journal",
    ]);
}

#[test]
fn databases_that_refuse_rows_and_repeat_their_values() {
    let mut watch = Watch::new();
    let schema = Schema::new();
    watch.room.set("PG", &schema.url);
    watch.room.write("given/input.jsonl", input());
    schema.execute(
        "CREATE TABLE checked (name text CHECK (length(name) < 3), id text, card text, code numeric, ip text, day text);
         CREATE TABLE narrow (name varchar(3), id text, card text, code numeric, ip text, day text);
         CREATE TABLE needy (name text, id text, card text, code numeric, ip text, day text, other text NOT NULL);
         CREATE TABLE single (name text, id text, card text, code numeric, ip text, day text);
         CREATE UNIQUE INDEX ON single ((left(name, 6)));
         CREATE TABLE typed (name date, id uuid, card jsonb, code smallint, ip inet, day date);
         CREATE TABLE loud (name text, id text, card text, code numeric, ip text, day text);
         CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE WARNING 'seen: %', NEW.name; RAISE EXCEPTION 'refused: %', NEW USING DETAIL = NEW.card, HINT = NEW.id;
         END $$;
         CREATE TRIGGER loud BEFORE INSERT ON loud FOR EACH ROW EXECUTE FUNCTION shout();
         CREATE TABLE broken (name text, id text, card text, code numeric, ip text, day text);
         CREATE FUNCTION crack() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'out of order: %', NEW USING ERRCODE = '58000';
         END $$;
         CREATE TRIGGER broken BEFORE INSERT ON broken FOR EACH ROW EXECUTE FUNCTION crack()",
    );
    for table in ["checked", "narrow", "needy", "single", "typed", "loud", "broken"] {
        let refused = pipeline(&watch, table, KEEP, &format!("postgres: {{ url: '${{PG}}', table: {table} }}"));
        let finished = watch.run(&["--log", "debug", "run", &refused]);
        assert!(finished.code != 0, "{table}: {finished}");
        if ["checked", "loud", "single"].contains(&table) {
            look_at_letters(&mut watch, &refused);
        }
    }
    let database = rusqlite::Connection::open(watch.room.path("kept/out.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE checked (name TEXT CHECK (length(name) < 3), id, card, code, ip, day);
             CREATE TABLE single (name TEXT, id, card, code, ip, day); CREATE UNIQUE INDEX one ON single (substr(name, 1, 6));
             CREATE TABLE typed (name INTEGER, id INTEGER, card INTEGER, code INTEGER, ip INTEGER, day INTEGER) STRICT;
             CREATE TABLE loud (name TEXT, id, card, code, ip, day);
             CREATE TRIGGER shout BEFORE INSERT ON loud BEGIN SELECT RAISE(ABORT, 'CANARY-trigger-x9'); END",
        )
        .unwrap();
    for table in ["checked", "single", "typed", "loud"] {
        let refused =
            pipeline(&watch, &format!("{table}2"), KEEP, &format!("sqlite: {{ path: kept/out.db, table: {table} }}"));
        watch.run(&["--log", "debug", "run", &refused]).expect_code(1);
    }
    watch.report(&["run checked.yaml: standard error", "run loud2.yaml: standard error", "state.db-wal"]);
}

// BUG, reported: `sinks/postgres/connect.rs` takes names of columns and constraints from the server as they are, and a
// trigger may put anything there.
#[test]
fn a_trigger_that_gives_a_value_for_a_name() {
    let mut watch = Watch::new();
    let schema = Schema::new();
    watch.room.set("PG", &schema.url);
    watch.room.write("given/input.jsonl", record(1));
    schema.execute(
        "CREATE TABLE misnamed (name text, id text, card text, code numeric, ip text, day text);
         CREATE FUNCTION misname() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'no' USING ERRCODE = '23514', CONSTRAINT = NEW.id, COLUMN = NEW.card;
         END $$;
         CREATE TRIGGER misnamed BEFORE INSERT ON misnamed FOR EACH ROW EXECUTE FUNCTION misname()",
    );
    let refused = pipeline(&watch, "misnamed", KEEP, "postgres: { url: '${PG}', table: misnamed }");
    watch.run(&["run", &refused]).expect_code(1);
    look_at_letters(&mut watch, &refused);
    watch.report(&["dead-letters list misnamed.yaml"]);
}

#[test]
fn dependencies_that_fail_and_secrets_that_are_wrong() {
    let mut watch = Watch::new();
    watch.room.write("given/input.jsonl", input());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = std::env::var("CLOAKROOM_TEST_POSTGRES_URL").unwrap();
    let here = server.split_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    for (name, url, code) in [
        ("closed", format!("postgres://u:CANARY-password-x9@127.0.0.1:{closed}/db"), 3),
        ("no-port", "postgres://u:CANARY-password-x9@127.0.0.1:CANARY/db".to_owned(), 2),
        ("no-url", "CANARY-password-x9".to_owned(), 2),
        ("option", "postgres://u:CANARY-password-x9@127.0.0.1/db?CANARY=x9".to_owned(), 2),
        ("user", format!("postgres://CANARY-user-x9:CANARY-password-x9@{here}/cloakroom"), 4),
        ("database", format!("postgres://cloakroom:CANARY-password-x9@{here}/CANARY-database-x9"), 2),
    ] {
        watch.room.set("PG", &url);
        let failing = pipeline(&watch, name, POLICY, "postgres: { url: '${PG}', table: rows, create_table: true }");
        for command in [&["--log", "debug", "run", &failing][..], &["check", &failing, "--connect"]] {
            watch.run(command).expect_code(code);
        }
    }
    for key in ["CANARY-key-x9", "7700000000000001", "zz"] {
        let mut other = Watch::new();
        other.room.set("CLOAKROOM_KEY", key);
        let failing = pipeline(&other, "key", POLICY, "sqlite: { path: out.db, table: rows }");
        other.run(&["run", &failing]).expect_code(2);
        other.run(&["keys", "status"]).expect_code(2);
    }
    let keys = watch.room.path("home/keys.json");
    let own = std::fs::read_to_string(&keys).unwrap();
    let failing = pipeline(
        &watch,
        "damaged",
        &format!("{POLICY}keys: {{ file: given/keys.json }}\n"),
        "file: { path: out.jsonl }",
    );
    for damaged in [
        own.replace("\"key\": \"", "\"key\": \"CANARY"),
        own.replace("active", "CANARY-state-x9"),
        own.replace("\"keys\"", "\"CANARY-keys-x9\""),
        format!("{own}CANARY-rest-x9"),
        "CANARY-no-json-x9".to_owned(),
    ] {
        watch.room.write("given/keys.json", damaged);
        private(&watch.room.path("given/keys.json"));
        assert!(watch.run(&["run", &failing]).code >= 2);
        assert!(watch.run(&["keys", "status", "--file", "given/keys.json"]).code >= 2);
    }
    watch.report(&["run closed.yaml: standard error", "run damaged.yaml: standard error"]);
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(_: &Path) {}

/// Answers that repeat what must not be repeated, by the request's path.
const ANSWERS: [(&str, &str, &str); 9] = [
    ("html", "200 OK\r\nContent-Type: text/html", "<html>CANARY-body-x9 7700000000000001</html>"),
    ("cut", "200 OK\r\nContent-Type: application/json", "[{\"id\":\"CANARY-1-id-x9\"},{\"id\":\"CANARY"),
    ("object", "200 OK\r\nContent-Type: application/json", "{\"CANARY-key-x9\":\"CANARY-value-x9\"}"),
    ("refused", "400 Bad Request: CANARY-reason-x9", "CANARY-body-x9"),
    ("denied", "401 CANARY-reason-x9\r\nWWW-Authenticate: Basic realm=\"CANARY-realm-x9\"", "CANARY-body-x9"),
    ("broken", "500 CANARY-reason-x9\r\nRetry-After: CANARY-later-x9", "CANARY-body-x9"),
    ("moved", "302 Found\r\nLocation: https://CANARY-host-x9.invalid/CANARY-path-x9", "CANARY-body-x9"),
    ("link", "200 OK\r\nLink: <https://CANARY-host-x9.invalid/x>; rel=\"next\"", "[{\"id\":\"CANARY-1-id-x9\"}]"),
    ("gzip", "200 OK\r\nContent-Encoding: gzip", "CANARY-no-gzip-x9"),
];

/// Serves them, one connection after the other, until the test ends.
fn echoing_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let answer = ANSWERS.iter().find(|(path, _, _)| request.starts_with(&format!("GET /{path}?")));
            let (_, head, body) = answer.unwrap_or(&ANSWERS[0]);
            let length = body.len();
            let _ = write!(&stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    port
}

#[test]
fn an_api_that_fails_and_repeats_what_it_was_asked() {
    let mut watch = Watch::new();
    let port = echoing_server();
    watch.room.set("API_TOKEN", "CANARY-token-x9");
    for (path, _, _) in ANSWERS {
        watch.room.set("API_URL", &format!("http://127.0.0.1:{port}/{path}?api_key=CANARY-query-x9"));
        let paging = if path == "link" { ", pagination: link" } else { "" };
        let text = format!(
            "name: api-{path}\nsource: {{ http: {{ url: '${{API_URL}}', headers: {{ X-Key: '${{API_TOKEN}}' }}, auth: {{ bearer: '${{API_TOKEN}}' }}{paging} }} }}{POLICY}sink: {{ sqlite: {{ path: out.db, table: rows }} }}\n{QUICK}"
        );
        let failing = watch.room.write(&format!("{path}.yaml"), text);
        for log in ["text", "json"] {
            let finished = watch.run(&["--log", "debug", "--log-format", log, "run", &failing]);
            assert!(finished.code != 0, "{path}: {finished}");
        }
        watch.run(&["check", &failing, "--connect"]);
    }
    let records: Vec<String> = (1..=9).map(record).collect();
    let list = watch.room.write("given/list.json", format!("[{}]", records.join(",")));
    let api = SampleApi::start(
        &watch.room,
        &["--from", &list, "--faults", "--broken-at", "3", "--token", "CANARY-token-x9", "--page-size", "2"],
    );
    watch.room.set("API_URL", &api.url);
    for (name, token, code) in
        [("right", "CANARY-token-x9", 1), ("wrong", "CANARY-other-x9", 4), ("unfit", "CANARY\nx9", 2)]
    {
        watch.room.set("API_TOKEN", token);
        let text = format!(
            "name: {name}\nsource: {{ http: {{ url: '${{API_URL}}', auth: {{ bearer: '${{API_TOKEN}}' }}, pagination: {{ page: {{ size_parameter: limit, size: 2 }} }} }} }}{POLICY}sink: {{ sqlite: {{ path: out.db, table: rows }} }}\nretry: {{ base_ms: 10 }}\n"
        );
        let pipeline = watch.room.write(&format!("{name}.yaml"), text);
        watch.run(&["--log", "debug", "run", &pipeline, "--output", "json"]).expect_code(code);
        if code == 1 {
            look_at_letters(&mut watch, &pipeline);
        }
    }
    watch.report(&["run html.yaml: standard error", ": out.db", "state.db"]);
}
