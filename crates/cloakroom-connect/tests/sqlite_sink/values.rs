//! Values stay what they are, and rows that cannot be kept are refused alone.

use super::*;

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
