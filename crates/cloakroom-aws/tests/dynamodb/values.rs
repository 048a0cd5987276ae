//! What records become, and which are refused.

use cloakroom_core::{RecordErrorKind as Kind, Value as CoreValue};
use cloakroom_pipeline::contract;
use cloakroom_pipeline::error::ErrorKind;
use cloakroom_pipeline::sink::RowOutcome;
use serde_json::json;

use super::{Table, batch, count, dead, policy, records};

#[tokio::test]
async fn it_keeps_the_contract_of_sinks() {
    contract::sink(&Table::new()).await;
}

#[tokio::test]
async fn values_keep_their_type_and_their_last_digit() {
    let table = Table::new();
    let mut sink = table.open("").await;
    let digits = "12345678901234567890123456789012345678";
    let lines = [
        format!(r#"{{"id":"a","long":{digits},"large":1e125,"small":-1.5e-130,"money":0.10,"zero":-0.0}}"#),
        r#"{"id":"b","text":"10","empty":"","yes":true,"no":false,"none":null,"list":[1,"1",[]],"map":{"x":{"y":-2.50}}}"#
            .to_owned(),
        format!(r#"{{"id":"c","n":{digits}9}}"#),
        r#"{"id":"d","n":1e126}"#.to_owned(),
        r#"{"id":"e","n":[{"deep":1e-131}]}"#.to_owned(),
        r#"{"id":"f","":1}"#.to_owned(),
        r#"{"id":"g","m":{"":1}}"#.to_owned(),
    ];
    let outcomes = sink.write(&batch(&records(lines))).await.unwrap();
    let refused = [
        (2, Kind::Unrepresentable),
        (3, Kind::Unrepresentable),
        (4, Kind::Unrepresentable),
        (5, Kind::UnknownColumn),
        (6, Kind::UnknownColumn),
    ];
    assert_eq!(dead(&outcomes), refused, "{outcomes:?}");
    assert!(!format!("{outcomes:?}").contains("12345678"), "no value in an error");
    sink.commit().await.unwrap();
    let a = table.item(json!({ "id": { "S": "a" } })).await;
    assert_eq!(a["long"], json!({ "N": digits }));
    assert_eq!(a["large"], json!({ "N": format!("1{}", "0".repeat(125)) }));
    assert_eq!(a["small"], json!({ "N": format!("-0.{}15", "0".repeat(129)) }));
    assert_eq!((&a["money"], &a["zero"]), (&json!({ "N": "0.1" }), &json!({ "N": "0" })));
    let b = table.item(json!({ "id": { "S": "b" } })).await;
    let expected = json!({
        "id": { "S": "b" }, "text": { "S": "10" }, "empty": { "S": "" }, "yes": { "BOOL": true }, "no": { "BOOL": false },
        "none": { "NULL": true }, "list": { "L": [{ "N": "1" }, { "S": "1" }, { "L": [] }] },
        "map": { "M": { "x": { "M": { "y": { "N": "-2.5" } } } } },
    });
    assert_eq!(b, expected);
    // And back.
    let found = sink.find("id", &[CoreValue::string("a")], 10).await.unwrap();
    assert_eq!(found.len(), 1);
    let number = |name: &str| match found[0].get(name) {
        Some(CoreValue::Number(number)) => number.as_str().to_owned(),
        _ => panic!("{name} is no number"),
    };
    assert_eq!((number("long"), number("money")), (digits.to_owned(), "0.1".to_owned()));
}

#[tokio::test]
async fn keys_must_have_values_that_fit() {
    let table = Table::made(&[("user", "S"), ("at", "N")]).await;
    let mut sink = table.build("", &policy("{}")).unwrap();
    let said = sink.check().await.unwrap();
    assert!(said.contains("key user (string) and at (number), on demand"), "{said}");
    sink.open().await.unwrap();
    let line = |user: &str, at: &str| format!(r#"{{"user":{user},"at":{at}}}"#);
    let quoted = |length: usize| format!("\"{}\"", "k".repeat(length));
    let lines = [
        line("\"jo\"", "1"),
        line("\"jo\"", "2"),
        line("\"\"", "1"),
        line("null", "1"),
        line("7", "1"),
        line("\"jo\"", "\"1\""),
        line(&quoted(2048), "1"),
        line(&quoted(2049), "1"),
        r#"{"user":"jo"}"#.to_owned(),
        r#"{"at":1}"#.to_owned(),
        line("\"jo\"", "1e200"),
    ];
    let outcomes = sink.write(&batch(&records(lines))).await.unwrap();
    let refused = [
        (2, Kind::MissingField),
        (3, Kind::MissingField),
        (4, Kind::WrongType),
        (5, Kind::WrongType),
        (7, Kind::TooLong),
        (8, Kind::MissingField),
        (9, Kind::MissingField),
        (10, Kind::Unrepresentable),
    ];
    assert_eq!(dead(&outcomes), refused, "{outcomes:?}");
    assert_eq!(table.items().await, 3);
    let said = format!("{:?}", outcomes[7]);
    assert!(said.contains("user") && said.contains("at most 2048 bytes"), "{said}");
    // All that one partition key has, and what a filter finds.
    let jo = [CoreValue::string("jo")];
    assert_eq!(sink.find("user", &jo, 10).await.unwrap().len(), 2);
    let twice = [CoreValue::string("jo"), CoreValue::string("jo")];
    assert_eq!(sink.find("user", &twice, 10).await.unwrap().len(), 2, "each once");
    assert_eq!(sink.find("user", &jo, 1).await.unwrap().len(), 1);
    assert_eq!(sink.find("at", &[CoreValue::string("1")], 10).await.unwrap().len(), 2);
    assert!(sink.find("at", &[CoreValue::string("x")], 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn equal_numbers_are_one_key() {
    let table = Table::made(&[("n", "N")]).await;
    let mut sink = table.build("", &policy("n: { type: number }")).unwrap();
    sink.open().await.unwrap();
    let lines = ["1", "1.0", "10e-1", "-0", "0", "0.00", "2"].iter().enumerate();
    let records = records(lines.map(|(at, n)| format!(r#"{{"n":{n},"at":{at}}}"#)));
    let outcomes = sink.write(&batch(&records)).await.unwrap();
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 7, "{outcomes:?}");
    assert_eq!(table.items().await, 3);
    for (key, last) in [("1", "2"), ("0", "5"), ("2", "6")] {
        assert_eq!(table.item(json!({ "n": { "N": key } })).await["at"]["N"], last, "the last one wins");
    }
    assert_eq!(sink.find("n", &[CoreValue::string("1.000")], 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn items_that_are_too_large_or_too_deep_cost_only_themselves() {
    let table = Table::new();
    let mut sink = table.open("").await;
    // The largest that DynamoDB takes: `id`, `x`, `text` and 409,593 letters.
    let text = |bytes: usize| format!(r#"{{"id":"x","text":"{}"}}"#, "a".repeat(bytes));
    let nested = |depth: usize| format!(r#"{{"id":"d{depth}","v":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let lines = [
        r#"{"id":"before","n":1}"#.to_owned(),
        text(409_594),
        text(409_593),
        nested(31),
        nested(32),
        nested(33),
        r#"{"id":"after","n":2}"#.to_owned(),
    ];
    let outcomes = sink.write(&batch(&records(lines))).await.unwrap();
    // 32 arrays: what the documentation says is possible, DynamoDB Local refuses. So it is asked.
    assert_eq!(dead(&outcomes), [(1, Kind::TooLarge), (4, Kind::Database), (5, Kind::TooDeep)], "{outcomes:?}");
    assert_eq!(table.items().await, 4);
    // 30 items of nearly the greatest size, in characters that JSON writes as six: requests stay below 16 MB.
    let large = (0..30).map(|n| format!(r#"{{"id":"large-{n}","text":"{}"}}"#, "\\u0001".repeat(409_000)));
    let outcomes = sink.write(&batch(&records(large))).await.unwrap();
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 30);
    assert_eq!(table.items().await, 34);
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_refused_before_the_first_record() {
    let table = Table::made(&[("id", "S")]).await;
    let refused = async |more: &str, fields: &str| {
        let mut sink = match table.build(more, &policy(fields)) {
            Ok(sink) => sink,
            Err(error) => return error.message,
        };
        let error = sink.open().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        assert_eq!(sink.check().await.unwrap_err().message, error.message);
        error.message
    };
    let said = refused("key: user_id", "{}").await;
    assert!(
        said.contains("`key` says `user_id`, and the partition key of table") && said.contains("is `id`"),
        "{said}"
    );
    assert!(refused("sort_key: at", "{}").await.contains("has no sort key"));
    let said = refused("", "id: { type: integer }").await;
    assert!(said.contains("of type string, and the policy makes it a number"), "{said}");
    assert!(refused("key: id", "id: { protect: drop }").await.contains("`id` is in no record of this policy"));
    assert!(refused("create_table: true", "{}").await.contains("`create_table` needs `key`"));
    assert!(refused("key: id\nsort_key: id", "{}").await.contains("two fields"));
    assert!(refused("concurrency: 0", "{}").await.contains("`concurrency`"));
    assert!(
        refused("key: id\ncreate_table: true", "id: { type: boolean }").await.contains("a key is a string or a number")
    );

    let missing = Table::new();
    let mut sink = missing.build("key: id", &policy("{}")).unwrap();
    let error = sink.open().await.unwrap_err();
    assert!(error.kind == ErrorKind::Configuration && error.message.contains("there is no table"), "{error}");
    let mut sink =
        missing.build("key: n\nsort_key: day\ncreate_table: true", &policy("n: { type: integer }\nday: {}")).unwrap();
    assert!(sink.check().await.unwrap().contains("will be made, key n"));
    sink.open().await.unwrap();
    let said = sink.check().await.unwrap();
    assert!(said.contains("key n (number) and day (string), on demand"), "{said}");

    let binary = Table::made(&[("id", "B")]).await;
    let error = binary.build("", &policy("{}")).unwrap().open().await.unwrap_err();
    assert!(error.message.contains("records hold no bytes"), "{error}");
}
