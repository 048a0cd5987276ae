//! Reading one shard: a task that asks for records, as often as Kinesis allows, and hands them over in batches.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::prefetch::gone;
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use cloakroom_pipeline::source::Batch;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use super::calls::{Answer, Stream};
use super::position::Position;
use super::records::Cutter;

/// Between two calls while there is more: a shard allows five a second, for all of its readers.
const BUSY: Duration = Duration::from_millis(250);
/// Between two calls while nothing comes.
const IDLE: Duration = Duration::from_secs(1);
/// Answers with records after which a shard counts as read, when each of them says that it reached the newest: so that a
/// run that is to end does so while records come all the time.
const LAST_ANSWERS: u32 = 3;

/// What a task tells.
pub(super) struct Told {
    pub(super) shard: Arc<str>,
    /// Which reading of it.
    pub(super) number: u64,
    pub(super) what: What,
}

pub(super) enum What {
    Batch(Batch),
    /// The last one of a shard that is closed; it stands at the end.
    End(Batch),
    /// Everything was read for now, in a run that ends then.
    CaughtUp,
    /// There is no such shard any more.
    Missing,
    Failed(ConnectorError),
}

/// One shard to read.
pub(super) struct Reading {
    pub(super) stream: Stream,
    pub(super) shard: Arc<str>,
    pub(super) number: u64,
    pub(super) from: Position,
    pub(super) cutter: Cutter,
    pub(super) retry: RetryConfig,
    /// Ends when it has reached the newest record.
    pub(super) once: bool,
    /// How many shards may hold an answer at the same time: this bounds memory.
    pub(super) room: Arc<Semaphore>,
    pub(super) tell: mpsc::Sender<Told>,
}

/// What one call brought.
enum Step {
    /// There is, or may be, more.
    More,
    /// Nothing, and nothing is there.
    Nothing,
    /// Records up to the newest one.
    Newest,
    /// The shard is closed, and this was the end of it.
    End,
    /// There is no such shard any more.
    Missing,
}

impl Reading {
    pub(super) async fn run(mut self) {
        let what = match self.read().await {
            Ok(what) => what,
            Err(error) => What::Failed(error),
        };
        // Nobody listens: the run has ended.
        let _ = self.tell(what).await;
    }

    async fn read(&mut self) -> Result<What, ConnectorError> {
        let (mut iterator, mut backoff, mut newest) =
            (None, Backoff::new(self.retry).telling(format!("kinesis: shard {}", self.shard)), 0);
        loop {
            let began = Instant::now();
            let pause = match self.step(&mut iterator).await {
                Err(error) => {
                    sleep(backoff.after(error)?).await;
                    continue;
                }
                Ok(Step::End) => {
                    self.from = Position::End;
                    let end = self.cutter.batch(Vec::new(), &self.from);
                    return end.map(What::End).ok_or_else(gone);
                }
                Ok(Step::Missing) => return Ok(What::Missing),
                Ok(Step::Nothing) if self.once => return Ok(What::CaughtUp),
                Ok(Step::Nothing) => IDLE,
                Ok(Step::Newest) => {
                    newest += 1;
                    if self.once && newest >= LAST_ANSWERS {
                        return Ok(What::CaughtUp);
                    }
                    BUSY
                }
                Ok(Step::More) => {
                    newest = 0;
                    BUSY
                }
            };
            backoff.succeeded();
            sleep_until(began + pause).await;
        }
    }

    /// One call, and all that it brings is handed over.
    async fn step(&mut self, iterator: &mut Option<String>) -> Result<Step, ConnectorError> {
        let room = Arc::clone(&self.room);
        let _permit = room.acquire().await.map_err(|_| gone())?;
        let current = match iterator {
            Some(current) => current,
            None => {
                let Some(fresh) = self.stream.iterator(&self.shard, &self.from).await? else {
                    return Ok(Step::Missing);
                };
                iterator.insert(fresh)
            }
        };
        let answer = match self.stream.records(current).await? {
            Answer::Records(answer) => answer,
            Answer::Missing => return Ok(Step::Missing),
            Answer::Expired => {
                tracing::debug!(shard = %self.shard, "the place in the shard expired and is asked for again");
                *iterator = None;
                return Ok(Step::More);
            }
        };
        *iterator = answer.next_shard_iterator;
        let is_behind = answer.millis_behind_latest.is_some_and(|behind| behind > 0);
        let is_empty = answer.records.is_empty();
        for batch in self.cutter.cut(answer.records, &mut self.from) {
            self.tell(What::Batch(batch)).await?;
        }
        Ok(match (iterator.is_none(), is_behind, is_empty) {
            (true, _, _) => Step::End,
            (_, true, _) => Step::More,
            (_, false, true) => Step::Nothing,
            (_, false, false) => Step::Newest,
        })
    }

    async fn tell(&self, what: What) -> Result<(), ConnectorError> {
        let told = Told { shard: Arc::clone(&self.shard), number: self.number, what };
        self.tell.send(told).await.map_err(|_| gone())
    }
}
