//! What is promised when things die: every record arrives exactly once, whoever is killed and whenever.
//!
//! The program runs as a process of its own against a PostgreSQL of the test's own, an SQLite database and a file.
//! One of them, or both, get SIGKILL in the middle of a load, and at the end rows, distinct rows and dead letters are
//! counted in the sink itself:
//!
//! - the database dies twice under a load, and the load ends by itself;
//! - it dies after it has committed and before it could say so;
//! - it dies while a run asks it where to go on;
//! - the program dies ten times at random moments, into PostgreSQL, SQLite and a file;
//! - it dies in its very first commit, which the database then completes, and is started again at once;
//! - both die together;
//! - SIGTERM stops a load in good order, also when the database is away.
//!
//! `CLOAKROOM_TEST_SEED=…` repeats the random moments of a run that failed; their seed is in its message.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::HashSet;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes longer on a machine that works: what does hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The commits of a load take at least so long, so that a kill finds its middle on any machine.
const UNHURRIED: f64 = 0.02;

// --- The database dies -----------------------------------------------------------------------------------------------

#[test]
fn a_load_survives_two_deaths_of_the_database() {
    const ROWS: u64 = 200_000;
    let place = Place::new("deaths", &Sink::Postgres, 2000);
    place.sample(ROWS, false);
    place.make_ledger();
    place.database().slow_commits(UNHURRIED);

    let mut run = place.start();
    for percent in [10, 45] {
        place.database().wait_for("rows", || place.rows() >= ROWS * percent / 100);
        place.server().kill();
        run.assert_running("after the database was killed");
        place.server().start();
        let rows = place.rows();
        assert!(rows >= ROWS * percent / 100, "{rows} rows: some that were there are lost");
        assert!(rows <= ROWS * 80 / 100, "killed at {rows} rows: too late, `UNHURRIED` is not slow enough");
    }
    let ended = run.wait();
    let summary = ended.summary();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(summary.retries > 0, "{ended}");
    assert_eq!((summary.received, summary.dead, summary.returned), (ROWS, 0, 0), "{ended}");
    // What was committed without an answer is not taken for a stranger's.
    assert_eq!((summary.delivered, summary.duplicate), (ROWS, 0), "{ended}");
    place.assert_whole(ROWS, &ended);
}

#[test]
fn a_commit_that_got_no_answer_counts_once() {
    const ROWS: u64 = 20_000;
    let place = Place::new("answer", &Sink::Postgres, 500);
    let wrong = place.sample(ROWS, true);
    place.make_ledger();
    place.database().slow_commits(UNHURRIED);

    let run = place.start();
    place.database().wait_for("rows", || place.rows() >= ROWS / 10);
    // A commit is on the server's disk, and then waits for the answer of a standby that does not exist.
    place.database().execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    place.database().execute("SELECT pg_reload_conf()");
    place.database().wait_for_commit_in("SyncRep");
    place.database().execute("ALTER SYSTEM RESET synchronous_standby_names");
    let before = place.rows();
    place.server().kill();
    place.server().start();
    let ended = run.wait();
    let summary = ended.summary();
    assert_eq!((summary.delivered, summary.duplicate, summary.dead), (ROWS, 0, wrong), "{ended}");
    assert!(summary.retries > 0 && before < ROWS, "{before} rows before; {ended}");
    place.assert_whole(ROWS, &ended);
    place.assert_letters(wrong, &ended);
}

#[test]
fn the_database_may_die_while_a_run_asks_where_to_go_on() {
    const ROWS: u64 = 2000;
    let place = Place::new("question", &Sink::Postgres, 500);
    place.sample(ROWS, false);
    let first = place.start().wait();
    assert_eq!(first.summary().delivered, ROWS, "{first}");
    place.append(ROWS);

    // The question waits for a lock of ours, until the database is gone.
    place.database().execute("BEGIN; SELECT FROM cloakroom_ledger FOR UPDATE");
    let mut run = place.start();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    place.second_connection().wait_for("a run that waits", || place.second_connection().number(waiting) > 0);
    place.server().kill();
    place.server().start();
    run.assert_or_ended_well();
    let second = run.wait();
    assert_eq!(second.code, Some(0), "{second}");
    assert_eq!((second.summary().received, second.summary().delivered), (ROWS, ROWS), "{second}");
    place.assert_whole(2 * ROWS, &second);
}
