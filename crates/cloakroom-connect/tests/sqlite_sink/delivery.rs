//! Nothing twice and nothing lost: keys, positions, ids, commits in doubt.

use super::*;

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

#[tokio::test]
async fn a_table_that_is_altered_during_a_run_ends_it_and_kills_no_record() {
    let fields = [("a", FieldConfig::default())];
    let bench = Bench::existing("CREATE TABLE rows (a)").policy(policy(Unlisted::Keep, &fields));
    let mut sink = bench.open().await;
    let rows = batch(at("1"), &[r#"{"a":1}"#]);
    for (change, expected) in [
        ("ALTER TABLE rows RENAME a TO b", "table rows has no column `a`; did you mean `b`?"),
        ("DROP TABLE rows", "there is no table rows"),
    ] {
        bench.sql(change);
        let error = sink.write(&rows).await.unwrap_err();
        assert!(error.kind == ErrorKind::Configuration && error.message.contains(expected), "{error}");
    }
    bench.sql("CREATE TABLE rows (a)");
    assert_eq!(sink.write(&rows).await.unwrap(), [RowOutcome::Delivered]);

    // A table that may be made is made again as the policy says, also when the first try is rolled back.
    let bench = Bench::new().with("key", json!("a")).policy(policy(Unlisted::Keep, &fields));
    let mut sink = bench.open().await;
    let made = bench.schema();
    bench.sql("DROP TABLE rows");
    sink.write(&rows).await.unwrap();
    assert_eq!(put(&mut sink, at("1"), &[r#"{"a":1}"#]).await, ["delivered"]);
    assert_eq!(bench.schema(), made);
}

#[tokio::test]
async fn a_lock_of_another_process_is_waited_for() {
    let bench = Bench::new();
    let mut sink = bench.open().await;
    let other = bench.database();
    // Nobody waits out ten seconds here: the lock is taken, seen, and released.
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let rows = batch(at("1"), &[r#"{"a":1}"#]);
    let release = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        other.execute_batch("COMMIT").unwrap();
    };
    let (written, ()) = tokio::join!(sink.write(&rows), release);
    assert_eq!(written.unwrap(), [RowOutcome::Delivered]);
    sink.commit().await.unwrap();
}
