//! Users into real OpenSearch and Elasticsearch nodes by the example, found by their clear fields and seen again on record.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::{Room, contains, count, root};
use serde_json::Value;

/// The body of an answer of a node.
fn ask(server: &str, path: &str) -> Value {
    request(server, "GET", path, "")
}

/// Plain HTTP to this machine, one request for a connection.
fn request(server: &str, method: &str, path: &str, body: &str) -> Value {
    let address = server.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let about = format!("Host: {address}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
    write!(stream, "{method} {path} HTTP/1.0\r\n{about}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The address of a kind of server; OpenSearch 3 is only there where there is a Java for it.
fn server_of(kind: &str) -> Option<String> {
    let variable = format!("CLOAKROOM_TEST_{kind}_URL");
    match std::env::var(&variable) {
        Ok(url) => Some(url),
        Err(_) if kind == "OPENSEARCH3" => {
            eprintln!("not run: {variable}; run the tests with `make test`, which need a JDK of version 21 for it");
            None
        }
        Err(_) => panic!("{variable}; run the tests with `make test`"),
    }
}

#[test]
fn what_an_ingest_pipeline_drops_is_counted_as_filtered() {
    for server in ["OPENSEARCH", "ELASTICSEARCH", "OPENSEARCH3"] {
        let Some(url) = server_of(server) else { continue };
        let index = format!("dropped-{}", std::process::id());
        let done = request(&url, "PUT", &format!("/_ingest/pipeline/{index}"), r#"{"processors":[{"drop":{}}]}"#);
        assert_eq!(done["acknowledged"], true, "{server}: {done}");
        let settings = format!(r#"{{"settings":{{"index.default_pipeline":"{index}"}}}}"#);
        assert_eq!(request(&url, "PUT", &format!("/{index}"), &settings)["acknowledged"], true, "{server}");
        let (room, pipeline) = hundred_users(&url, &index);
        let (summary, code) = room.summary(&pipeline);
        let counts = ["received", "filtered", "delivered", "dead"].map(|name| count(&summary, name));
        assert_eq!((counts, code), ([100, 100, 0, 0], 0), "{server}: {summary}");
        assert_eq!(ask(&url, &format!("/{index}/_count"))["count"], 0, "{server}");
        request(&url, "DELETE", &format!("/{index}"), "");
        request(&url, "DELETE", &format!("/_ingest/pipeline/{index}"), "");
    }
}

/// The example with a hundred users of its own, for an index of this test's.
fn hundred_users(url: &str, index: &str) -> (Room, String) {
    let mut room = Room::new();
    room.set("OPENSEARCH_URL", url);
    let users = room.sample("users.jsonl", &["users", "--count", "100"]);
    room.set("USERS_FILE", &users);
    let example = std::fs::read_to_string(root().join("examples/users-opensearch.yaml")).unwrap();
    let pipeline = room.write("users.yaml", example.replace("index: user\n", &format!("index: {index}\n")));
    (room, pipeline)
}

#[test]
fn users_are_searched_by_what_is_clear_and_by_nothing_else() {
    for server in ["OPENSEARCH", "ELASTICSEARCH", "OPENSEARCH3"] {
        let Some(url) = server_of(server) else { continue };
        let index = format!("user-{}", std::process::id());
        let (room, pipeline) = hundred_users(&url, &index);
        let (summary, code) = room.summary(&pipeline);
        assert_eq!((count(&summary, "delivered"), code), (100, 0), "{server}: {summary}");
        let (again, code) = room.summary(&pipeline);
        assert_eq!((count(&again, "received"), code), (0, 0), "{server}: {again}");

        let all = ask(&url, &format!("/{index}/_search?size=1000"));
        let hits = all["hits"]["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 100, "{server}");
        assert!(hits.iter().all(|hit| hit["_id"] == hit["_source"]["id"]));
        let first: Value =
            serde_json::from_str(std::str::from_utf8(&room.read("users.jsonl")).unwrap().lines().next().unwrap())
                .unwrap();
        let stored = all.to_string();
        for line in std::str::from_utf8(&room.read("users.jsonl")).unwrap().lines() {
            let user: Value = serde_json::from_str(line).unwrap();
            assert!(!contains(stored.as_bytes(), user["credit_card_num"].as_str().unwrap()), "{server}");
        }
        let (name, colour) = (first["user_name"].as_str().unwrap(), first["color_favorito"].as_str().unwrap());
        let found = ask(&url, &format!("/{index}/_search?q=color_favorito:{colour}"));
        assert!(found["hits"]["total"]["value"].as_u64().unwrap() > 0, "{server}");
        let envelope = hits[0]["_source"]["cc"].as_str().unwrap();
        let closed = ask(&url, &format!("/{index}/_search?q=cc:%22{envelope}%22"));
        assert!(closed["error"].is_object() || closed["hits"]["total"]["value"] == 0, "{server}: {closed}");

        let card = first["credit_card_num"].as_str().unwrap();
        for search in [["--subject", name], ["--record", &format!("credit_card_num={card}")]] {
            let more = ["--purpose", "support", "--reason", "a test"];
            let revealed = room.run(&[&["reveal", "--policy", &pipeline], &search[..], &more].concat());
            let shown = revealed.expect_code(0).json();
            assert_eq!(shown["username"], name, "{server}");
            let masked = shown["cc"].as_str().unwrap();
            assert!(masked.starts_with('*') && masked.ends_with(&card[card.len() - 4..]), "{server}");
        }
        let refused = [
            "reveal",
            "--policy",
            &pipeline,
            "--subject",
            name,
            "--purpose",
            "support",
            "--reason",
            "r",
            "--level",
            "full",
        ];
        assert!(!room.run(&refused).expect_code(4).out().contains(card));
    }
}
