//! The file and the table: made, checked, widened.

use std::path::Path;

use super::*;

fn files(folder: &Path) -> Vec<String> {
    folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_new_table_has_the_policys_columns() {
    let fields = [
        ("id", required(FieldType::String)),
        ("on", field(FieldType::Date)),
        ("count", field(FieldType::Integer)),
        ("price", field(FieldType::Number)),
        ("active", field(FieldType::Boolean)),
        ("tags", field(FieldType::Array)),
        ("odd", FieldConfig { rename: Some("odd \"name\"".to_owned().into()), ..FieldConfig::default() }),
    ];
    let bench = Bench::new().with("key", json!(["id", "on"])).policy(policy(Unlisted::Drop, &fields));
    let mut sink = bench.build().unwrap();
    assert!(sink.check().await.unwrap().ends_with("the file will be created, with table rows"));
    assert_eq!(bench.folder.path().read_dir().unwrap().count(), 0, "a check makes nothing");
    sink.open().await.unwrap();
    assert_eq!(
        bench.schema(),
        "CREATE TABLE \"rows\" (\"id\" TEXT NOT NULL, \"on\" TEXT, \"count\" ANY, \"price\" ANY, \
         \"active\" INTEGER, \"tags\" TEXT, \"odd \"\"name\"\"\" ANY, PRIMARY KEY (\"id\", \"on\")) STRICT"
    );
    let row = r#"{"id":"a","on":"2024-02-29","active":true,"tags":["x",1.10],"odd \"name\"":null}"#;
    assert_eq!(put(&mut sink, at("1"), &[row]).await, ["delivered"]);
    assert_eq!(bench.values("active AS v FROM rows"), ["1"]);
    assert_eq!(bench.values("tags AS v FROM rows"), [r#"'["x",1.10]'"#]);
    assert!(sink.check().await.unwrap().ends_with("table rows: 7 columns, fits"));
    sink.close().await.unwrap();
    assert_eq!(files(bench.folder.path()), ["out.db"], "the log is in the database file");
    assert!(bench.build().unwrap().check().await.unwrap().ends_with("fits"));
    assert_eq!(files(bench.folder.path()), ["out.db"], "a check leaves nothing behind");
}

#[tokio::test]
async fn awkward_file_names_are_file_names() {
    let mut bench = Bench::new();
    for name in ["file:a?mode=memory", "100%41 é#.db"] {
        bench.config["path"] = json!(bench.folder.path().join(name));
        let mut sink = bench.open().await;
        put(&mut sink, at("1"), &[r#"{"a":1}"#]).await;
        assert!(sink.check().await.unwrap().ends_with("fits"));
        sink.close().await.unwrap();
        assert!(sink.check().await.unwrap().ends_with("fits"));
        assert!(bench.folder.path().join(name).exists());
    }
    assert_eq!(files(bench.folder.path()).len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_a_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let mut sink = bench.open().await;
    put(&mut sink, at("1"), &[r#"{"a":1}"#]).await;
    for file in files(bench.folder.path()) {
        let mode = bench.folder.path().join(&file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn an_existing_table_must_fit() {
    let fields = [("id", field(FieldType::String)), ("e_mail", field(FieldType::String))];
    let named = || policy(Unlisted::Drop, &fields);
    let table = |sql: &str| Bench::existing(sql).policy(named());
    for (bench, expected) in [
        (table("CREATE TABLE other (id)"), "there is no table rows; make it, or set `create_table: true`"),
        (table("CREATE TABLE rows (id, email)"), "no column `e_mail`; did you mean `email`?"),
        (
            table("CREATE TABLE rows (id, email)").with("create_table", json!(true)),
            "no column `e_mail`; did you mean `email`?",
        ),
        (table("CREATE TABLE rows (id, e_mail AS (id || '@'))"), "column `e_mail` of table rows is computed"),
        (table("CREATE VIEW rows AS SELECT 1 AS id, 2 AS e_mail"), "`rows` is a view, not a table"),
        (
            table("CREATE TABLE rows (id, e_mail, note NOT NULL)"),
            "column `note` of table rows must not be null and has no default, and no field of the policy fills it",
        ),
        (
            table("CREATE TABLE rows (id, e_mail)").with("key", json!("id")),
            "no primary key or unique index on exactly `key`: id",
        ),
        (
            table("CREATE TABLE rows (id, e_mail, UNIQUE (id, e_mail))").with("key", json!("id")),
            "no primary key or unique index on exactly `key`: id",
        ),
        (
            table("CREATE TABLE rows (id, e_mail); CREATE UNIQUE INDEX part ON rows (id) WHERE id > 1")
                .with("key", json!("id")),
            "no primary key or unique index on exactly `key`: id",
        ),
        (Bench::new().with("key", json!("ids")).policy(named()), "no record of this policy has; did you mean `id`?"),
        (Bench::new().with("key", json!([])), "`key` must name at least one column"),
        (Bench::new().with("key", json!(["a", "A"])), "`key` names `A` twice"),
        (Bench::new().with("table", json!("main.rows")), "`table` must be a plain name"),
        (Bench::new().with("table", json!("cloakroom_ledger")), "names like cloakroom_ledger are reserved"),
        (Bench::new().with("path", json!(":memory:")), "`path` must name a file"),
        (Bench::new().with("create_table", json!(false)), "there is no such file"),
    ] {
        let message = bench.refused().await;
        assert!(message.starts_with("sqlite") && message.contains(expected), "{message}");
    }
    let twice = [("a", field(FieldType::String)), ("A", field(FieldType::String))];
    let message = Bench::new().policy(policy(Unlisted::Keep, &twice)).refused().await;
    assert!(message.contains("`a` and `A` are the same column"), "{message}");

    let fitting = table(
        "CREATE TABLE rows (n INTEGER PRIMARY KEY NOT NULL, ID, E_MAIL, made TEXT NOT NULL DEFAULT 'now',
         UNIQUE (e_mail, id))",
    )
    .with("key", json!(["id", "e_mail"]));
    let mut sink = fitting.open().await;
    assert!(sink.check().await.unwrap().ends_with("table rows: 4 columns, fits"));
    assert_eq!(put(&mut sink, at("1"), &[r#"{"id":"1","e_mail":"x"}"#]).await, ["delivered"]);
}

#[tokio::test]
async fn no_other_file_is_taken_for_a_database() {
    let bench = Bench::new();
    std::fs::write(bench.path(), CANARY.repeat(300)).unwrap();
    let message = bench.refused().await;
    assert!(message.ends_with("the file is not an SQLite database") && !message.contains(CANARY), "{message}");
}

#[tokio::test]
async fn columns_are_added_for_fields_that_the_policy_does_not_name() {
    let bench = Bench::existing("CREATE TABLE rows (a TEXT)").with("create_table", json!(true));
    let mut sink = bench.open().await;
    let rows = [
        r#"{"a":"1","b;\"":"007"}"#,
        r#"{"A":"2","B;\"":1.5}"#,
        r#"{"c":1,"C":2}"#,
        r#"{"":1}"#,
        r#"{"x\u0000":1}"#,
        "{}",
    ];
    let conflict = "name conflict: C (SQLite ignores the case of column names)";
    let no_name = |shown: &str| format!("unknown column: {shown} (no column can have such a name)");
    let expected = ["delivered", "delivered", conflict, &no_name(""), &no_name("?"), "delivered"];
    assert_eq!(put(&mut sink, at("1"), &rows).await, expected);
    assert_eq!(bench.schema(), "CREATE TABLE rows (a TEXT, \"b;\"\"\")");
    assert_eq!(bench.values("\"b;\"\"\" AS v FROM rows"), ["'007'", "1.5", "NULL"]);

    // Not committed: the column goes with the batch. Added by somebody else: it is used.
    sink.write(&batch(at("2"), &[r#"{"d":1}"#])).await.unwrap();
    sink.write(&batch(at("2"), &[r#"{"a":"3"}"#])).await.unwrap();
    sink.commit().await.unwrap();
    assert!(!bench.schema().contains("\"d\""));
    bench.sql("ALTER TABLE rows ADD COLUMN D INTEGER");
    assert_eq!(put(&mut sink, at("3"), &[r#"{"d":4}"#]).await, ["delivered"]);

    let wide = |count: usize| {
        let members: Vec<String> = (0..count).map(|index| format!("\"w{index}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    let outcomes = put(&mut sink, at("4"), &[&wide(498), &wide(497), r#"{"w1":1,"one_more":1}"#]).await;
    let too_many = |name: &str| format!("unknown column: {name} (the table would have more than 500 columns)");
    assert_eq!(outcomes, [too_many("w497"), "delivered".to_owned(), too_many("one_more")]);
}

#[tokio::test]
async fn an_empty_record_makes_no_table() {
    let bench = Bench::new();
    let mut sink = bench.open().await;
    let outcomes = put(&mut sink, at("1"), &["{}", r#"{"a":1}"#, "{}"]).await;
    assert_eq!(outcomes[0], "unknown column (the record has no field to make a table of)");
    assert_eq!(outcomes[1..], ["delivered", "delivered"]);
    assert!(sink.check().await.unwrap().ends_with("table rows: 1 columns, fits"));
}

#[test]
fn the_configuration_is_strict_and_has_a_schema() {
    let read = |config: Value| serde_json::from_value::<Config>(config);
    let config = read(json!({ "path": "x", "table": "t", "key": "id" })).unwrap();
    assert_eq!(config.key.as_deref(), Some(&["id".to_owned()][..]));
    assert!(config.create_table && config.ledger_days == 90);
    assert_eq!(read(json!({ "path": "x", "table": "t", "key": ["a", "b"] })).unwrap().key.unwrap().len(), 2);
    assert!(read(json!({ "path": "x", "table": "t" })).unwrap().key.is_none());
    let error = read(json!({ "path": "x", "table": "t", "key": 7 })).unwrap_err().to_string();
    assert!(error.contains("a column's name or a list of names"), "{error}");
    assert!(read(json!({ "path": "x", "table": "t", "keys": "a" })).is_err());
    let schema = serde_json::to_string(&schemars::schema_for!(Config)).unwrap();
    assert!(schema.contains("ledger_days") && schema.contains("A single column"), "{schema}");
}
