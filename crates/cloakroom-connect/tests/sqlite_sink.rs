//! The SQLite sink: the contract of sinks, and what is SQLite's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_connect::context::SinkContext;
use cloakroom_connect::sinks::sqlite::{Config, build};
use cloakroom_core::located::OrderedMap;
use cloakroom_core::policy::{FieldConfig, FieldType, RecordConfig, Unlisted};
use cloakroom_core::{Place, Policy, PolicyConfig, RecordErrorKind, RecordId};
use cloakroom_pipeline::contract::{self, SinkUnderTest, record};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::{RowOutcome, Sink, SinkBatch};
use cloakroom_pipeline::source::Progress;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Stands in every value that must not show.
const CANARY: &str = "c4n4ry";

/// A folder with a database, and how the sink is configured.
struct Bench {
    folder: TempDir,
    config: Value,
    policy: Arc<Policy>,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let config = json!({ "path": folder.path().join("out.db"), "table": "rows" });
        Self { folder, config, policy: policy(Unlisted::Keep, &[]) }
    }

    /// With a table of the user's, which the sink may not change.
    fn existing(sql: &str) -> Self {
        let bench = Self::new().with("create_table", json!(false));
        bench.sql(sql);
        bench
    }

    fn with(mut self, option: &str, value: Value) -> Self {
        self.config[option] = value;
        self
    }

    fn policy(mut self, policy: Arc<Policy>) -> Self {
        self.policy = policy;
        self
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("out.db")
    }

    fn build(&self) -> Result<Box<dyn Sink>, ConnectorError> {
        let config: Config = serde_json::from_value(self.config.clone()).unwrap();
        build(&config, &SinkContext { pipeline: "p".to_owned(), policy: Arc::clone(&self.policy) })
    }

    async fn open(&self) -> Box<dyn Sink> {
        let mut sink = self.build().unwrap();
        sink.open().await.unwrap();
        sink
    }

    /// The error that building, checking and opening agree on.
    async fn refused(&self) -> String {
        let mut sink = match self.build() {
            Ok(sink) => sink,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
                return error.message;
            }
        };
        let (opened, checked) = (sink.open().await.unwrap_err(), sink.check().await.unwrap_err());
        assert_eq!(opened.kind, ErrorKind::Configuration, "{opened}");
        assert_eq!(opened.message, checked.message);
        opened.message
    }

    fn database(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn sql(&self, sql: &str) {
        self.database().execute_batch(sql).unwrap();
    }

    /// Every value of the query's first column as SQL would write it: `1`, `1.5`, `'1.5'`, `NULL`.
    fn values(&self, query: &str) -> Vec<String> {
        let database = self.database();
        let mut statement = database.prepare(&format!("SELECT quote(v) FROM (SELECT {query})")).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn schema(&self) -> String {
        let read = |row: &rusqlite::Row<'_>| row.get(0);
        self.database().query_row("SELECT sql FROM sqlite_schema WHERE name = 'rows'", [], read).unwrap()
    }
}

#[async_trait]
impl SinkUnderTest for Bench {
    async fn make(&self) -> Box<dyn Sink> {
        self.build().unwrap()
    }

    async fn count(&self) -> usize {
        let count: i64 = self.database().query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap_or(0);
        count.try_into().unwrap()
    }

    fn bad(&self) -> Option<String> {
        Some(format!("{{\"id\":\"{CANARY}\",\"n\":-1,\"more\":1}}"))
    }
}

fn field(field_type: FieldType) -> FieldConfig {
    FieldConfig { field_type: Some(field_type), ..FieldConfig::default() }
}

fn required(field_type: FieldType) -> FieldConfig {
    FieldConfig { required: true, nullable: Some(false), ..field(field_type) }
}

fn policy(unlisted: Unlisted, fields: &[(&str, FieldConfig)]) -> Arc<Policy> {
    let fields = fields.iter().map(|(name, field)| ((*name).to_owned().into(), field.clone())).collect();
    let record = RecordConfig { unlisted, ..RecordConfig::default() };
    let config = PolicyConfig { record, fields: OrderedMap(fields), ..PolicyConfig::default() };
    Arc::new(Policy::compile(&config, None).unwrap())
}

fn batch(progress: Progress, rows: &[&str]) -> SinkBatch {
    let id = |index| RecordId { partition: "q".into(), position: Place::Id(format!("m{index}").into()) };
    let records = rows.iter().enumerate().map(|(index, row)| record(id(index), row)).collect();
    SinkBatch { progress, records: Arc::new(records) }
}

fn at(position: &str) -> Progress {
    Progress::Position { partition: "part".into(), position: position.to_owned() }
}

/// Writes and commits; each outcome as text, and none of them shows a value.
async fn put(sink: &mut Box<dyn Sink>, progress: Progress, rows: &[&str]) -> Vec<String> {
    let outcomes = sink.write(&batch(progress, rows)).await.unwrap();
    sink.commit().await.unwrap();
    outcomes.iter().map(shown).collect()
}

fn shown(outcome: &RowOutcome) -> String {
    let text = match outcome {
        RowOutcome::Delivered => "delivered".to_owned(),
        RowOutcome::Duplicate => "duplicate".to_owned(),
        RowOutcome::Dead(error) => error.to_string(),
    };
    assert!(!text.contains(CANARY), "{text}");
    text
}

#[tokio::test]
async fn the_contract_holds_for_a_table_that_records_make() {
    // The canary comes with a trigger: nothing else in such a table refuses a record.
    let bench = Bench::new();
    bench.sql(
        "CREATE TABLE rows (id ANY) STRICT;
         CREATE TRIGGER positive BEFORE INSERT ON rows WHEN new.id LIKE 'c4n%' BEGIN SELECT RAISE(ABORT, 'no'); END;",
    );
    contract::sink(&bench).await;
    // `more` came only with the bad records, and went with them.
    assert_eq!(bench.schema(), "CREATE TABLE rows (id ANY, \"n\" ANY) STRICT");
}

#[tokio::test]
async fn the_contract_holds_for_a_table_of_the_users() {
    contract::sink(&Bench::existing("CREATE TABLE rows (id VARCHAR(20), n INTEGER CHECK (n >= 0))")).await;
}

#[tokio::test]
async fn the_contract_holds_with_a_key() {
    let fields = [("id", required(FieldType::String)), ("n", field(FieldType::Integer))];
    let bench = Bench::existing("CREATE TABLE rows (id TEXT PRIMARY KEY, n ANY CHECK (n >= 0)) STRICT")
        .with("key", json!("id"))
        .policy(policy(Unlisted::Keep, &fields));
    contract::sink(&bench).await;
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

fn files(folder: &Path) -> Vec<String> {
    folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
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
async fn numbers_and_texts_stay_what_they_are_or_are_refused() {
    let refused = "value cannot be kept exactly: v (the column's type would change it)";
    let table = |columns: &str| Bench::existing(&format!("CREATE TABLE rows (v {columns}"));
    for (bench, cases) in [
        (
            Bench::new(),
            &[
                ("1e400", "'1e400'"),
                ("12345678901234567890", "'12345678901234567890'"),
                ("9007199254740993", "9007199254740993"),
                ("0.1000000000000000055511151231257827", "'0.1000000000000000055511151231257827'"),
                ("0.1", "0.1"),
                ("1.50", "1.5"),
                ("-0", "0"),
                ("\"007\"", "'007'"),
                ("{\"n\":1e400}", "'{\"n\":1e400}'"),
            ][..],
        ),
        (
            table("INTEGER) STRICT"),
            &[
                ("1e3", "1000"),
                ("-0", "0"),
                ("1.2345678901234568e18", "1234567890123456800"),
                ("1.5", refused),
                ("1e400", refused),
                ("12345678901234567890", refused),
                ("\"12\"", "12"),
                ("\"012\"", refused),
                ("\" 12\"", refused),
                ("\"twelve\"", "refused by the database (SQLITE_CONSTRAINT_DATATYPE, result code 3091)"),
            ],
        ),
        (
            table("NUMERIC)"),
            &[
                ("1.5", "1.5"),
                ("1.50e1", "15"),
                ("1.2345678901234568e18", "1234567890123456800"),
                ("1e300", "1.0e+300"),
                ("1e400", refused),
                ("0.1000000000000000055511151231257827", refused),
                ("\"1.50\"", "1.5"),
                ("\"1.\"", refused),
                ("\"+1\"", refused),
                ("\"0x1F\"", "'0x1F'"),
                ("\"inf\"", "'inf'"),
                ("\"c4n4ry\"", "'c4n4ry'"),
            ],
        ),
        (
            table("REAL)"),
            &[
                ("0.1", "0.1"),
                ("3", "3.0"),
                ("9007199254740993", refused),
                ("1e400", refused),
                ("\"0.10\"", "0.1"),
                ("\"00.1\"", refused),
            ],
        ),
        (
            table("VARCHAR(3))"),
            &[("1.50", "'1.50'"), ("1e400", "'1e400'"), ("-0", "'-0'"), ("\"007\"", "'007'"), ("null", "NULL")],
        ),
        (
            table(")"),
            &[("1.5", "1.5"), ("1e400", "'1e400'"), ("\"007\"", "'007'"), ("9007199254740993", "9007199254740993")],
        ),
    ] {
        let mut sink = bench.open().await;
        for (index, (value, expected)) in cases.iter().enumerate() {
            let outcome = put(&mut sink, at(&index.to_string()), &[&format!("{{\"v\":{value}}}")]).await.remove(0);
            let stored = bench.values("v FROM rows");
            bench.sql("DELETE FROM rows");
            let actual = if outcome == "delivered" { &stored[0] } else { &outcome };
            assert_eq!(actual, expected, "{value} in {}", bench.schema());
            assert_eq!(stored.len(), usize::from(outcome == "delivered"));
        }
    }
}

#[tokio::test]
async fn a_nul_character_does_not_end_a_text() {
    let bench = Bench::new();
    let mut sink = bench.open().await;
    assert_eq!(put(&mut sink, at("1"), &[r#"{"v":"a\u0000b"}"#]).await, ["delivered"]);
    assert_eq!(bench.values("hex(v) AS v FROM rows WHERE typeof(v) = 'text'"), ["'610062'"]);
}

#[tokio::test]
async fn a_key_replaces_what_the_record_brings() {
    let bench = Bench::new().with("key", json!("id"));
    let mut sink = bench.open().await;
    put(&mut sink, at("1"), &[r#"{"id":1,"a":"x","b":"x"}"#, r#"{"id":2,"a":"y"}"#, r#"{"id":3}"#]).await;
    let second = [r#"{"ID":1,"a":"z"}"#, r#"{"id":2,"b":null}"#, r#"{"id":3}"#, r#"{"a":"q"}"#, r#"{"id":null}"#];
    let no_key = "missing field: id (part of the sink's `key`)";
    assert_eq!(put(&mut sink, at("2"), &second).await, ["delivered", "delivered", "delivered", no_key, no_key]);
    assert_eq!(bench.values("a AS v FROM rows ORDER BY id"), ["'z'", "'y'", "NULL"]);
    assert_eq!(bench.values("b AS v FROM rows ORDER BY id"), ["'x'", "NULL", "NULL"]);
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
async fn a_refused_row_shows_its_result_code_and_no_value() {
    let bench = Bench::existing(
        "CREATE TABLE kinds (kind TEXT PRIMARY KEY);
         CREATE TABLE rows (
             id TEXT PRIMARY KEY ON CONFLICT REPLACE, n INTEGER NOT NULL ON CONFLICT ROLLBACK CHECK (n < 10),
             u TEXT UNIQUE ON CONFLICT IGNORE, kind TEXT REFERENCES kinds, sum ANY AS (n + 1)
         ) STRICT",
    );
    let mut sink = bench.open().await;
    let rows = [
        r#"{"id":"1","n":1,"u":"c4n4ry"}"#,
        r#"{"id":"2","n":null,"u":"c4n4ry2"}"#,
        r#"{"id":"c4n4ry"}"#,
        r#"{"id":"4","n":11}"#,
        r#"{"id":"5","n":"c4n4ry"}"#,
        r#"{"id":"6","n":1,"u":"c4n4ry"}"#,
        r#"{"id":"1","n":2}"#,
        r#"{"id":"8","n":2,"kind":"c4n4ry"}"#,
        r#"{"id":"9","n":2,"sum":"c4n4ry"}"#,
        r#"{"id":"9","n":2,"N":"c4n4ry"}"#,
        r#"{"id":"9","n":2,"c4n4ry@example.com":"c4n4ry"}"#,
        r#"{"id":"9","n":2}"#,
    ];
    let outcomes = put(&mut sink, Progress::Ids, &rows).await;
    let expected = [
        "delivered",
        "refused by the database: n (SQLITE_CONSTRAINT_NOTNULL, result code 1299)",
        "refused by the database: n (SQLITE_CONSTRAINT_NOTNULL, result code 1299)",
        "refused by the database (SQLITE_CONSTRAINT_CHECK, result code 275)",
        "refused by the database (SQLITE_CONSTRAINT_DATATYPE, result code 3091)",
        "refused by the database (SQLITE_CONSTRAINT_UNIQUE, result code 2067)",
        "refused by the database (SQLITE_CONSTRAINT_PRIMARYKEY, result code 1555)",
        "refused by the database (SQLITE_CONSTRAINT_FOREIGNKEY, result code 787)",
        "unknown column: sum (the column is computed and takes no values)",
        "name conflict: N (SQLite ignores the case of column names)",
        "unknown column: ? (the table has no such column)",
        "delivered",
    ];
    assert_eq!(outcomes, expected);
    // Refused records may come again when their cause is gone.
    assert_eq!(bench.values("id AS v FROM cloakroom_ledger_ids ORDER BY 1"), ["'q#m0'", "'q#m11'"]);
    bench.sql("INSERT INTO kinds VALUES ('c4n4ry')");
    let again = put(&mut sink, Progress::Ids, &rows).await;
    assert_eq!((again[0].as_str(), again[7].as_str()), ("duplicate", "delivered"));
}

#[tokio::test]
async fn triggers_cannot_lose_rows_in_silence() {
    let bench = Bench::existing(
        "CREATE TABLE rows (n);
         CREATE TRIGGER a BEFORE INSERT ON rows WHEN new.n = 2 BEGIN SELECT RAISE(ROLLBACK, 'c4n4ry'); END;
         CREATE TRIGGER b BEFORE INSERT ON rows WHEN new.n = 3 BEGIN SELECT RAISE(IGNORE); END;",
    );
    let mut sink = bench.open().await;
    let rows = [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#, r#"{"n":2}"#, r#"{"n":5}"#];
    let trigger = "refused by the database (SQLITE_CONSTRAINT_TRIGGER, result code 1811)";
    let ignored = "refused by the database (a trigger of the table ignored the row)";
    for progress in [at("1"), Progress::Ids] {
        let outcomes = put(&mut sink, progress, &rows).await;
        assert_eq!(outcomes, ["delivered", trigger, ignored, trigger, "delivered"]);
        assert_eq!(bench.values("n AS v FROM rows"), ["1", "5"]);
        bench.sql("DELETE FROM rows");
    }
    let ids = bench.values("id AS v FROM cloakroom_ledger_ids ORDER BY 1");
    assert_eq!(ids, ["'q#m0'", "'q#m4'"]);
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

#[tokio::test]
async fn positions_that_others_moved_are_a_conflict() {
    let bench = Bench::new();
    let (mut first, mut second) = (bench.open().await, bench.open().await);
    put(&mut first, at("1"), &[r#"{"a":1}"#]).await;
    assert_eq!(put(&mut second, at("1"), &[r#"{"a":1}"#]).await, ["duplicate"], "never asked: it reads");
    put(&mut second, at("2"), &[r#"{"a":2}"#]).await;
    let error = first.write(&batch(at("3"), &[r#"{"a":"c4n4ry"}"#])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.ends_with("another run of this pipeline moved the ledger"), "{error}");
    assert_eq!(first.position("part").await.unwrap().as_deref(), Some("2"));
    assert_eq!(put(&mut first, at("3"), &[r#"{"a":3}"#]).await, ["delivered"]);
    assert_eq!(bench.values("a AS v FROM rows"), ["1", "2", "3"]);
    assert_eq!(first.commit().await.unwrap_err().kind, ErrorKind::Internal, "nothing is staged");
}

#[tokio::test]
async fn a_commit_in_doubt_is_settled_by_the_ledger() {
    for (progress, ledger) in [
        (at("1"), "INSERT INTO cloakroom_ledger VALUES ('p', 'part', '1', '')"),
        (Progress::Ids, "INSERT INTO cloakroom_ledger_ids VALUES ('p', 'q#m0', 9999999999)"),
    ] {
        let bench = Bench::existing(
            "CREATE TABLE kinds (kind PRIMARY KEY);
             CREATE TABLE rows (kind REFERENCES kinds DEFERRABLE INITIALLY DEFERRED);",
        );
        let mut sink = bench.open().await;
        let rows = batch(progress, &[r#"{"kind":"c4n4ry"}"#, r#"{"other":1}"#]);
        let outcomes = sink.write(&rows).await.unwrap();
        assert!(matches!(&outcomes[1], RowOutcome::Dead(error) if error.kind == RecordErrorKind::UnknownColumn));
        let error = sink.commit().await.unwrap_err();
        assert!(error.message.contains("deferred foreign key") && !error.message.contains(CANARY), "{error}");
        assert_eq!(bench.count().await, 0, "it was rolled back");
        // The same batch again: staged anew.
        assert_eq!(sink.write(&rows).await.unwrap(), outcomes);
        assert!(sink.commit().await.is_err());
        // As if the commit had come through: the outcomes are those of then, and nothing is written twice.
        bench.sql(ledger);
        assert_eq!(sink.write(&rows).await.unwrap(), outcomes);
        sink.commit().await.unwrap();
        assert_eq!(bench.count().await, 0);
        sink.close().await.unwrap();
    }
}

#[tokio::test]
async fn ids_are_forgotten_after_the_window() {
    let bench = Bench::new().with("ledger_days", json!(7));
    let mut sink = bench.open().await;
    put(&mut sink, Progress::Ids, &[r#"{"a":1}"#, r#"{"a":2}"#]).await;
    sink.close().await.unwrap();
    bench.sql("UPDATE cloakroom_ledger_ids SET seen_at = seen_at - 8 * 86400 WHERE id = 'q#m0'");
    let mut sink = bench.open().await;
    assert_eq!(put(&mut sink, Progress::Ids, &[r#"{"a":1}"#, r#"{"a":2}"#]).await, ["delivered", "duplicate"]);
}

#[tokio::test]
async fn a_closed_sink_says_so_and_a_dropped_wait_harms_nothing() {
    let bench = Bench::new();
    let mut sink = bench.open().await;
    let rows = batch(at("1"), &[r#"{"a":1}"#]);
    for _ in 0..3 {
        // Polled once, then dropped: the blocking thread goes on alone.
        let mut write = sink.write(&rows);
        let _ = std::future::poll_fn(|context| std::task::Poll::Ready(write.as_mut().poll(context))).await;
    }
    assert_eq!(sink.write(&rows).await.unwrap(), [RowOutcome::Delivered]);
    sink.commit().await.unwrap();
    assert_eq!(bench.count().await, 1);
    sink.close().await.unwrap();
    sink.close().await.unwrap();
    assert_eq!(sink.write(&rows).await.unwrap_err().kind, ErrorKind::Internal);
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

/// `cargo test --release -p cloakroom-connect --test sqlite_sink -- --ignored --nocapture`
#[tokio::test]
#[ignore = "measures, and needs a release build"]
async fn speed() {
    let bench = Bench::new();
    let row = |index: usize| {
        format!(
            r#"{{"user_id":"u-{index}","ip":"ab12cd34ef56","device":"ios","app_version":"2.3.{index}","n":{index},"ok":true}}"#
        )
    };
    let rows: Vec<String> = (0..20_000).map(row).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let mut sink = bench.open().await;
    let records = batch(at("0"), &rows).records;
    let began = std::time::Instant::now();
    for number in 0..20 {
        let progress = at(&number.to_string());
        sink.write(&SinkBatch { progress, records: Arc::clone(&records) }).await.unwrap();
        sink.commit().await.unwrap();
    }
    println!("{:.0} rows/s", 400_000.0 / began.elapsed().as_secs_f64());
}
