//! What went through: the counts of every run, and in it of every queue, object, shard and file. They stand in the state
//! store, and `cloakroom status` shows them.
//!
//! Counts are written about once a second and at the end of a run, so that a run that is killed lacks what it did in its last
//! second. The sink's ledger, not these counts, decides what is delivered again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Row, params};
use serde::Serialize;

use crate::error::ConnectorError;
use crate::run::now;
use crate::source::{Delivery, Outcome, Progress};
use crate::state::StateStore;
use crate::summary::{End, Summary};

/// How often counts are written while a run goes on.
const EVERY: Duration = Duration::from_secs(1);
/// How long runs are remembered, as long as ledgers remember ids.
const DAYS: i64 = 90;

/// Numbers of records. `received = delivered + duplicate + filtered + dead + returned` once a run has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Taken from the source.
    pub received: u64,
    /// The sink has them.
    pub delivered: u64,
    /// The sink had them already.
    pub duplicate: u64,
    /// The policy leaves them out.
    pub filtered: u64,
    /// In the dead-letter store.
    pub dead: u64,
    /// Left at the source, or given back to it.
    pub returned: u64,
}

impl Counts {
    /// Records without an outcome: in flight, or in flight when the run was killed.
    #[must_use]
    pub fn open(&self) -> i128 {
        let settled = [self.delivered, self.duplicate, self.filtered, self.dead, self.returned];
        i128::from(self.received) - settled.map(i128::from).iter().sum::<i128>()
    }

    fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let count = |index: usize| row.get::<_, i64>(first + index).map(|number| u64::try_from(number).unwrap_or(0));
        Ok(Self {
            received: count(0)?,
            delivered: count(1)?,
            duplicate: count(2)?,
            filtered: count(3)?,
            dead: count(4)?,
            returned: count(5)?,
        })
    }
}

/// What changed since counts were last written.
#[derive(Default)]
struct Change {
    counts: Counts,
    position: Option<String>,
}

/// The accounts of a run that goes on.
pub struct Accounts {
    store: StateStore,
    run: i64,
    changes: HashMap<Arc<str>, Change>,
    written: Instant,
}

impl Accounts {
    /// Begins the accounts of a run.
    ///
    /// # Errors
    /// When the state store cannot be written.
    pub async fn begin(store: StateStore, pipeline: &str) -> Result<Self, ConnectorError> {
        let (pipeline, began) = (pipeline.to_owned(), now().timestamp());
        let run = store
            .with(move |connection| {
                let old = format!("-{DAYS} days");
                connection.execute("DELETE FROM runs WHERE began < datetime('now', ?1)", params![old])?;
                connection.execute(
                    "INSERT INTO runs (pipeline, process, began) VALUES (?1, ?2, ?3)",
                    params![pipeline, std::process::id(), began],
                )?;
                Ok(connection.last_insert_rowid())
            })
            .await?;
        Ok(Self { store, run, changes: HashMap::new(), written: Instant::now() })
    }

    fn change(&mut self, partition: &Arc<str>) -> &mut Counts {
        &mut self.changes.entry(Arc::clone(partition)).or_default().counts
    }

    /// Counts what was taken from the source.
    pub(crate) fn received(&mut self, deliveries: &[Delivery]) {
        for same in deliveries.chunk_by(|a, b| a.id.partition == b.id.partition) {
            self.change(&same[0].id.partition).received += same.len() as u64;
        }
    }

    /// Counts outcomes.
    pub(crate) fn settled(&mut self, progress: &Progress, deliveries: &[Delivery], outcomes: &[Outcome]) {
        for (delivery, outcome) in deliveries.iter().zip(outcomes) {
            let counts = self.change(&delivery.id.partition);
            match outcome {
                Outcome::Delivered => counts.delivered += 1,
                Outcome::Duplicate => counts.duplicate += 1,
                Outcome::Filtered => counts.filtered += 1,
                Outcome::Dead(_) => counts.dead += 1,
            }
        }
        if let Progress::Position { partition, position } = progress {
            self.changes.entry(Arc::clone(partition)).or_default().position = Some(position.clone());
        }
    }

    /// Writes the counts when it is time.
    pub(crate) async fn tick(&mut self) {
        if self.written.elapsed() >= EVERY {
            self.write().await;
        }
    }

    /// Writes what changed. Records matter more than their counts: a failure is told and does not end the run.
    async fn write(&mut self) {
        self.written = Instant::now();
        let (run, changes) = (self.run, std::mem::take(&mut self.changes));
        if changes.is_empty() {
            return;
        }
        let written = self.store.with(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare_cached(
                    "INSERT INTO partitions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)
                     ON CONFLICT (run, part) DO UPDATE SET
                         received = received + excluded.received, delivered = delivered + excluded.delivered,
                         duplicate = duplicate + excluded.duplicate, filtered = filtered + excluded.filtered,
                         dead = dead + excluded.dead, position = coalesce(excluded.position, position)",
                )?;
                let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
                for (part, Change { counts, position }) in changes {
                    let Counts { received, delivered, duplicate, filtered, dead, .. } = counts;
                    let [received, delivered, duplicate, filtered, dead] =
                        [received, delivered, duplicate, filtered, dead].map(number);
                    statement.execute(params![run, part, received, delivered, duplicate, filtered, dead, position])?;
                }
            }
            transaction.commit()
        });
        if let Err(error) = written.await {
            tracing::warn!("the counts of this run could not be written: {error}");
        }
    }

    /// Ends the accounts: how the run ended, and why if it failed.
    pub(crate) async fn end(mut self, summary: &Summary, failed: Option<&ConnectorError>) {
        self.write().await;
        let (run, ended, seconds) = (self.run, now().timestamp(), summary.seconds);
        let how = match (failed, summary.end) {
            (Some(_), _) => "failed",
            (None, End::Complete) => "complete",
            (None, End::Stopped) => "stopped",
        };
        let reason = failed.map(|error| error.message.clone());
        let written = self.store.with(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE partitions SET returned = received - delivered - duplicate - filtered - dead WHERE run = ?1",
                params![run],
            )?;
            transaction.execute(
                "UPDATE runs SET ended = ?2, how = ?3, reason = ?4, seconds = ?5 WHERE run = ?1",
                params![run, ended, how, reason, seconds],
            )?;
            transaction.commit()
        });
        if let Err(error) = written.await {
            tracing::warn!("the end of this run could not be written: {error}");
        }
    }
}

/// A run, as it is remembered.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Its number in this state store.
    pub run: i64,
    /// The pipeline's name.
    pub pipeline: String,
    /// The process that ran it.
    pub process: u32,
    /// When it began, UTC.
    pub began: String,
    /// When it ended, UTC; `None` while it goes on, and when it was killed.
    pub ended: Option<String>,
    /// `complete`, `stopped` or `failed`; `None` as for `ended`.
    pub how: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// All of its records.
    pub counts: Counts,
}

/// A queue, object, shard or file.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// Its name in ledgers and dead letters.
    pub partition: String,
    /// Records of all runs that are remembered.
    pub counts: Counts,
    /// Records of runs that were killed, or go on, that have no outcome in them. They came again, or will.
    pub open: i64,
    /// Where it stands, as its source writes it.
    pub position: Option<String>,
}

/// All that is remembered of a pipeline.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// The pipeline's name.
    pub pipeline: String,
    /// Its runs, the latest first.
    pub runs: Vec<Run>,
    /// What it read, the latest first.
    pub partitions: Vec<Partition>,
    /// How many partitions there are in all.
    pub partitions_in_all: u64,
    /// Records of all runs.
    pub counts: Counts,
    /// Dead letters that wait to be replayed or discarded.
    pub dead_letters_waiting: u64,
    /// What does not add up.
    pub alarms: Vec<String>,
}

/// The names of all pipelines that have run with a state store, or have dead letters in it.
///
/// # Errors
/// When it cannot be read.
pub async fn pipelines(store: &StateStore) -> Result<Vec<String>, ConnectorError> {
    let work = |connection: &mut rusqlite::Connection| {
        let sql = "SELECT pipeline FROM runs UNION SELECT pipeline FROM dead_letters ORDER BY 1";
        connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
    };
    store.with(work).await
}

const SUMS: &str = "coalesce(sum(received), 0), coalesce(sum(delivered), 0), coalesce(sum(duplicate), 0),
    coalesce(sum(filtered), 0), coalesce(sum(dead), 0), coalesce(sum(returned), 0)";

/// What is remembered of a pipeline: the latest `limit` of its runs and partitions, and what does not add up in all of them.
///
/// # Errors
/// When the state store cannot be read.
pub async fn account(store: &StateStore, pipeline: &str, limit: u32) -> Result<Account, ConnectorError> {
    let name = pipeline.to_owned();
    store
        .with(move |connection| {
            // One moment for all of it.
            let transaction = connection.transaction()?;
            let runs = runs(&transaction, &name, limit)?;
            let sql = format!(
                "SELECT part, {SUMS},
                     coalesce(sum(received - delivered - duplicate - filtered - dead - returned), 0),
                     (SELECT position FROM partitions AS latest WHERE latest.part = partitions.part
                         AND latest.run IN (SELECT run FROM runs WHERE pipeline = ?1) ORDER BY run DESC LIMIT 1)
                 FROM partitions JOIN runs USING (run) WHERE pipeline = ?1
                 GROUP BY part ORDER BY max(run) DESC, part LIMIT ?2"
            );
            let partition = |row: &Row<'_>| {
                let counts = Counts::from_row(row, 1)?;
                Ok(Partition { partition: row.get(0)?, counts, open: row.get(7)?, position: row.get(8)? })
            };
            let partitions = transaction.prepare(&sql)?.query_map(params![name, limit], partition)?.collect::<Result<_, _>>()?;
            let sql = format!(
                "SELECT {SUMS}, count(DISTINCT part) FROM partitions JOIN runs USING (run) WHERE pipeline = ?1"
            );
            let (counts, in_all) = transaction.query_row(&sql, params![name], |row| {
                Ok((Counts::from_row(row, 0)?, row.get::<_, i64>(6)?))
            })?;
            let letters = "SELECT coalesce(sum(state = 'waiting'), 0), coalesce(sum(times), 0) FROM dead_letters WHERE pipeline = ?1";
            let (waiting, times): (i64, i64) =
                transaction.query_row(letters, params![name], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let number = |count: i64| u64::try_from(count).unwrap_or(0);
            let mut alarms = differences(&transaction, &name)?;
            if number(times) < counts.dead {
                alarms.push(format!(
                    "{} records were counted as dead, and {times} dead letters were stored: {} are missing",
                    counts.dead,
                    counts.dead - number(times)
                ));
            }
            Ok(Account {
                pipeline: name,
                runs,
                partitions,
                partitions_in_all: number(in_all),
                counts,
                dead_letters_waiting: number(waiting),
                alarms,
            })
        })
        .await
}

fn runs(connection: &rusqlite::Connection, pipeline: &str, limit: u32) -> rusqlite::Result<Vec<Run>> {
    let sql = format!(
        "SELECT run, pipeline, process, began, ended, how, reason, seconds, {SUMS}
         FROM runs LEFT JOIN partitions USING (run) WHERE pipeline = ?1 GROUP BY run ORDER BY run DESC LIMIT ?2"
    );
    let run = |row: &Row<'_>| {
        Ok(Run {
            run: row.get(0)?,
            pipeline: row.get(1)?,
            process: row.get(2)?,
            began: row.get(3)?,
            ended: row.get(4)?,
            how: row.get(5)?,
            reason: row.get(6)?,
            seconds: row.get(7)?,
            counts: Counts::from_row(row, 8)?,
        })
    };
    connection.prepare(&sql)?.query_map(params![pipeline, limit], run)?.collect()
}

/// Runs that ended, and in which something has no outcome or more than one.
fn differences(connection: &rusqlite::Connection, pipeline: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT run, part, received, delivered + duplicate + filtered + dead, returned
        FROM partitions JOIN runs USING (run)
        WHERE pipeline = ?1 AND how IN ('complete', 'stopped')
            AND (received <> delivered + duplicate + filtered + dead + returned OR returned < 0
                OR (how = 'complete' AND returned <> 0 AND part NOT IN
                    (SELECT part FROM partitions AS other WHERE other.run <> partitions.run)))
        ORDER BY run LIMIT 100";
    let line = |row: &Row<'_>| {
        let (run, part): (i64, String) = (row.get(0)?, row.get(1)?);
        let (received, settled, returned): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(format!("run {run}, {part}: {received} received, {settled} with an outcome, {returned} returned"))
    };
    connection.prepare(sql)?.query_map(params![pipeline], line)?.collect()
}

#[cfg(test)]
mod tests {
    use cloakroom_core::{Payload, Place, RecordErrorKind, RecordId};

    use super::*;
    use crate::error::ErrorKind;

    fn deliveries(part: &str, count: u64) -> Vec<Delivery> {
        let partition: Arc<str> = part.into();
        (0..count)
            .map(|number| Delivery {
                id: RecordId { partition: Arc::clone(&partition), position: Place::Offset { byte: number, number } },
                payload: Payload::Json(bytes::Bytes::new()),
            })
            .collect()
    }

    fn at(part: &str, position: &str) -> Progress {
        Progress::Position { partition: part.into(), position: position.to_owned() }
    }

    #[tokio::test]
    async fn what_went_through_is_remembered_and_what_does_not_add_up_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = StateStore::open(&folder.path().join("state.db")).unwrap();
        let summary = Summary::new("p");
        let mut first = Accounts::begin(store.clone(), "p").await.unwrap();
        let (a, b) = (deliveries("a", 3), deliveries("b", 2));
        first.received(&a);
        first.received(&b);
        first.settled(&at("a", "7"), &a, &[Outcome::Delivered, Outcome::Duplicate, Outcome::Filtered]);
        first.write().await;
        first.settled(&at("b", "9"), &b, &[Outcome::Delivered, Outcome::Delivered]);
        first.end(&summary, None).await;
        let found = account(&store, "p", 10).await.unwrap();
        assert_eq!((found.counts.received, found.counts.delivered, found.counts.open()), (5, 3, 0));
        assert_eq!((found.partitions.len(), found.partitions[0].position.as_deref()), (2, Some("7")));
        assert_eq!((found.runs[0].how.as_deref(), found.alarms.len()), (Some("complete"), 0));

        // Killed: what was open came again, and is no alarm.
        let mut killed = Accounts::begin(store.clone(), "p").await.unwrap();
        killed.received(&deliveries("a", 10));
        killed.write().await;
        drop(killed);
        let mut failed = Accounts::begin(store.clone(), "p").await.unwrap();
        let more = deliveries("a", 10);
        failed.received(&more);
        failed.settled(&at("a", "8"), &more[..4], &vec![Outcome::Delivered; 4]);
        failed.end(&summary, Some(&ConnectorError::new(ErrorKind::Denied, "no"))).await;
        let found = account(&store, "p", 10).await.unwrap();
        let a = found.partitions.iter().find(|part| part.partition == "a").unwrap();
        assert_eq!((a.open, a.counts.returned, a.position.as_deref()), (10, 6, Some("8")));
        assert_eq!((found.runs[0].reason.as_deref(), found.runs[1].how.as_deref()), (Some("no"), None));
        assert!(found.alarms.is_empty(), "{:?}", found.alarms);

        // Dead without a letter; an outcome for something that never came; a complete run that left something.
        let mut wrong = Accounts::begin(store.clone(), "p").await.unwrap();
        let one = deliveries("c", 1);
        wrong.received(&one);
        wrong.settled(&at("c", "1"), &one, &[Outcome::Dead(RecordErrorKind::Internal)]);
        wrong.settled(&at("c", "2"), &one, &[Outcome::Delivered]);
        wrong.received(&deliveries("d", 2));
        wrong.end(&summary, None).await;
        let alarms = account(&store, "p", 10).await.unwrap().alarms;
        assert_eq!(
            alarms,
            [
                "run 4, c: 1 received, 2 with an outcome, -1 returned",
                "run 4, d: 2 received, 0 with an outcome, 2 returned",
                "1 records were counted as dead, and 0 dead letters were stored: 1 are missing"
            ]
        );
        assert_eq!(pipelines(&store).await.unwrap(), ["p"]);
    }
}
