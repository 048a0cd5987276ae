//! Records from a stream of Amazon Kinesis.
//!
//! ```yaml
//! source:
//!   kinesis: { stream: logins, region: eu-west-1 }
//! ```
//!
//! # What happens when
//!
//! ```text
//! list of shards ─► where does the ledger stand? ─► a task for each shard that may be read ─► batches ─► END ─► its children
//! ```
//!
//! A shard is a partition of the sink's ledger, `kinesis/STREAM/SHARD`. Its position is the sequence number of the last record
//! that was delivered, with `/N` after part N of an aggregated one, and `END` when it is closed and all of it was delivered.
//! Only then are the shards read into which it was split or merged: so the order of a partition key holds.
//!
//! With `start: latest`, the time of the first run is the position of the partition `kinesis/STREAM`, which is in the ledger
//! before the first record is read: every shard that has no position of its own begins at this time, also in later runs.
//!
//! # Several runs
//!
//! Without `leases`, one run reads all shards. When another run moves a shard in the ledger, the shard is left to it; it is taken
//! up again when the ledger did not move for a while.
//!
//! ```yaml
//! source:
//!   kinesis: { stream: logins, leases: { table: cloakroom_leases } }
//! ```
//!
//! With `leases`, each run is a worker that reads the shards whose leases it holds. Exactness does not hang on them: the ledger
//! in the sink alone says what was delivered. So a lease that two workers believe to hold costs work that is done twice, and
//! changes nothing in the sink.
//!
//! | what happens | what becomes of it |
//! |---|---|
//! | workers begin and end | each takes what is free, up to the number of shards by that of workers, rounded up; who holds two less than another asks that one for a shard, one at a time |
//! | a shard is asked for | its worker reads no further, waits until what it has given out has outcomes, and hands it over; after the duration of a lease it is taken from it |
//! | a worker ends, well or with an error | it gives its leases up at once |
//! | a worker is killed, or hangs | its leases are taken when they did not move for their duration; every worker measures that by its own clock |
//! | a worker with a name (`worker`) begins again | it takes up at once what it held |
//! | the sink is slow | leases are renewed by a task of its own |
//! | a shard is read to its end | its lease is given up, and the others ask the ledger: then its children are free |
//! | the table cannot be reached | shards are read on; after `retry.give_up_after_s` it is an error. A time without looking counts for nobody's end |
//! | `--once` | a run ends when each shard was read to its newest record, or is held by another worker that was seen to renew a lease: that one answers for it. If it dies, the next run reads the rest |
//!
//! # Files
//!
//! * `config`: what a pipeline file says
//! * `calls`: the calls, and what their failures mean
//! * `reading`: one shard, on a task of its own
//! * `records`: what it brings, in batches; over `aggregate`: records that the Kinesis Producer Library packed into one
//! * `shards`: which shards may be read now
//! * `leases`: who reads which shard; over `sharing`: what that means for this run
//! * `position`: a place in a shard as text

mod aggregate;
mod calls;
mod config;
mod leases;
mod position;
mod reading;
mod records;
mod shards;
mod sharing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cloakroom_core::{CompactString, Format, Payload};
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::retry::Backoff;
use cloakroom_pipeline::sink::{Ledger, ask};
use cloakroom_pipeline::source::{Batch, Outcome, Progress, Source};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use calls::{Listed, Stream};
pub use config::{Config, Start};
use position::Position;
use reading::{Reading, Told, What};
use records::{Cutter, Shape};
use shards::{END, Shard, readable};
use sharing::Sharing;

/// How often the shards are listed, besides when one was read to its end.
const LIST: Duration = Duration::from_secs(30);
/// How long a shard is left to another run before the ledger is asked again.
const REST: Duration = Duration::from_secs(30);
/// How soon they are listed when children are missing.
const SOON: Duration = Duration::from_secs(1);
/// Shards that may hold an answer, of at most 10 MiB, at the same time.
const ROOM: usize = 8;

/// Builds the source; does not connect.
///
/// # Errors
/// When the configuration does not make sense.
pub fn build(config: &Config, context: &SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
    config::Named::parse(&config.stream.resolve_plain()?)?;
    let make = match context.policy.format() {
        Format::Json => Payload::Json,
        Format::KeyValue => Payload::KeyValue,
        _ => {
            return Err(ConnectorError::configuration(
                "kinesis: `record.format` must be `json` or `key_value`: each record of a stream is one record",
            ));
        }
    };
    if config.metadata.as_deref() == Some("") {
        return Err(ConnectorError::configuration("kinesis: `metadata` is the name of a member"));
    }
    if let Some(leases) = &config.leases {
        leases.check()?;
    }
    let shape = Shape { make, metadata: config.metadata.as_deref().map(CompactString::new), batch: context.batch };
    let (tell, told) = mpsc::channel(1);
    Ok(Box::new(KinesisSource {
        config: config.clone(),
        context: context.clone(),
        shape,
        stream: None,
        shards: Vec::new(),
        closed: BTreeSet::new(),
        list_at: Instant::now(),
        asked: BTreeSet::new(),
        positions: BTreeMap::new(),
        start: Beginning::Unknown,
        working: BTreeMap::new(),
        resting: BTreeMap::new(),
        over: BTreeSet::new(),
        missing: BTreeSet::new(),
        given: VecDeque::new(),
        tasks: JoinSet::new(),
        room: Arc::new(Semaphore::new(ROOM)),
        tell,
        told,
        next: 0,
        sharing: None,
        ended: false,
    }))
}

/// Where shards begin that have no position.
enum Beginning {
    /// The ledger was not asked.
    Unknown,
    /// A time was chosen, and is on its way into the ledger.
    Chosen(Position),
    Known(Position),
}

/// A shard that is read.
struct Working {
    number: u64,
    task: AbortHandle,
}

/// A shard that is left to another run.
struct Resting {
    until: Instant,
    /// What the ledger said the last time.
    seen: Option<Option<String>>,
}

/// A batch that was given out.
struct Given {
    /// Of which shard; none for the time at which reading begins.
    shard: Option<Arc<str>>,
    number: u64,
    position: String,
}

struct KinesisSource {
    config: Config,
    context: SourceContext,
    shape: Shape,
    stream: Option<Stream>,
    /// As they were last listed.
    shards: Vec<Shard>,
    closed: BTreeSet<String>,
    list_at: Instant,
    /// Shards for which the ledger was asked.
    asked: BTreeSet<String>,
    /// What the ledger holds of shards.
    positions: BTreeMap<String, String>,
    start: Beginning,
    working: BTreeMap<String, Working>,
    resting: BTreeMap<String, Resting>,
    /// Shards that this run reads no more: it reached their newest record and is to end, or left them to another run.
    over: BTreeSet<String>,
    /// Shards that were not there when they were read.
    missing: BTreeSet<String>,
    /// What was given out and has no outcome, oldest first.
    given: VecDeque<Given>,
    tasks: JoinSet<()>,
    room: Arc<Semaphore>,
    tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    next: u64,
    /// Where the shards are shared with other runs.
    sharing: Option<Sharing>,
    ended: bool,
}

impl KinesisSource {
    fn stream(&self) -> Result<&Stream, ConnectorError> {
        self.stream.as_ref().ok_or_else(|| ConnectorError::new(ErrorKind::Internal, "kinesis: the source is not open"))
    }

    fn partition(&self, shard: &str) -> Result<String, ConnectorError> {
        Ok(format!("kinesis/{}/{shard}", self.stream()?.name()))
    }

    /// Takes the list of shards.
    fn listed(&mut self, listed: Vec<Listed>) {
        let closed = listed.iter().filter(|listed| listed.is_closed).map(|listed| listed.shard.id.clone());
        self.closed = closed.collect();
        self.shards = listed.into_iter().map(|listed| listed.shard).collect();
        self.list_at = Instant::now() + LIST;
    }

    async fn list(&mut self) -> Result<(), ConnectorError> {
        let mut backoff = Backoff::new(self.context.retry).telling("kinesis: the shards cannot be listed");
        loop {
            match self.stream()?.list().await {
                Ok(listed) => {
                    self.listed(listed);
                    let missing = std::mem::take(&mut self.missing);
                    return match self.shards.iter().find(|shard| missing.contains(&shard.id)) {
                        Some(shard) => Err(calls::missing().context(&shard.id)),
                        None => Ok(()),
                    };
                }
                Err(error) => sleep(backoff.after(error)?).await,
            }
        }
    }

    /// True while batches of a shard have no outcome: the ledger does not say yet where it will stand.
    fn is_given(&self, shard: &str) -> bool {
        self.given.iter().any(|given| given.shard.as_deref() == Some(shard))
    }

    /// Asks the ledger for shards of which it is not known what it says.
    async fn learn(&mut self, ledger: &mut dyn Ledger) -> Result<(), ConnectorError> {
        let ids: Vec<String> = self.shards.iter().map(|shard| shard.id.clone()).collect();
        for id in ids {
            let rests = self.resting.get(&id).is_some_and(|resting| resting.until > Instant::now());
            if rests || self.asked.contains(&id) || self.over.contains(&id) || self.is_given(&id) {
                continue;
            }
            let position = ask(ledger, &self.partition(&id)?, self.context.retry).await?;
            if let Some(resting) = self.resting.get(&id) {
                // The other run is at it.
                let has_moved = resting.seen.as_ref() != Some(&position);
                if has_moved && position.as_deref() != Some(END) {
                    let seen = Some(position);
                    let until = Instant::now() + self.rest();
                    self.resting.insert(id, Resting { until, seen });
                    continue;
                }
                self.resting.remove(&id);
            }
            if let Some(position) = position {
                if position == END
                    && self.sharing.is_some()
                    && !self.shards.iter().any(|shard| shard.parents.contains(&id))
                {
                    // Another worker ended it: its children are to be known.
                    self.list_at = self.list_at.min(Instant::now() + SOON);
                }
                self.positions.insert(id.clone(), position);
            }
            self.asked.insert(id);
        }
        Ok(())
    }

    /// Finds out where shards begin that have no position. A time that was not in the ledger comes as a batch.
    async fn find_start(&mut self, ledger: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
        if !matches!(self.start, Beginning::Unknown) {
            return Ok(None);
        }
        let partition = format!("kinesis/{}", self.stream()?.name());
        if let Some(known) = ask(ledger, &partition, self.context.retry).await? {
            self.start = Beginning::Known(Position::parse(&known)?);
            return Ok(None);
        }
        // A stream that was begun is gone on with: whatever is new in it came since.
        if self.config.start == Start::Oldest || !self.positions.is_empty() {
            self.start = Beginning::Known(Position::Oldest);
            return Ok(None);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = Position::Since(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let Some(position) = time.text() else { return Ok(None) };
        self.start = Beginning::Chosen(time);
        self.given.push_back(Given { shard: None, number: 0, position: position.clone() });
        let progress = Progress::Position { partition: partition.into(), position };
        Ok(Some(Batch { progress, deliveries: Vec::new() }))
    }

    /// Begins with every shard that may be read.
    fn begin(&mut self) -> Result<(), ConnectorError> {
        let Beginning::Known(start) = &self.start else { return Ok(()) };
        let start = start.clone();
        let may_begin = |id: &str| {
            self.asked.contains(id)
                && !self.working.contains_key(id)
                && !self.resting.contains_key(id)
                && !self.over.contains(id)
                && !self.is_given(id)
                && self.may_read(id)
        };
        let readable = readable(&self.shards, &self.positions);
        let ids: Vec<String> = readable.into_iter().filter(|id| may_begin(id)).map(str::to_owned).collect();
        for id in ids {
            let from = match self.positions.get(&id) {
                Some(position) => Position::parse(position)?,
                None => start.clone(),
            };
            let number = self.next;
            self.next += 1;
            let partition = self.partition(&id)?.into();
            let reading = Reading {
                stream: self.stream()?.clone(),
                shard: id.as_str().into(),
                number,
                from,
                cutter: Cutter { shape: self.shape.clone(), shard: id.clone(), partition },
                retry: self.context.retry,
                once: self.context.once && !self.closed.contains(&id),
                room: Arc::clone(&self.room),
                tell: self.tell.clone(),
            };
            let task = self.tasks.spawn(reading.run());
            self.working.insert(id, Working { number, task });
        }
        Ok(())
    }

    /// Takes what a task tells.
    fn take(&mut self, Told { shard, number, what }: Told) -> Result<Option<Batch>, ConnectorError> {
        // It was left to another run meanwhile.
        if self.working.get(&*shard).is_none_or(|working| working.number != number) {
            return Ok(None);
        }
        if !matches!(what, What::Batch(_)) {
            self.working.remove(&*shard);
        }
        let batch = match what {
            What::Batch(batch) => batch,
            What::End(batch) => {
                // Its children are to be known by then.
                self.list_at = Instant::now();
                batch
            }
            What::CaughtUp => {
                self.over.insert(shard.to_string());
                return Ok(None);
            }
            What::Missing => {
                // Closed, and its records became too old to be kept. The next list decides.
                self.missing.insert(shard.to_string());
                self.list_at = Instant::now();
                return Ok(None);
            }
            What::Failed(error) => return Err(error.context(self.partition(&shard)?)),
        };
        if let Progress::Position { position, .. } = &batch.progress {
            self.given.push_back(Given { shard: Some(shard), number, position: position.clone() });
        }
        Ok(Some(batch))
    }

    /// True when a run that is to end has nothing to wait for: what was given out and opens no other shard may be settled
    /// later.
    fn is_over(&self) -> bool {
        let opens_others = |given: &Given| given.shard.is_none() || given.position == END;
        self.context.once && self.working.is_empty() && !self.given.iter().any(opens_others) && self.is_shared_out()
    }
}

#[async_trait]
impl Source for KinesisSource {
    async fn open(&mut self, _: &mut dyn Ledger) -> Result<(), ConnectorError> {
        let stream = Stream::connect(&self.config).await.map_err(|error| error.context("kinesis"))?;
        let listed = stream.list().await.map_err(|error| error.context("kinesis"))?;
        self.listed(listed);
        self.stream = Some(stream);
        self.share().await.map_err(|error| error.context("kinesis: leases"))
    }

    async fn next_batch(&mut self, ledger: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
        while !self.ended {
            if self.list_at <= Instant::now() {
                self.list().await.map_err(|error| error.context("kinesis"))?;
            }
            self.heed();
            self.learn(ledger).await?;
            if let Some(batch) = self.find_start(ledger).await? {
                return Ok(Some(batch));
            }
            self.wish();
            self.begin()?;
            if self.is_over() {
                self.ended = true;
                break;
            }
            let rested = self.resting.values().map(|resting| resting.until).min();
            let wake = rested.map_or(self.list_at, |rested| rested.min(self.list_at));
            tokio::select! {
                told = self.told.recv() => {
                    if let Some(told) = told
                        && let Some(batch) = self.take(told)?
                    {
                        return Ok(Some(batch));
                    }
                }
                Some(ended) = self.tasks.join_next() => {
                    if ended.is_err_and(|error| error.is_panic()) {
                        return Err(ConnectorError::new(ErrorKind::Internal, "kinesis: a task that reads a shard failed"));
                    }
                }
                changed = sharing::changed(&mut self.sharing) => changed.map_err(|error| error.context("kinesis"))?,
                // Not at once again: a shard that rests may still wait for its outcomes.
                () = sleep_until(wake.max(Instant::now() + Duration::from_millis(100))) => {}
            }
        }
        Ok(None)
    }

    async fn settle(&mut self, _: &Progress, _: &[Outcome]) -> Result<(), ConnectorError> {
        let Some(Given { shard, position, .. }) = self.given.pop_front() else { return Ok(()) };
        match shard {
            None => {
                if let Beginning::Chosen(start) = &self.start {
                    self.start = Beginning::Known(start.clone());
                }
            }
            Some(shard) => {
                if position == END {
                    // Another run may have begun with its children.
                    let is_child = |child: &&Shard| child.parents.iter().any(|parent| **parent == *shard);
                    for child in self.shards.iter().filter(is_child) {
                        self.asked.remove(&child.id);
                    }
                }
                self.positions.insert(shard.to_string(), position);
            }
        }
        Ok(())
    }

    async fn yield_to_other(&mut self, _: &Progress) -> Result<bool, ConnectorError> {
        let Some(Given { shard, number, .. }) = self.given.pop_front() else { return Ok(false) };
        let Some(shard) = shard else {
            // It chose a time, too: that one counts.
            self.start = Beginning::Unknown;
            return Ok(true);
        };
        if self.working.get(&*shard).is_some_and(|working| working.number == number)
            && let Some(working) = self.working.remove(&*shard)
        {
            working.task.abort();
            tracing::info!(shard = %shard, "another run reads this shard, which is left to it");
        }
        self.asked.remove(&*shard);
        self.positions.remove(&*shard);
        if self.sharing.is_some() {
            self.yield_shared(&shard);
            return Ok(true);
        }
        match self.context.once {
            true => _ = self.over.insert(shard.to_string()),
            false => {
                let resting = Resting { until: Instant::now() + REST, seen: None };
                self.resting.insert(shard.to_string(), resting);
            }
        }
        Ok(true)
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.ended = true;
        self.working.clear();
        // Tasks that wait for somebody to take a batch end by this.
        self.tasks.shutdown().await;
        if let Some(sharing) = self.sharing.take() {
            sharing.close().await;
        }
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        let stream = Stream::connect(&self.config).await.map_err(|error| error.context("kinesis"))?;
        let said = stream.describe().await.map_err(|error| error.context("kinesis"))?;
        let in_leases = |error: ConnectorError| error.context("kinesis: leases");
        match sharing::table(&self.config, &self.context.pipeline).await.map_err(in_leases)? {
            Some(table) => Ok(format!("{said}; {}", table.describe().await.map_err(in_leases)?)),
            None => Ok(said),
        }
    }
}
