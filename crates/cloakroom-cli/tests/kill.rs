//! What is promised when things die: every record arrives exactly once, whoever is killed and whenever.
//!
//! The program runs as a process of its own against a PostgreSQL of the test's own, an SQLite database and a file.
//! One of them, or both, get SIGKILL in the middle of a load, and at the end rows, distinct rows and dead letters are
//! counted where they are:
//!
//! - the database dies twice under a load, which ends by itself;
//! - it dies after a commit and before it could say so;
//! - it dies while a run asks it where to go on;
//! - the program dies ten times at random moments, into PostgreSQL, SQLite, a file, a file in parts, and PostgreSQL and
//!   SQLite together;
//! - it dies in a commit that the database then completes, and is started again before that;
//! - both die together;
//! - SIGTERM stops a load in good order, also while the database is away.
//!
//! `CLOAKROOM_TEST_SEED=…` repeats the random moments of a run that failed; their seed is in its message.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Row};

/// Whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Seconds that each commit takes where a test must find the middle of a load, on a fast machine too.
const UNHURRIED: f64 = 0.02;

/// No slow commit gets to its end from now on, as long as the session lives.
const HOLD_COMMITS: &str = "SELECT pg_advisory_lock(1)";
const RELEASE_COMMITS: &str = "SELECT pg_advisory_unlock(1)";

// --- The database dies ------------------------------------------------------------------------------------------------

#[test]
fn a_load_survives_two_deaths_of_the_database() {
    const ROWS: u64 = 200_000;
    let place = Place::new("deaths", Target::Postgres, 2000);
    place.sample(LOAD, ROWS, false);
    place.slow_commits();

    let mut run = place.start(LOAD);
    for percent in [10, 45] {
        place.wait_for_rows(ROWS * percent / 100);
        place.server().kill();
        assert!(run.is_running(), "ended when the database died: {}", run.wait());
        place.server().start();
        let rows = place.rows();
        assert!(rows >= ROWS * percent / 100, "{rows} rows: fewer than before the kill");
        assert!(rows < ROWS, "the kill came too late, commits must be slower");
    }
    let ended = run.wait();
    let summary = ended.summary();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!((summary.end.as_str(), summary.received), ("complete", ROWS), "{ended}");
    // A batch whose commit got no answer is known to be this run's own, so that there are no duplicates.
    assert_eq!((summary.delivered, summary.duplicate), (ROWS, 0), "{ended}");
    assert!(summary.retries > 0, "{ended}");
    place.assert_exactly_once(ROWS, &ended);
}

#[test]
fn a_commit_that_got_no_answer_counts_once() {
    const ROWS: u64 = 20_000;
    const BATCH: u64 = 500;
    let place = Place::new("answer", Target::Postgres, BATCH);
    let wrong = place.sample(LOAD, ROWS, true);
    place.slow_commits();

    let run = place.start(LOAD);
    place.wait_for_rows(ROWS / 10);
    // From now on a commit, safe on the server's disk, waits for a standby that does not exist.
    let session = place.server().session();
    session.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    session.run("SELECT pg_reload_conf()");
    place.wait_for_commit_in("SyncRep");
    session.run("ALTER SYSTEM RESET synchronous_standby_names");
    let seen = place.rows();
    place.server().kill();
    place.server().start();
    let ended = run.wait();
    let summary = ended.summary();
    assert!(seen < ROWS - BATCH, "{seen} rows before the kill; {ended}");
    assert_eq!((summary.delivered, summary.duplicate, summary.dead), (ROWS, 0, wrong), "{ended}");
    assert!(summary.retries > 0, "{ended}");
    place.assert_exactly_once(ROWS, &ended);
    // The dead letters of that batch were written once more, over themselves.
    assert_eq!(came_again(&place.letters(ROWS + wrong)), BATCH / 50);
}

#[test]
fn the_database_may_die_while_a_run_asks_where_to_go_on() {
    const ROWS: u64 = 2000;
    let place = Place::new("question", Target::Postgres, 500);
    place.sample(LOAD, ROWS, false);
    let first = place.start(LOAD).wait();
    assert_eq!(first.summary().delivered, ROWS, "{first}");
    place.sample(LOAD, ROWS, false);

    // The answer waits for a lock of ours, until the database is gone.
    let session = place.server().session();
    session.run("BEGIN; SELECT FROM cloakroom_ledger FOR UPDATE");
    let run = place.start(LOAD);
    wait_for("a run that waits for the lock", || session.number("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0);
    place.server().kill();
    place.server().start();
    let second = run.wait();
    assert_eq!(second.code, Some(0), "{second}");
    let summary = second.summary();
    assert_eq!((summary.received, summary.delivered), (ROWS, ROWS), "{second}");
    assert!(summary.retries > 0, "{second}");
    place.assert_exactly_once(2 * ROWS, &second);
}

// --- The program dies -------------------------------------------------------------------------------------------------

#[test]
fn ten_deaths_of_the_program_leave_postgresql_exact() {
    dies_ten_times(&Place::new("program", Target::Postgres, 2000), 200_000);
}

#[test]
fn ten_deaths_of_the_program_leave_sqlite_exact() {
    dies_ten_times(&Place::new("sqlite", Target::Sqlite, 500), 200_000);
}

#[test]
fn ten_deaths_of_the_program_leave_a_file_exact() {
    dies_ten_times(&Place::new("file", Target::File, 500), 200_000);
}

#[test]
fn ten_deaths_of_the_program_leave_the_parts_of_a_file_exact() {
    let place = Place::new("parts", Target::Parts, 500);
    dies_ten_times(&place, 200_000);
    let parts = place.parts();
    assert!(parts.iter().all(|part| BufReader::new(File::open(part).unwrap()).lines().count() <= 3000), "{parts:?}");
    assert!(parts.len() > 60, "{parts:?}");
}

#[test]
fn ten_deaths_of_the_program_leave_parts_in_parquet_exact() {
    let place = Place::new("parquet", Target::Parquet, 500);
    dies_ten_times(&place, 100_000);
    assert!(place.parts().len() > 30);
}

#[test]
fn ten_deaths_of_the_program_leave_two_sinks_exact() {
    dies_ten_times(&Place::new("fan-out", Target::FanOut, 500), 100_000);
}

fn dies_ten_times(place: &Place, rows: u64) {
    let wrong = place.sample(LOAD, rows, true);
    // How long an eleventh of the load takes here: ten random parts of that end before the load does.
    let trial_wrong = place.sample(TRIAL, rows / 11, true);
    let began = Instant::now();
    let trial = place.start(TRIAL).wait();
    let longest = began.elapsed();
    assert_eq!((trial.summary().delivered, trial.summary().dead), (rows / 11, trial_wrong), "{trial}");

    let mut random = Random::new();
    let seed = random.seed;
    let mut killed = 0;
    for round in 1..=10 {
        let mut run = place.start(LOAD);
        sleep(random.between(Duration::from_millis(20), longest));
        if run.is_running() {
            run.signal("KILL");
        }
        let ended = run.wait();
        match ended.signal {
            Some(9) => killed += 1,
            _ => assert_eq!(ended.code, Some(ended.summary().exit_code()), "seed {seed}, run {round}: {ended}"),
        }
    }
    let ended = place.start(LOAD).wait();
    let summary = ended.summary();
    let said = format!("seed {seed}, {killed} of 10 killed in up to {longest:.2?}; {ended}");
    assert!(killed >= 7, "too few were killed while they ran: {said}");
    assert_eq!((ended.code, summary.end.as_str()), (Some(summary.exit_code()), "complete"), "{said}");
    assert!(summary.delivered < rows && summary.duplicate == 0, "it did not go on where the others died: {said}");
    place.assert_exactly_once(rows, &said);
    let letters = place.letters(rows + wrong);
    println!("{said}\n{} dead letters, {} of them came again", letters.len(), came_again(&letters));
}

#[test]
fn a_commit_that_outlives_the_program_is_waited_for() {
    const ROWS: u64 = 2000;
    const BATCH: u64 = 500;
    let place = Place::new("outlives", Target::Postgres, BATCH);
    place.slow_commits();
    let session = place.server().session();
    for round in 1..=2 {
        // The first commit of all makes the ledger's row and the table; the first one of the second round a column.
        if round == 2 {
            session.run("ALTER TABLE load DROP COLUMN locale");
        }
        place.sample(LOAD, ROWS, false);
        session.run(HOLD_COMMITS);
        let mut first = place.start(LOAD);
        place.wait_for_commit_in("advisory");
        first.signal("KILL");
        let first = first.wait();
        assert_eq!(first.signal, Some(9), "{first}");
        // The server goes on with the commit, and the next run is there before it is made.
        let second = place.start(LOAD);
        wait_for("a run that waits", || session.number("SELECT count(*) FROM pg_locks WHERE NOT granted") > 1);
        session.run(RELEASE_COMMITS);
        let second = second.wait();
        assert_eq!(second.code, Some(0), "round {round}: {second}");
        assert_eq!(second.summary().delivered, ROWS - BATCH, "round {round}: {second}");
        place.assert_exactly_once(ROWS * round, &second);
    }
}

// --- Both die ---------------------------------------------------------------------------------------------------------

#[test]
fn program_and_database_may_die_together() {
    const ROWS: u64 = 50_000;
    const BATCH: u64 = 500;
    let place = Place::new("both", Target::Postgres, BATCH);
    let wrong = place.sample(LOAD, ROWS, true);
    place.slow_commits();
    let mut first = place.start(LOAD);
    place.wait_for_rows(ROWS / 10);
    // In a commit that does not end before both are dead: its dead letters are stored, its rows are not.
    let session = place.server().session();
    session.run(HOLD_COMMITS);
    place.wait_for_commit_in("advisory");
    let seen = place.rows();
    first.signal("KILL");
    place.server().kill();
    assert_eq!(first.wait().signal, Some(9));

    let mut second = place.start(LOAD);
    sleep(Duration::from_millis(500));
    assert!(second.is_running(), "does not wait for the database: {}", second.wait());
    place.server().start();
    let ended = second.wait();
    let summary = ended.summary();
    assert_eq!((ended.code, summary.end.as_str()), (Some(1), "complete"), "{ended}");
    assert_eq!((seen + summary.delivered, summary.duplicate), (ROWS, 0), "{ended}");
    assert!(seen < ROWS - BATCH && summary.retries > 0, "{seen} rows before; {ended}");
    place.assert_exactly_once(ROWS, &ended);
    // The batch came again, and each of its dead letters is the one that was there.
    assert_eq!(came_again(&place.letters(ROWS + wrong)), BATCH / 50);
}

// --- Asked to stop ----------------------------------------------------------------------------------------------------

#[test]
fn a_load_that_is_asked_to_stop_goes_on_where_it_stood() {
    const ROWS: u64 = 100_000;
    let place = Place::new("stop", Target::Postgres, 1000);
    place.sample(LOAD, ROWS, false);
    place.slow_commits();

    let mut first = place.start(LOAD);
    place.wait_for_rows(ROWS / 10);
    first.signal("TERM");
    let first = first.wait();
    let summary = first.summary();
    assert_eq!((first.code, summary.end.as_str()), (Some(0), "stopped"), "{first}");
    assert_eq!((summary.received, summary.delivered), (place.rows(), place.rows()), "{first}");
    assert!(summary.delivered < ROWS, "{first}");

    // Once more, while the database is away: what was taken stays in the file.
    let mut second = place.start(LOAD);
    place.wait_for_rows(ROWS * 40 / 100);
    place.server().kill();
    second.signal("TERM");
    let second = second.wait();
    let summary = second.summary();
    assert_eq!((second.code, summary.end.as_str()), (Some(0), "stopped"), "{second}");
    assert!(summary.returned > 0, "{second}");
    place.server().start();

    let before = place.rows();
    let third = place.start(LOAD).wait();
    let summary = third.summary();
    assert_eq!((third.code, summary.end.as_str()), (Some(0), "complete"), "{third}");
    assert_eq!((before + summary.delivered, summary.duplicate), (ROWS, 0), "{third}");
    assert!(summary.delivered > 0, "{third}");
    place.assert_exactly_once(ROWS, &third);
}

// --- A place to run in ------------------------------------------------------------------------------------------------

/// The pipeline whose rows are counted: the name of its input, its file and its table.
const LOAD: &str = "load";
/// Another one.
const TRIAL: &str = "trial";

#[derive(Clone, Copy, PartialEq)]
enum Target {
    Postgres,
    Sqlite,
    File,
    Parts,
    /// Parts in Parquet.
    Parquet,
    /// PostgreSQL and SQLite.
    FanOut,
}

/// A folder with inputs, pipelines and state, and the database.
struct Place {
    target: Target,
    batch: u64,
    folder: TempDir,
    server: Option<Server>,
    /// One test after the other, whatever the runner thinks: moments are chosen by measured times.
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    fn new(test: &str, target: Target, batch: u64) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let server = matches!(target, Target::Postgres | Target::FanOut).then(|| Server::new(test));
        Self { target, batch, folder: tempfile::tempdir().unwrap(), server, _turn: turn }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("a test with PostgreSQL")
    }

    /// The program, with keys and state of its own.
    fn program(&self) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
        program.env("CLOAKROOM_HOME", self.folder.path()).env("CLOAKROOM_KEY", "0123456789abcdef".repeat(4));
        program.env_remove("CLOAKROOM_LOG").env_remove("CLOAKROOM_LOG_FORMAT").stdin(Stdio::null());
        program
    }

    /// Adds logins to a pipeline's input: so many good ones, and the wrong ones that fall among them, whose number it
    /// gives. The first call makes the pipeline.
    fn sample(&self, name: &str, rows: u64, with_wrong: bool) -> u64 {
        let wrong = if with_wrong { (0..).find(|wrong| wrong_among(rows + wrong) == *wrong).unwrap() } else { 0 };
        let input = self.path(&format!("{name}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(&input).unwrap();
        let seed = file.metadata().unwrap().len() + 1;
        let mut program = self.program();
        program.args(["sample", "logins", "--count", &(rows + wrong).to_string(), "--seed", &seed.to_string()]);
        if with_wrong {
            program.arg("--wrong-shape");
        }
        assert!(program.stdout(file).status().unwrap().success());
        let postgres = || format!("postgres: {{ url: '{}', table: {name}, create_table: true }}", self.server().url);
        let sqlite = || format!("sqlite: {{ path: '{}', table: {name} }}", self.path("rows.db").display());
        let sink = match self.target {
            Target::Postgres => postgres(),
            Target::Sqlite => sqlite(),
            Target::FanOut => format!("fan_out: [{{ {} }}, {{ {} }}]", postgres(), sqlite()),
            Target::File => format!("file: {{ path: '{}' }}", self.path(&format!("{name}.out")).display()),
            Target::Parts | Target::Parquet => {
                let path = self.path(&format!("{name}.out"));
                let format = if self.target == Target::Parquet { "parquet" } else { "json_lines" };
                let rotate = "rotate: { records: 3000, seconds: 1 }";
                format!("file: {{ path: '{}', format: {format}, {rotate} }}", path.display())
            }
        };
        let pipeline = format!(
            "name: {name}
source:
  file: {{ path: '{}' }}
record:
  format: json
  require: [user_id, ip, device_id]
  unlisted: drop
fields:
  user_id: {{ type: string, max_length: 128, nullable: false }}
  ip: {{ protect: {{ hmac: {{ domain: ip }} }}, as: masked_ip }}
  device_id: {{ protect: {{ hmac: {{ domain: device }} }}, as: masked_device_id }}
  locale: {{ type: string, max_length: 32 }}
  create_date: {{ set: ingest_date }}
batch: {{ records: {} }}
retry: {{ base_ms: 50, max_ms: 500, give_up_after_s: 120 }}
sink:
  {sink}
",
            input.display(),
            self.batch,
        );
        fs::write(self.path(&format!("{name}.yaml")), pipeline).unwrap();
        wrong
    }

    /// Starts a pipeline.
    fn start(&self, name: &str) -> Run {
        let (stdout, stderr) = (self.path("stdout"), self.path("stderr"));
        let mut program = self.program();
        program.arg("run").arg(self.path(&format!("{name}.yaml"))).args(["--output", "json"]);
        program.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        Run { child: program.spawn().unwrap(), stdout, stderr }
    }

    /// How many rows the load has in PostgreSQL.
    fn rows(&self) -> u64 {
        let session = self.server().session();
        match session.number("SELECT count(*) FROM pg_class WHERE relname = 'load'") {
            0 => 0,
            _ => session.number("SELECT count(*) FROM load"),
        }
    }

    fn wait_for_rows(&self, rows: u64) {
        wait_for(&format!("{rows} rows"), || self.rows() >= rows);
    }

    /// The parts of the load, each with its number; none is left unfinished.
    fn parts(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.starts_with("load-"));
        names.sort();
        let expected: Vec<String> = (1..=names.len()).map(|number| format!("load-{number:06}.out")).collect();
        assert_eq!(names, expected);
        names.iter().map(|name| self.path(name)).collect()
    }

    fn assert_exactly_once(&self, expected: u64, said: &dyn Display) {
        let count = "SELECT count(*), count(DISTINCT user_id) FROM load";
        let sqlite = || {
            let database = rusqlite::Connection::open(self.path("rows.db")).unwrap();
            database.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        let found = match self.target {
            Target::Postgres => self.server().session().numbers(count),
            Target::Sqlite => sqlite(),
            Target::FanOut => {
                let found = self.server().session().numbers(count);
                assert_eq!(found, sqlite(), "the same in both; {said}");
                found
            }
            Target::File => users(&[self.path("load.out")]),
            Target::Parts => users(&self.parts()),
            Target::Parquet => users_in_parquet(&self.parts()),
        };
        let expected = expected as i64;
        assert_eq!(found, (expected, expected), "rows and distinct rows; {said}");
    }

    /// The load's dead letters, of which there must be one for each wrong record of the input.
    fn letters(&self, records: u64) -> Vec<Letter> {
        let mut program = self.program();
        program.args(["dead-letters", "list", "--output", "json", "--limit", "100000"]).arg(self.path("load.yaml"));
        let letters = program.stderr(Stdio::inherit()).output().unwrap().stdout;
        let letters: Vec<Letter> = serde_json::from_slice(&letters).unwrap();
        let line = |letter: &Letter| letter.source.rsplit(':').next().unwrap().parse().unwrap();
        let mut lines: Vec<u64> = letters.iter().map(line).collect();
        lines.sort_unstable();
        let expected: Vec<u64> = (0..records).filter(|index| index % 50 == 32).map(|index| index + 1).collect();
        assert_eq!(lines, expected, "lines of dead letters");
        assert!(letters.iter().all(|letter| letter.state == "waiting"));
        letters
    }

    /// Makes every commit of a pipeline in PostgreSQL take some time, at whose end it is made; see [`HOLD_COMMITS`].
    fn slow_commits(&self) {
        // A run without records makes the ledger, which every commit touches once.
        self.sample("nothing", 0, false);
        let nothing = self.start("nothing").wait();
        assert_eq!((nothing.code, nothing.summary().received), (Some(0), 0), "{nothing}");
        self.server().session().run(&format!(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN PERFORM pg_sleep({UNHURRIED}), pg_advisory_xact_lock_shared(1); RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON cloakroom_ledger
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()"
        ));
    }

    /// Waits until a run's commit is at work in the server: in `advisory` it is held, in `SyncRep` it is made.
    fn wait_for_commit_in(&self, event: &str) {
        let session = self.server().session();
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE application_name = 'cloakroom' AND query = 'COMMIT' AND wait_event = '{event}'"
        );
        wait_for(&format!("a commit in {event}"), || session.number(&sql) > 0);
    }
}

/// How many of the first records of a sample have a wrong shape.
fn wrong_among(records: u64) -> u64 {
    (records + 17) / 50
}

/// A dead letter as it is listed.
#[derive(Deserialize)]
struct Letter {
    source: String,
    times: u64,
    state: String,
}

/// How many rows these files hold, and how many of them are different.
fn users(files: &[PathBuf]) -> (i64, i64) {
    let lines = files.iter().flat_map(|file| BufReader::new(File::open(file).unwrap()).lines());
    let rows = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let users: Vec<String> = rows.map(|row| row["user_id"].as_str().unwrap().to_owned()).collect();
    (users.len() as i64, users.iter().collect::<HashSet<_>>().len() as i64)
}

/// The same of Parquet files.
fn users_in_parquet(files: &[PathBuf]) -> (i64, i64) {
    let mut users = Vec::new();
    for file in files {
        let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
        let rows = reader.get_row_iter(None).unwrap().map(|row| row.unwrap());
        users.extend(rows.map(|row| {
            let at = row.get_column_iter().position(|(name, _)| name == "user_id").unwrap();
            row.get_string(at).unwrap().clone()
        }));
    }
    (users.len() as i64, users.iter().collect::<HashSet<_>>().len() as i64)
}

fn came_again(letters: &[Letter]) -> u64 {
    letters.iter().filter(|letter| letter.times > 1).count() as u64
}

fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Numbers from a seed that is new each time.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let fresh = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64;
        let seed = std::env::var("CLOAKROOM_TEST_SEED").map_or_else(|_| fresh(), |seed| seed.parse().unwrap());
        Self { seed, state: seed }
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        least + most.saturating_sub(least).mul_f64(mixed as f64 / u64::MAX as f64)
    }
}

// --- A run ------------------------------------------------------------------------------------------------------------

/// A run of the program. Dies with the test.
struct Run {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Run {
    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn signal(&mut self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill -s {name}");
    }

    fn wait(mut self) -> Ended {
        let began = Instant::now();
        let mut hangs = false;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() < PATIENCE => sleep(Duration::from_millis(5)),
                None => {
                    hangs = true;
                    self.child.kill().unwrap();
                    break self.child.wait().unwrap();
                }
            }
        };
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let ended = Ended {
            code: status.code(),
            signal: status.signal(),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        };
        assert!(!hangs, "a run hangs: {ended}");
        ended
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run ended.
struct Ended {
    code: Option<i32>,
    signal: Option<i32>,
    stdout: String,
    stderr: String,
}

#[derive(Deserialize)]
struct Summary {
    end: String,
    received: u64,
    delivered: u64,
    duplicate: u64,
    filtered: u64,
    dead: u64,
    returned: u64,
    retries: u64,
}

impl Ended {
    /// The summary, which adds up.
    fn summary(&self) -> Summary {
        let summary: Summary = serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no summary: {self}"));
        let Summary { received, delivered, duplicate, filtered, dead, returned, .. } = summary;
        assert_eq!(received, delivered + duplicate + filtered + dead + returned, "{self}");
        summary
    }
}

impl Summary {
    fn exit_code(&self) -> i32 {
        i32::from(self.dead > 0)
    }
}

impl Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, signal, stdout, stderr } = self;
        write!(formatter, "exit code {code:?}, signal {signal:?}, said {} {}", stdout.trim(), stderr.trim())
    }
}

// --- A PostgreSQL -----------------------------------------------------------------------------------------------------

/// An instance of a test's own. Stopped and removed with it.
struct Server {
    name: String,
    url: String,
}

impl Server {
    fn new(test: &str) -> Self {
        let mut server = Self { name: format!("kill-{test}-{}", std::process::id()), url: String::new() };
        let said = server.script("postgres-start");
        server.url = said.lines().find_map(|line| line.strip_prefix("url=")).expect("its URL").to_owned();
        server
    }

    fn script(&self, command: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut script = Command::new(root.join("scripts/test-servers.sh"));
        let output = script.args([command, &self.name]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command} {}: {said}", self.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn kill(&self) {
        self.script("postgres-kill");
    }

    /// Starts it again after a kill.
    fn start(&self) {
        let said = self.script("postgres-start");
        assert!(said.contains(&self.url), "another address than before: {said}");
    }

    fn session(&self) -> Session {
        Session::new(&self.url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.script("postgres-stop")));
    }
}

/// A connection.
struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }

    fn row(&self, sql: &str) -> Row {
        self.runtime.block_on(self.client.query_one(sql, &[])).unwrap()
    }

    fn number(&self, sql: &str) -> u64 {
        self.row(sql).get::<_, i64>(0) as u64
    }

    fn numbers(&self, sql: &str) -> (i64, i64) {
        let row = self.row(sql);
        (row.get(0), row.get(1))
    }
}
