//! The sample logins into SQLite, PostgreSQL and OpenSearch at once: all have the same records, what one refuses is in
//! none, and a dead letter that is replayed reaches all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::{Room, Schema, count, root, sqlite_count};
use serde_json::Value;

/// The body of an answer of a node: plain HTTP to this machine, one request for a connection.
fn ask(server: &str, path: &str) -> Value {
    let address = server.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The example, whose PostgreSQL table takes no version of more than five characters.
#[test]
fn logins_reach_three_sinks_or_none_and_letters_that_are_replayed_reach_all() {
    let server = std::env::var("CLOAKROOM_TEST_OPENSEARCH_URL").expect("run the tests with `make test`");
    let index = format!("fan-out-{}", std::process::id());
    let schema = Schema::new();
    schema.execute(
        "CREATE TABLE user_logins (user_id varchar(128), masked_ip varchar(256),
             app_version varchar(10) CONSTRAINT short CHECK (length(app_version) <= 5))",
    );
    let mut room = Room::new();
    let input = room.sample("logins.jsonl", &["logins", "--count", "1000", "--wrong-shape"]);
    room.set("LOGINS_FILE", &input);
    room.set("DATABASE_URL", &schema.url);
    room.set("OPENSEARCH_URL", &server);
    let example = std::fs::read_to_string(root().join("examples/logins-fan-out.yaml")).unwrap();
    assert!(example.contains("index: user-logins\n") && example.contains("create_table: true\n"));
    let example = example.replace("index: user-logins\n", &format!("index: {index}\n"));
    // The PostgreSQL table is the test's.
    let pipeline = room.write("logins.yaml", example.replace("create_table: true\n", "create_table: false\n"));
    let counts = || {
        let postgres = schema.count("SELECT count(DISTINCT user_id) FROM user_logins");
        assert_eq!(schema.count("SELECT count(*) FROM user_logins"), postgres);
        let file = room.path("logins.db");
        let sqlite = sqlite_count(&file, "SELECT count(DISTINCT user_id) FROM user_logins");
        assert_eq!(sqlite_count(&file, "SELECT count(*) FROM user_logins"), sqlite);
        [postgres, sqlite, ask(&server, &format!("/{index}/_count"))["count"].as_u64().unwrap()]
    };

    let checked = room.run(&["check", &pipeline, "--connect"]);
    checked.expect_code(0);
    assert!(checked.out().contains("sqlite user_logins: "), "{checked}");
    let (summary, code) = room.summary(&pipeline);
    let (delivered, refused) = (count(&summary, "delivered"), count(&summary, "dead") - 20);
    assert_eq!((count(&summary, "received"), code), (1000, 1), "{summary}");
    assert_eq!((delivered + refused, summary["dead_by_reason"]["missing field"].as_u64()), (980, Some(20)));
    assert!(refused > 50, "the sample has longer versions: {summary}");
    assert_eq!(counts(), [delivered; 3]);
    let letters = room.dead_letters(&pipeline);
    let at_sink: Vec<_> = letters.iter().filter(|letter| letter["reason"] != "missing field").collect();
    assert_eq!(at_sink.len() as u64, refused);
    let names_it = |letter: &&Value| letter["detail"].as_str().unwrap().starts_with("postgres user_logins: ");
    assert!(at_sink.iter().all(names_it), "{}", at_sink[0]);

    let (again, code) = room.summary(&pipeline);
    assert_eq!((count(&again, "received"), code), (0, 0), "{again}");

    schema.execute("ALTER TABLE user_logins DROP CONSTRAINT short");
    let replayed = room.run(&["dead-letters", "replay", &pipeline, "--output", "json"]);
    let replayed = replayed.expect_code(1).json();
    assert_eq!((count(&replayed, "delivered"), count(&replayed, "dead")), (refused, 20), "{replayed}");
    assert_eq!(counts(), [980; 3]);
    assert_eq!(room.dead_letters(&pipeline).len(), 20);
}

#[test]
fn lists_that_make_no_sense_are_refused() {
    let room = Room::new();
    let file = |name: &str| format!("{{ file: {{ path: '{name}' }} }}");
    let sqlite = |path: &str, table: &str| format!("{{ sqlite: {{ path: {path}, table: {table} }} }}");
    let nine = vec![file("x"); 9].join(", ");
    let nested = format!("{}, {{ fan_out: [{}, {}] }}", file("x"), file("y"), file("z"));
    let replaced = format!("{}, {{ file: {{ path: y, replace: true }} }}", file("x"));
    for (list, expected) in [
        (file("x"), "takes two to eight sinks"),
        (nine, "takes two to eight sinks"),
        (nested, "does not stand in `fan_out`"),
        (format!("{}, {}", file("x"), file("-")), "it does not remember what it was given"),
        (replaced, "it does not remember what it was given"),
        (format!("{}, {}", file("x"), file("./x")), "write to the same place"),
        (format!("{}, {}", sqlite("x.db", "a"), sqlite("x.db", "b")), "give each a file of its own"),
        (format!("{}, {}", file("x"), sqlite("home/state.db", "a")), "are the same file"),
    ] {
        room.write("input.jsonl", "{\"id\":1}\n");
        let text = format!("source: {{ file: {{ path: input.jsonl }} }}\nsink: {{ fan_out: [{list}] }}\n");
        let run = room.run(&["run", &room.write("p.yaml", &text)]);
        assert!(run.expect_code(2).err().contains(expected), "{run}");
    }
}
