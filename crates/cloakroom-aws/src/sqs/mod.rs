//! Records from a queue of Amazon SQS: each message is one.
//!
//! ```yaml
//! source:
//!   sqs: { queue_url: "https://sqs.eu-west-1.amazonaws.com/123456789012/logins" }
//! ```
//!
//! # What happens when
//!
//! A message is deleted when it has an outcome: the sink has it, or it is a sealed dead letter. Until then it is held: hidden
//! from others, and renewed in time, from its receipt on and however long the sink takes. When the run ends, well or not,
//! everything that is held and has no outcome is given back at once; after a kill it comes again by itself, when its
//! visibility timeout has passed. A message that comes again has the same id, `sqs/ACCOUNT/NAME#MESSAGE-ID`, by which the
//! sink's ledger recognises it.
//!
//! # FIFO queues
//!
//! SQS gives out the next messages of a group only when the earlier ones are deleted or given back, and we keep their order
//! on the way. A message that cannot be delivered becomes a dead letter, and its group goes on.
//!
//! # Files
//!
//! * `config`: what a pipeline file says
//! * `queue`: a queue with its protocol hidden; over `calls` (to SQS), `held` (what is to be renewed when), `address`, `error`
//! * `waiting`: between the receivers and the run loop
//! * `metadata`: a message's attributes as a member of its record

mod address;
mod calls;
mod config;
mod error;
mod held;
mod metadata;
pub(crate) mod queue;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::{CompactString, Format, Payload, Place, RecordId};
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::Ledger;
use cloakroom_pipeline::source::{Batch, Delivery, Outcome, Progress, Source};
use tokio::sync::watch;

pub use config::{Config, QueueConfig};
use queue::{Message, Queue, WAIT_ONCE_S};
use waiting::{Arrived, Waiting};

/// Makes the source. Connects to nothing yet.
///
/// # Errors
/// The setting that cannot work.
pub fn build(config: &Config, context: &SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
    let queue = config.queue();
    queue.check()?;
    let make = match context.policy.format() {
        Format::Json => Payload::Json,
        Format::KeyValue => Payload::KeyValue,
        _ => {
            return Err(ConnectorError::configuration(
                "`record.format` must be `json` or `key_value`: each message of a queue is one record",
            ));
        }
    };
    if config.metadata.as_deref().is_some_and(str::is_empty) {
        return Err(ConnectorError::configuration("`metadata` is the name of a member, and must not be empty"));
    }
    let metadata = config.metadata.as_deref().map(CompactString::new);
    Ok(Box::new(SqsSource {
        config: queue,
        context: context.clone(),
        shape: Shape { make, metadata },
        open: None,
        given: VecDeque::new(),
    }))
}

/// How a message becomes a record.
#[derive(Clone)]
struct Shape {
    make: fn(Bytes) -> Payload,
    /// The member for its attributes.
    metadata: Option<CompactString>,
}

impl Shape {
    fn record(&self, partition: &Arc<str>, mut message: Message) -> Arrived {
        let record = (self.make)(Bytes::from(message.received.body.take().unwrap_or_default()));
        let payload = match &self.metadata {
            None => record,
            Some(member) => {
                Payload::Tagged { record: Box::new(record), member: member.clone(), about: metadata::about(&message) }
            }
        };
        let id = RecordId { partition: Arc::clone(partition), position: Place::Id(Arc::clone(&message.id)) };
        Arrived { id: message.id, delivery: Delivery { id, payload } }
    }
}

struct SqsSource {
    config: QueueConfig,
    context: SourceContext,
    shape: Shape,
    open: Option<(Queue, Arc<Waiting>)>,
    /// The messages of each batch that was handed out and has no outcomes yet.
    given: VecDeque<Vec<Arc<str>>>,
}

/// How much there is to do for receivers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// The last call brought nothing: one receiver asks on, the others rest.
    Idle,
    /// Messages come.
    Busy,
    /// There is no more, in a run that ends then.
    Over,
}

/// One that asks for messages, again and again.
struct Receiver {
    queue: Queue,
    waiting: Arc<Waiting>,
    shape: Shape,
    /// The first never rests.
    is_first: bool,
    pace: Arc<watch::Sender<Pace>>,
    /// End when there are no messages.
    once: bool,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Also when it panics: silence must not look like an empty queue.
        self.waiting.leave();
    }
}

impl Receiver {
    async fn run(self) {
        let mut empty_rounds = 0;
        // The waits end when the queue is closed. A call does not: what SQS is about to hand over must be given back.
        while self.queue.closing().run_until_cancelled(self.is_wanted()).await == Some(true) {
            match self.queue.receive(self.once.then_some(WAIT_ONCE_S)).await {
                Ok(None) => return,
                Ok(Some(messages)) if messages.is_empty() => {
                    self.set(Pace::Idle);
                    if self.once && self.is_first && self.queue.is_drained(&mut empty_rounds).await {
                        self.waiting.drained();
                        self.set(Pace::Over);
                    }
                }
                Ok(Some(messages)) => {
                    empty_rounds = 0;
                    self.set(Pace::Busy);
                    let partition = self.queue.partition();
                    self.waiting.put(messages.into_iter().map(|message| self.shape.record(partition, message)));
                }
                Err(error) => return self.waiting.fail(error),
            }
        }
    }

    /// Waits until another call makes sense; false when none does any more.
    async fn is_wanted(&self) -> bool {
        self.waiting.room().await;
        let mut pace = self.pace.subscribe();
        let wanted = pace.wait_for(|pace| self.is_first || *pace != Pace::Idle).await;
        wanted.is_ok_and(|pace| *pace != Pace::Over)
    }

    fn set(&self, new: Pace) {
        self.pace.send_if_modified(|pace| {
            let is_new = *pace != new && *pace != Pace::Over;
            if is_new {
                *pace = new;
            }
            is_new
        });
    }
}

impl Drop for SqsSource {
    fn drop(&mut self) {
        // Not closed: receivers end all the same. What is held comes again by itself.
        if let Some((queue, _)) = &self.open {
            queue.closing().cancel();
        }
    }
}

#[async_trait]
impl Source for SqsSource {
    async fn open(&mut self, _: &mut dyn Ledger) -> Result<(), ConnectorError> {
        let queue = Queue::open(&self.config, self.context.retry, self.shape.metadata.is_some()).await?;
        let waiting = Arc::new(Waiting::new(self.context.batch, self.config.receivers));
        let pace = Arc::new(watch::Sender::new(Pace::Idle));
        for index in 0..self.config.receivers {
            let receiver = Receiver {
                queue: queue.clone(),
                waiting: Arc::clone(&waiting),
                shape: self.shape.clone(),
                is_first: index == 0,
                pace: Arc::clone(&pace),
                once: self.context.once,
            };
            queue.spawn(receiver.run());
        }
        self.open = Some((queue, waiting));
        Ok(())
    }

    async fn next_batch(&mut self, _: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
        let Some((_, waiting)) = &self.open else { return Err(not_open()) };
        let Some(arrived) = waiting.batch().await? else { return Ok(None) };
        let (ids, deliveries) = arrived.into_iter().map(|message| (message.id, message.delivery)).unzip();
        self.given.push_back(ids);
        Ok(Some(Batch { progress: Progress::Ids, deliveries }))
    }

    async fn settle(&mut self, _: &Progress, outcomes: &[Outcome]) -> Result<(), ConnectorError> {
        let Some((queue, _)) = &self.open else { return Err(not_open()) };
        let Some(ids) = self.given.pop_front().filter(|ids| ids.len() == outcomes.len()) else {
            return Err(ConnectorError::new(ErrorKind::Internal, "a batch was settled that was not handed out"));
        };
        queue.delete(&ids).await
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.given.clear();
        match self.open.take() {
            Some((queue, _)) => queue.close().await,
            None => Ok(()),
        }
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        let queue = Queue::open(&self.config, self.context.retry, false).await?;
        Ok(describe(&queue, &self.config))
    }

    fn forgets(&self) -> bool {
        true
    }
}

fn not_open() -> ConnectorError {
    ConnectorError::new(ErrorKind::Internal, "the queue was not opened")
}

fn describe(queue: &Queue, config: &QueueConfig) -> String {
    let facts = queue.facts();
    let kind = if facts.is_fifo { "FIFO" } else { "standard" };
    let own = facts.visibility_s;
    let hidden = match config.visibility_timeout_s {
        Some(other) if i32::from(other) != own => format!("visibility timeout {other} s (the queue's own is {own} s)"),
        _ => format!("visibility timeout {own} s"),
    };
    let depth = facts.depth;
    let redrive = match facts.max_receives {
        Some(1) => "to a dead-letter queue after 1 receive".to_owned(),
        Some(times) => format!("to a dead-letter queue after {times} receives"),
        None => "no dead-letter queue".to_owned(),
    };
    format!(
        "{}, {kind}, {hidden}, about {} messages waiting, {} in flight, {} delayed, {redrive}",
        queue.partition(),
        depth.visible,
        depth.in_flight,
        depth.delayed
    )
}
