//! System D: users from an HTTP API that fails on purpose (500, 429, half of a body) and holds one broken record,
//! under the policy of `examples/users.yaml`. All 100 arrive once; dates have one form; card, code and account are
//! encrypted and stand nowhere in the database in clear.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use common::{Room, SampleApi, Schema, contains, count, files_below, sqlite};
use serde_json::Value;

const FAULTY: &[&str] = &["--faults", "--broken-at", "7", "--count", "100"];

/// The rows as the tests look at them.
const COLUMNS: &str = "SELECT id, username, fec_alta, fec_birthday, cc, ccv, cuenta_numero, ip FROM users";

/// `examples/users.yaml` with another sink, and quick about retries.
fn example(room: &Room, sink: Option<&str>) -> String {
    let example = std::fs::read_to_string(common::root().join("examples/users.yaml")).unwrap();
    let (policy, own_sink) = example.split_once("\nsink:").expect("the example's sink comes last");
    let sink = sink.map_or_else(|| format!("sink:{own_sink}"), |sink| format!("sink: {{ {sink} }}\n"));
    room.write("users.yaml", format!("{policy}\n{sink}\nretry: {{ base_ms: 10 }}\n"))
}

/// What the API serves, as the program itself generates it.
fn raw_users(room: &Room) -> Vec<Value> {
    let input = room.run(&["sample", "users", "--count", "100"]);
    input.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn assert_100_and_1(summary: &Value) {
    let counts = ["received", "delivered", "dead", "returned"].map(|name| count(summary, name));
    assert_eq!(counts, [101, 100, 1, 0], "{summary}");
    assert_eq!(summary["dead_by_reason"]["invalid format"], 1, "{summary}");
}

fn assert_rows(rows: &[Vec<Option<String>>], raw: &[Value]) {
    assert_eq!(rows.len(), 100);
    let is_date = |text: &str| {
        let digits = |text: &str| text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }).collect();
        let shape: Vec<u8> = digits(text);
        shape == b"0000-00-00 00:00:00"
    };
    for user in raw {
        let row = rows.iter().find(|row| row[0].as_deref() == user["id"].as_str()).expect("each user has a row");
        let cell = |at: usize| row[at].as_deref().unwrap();
        assert_eq!(cell(1), user["user_name"]);
        assert!(is_date(cell(2)) && is_date(cell(3)), "{row:?}");
        if user["id"] != "1" {
            assert_eq!(cell(2)[..10], user["fec_alta"].as_str().unwrap()[..10]);
        }
        assert_eq!(cell(3)[..10], user["fec_birthday"].as_str().unwrap()[..10]);
        for (at, name) in [(4, "credit_card_num"), (5, "credit_card_ccv"), (6, "cuenta_numero")] {
            assert!(cell(at).starts_with("ck1.a."), "{name}");
            assert!(cell(at).len() > 55, "{name}");
        }
        assert!(cell(7).ends_with(".0/24"), "{row:?}");
    }
    let first = rows.iter().find(|row| row[0].as_deref() == Some("1")).unwrap();
    assert_eq!(first[2].as_deref(), Some("2022-01-11 00:00:00"), "the one date in another format");
    let mut sealed: Vec<_> = rows.iter().flat_map(|row| &row[4..7]).collect();
    sealed.sort();
    sealed.dedup();
    assert_eq!(sealed.len(), 300, "equal values give different envelopes");
}

/// Card numbers, as they arrive and without their dashes.
fn cards(raw: &[Value]) -> Vec<String> {
    let cards = raw.iter().map(|user| user["credit_card_num"].as_str().unwrap());
    cards.flat_map(|card| [card.to_owned(), card.replace('-', "")]).collect()
}

#[test]
fn users_reach_sqlite_as_the_example_has_it() {
    let mut room = Room::new();
    let api = SampleApi::start(&room, FAULTY);
    room.set("USERS_URL", &api.url);
    room.set("USERS_DB", &room.name("users.db"));
    let pipeline = example(&room, None);
    let (summary, code) = room.summary(&pipeline);
    assert_100_and_1(&summary);
    assert_eq!(code, 1);

    let raw = raw_users(&room);
    let rows = sqlite(&room.path("users.db"), COLUMNS);
    assert_rows(&rows, &raw);
    let cards = cards(&raw);
    assert!(cards.iter().all(|card| card.len() >= 11), "long enough to look for");
    room.write("raw.jsonl", room.run(&["sample", "users", "--count", "100"]).stdout);
    let planted = files_below(room.folder());
    assert!(planted.iter().any(|(_, bytes)| contains(bytes, &cards[0])), "a search that cannot find proves nothing");
    for (path, bytes) in planted.iter().filter(|(path, _)| !path.ends_with("raw.jsonl")) {
        let found = cards.iter().find(|card| contains(bytes, card));
        assert!(found.is_none(), "a card number in clear in {}", path.display());
    }

    let letters = room.dead_letters(&pipeline);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["reason"], "invalid format");

    let (again, code) = room.summary(&pipeline);
    assert_eq!(sqlite(&room.path("users.db"), "SELECT count(*) FROM users"), [[Some("100".to_owned())]], "{again}");
    assert_eq!(room.dead_letters(&pipeline).len(), 1, "the same letter, not another one");
    assert_eq!((count(&again, "delivered"), count(&again, "duplicate"), code), (0, 100, 1), "{again}");
}

#[test]
fn users_reach_postgres_under_the_same_policy() {
    let mut room = Room::new();
    let schema = Schema::new();
    let api = SampleApi::start(&room, FAULTY);
    room.set("USERS_URL", &api.url);
    room.set("DATABASE_URL", &schema.url);
    let sink = "postgres: { url: '${DATABASE_URL}', table: users, create_table: true, key: id }";
    let pipeline = example(&room, Some(sink));
    let (summary, code) = room.summary(&pipeline);
    assert_100_and_1(&summary);
    assert_eq!(code, 1);
    let raw = raw_users(&room);
    assert_rows(&schema.query(COLUMNS), &raw);
    let dump = schema.query("SELECT string_agg(users::text, ' ') FROM users")[0][0].clone().unwrap();
    for card in cards(&raw) {
        assert!(!dump.contains(&card), "a card number in clear");
    }
    room.summary(&pipeline);
    assert_eq!(schema.count("SELECT count(*) FROM users"), 100, "the second run adds no row");
    assert_eq!(schema.count("SELECT count(DISTINCT id) FROM users"), 100);
}

#[test]
fn all_ways_of_paging_bring_the_same_users() {
    let room = Room::new();
    let api = SampleApi::start(&room, &["--count", "60", "--faults", "--token", "t0ken-for-the-test"]);
    for (name, path, more) in [
        ("whole", "", ""),
        ("page", "", ", pagination: { page: { size_parameter: limit, size: 25 } }"),
        (
            "cursor",
            "/cursor",
            ", items: data.items, pagination: { cursor: { next: meta.next_cursor, size_parameter: limit, size: 7 } }",
        ),
        ("link", "/link", ", pagination: link"),
    ] {
        let output = room.name(&format!("{name}.jsonl"));
        let pipeline = room.write(
            "paging.yaml",
            format!(
                "name: {name}
source: {{ http: {{ url: '{}{path}', auth: {{ bearer: t0ken-for-the-test }}{more} }} }}
retry: {{ base_ms: 10 }}
sink: {{ file: {{ path: '{output}', replace: true }} }}
",
                api.url
            ),
        );
        let (summary, code) = room.summary(&pipeline);
        assert_eq!((count(&summary, "delivered"), code), (60, 0), "{name}: {summary}");
        let raw = room.run(&["sample", "users", "--count", "60"]).out();
        let ids = |text: &str| -> Vec<Value> {
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect()
        };
        assert_eq!(ids(&String::from_utf8(room.read(&format!("{name}.jsonl"))).unwrap()), ids(&raw), "{name}");
    }
    let pipeline = room.write(
        "denied.yaml",
        format!(
            "source: {{ http: {{ url: '{}', auth: {{ bearer: wrong-t0ken }} }} }}\nsink: {{ file: {{ path: '-' }} }}\n",
            api.url
        ),
    );
    let denied = room.run(&["run", &pipeline]);
    assert!(denied.expect_code(4).err().contains("401") && !denied.err().contains("wrong-t0ken"), "{denied}");
    assert!(denied.stdout.is_empty(), "{denied}");
}
