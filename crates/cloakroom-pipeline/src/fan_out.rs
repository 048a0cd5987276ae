//! One pipeline into several sinks: a record has an outcome when all of them have it.
//!
//! ```text
//! write    each sink stages the batch, those with transactions first; what one of them refuses is taken out of all
//! commit   one sink after the other
//! ```
//!
//! Each sink remembers by itself what it has, as it does alone. Between the commit of the first and of the last one a crash
//! leaves some of them a batch ahead. So the position in a sink's ledger is a marker (`fan_out/marker.rs`): with the source's position it
//! names the records of the batch. The source goes on where the sinks that are behind stand, and those that are ahead get
//! what their markers do not name, whatever the cuts of the batches are by then. Sources without order need none of this:
//! ledgers hold the ids of their records.

mod marker;
mod stand;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::{Object, ProtectedRecord, RecordError, Value};

use crate::error::{ConnectorError, ErrorKind};
use crate::sink::{Ledger, RowOutcome, Sink, SinkBatch};
use crate::source::Progress;

use marker::Marker;
use stand::{Plan, Stand};

/// The least and the most sinks of one pipeline.
pub const SINKS: std::ops::RangeInclusive<usize> = 2..=8;

/// Several sinks as one.
pub struct FanOut {
    branches: Vec<Branch>,
    /// In which order they stage. A record that a sink without transactions has written cannot be taken out any more.
    staging: Vec<usize>,
    /// Where the sinks stand in each partition.
    stands: HashMap<String, Stand>,
    staged: Option<Staged>,
    /// A batch whose commit failed: some of the sinks may have it. Written again, it has the outcomes that it had.
    attempt: Option<Attempt>,
}

/// One of the sinks.
struct Branch {
    name: String,
    sink: Box<dyn Sink>,
    open: bool,
}

/// What is known of a batch.
#[derive(Clone)]
struct Attempt {
    /// Held, so that no other batch can stand at the same address.
    records: Arc<Vec<ProtectedRecord>>,
    /// Why records were refused, by their place in the batch.
    dead: HashMap<usize, RecordError>,
    /// Whether one of the sinks took it as new.
    delivered: Vec<bool>,
    /// Records that a sink left out.
    filtered: Vec<bool>,
}

struct Staged {
    attempt: Attempt,
    /// For a batch of a partition: its name, and the marker of each sink.
    markers: Option<(Arc<str>, Vec<Marker>)>,
    /// In which order they commit.
    order: Vec<usize>,
}

impl FanOut {
    /// Sinks as one, each with a name for messages. Each needs a ledger, and one that no other of them has.
    ///
    /// # Errors
    /// When there are too few or too many, or one remembers nothing.
    pub fn new(sinks: Vec<(String, Box<dyn Sink>)>) -> Result<Self, ConnectorError> {
        if !SINKS.contains(&sinks.len()) {
            return Err(ConnectorError::configuration("`fan_out` takes two to eight sinks"));
        }
        if let Some((name, _)) = sinks.iter().find(|(_, sink)| !sink.has_ledger()) {
            return Err(ConnectorError::configuration(format!(
                "fan_out, {name}: it does not remember what it was given, so it cannot be one of several sinks"
            )));
        }
        let mut staging: Vec<usize> = (0..sinks.len()).collect();
        staging.sort_by_key(|at| !sinks[*at].1.is_transactional());
        let branches = sinks.into_iter().map(|(name, sink)| Branch { name, sink, open: false }).collect();
        Ok(Self { branches, staging, stands: HashMap::new(), staged: None, attempt: None })
    }

    /// Asks all ledgers where they stand.
    async fn learn(&mut self, partition: &str) -> Result<&Stand, ConnectorError> {
        let mut markers = Vec::with_capacity(self.branches.len());
        for branch in &mut self.branches {
            let position = branch.sink.position(partition).await.map_err(|error| branch.named(error))?;
            let marker = position.map(|position| Marker::parse(&position)).transpose();
            markers.push(marker.map_err(|error| branch.named(error))?);
        }
        let stand = Stand::new(markers).map_err(|error| self.disagreement(partition, error))?;
        Ok(self.stands.entry(partition.to_owned()).insert_entry(stand).into_mut())
    }

    fn disagreement(&self, partition: &str, at: stand::Disagreement) -> ConnectorError {
        let name = |index: usize| self.branches.get(index).map_or("", |branch| branch.name.as_str());
        ConnectorError::new(
            ErrorKind::Corrupt,
            format!(
                "fan_out: {} and {} stand at different places of {partition}, and not because a run died: one was left \
                 out for a while, or restored. Give the pipeline another name, or delete what the ledger of the one that \
                 is to go on with the other says of the partition",
                name(at.one),
                name(at.other)
            ),
        )
    }

    /// Stages a batch everywhere, until no sink refuses a record that another one has staged.
    async fn stage(
        &mut self,
        batch: &SinkBatch,
        plan: Option<&Plan>,
        attempt: &mut Attempt,
    ) -> Result<Vec<Marker>, ConnectorError> {
        let mut markers: Vec<Option<Marker>> = vec![None; self.branches.len()];
        // How many records had been refused when a sink was written to.
        let mut written = vec![None; self.branches.len()];
        while written.iter().any(|then| *then != Some(attempt.dead.len())) {
            for &index in &self.staging {
                let branch = &mut self.branches[index];
                if written[index] == Some(attempt.dead.len()) {
                    continue;
                }
                written[index] = Some(attempt.dead.len());
                let progress = match plan {
                    Some(plan) => {
                        let accepted = batch.records.iter().enumerate();
                        let accepted = accepted.filter(|(at, _)| !attempt.dead.contains_key(at));
                        let marker = plan.marker(index, accepted.map(|(_, record)| record.id()));
                        let position = marker.to_string();
                        markers[index] = Some(marker);
                        Progress::Position { partition: Arc::clone(&plan.partition), position }
                    }
                    None => Progress::Ids,
                };
                let wanted = |at: &usize| {
                    let known = plan.is_some_and(|plan| plan.is_known(index, batch.records[*at].id()));
                    !known && !attempt.dead.contains_key(at)
                };
                let places: Vec<usize> = (0..batch.records.len()).filter(wanted).collect();
                let records = match places.len() == batch.records.len() {
                    true => Arc::clone(&batch.records),
                    false => Arc::new(places.iter().map(|at| batch.records[*at].clone()).collect()),
                };
                let part = SinkBatch { progress, records };
                let outcomes = branch.sink.write(&part).await.map_err(|error| branch.named(error))?;
                if outcomes.len() != places.len() {
                    let silent = ConnectorError::new(ErrorKind::Internal, "it did not answer for every record");
                    return Err(branch.named(silent));
                }
                for (at, outcome) in places.into_iter().zip(outcomes) {
                    match outcome {
                        RowOutcome::Delivered => attempt.delivered[at] = true,
                        RowOutcome::Filtered => attempt.filtered[at] = true,
                        RowOutcome::Duplicate => {}
                        RowOutcome::Dead(error) => {
                            attempt.dead.insert(at, branch.refusal(error));
                        }
                    }
                }
            }
        }
        Ok(markers.into_iter().flatten().collect())
    }
}

impl Branch {
    /// An error with the sink's name.
    fn named(&self, error: ConnectorError) -> ConnectorError {
        error.context(&self.name)
    }

    fn refusal(&self, error: RecordError) -> RecordError {
        let detail = match error.detail.is_empty() {
            true => self.name.clone(),
            false => format!("{}: {}", self.name, error.detail),
        };
        RecordError { detail: detail.into(), ..error }
    }
}

impl Attempt {
    fn new(records: &Arc<Vec<ProtectedRecord>>) -> Self {
        let nowhere = vec![false; records.len()];
        Self { records: Arc::clone(records), dead: HashMap::new(), delivered: nowhere.clone(), filtered: nowhere }
    }

    fn outcomes(&self) -> Vec<RowOutcome> {
        let outcome = |(at, delivered): (usize, &bool)| match self.dead.get(&at) {
            Some(error) => RowOutcome::Dead(error.clone()),
            None if *delivered => RowOutcome::Delivered,
            None if self.filtered[at] => RowOutcome::Filtered,
            None => RowOutcome::Duplicate,
        };
        self.delivered.iter().enumerate().map(outcome).collect()
    }
}

#[async_trait]
impl Ledger for FanOut {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        Ok(self.learn(partition).await?.position())
    }
}

#[async_trait]
impl Sink for FanOut {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        // When one of them is away, this is called again, and the others stay as they are.
        for branch in self.branches.iter_mut().filter(|branch| !branch.open) {
            branch.sink.open().await.map_err(|error| branch.named(error))?;
            branch.open = true;
        }
        Ok(())
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        self.staged = None;
        let mut attempt = match &self.attempt {
            Some(before) if Arc::ptr_eq(&before.records, &batch.records) => before.clone(),
            _ => Attempt::new(&batch.records),
        };
        let plan = match &batch.progress {
            Progress::Position { partition, position } => {
                // A stream's partition was never asked for.
                let stand = match self.stands.get(&**partition) {
                    Some(stand) => stand,
                    None => self.learn(partition).await?,
                };
                Some(stand.plan(partition, position, &batch.records))
            }
            Progress::Ids => None,
        };
        let markers = self.stage(batch, plan.as_ref(), &mut attempt).await?;
        let outcomes = attempt.outcomes();
        self.staged = Some(match plan {
            Some(plan) => Staged { attempt, order: plan.order, markers: Some((plan.partition, markers)) },
            None => Staged { attempt, order: (0..self.branches.len()).collect(), markers: None },
        });
        Ok(outcomes)
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        let Some(staged) = self.staged.take() else { return Ok(()) };
        self.attempt = Some(staged.attempt);
        for index in staged.order {
            let branch = &mut self.branches[index];
            branch.sink.commit().await.map_err(|error| branch.named(error))?;
            if let Some((partition, markers)) = &staged.markers
                && let Some(stand) = self.stands.get_mut(&**partition)
            {
                stand.committed(index, markers[index].clone());
            }
        }
        self.attempt = None;
        Ok(())
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.staged = None;
        let mut result = Ok(());
        for branch in &mut self.branches {
            let closed = branch.sink.close().await.map_err(|error| branch.named(error));
            branch.open = false;
            result = result.and(closed);
        }
        result
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        let mut found = Vec::with_capacity(self.branches.len());
        for branch in &mut self.branches {
            let said = branch.sink.check().await.map_err(|error| branch.named(error))?;
            found.push(format!("{}: {said}", branch.name));
        }
        Ok(found.join("; "))
    }

    fn only_at_end(&self) -> Option<&'static str> {
        self.branches.iter().find_map(|branch| branch.sink.only_at_end())
    }

    /// All of them have the same records: the first that answers will do.
    async fn find(&mut self, member: &str, values: &[Value], limit: usize) -> Result<Vec<Object>, ConnectorError> {
        let mut refused = None;
        for branch in &mut self.branches {
            match branch.sink.find(member, values, limit).await {
                Ok(found) => return Ok(found),
                Err(error) => refused = refused.or(Some(branch.named(error))),
            }
        }
        Err(refused.unwrap_or_else(|| ConnectorError::new(ErrorKind::Internal, "fan_out without sinks")))
    }
}

#[cfg(test)]
mod tests;
