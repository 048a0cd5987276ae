//! System A: 100 sample logins of which two have a wrong shape, through the program into PostgreSQL, SQLite and
//! files. Exactly 98 rows arrive; the two are sealed dead letters that can be shown, replayed and discarded; a
//! second run changes nothing; with `hash: md5` the rows are those of the system that this replaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use common::{Room, Schema, contains, count, sqlite, sqlite_count};
use serde_json::Value;

const TABLE: &str = "CREATE TABLE user_logins (
    user_id varchar(128), device_type varchar(32), masked_ip varchar(256), masked_device_id varchar(256),
    locale varchar(32), app_version varchar(10), create_date date)";

const HMAC: [&str; 2] = ["hmac: { domain: ip }", "hmac: { domain: device }"];
const MD5: [&str; 2] = ["hash: md5, allow_reversible: true", "hash: md5, allow_reversible: true"];

/// What the records must be: as the table wants them, or anything.
const STRICT: (&str, &str) = ("require: [user_id, ip, device_id]", "nullable: false");
const WIDE: (&str, &str) = ("require: []", "nullable: true");

struct Logins {
    room: Room,
    input: String,
}

impl Logins {
    fn new() -> Self {
        let room = Room::new();
        let input = room.sample("logins.jsonl", &["logins", "--count", "100", "--wrong-shape"]);
        Self { room, input }
    }

    fn pipeline(&self, file: &str, shape: (&str, &str), protect: [&str; 2], sink: &str) -> String {
        let (input, (require, nullable), [ip, device]) = (&self.input, shape, protect);
        self.room.write(
            file,
            format!(
                "name: logins
source: {{ file: {{ path: '{input}' }} }}
record: {{ {require}, unlisted: drop }}
fields:
  user_id:     {{ type: string, max_length: 128, {nullable} }}
  device_type: {{ type: string, max_length: 32 }}
  ip:          {{ protect: {{ {ip} }}, as: masked_ip }}
  device_id:   {{ protect: {{ {device} }}, as: masked_device_id }}
  locale:      {{ type: string, max_length: 32 }}
  app_version: {{ type: string, max_length: 10 }}
  create_date: {{ set: ingest_date }}
sink: {{ {sink} }}
"
            ),
        )
    }

    fn records(&self) -> Vec<Value> {
        let text = self.room.read("logins.jsonl");
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    fn null_locales(&self) -> u64 {
        self.records().iter().filter(|record| record.get("locale").is_some_and(Value::is_null)).count() as u64
    }
}

/// A schema with the table as system A made it.
fn schema() -> (Schema, String) {
    let schema = Schema::new();
    schema.execute(TABLE);
    let sink = format!("postgres: {{ url: '{}', table: user_logins }}", schema.url);
    (schema, sink)
}

fn assert_98_and_2(summary: &Value) {
    let counts = ["received", "delivered", "dead", "duplicate", "returned"].map(|name| count(summary, name));
    assert_eq!(counts, [100, 98, 2, 0, 0], "{summary}");
    assert_eq!(summary["end"], "complete");
    assert_eq!(summary["dead_by_reason"]["missing field"], 2, "{summary}");
}

#[test]
fn ninety_eight_logins_reach_postgres_and_a_second_run_changes_nothing() {
    let (logins, (schema, sink)) = (Logins::new(), schema());
    let pipeline = logins.pipeline("logins.yaml", STRICT, HMAC, &sink);
    let (summary, code) = logins.room.summary(&pipeline);
    assert_98_and_2(&summary);
    assert_eq!(code, 1, "records went to dead letters");

    let before = schema.query("SELECT * FROM user_logins ORDER BY user_id");
    assert_eq!(before.len(), 98);
    assert!(logins.null_locales() > 0, "the sample has logins without a locale");
    assert_eq!(schema.count("SELECT count(*) FROM user_logins WHERE locale IS NULL"), logins.null_locales());
    assert_eq!(
        schema.count("SELECT count(*) FROM user_logins WHERE create_date = (now() AT TIME ZONE 'UTC')::date"),
        98
    );
    let raw = logins.records().into_iter().filter(|record| record.get("ip").is_some());
    for record in raw {
        let (ip, device) = (record["ip"].as_str().unwrap(), record["device_id"].as_str().unwrap());
        let seen = before.iter().flatten().flatten().any(|cell| cell.contains(ip) || cell.contains(device));
        assert!(!seen, "a raw value in the table");
    }

    let letters = logins.room.dead_letters(&pipeline);
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter["reason"] == "missing field" && letter["field"] == "user_id"));
    let places: Vec<_> = letters.iter().map(|letter| letter["source"].as_str().unwrap()).collect();
    assert!(places.iter().all(|place| place.contains("logins.jsonl")), "{places:?}");

    let (again, code) = logins.room.summary(&pipeline);
    assert_eq!((count(&again, "received"), code), (0, 0), "{again}");
    assert_eq!(schema.query("SELECT * FROM user_logins ORDER BY user_id"), before);
}

#[test]
fn md5_gives_the_rows_of_the_system_that_this_replaces() {
    let (logins, (schema, sink)) = (Logins::new(), schema());
    let pipeline = logins.pipeline("logins.yaml", STRICT, MD5, &sink);
    assert_98_and_2(&logins.room.summary(&pipeline).0);
    schema.execute("CREATE TABLE raw (line jsonb)");
    let lines: Vec<_> = logins.records().iter().map(|record| format!("('{record}')")).collect();
    schema.execute(&format!("INSERT INTO raw VALUES {}", lines.join(", ")));
    let same = schema.count(
        "SELECT count(*) FROM user_logins JOIN raw ON line->>'user_id' = user_id
         WHERE masked_ip = md5(line->>'ip') AND masked_device_id = md5(line->>'device_id')
           AND device_type = line->>'device_type' AND app_version = line->>'app_version'
           AND locale IS NOT DISTINCT FROM line->>'locale'",
    );
    assert_eq!(same, 98);
}

#[test]
fn dead_letters_wait_until_the_policy_lets_them_through() {
    let (logins, (schema, sink)) = (Logins::new(), schema());
    let strict = logins.pipeline("logins.yaml", STRICT, HMAC, &sink);
    let wide = logins.pipeline("wider.yaml", WIDE, HMAC, &sink);
    logins.room.run(&["run", &strict]).expect_code(1);

    let replay = |file: &str| {
        let finished = logins.room.run(&["dead-letters", "replay", file, "--output", "json"]);
        let summary = finished.json();
        common::assert_reconciled(&summary);
        let counts = ["received", "delivered", "dead"].map(|name| count(&summary, name));
        (counts, finished.code)
    };
    assert_eq!(replay(&strict), ([2, 0, 2], 1), "the same policy rejects them again");
    let letters = logins.room.dead_letters(&strict);
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter["times"] == 2 && letter["state"] == "waiting"), "{letters:?}");

    assert_eq!(replay(&wide), ([2, 2, 0], 0));
    assert_eq!(schema.count("SELECT count(*) FROM user_logins"), 100);
    assert!(logins.room.dead_letters(&strict).is_empty());
    assert_eq!(replay(&wide), ([0, 0, 0], 0), "nothing waits any more");
    assert_eq!(schema.count("SELECT count(*) FROM user_logins"), 100);

    let all = logins.room.run(&["dead-letters", "list", &strict, "--all", "--output", "json"]).json();
    let states: Vec<_> = all.as_array().unwrap().iter().map(|letter| letter["state"].clone()).collect();
    assert_eq!(states, ["replayed", "replayed"]);
}

#[test]
fn a_letter_is_shown_without_values_and_discarded_for_good() {
    let (logins, (schema, sink)) = (Logins::new(), schema());
    let pipeline = logins.pipeline("logins.yaml", STRICT, HMAC, &sink);
    let room = &logins.room;
    room.run(&["run", &pipeline]).expect_code(1);
    let letters = room.dead_letters(&pipeline);
    let id = letters[0]["id"].as_str().unwrap();

    for (arguments, expected) in [
        (&["dead-letters", "show", id][..], "string of 19 characters"),
        (&["dead-letters", "show", &id[..8], "--file", &pipeline, "--output", "json"], "string of 19 characters"),
        (&["dead-letters", "list"], "missing field"),
        (&["dead-letters", "list", &pipeline], "missing field"),
    ] {
        let finished = room.run(arguments);
        finished.expect_code(0);
        assert!(finished.out().contains(expected), "{finished}");
        assert!(!finished.out().contains("oops_wrong_msg_type") && !finished.out().contains("123\""), "{finished}");
    }
    let all = letters.len().to_string();
    for (limit, has_more) in [("1", true), (all.as_str(), false)] {
        let some = room.run(&["dead-letters", "list", &pipeline, "--limit", limit, "--output", "json"]);
        assert_eq!(some.expect_code(0).json().as_array().unwrap().len().to_string(), limit);
        assert_eq!(some.err().contains("--limit"), has_more, "{some}");
    }
    for (path, bytes) in common::files_below(&room.home()) {
        assert!(!contains(&bytes, "oops_wrong_msg_type"), "in clear in {}", path.display());
    }

    room.run(&["dead-letters", "discard", id]).expect_code(0);
    assert_eq!(room.dead_letters(&pipeline).len(), 1);
    let shown = room.run(&["dead-letters", "show", id]);
    assert!(shown.out().contains("erased"), "{shown}");
    room.run(&["dead-letters", "discard", "--all", "--file", &pipeline]).expect_code(0);
    assert!(room.dead_letters(&pipeline).is_empty());
    let replayed = room.run(&["dead-letters", "replay", &pipeline, "--output", "json"]);
    assert_eq!((count(&replayed.expect_code(0).json(), "received"), replayed.code), (0, 0));
    assert_eq!(schema.count("SELECT count(*) FROM user_logins"), 98);
    assert_eq!(
        sqlite_count(&room.home().join("state.db"), "SELECT count(*) FROM dead_letters WHERE sealed IS NULL"),
        2
    );
    room.run(&["dead-letters", "show", "zzzzzzzz"]).expect_code(2);
}

#[test]
fn sqlite_and_files_get_the_same_rows() {
    let logins = Logins::new();
    let room = &logins.room;
    let sinks = [
        format!("sqlite: {{ path: '{}', table: user_logins }}", room.name("logins.db")),
        format!("file: {{ path: '{}' }}", room.name("out.jsonl")),
        format!("file: {{ path: '{}', format: csv }}", room.name("out.csv")),
        format!("file: {{ path: '{}', replace: true }}", room.name("out.jsonl.gz")),
    ];
    for sink in &sinks {
        let pipeline = logins.pipeline("logins.yaml", STRICT, HMAC, sink);
        let (summary, code) = room.summary(&pipeline);
        assert_98_and_2(&summary);
        assert_eq!((code, room.dead_letters(&pipeline).len()), (1, 2), "the same two letters each time");
    }
    let database = room.path("logins.db");
    assert_eq!(sqlite_count(&database, "SELECT count(*) FROM user_logins"), 98);
    assert_eq!(sqlite_count(&database, "SELECT count(*) FROM user_logins WHERE locale IS NULL"), logins.null_locales());
    assert_eq!(sqlite_count(&database, "SELECT count(*) FROM user_logins WHERE masked_ip LIKE 'ck1.t.%'"), 98);

    let text = String::from_utf8(room.read("out.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 98);
    let rows = sqlite(&database, "SELECT user_id, masked_ip, masked_device_id FROM user_logins");
    for (line, row) in lines.iter().zip(&rows) {
        let cells = ["user_id", "masked_ip", "masked_device_id"].map(|name| line[name].as_str().map(str::to_owned));
        assert_eq!(cells[..], row[..], "the same key gives the same pseudonyms in every sink");
    }
    assert_eq!(String::from_utf8(room.read("out.csv")).unwrap().lines().count(), 99, "a header and 98 rows");

    for sink in &sinks[..3] {
        let pipeline = logins.pipeline("logins.yaml", STRICT, HMAC, sink);
        let (summary, code) = room.summary(&pipeline);
        assert_eq!((count(&summary, "received"), code), (0, 0), "{sink}");
    }
    assert_eq!(room.read("out.jsonl"), text.as_bytes());
}

#[test]
fn check_tells_what_happens_to_each_field() {
    let (logins, (_schema, sink)) = (Logins::new(), schema());
    let pipeline = logins.pipeline("logins.yaml", STRICT, HMAC, &sink);
    let checked = logins.room.run(&["check", &pipeline, "--connect", "--output", "json"]);
    let checked = checked.expect_code(0).json();
    let fields: Vec<[&str; 3]> = checked["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| ["field", "becomes", "how"].map(|name| field[name].as_str().unwrap()))
        .collect();
    let expected = [
        ["user_id", "user_id", "kept"],
        ["device_type", "device_type", "kept"],
        ["ip", "masked_ip", "hmac ip"],
        ["device_id", "masked_device_id", "hmac device"],
        ["locale", "locale", "kept"],
        ["app_version", "app_version", "kept"],
        ["create_date", "create_date", "set to the day of ingest"],
    ];
    assert_eq!(fields, expected);
    assert_eq!(checked["unlisted"], "dropped");
    assert_eq!(checked["pipeline"], "logins");
    let connections = checked["connections"].as_object().unwrap();
    assert_eq!(connections.keys().collect::<Vec<_>>(), ["source", "sink", "dead letters"]);
    assert!(connections["sink"].as_str().unwrap().contains("7 columns"), "{connections:?}");
    assert_eq!(connections["dead letters"], "0 waiting");
}
