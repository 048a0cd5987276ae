//! Objects of Amazon S3: those that notifications tell about, or those that are there already.
//!
//! - `notification`: what a message of the queue says
//! - `listing`: what is there already
//! - `arrival`: both of them as one stream of objects to read
//! - `object`: one object as bytes that can be read anywhere; lost connections are opened again
//! - `reading`: one object in batches, on a thread of its own
//! - here: which objects are read, and when a notification is deleted
//!
//! ```text
//! notification or listing ─► where does the ledger stand? ─► read from there ─► … ─► "done" ─► the notification is deleted
//! ```
//!
//! An object is a partition of the sink's ledger, by bucket, key and entity tag: whoever reads it again, for whatever reason,
//! goes on where the last one stopped, or finds that it is done.

mod arrival;
mod listing;
mod notification;
mod object;
mod reading;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, StalledStreamProtectionConfig};
use bytes::Bytes;
use cloakroom_core::{CompactString, Format, Payload, Place, RecordId};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::framing::Position;
use cloakroom_pipeline::sink::{Ledger, ask};
use cloakroom_pipeline::source::{Batch, Delivery, Outcome, Progress, Source};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::client::{ClientConfig, sdk_config};
use crate::sqs::QueueConfig;
use crate::sqs::queue::{PER_CALL, Queue};
use arrival::{Arrival, Listening, list};
use listing::Listing;
use object::{Pinned, Refusal};
use reading::{DONE, Reading, Told, What};

/// How long a notification that is done waits for others to be deleted in the same call.
const LINGER: Duration = Duration::from_millis(200);

/// Objects of Amazon S3: with `queue` those that notifications tell about, else all that are in the bucket.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The queue to which S3 sends its notifications: its own events, as they are, through SNS or through EventBridge.
    pub queue: Option<QueueConfig>,
    /// What becomes of messages of the queue that are no notifications.
    #[serde(default)]
    pub other_messages: OtherMessages,
    /// The bucket. With `queue`, notifications about others become dead letters.
    pub bucket: Option<Template>,
    /// How names of objects begin that are read. With `queue`, notifications about others become dead letters.
    #[serde(default)]
    pub prefix: String,
    /// The bucket's region (default: with `queue` the queue's, else `AWS_REGION`, else the profile's).
    pub region: Option<Template>,
    /// Another address of S3: a VPC endpoint, an emulator.
    pub endpoint: Option<Template>,
    /// The profile of credentials (default: `AWS_PROFILE`, else `default`).
    pub profile: Option<Template>,
    /// The bucket's name is part of the path and not of the host name (default: when there is an `endpoint`).
    pub path_style: Option<bool>,
    /// Objects read at the same time. Each needs memory for a batch.
    #[serde(default = "four")]
    pub objects: usize,
    /// A member of every record that tells bucket, key, etag and version. Without it records are as they are.
    pub metadata: Option<String>,
}

fn four() -> usize {
    4
}

/// What becomes of messages of the queue that are no notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtherMessages {
    /// Dead letters.
    #[default]
    DeadLetter,
    /// Each is a record, in the format of the objects: for queues to which records are also sent directly.
    Record,
}

/// Builds the source; does not connect.
///
/// # Errors
/// When the configuration does not make sense.
pub fn build(config: &Config, context: &SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
    if config.queue.is_none() && config.bucket.is_none() {
        return Err(ConnectorError::configuration(
            "s3: name the `queue` that gets the notifications, or the `bucket` whose objects are read",
        ));
    }
    if let Some(queue) = &config.queue {
        queue.check().map_err(|error| error.context("s3: queue"))?;
    }
    if config.objects == 0 {
        return Err(ConnectorError::configuration("s3: `objects` is at least 1"));
    }
    let format = context.policy.format();
    if config.other_messages == OtherMessages::Record && !matches!(format, Format::Json | Format::KeyValue) {
        return Err(ConnectorError::configuration("s3: a message can be a record in the formats json and key_value"));
    }
    if config.metadata.as_deref() == Some("") {
        return Err(ConnectorError::configuration("s3: `metadata` is the name of a member"));
    }
    let (tell, told) = mpsc::channel(1);
    Ok(Box::new(S3Source {
        config: config.clone(),
        context: context.clone(),
        client: None,
        queue: None,
        arriving: None,
        waiting: None,
        objects: HashMap::new(),
        at_work: HashSet::new(),
        reading: 0,
        tell,
        told,
        given: VecDeque::new(),
        notices: HashMap::new(),
        finished: Vec::new(),
        left: None,
        next: 0,
    }))
}

/// An object that is read, or was read and is not settled.
struct Working {
    partition: Arc<str>,
    notice: Option<Arc<str>>,
    stop: Arc<AtomicBool>,
    /// Another run works on it.
    yielded: bool,
    /// Batches that were given out and have no outcome yet.
    unsettled: usize,
    /// Its thread has ended.
    read: bool,
}

/// A notification whose objects are being read.
struct Notice {
    /// Objects that are not done.
    open: usize,
    /// One of them could not be read: the notification stays in the queue.
    failed: bool,
}

/// What a batch that was given out is about.
enum Given {
    /// Records of an object.
    Object { number: u64, last: bool },
    /// A message that is no notification, or a record by itself.
    Message(Arc<str>),
}

struct S3Source {
    config: Config,
    context: SourceContext,
    client: Option<Client>,
    queue: Option<Queue>,
    arriving: Option<mpsc::Receiver<Result<Arrival, ConnectorError>>>,
    /// What arrived and has to wait for the ledger or for its turn.
    waiting: Option<Arrival>,
    objects: HashMap<u64, Working>,
    /// The partitions of `objects`, no two of which have the same.
    at_work: HashSet<Arc<str>>,
    /// Threads at work.
    reading: usize,
    tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    /// What was given out and has no outcome, oldest first.
    given: VecDeque<Given>,
    notices: HashMap<Arc<str>, Notice>,
    /// Notifications whose objects are all done, to be deleted.
    finished: Vec<Arc<str>>,
    /// Why objects were left, and how many.
    left: Option<(ConnectorError, u64)>,
    next: u64,
}

impl S3Source {
    async fn connect(&self) -> Result<Client, ConnectorError> {
        let Config { region, endpoint, profile, path_style, .. } = &self.config;
        let mut aws = ClientConfig::resolve(region, endpoint, profile)?;
        if let (None, Some(queue)) = (&aws.region, &self.config.queue) {
            // S3 sends its notifications only within its region.
            aws.region = queue.region()?;
        }
        let sdk = sdk_config(&aws).await?;
        let config = Builder::from(&sdk)
            .force_path_style(path_style.unwrap_or(aws.endpoint.is_some()))
            // A sink that is slow makes us read slowly, which is no fault of S3's; `object` has a limit of its own.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(Client::from_conf(config))
    }

    /// The bucket that the configuration names.
    fn bucket(&self) -> Result<Option<String>, ConnectorError> {
        self.config.bucket.as_ref().map(Template::resolve_plain).transpose()
    }

    /// A walk through the bucket, unless notifications say what is read.
    fn listing(&self, client: &Client) -> Result<Option<Listing>, ConnectorError> {
        let bucket = self.bucket()?.filter(|_| self.config.queue.is_none());
        let listing = |bucket| Listing::new(client.clone(), bucket, self.config.prefix.clone(), self.context.retry);
        Ok(bucket.map(listing))
    }

    /// Begins with what waits: asks the ledger where to go on. When this future is dropped, it still waits.
    async fn begin(&mut self, ledger: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
        let known = match &self.waiting {
            Some(Arrival::Object { partition, .. }) => ask(ledger, partition, self.context.retry).await?,
            _ => None,
        };
        match self.waiting.take() {
            Some(Arrival::Object { pinned, partition, notice }) => {
                if known.as_deref() == Some(DONE) {
                    tracing::debug!("an object is done already");
                    self.object_done(notice.as_ref());
                } else {
                    let from = known.as_deref().and_then(Position::parse).unwrap_or_else(Position::start);
                    self.read(pinned, partition, notice, from)?;
                }
                Ok(None)
            }
            Some(Arrival::Notice { message, objects }) => {
                self.notices.insert(Arc::clone(&message.id), Notice { open: objects, failed: false });
                if objects == 0 {
                    self.notice_closed(&message.id);
                }
                Ok(None)
            }
            Some(Arrival::Refused { object, notice, error }) => {
                self.leave(&object, error);
                self.object_failed(Some(&notice));
                Ok(None)
            }
            Some(Arrival::Alone { message, why }) => {
                let Some(queue) = &self.queue else { return Ok(None) };
                let id =
                    RecordId { partition: Arc::clone(queue.partition()), position: Place::Id(Arc::clone(&message.id)) };
                self.given.push_back(Given::Message(message.id));
                let bytes = Bytes::from(message.received.body.unwrap_or_default());
                let payload = match (why, self.context.policy.format()) {
                    (None, Format::KeyValue) => Payload::KeyValue(bytes),
                    (None, _) => Payload::Json(bytes),
                    (Some(error), _) => Payload::Unusable { bytes, error },
                };
                Ok(Some(Batch { progress: Progress::Ids, deliveries: vec![Delivery { id, payload }] }))
            }
            Some(Arrival::End) | None => Ok(None),
        }
    }

    /// Begins to read an object.
    fn read(
        &mut self,
        pinned: Pinned,
        partition: Arc<str>,
        notice: Option<Arc<str>>,
        from: Position,
    ) -> Result<(), ConnectorError> {
        let Some(client) = self.client.clone() else { return Ok(()) };
        let (number, stop) = (self.next, Arc::new(AtomicBool::new(false)));
        self.next += 1;
        let reading = Reading {
            number,
            client,
            pinned,
            partition: Arc::clone(&partition),
            from,
            context: self.context.clone(),
            metadata: self.config.metadata.as_deref().map(CompactString::new),
            stop: Arc::clone(&stop),
            tell: self.tell.clone(),
        };
        reading.begin()?;
        self.reading += 1;
        self.at_work.insert(Arc::clone(&partition));
        let working = Working { partition, notice, stop, yielded: false, unsettled: 0, read: false };
        self.objects.insert(number, working);
        Ok(())
    }

    /// Takes what a reading thread tells.
    fn take(&mut self, Told { object: number, what }: Told) -> Result<Option<Batch>, ConnectorError> {
        let Some(object) = self.objects.get_mut(&number) else { return Ok(None) };
        if !matches!(what, What::Batch { last: false, .. }) {
            object.read = true;
            self.reading -= 1;
        }
        let (notice, yielded) = (object.notice.clone(), object.yielded);
        match what {
            _ if yielded => {
                self.forget_if_over(number);
                Ok(None)
            }
            What::Batch { batch, last } => {
                object.unsettled += 1;
                self.given.push_back(Given::Object { number, last });
                Ok(Some(batch))
            }
            What::Failed(Refusal { error, of_object: true }) => {
                let partition = Arc::clone(&object.partition);
                self.leave(&partition, error);
                self.object_failed(notice.as_ref());
                self.forget_if_over(number);
                Ok(None)
            }
            What::Failed(Refusal { error, .. }) => Err(error.context(&object.partition)),
        }
    }

    /// Leaves an object. Somebody must give a permission: the notification comes again by itself, and the queue's redrive policy
    /// says how often; the objects after this one need not wait.
    fn leave(&mut self, object: &str, error: ConnectorError) {
        tracing::warn!(object, "an object is left: {error}");
        let (_, count) = self.left.get_or_insert((error, 0));
        *count += 1;
    }

    /// Drops what is known of an object of which nothing is outstanding.
    fn forget_if_over(&mut self, number: u64) {
        if self.objects.get(&number).is_some_and(|object| object.read && object.unsettled == 0)
            && let Some(object) = self.objects.remove(&number)
        {
            self.at_work.remove(&object.partition);
        }
    }

    fn object_done(&mut self, notice: Option<&Arc<str>>) {
        if let Some(id) = notice
            && let Some(notice) = self.notices.get_mut(id)
        {
            notice.open = notice.open.saturating_sub(1);
            if notice.open == 0 {
                self.notice_closed(&Arc::clone(id));
            }
        }
    }

    fn object_failed(&mut self, notice: Option<&Arc<str>>) {
        if let Some(notice) = notice.and_then(|id| self.notices.get_mut(id)) {
            notice.failed = true;
        }
        self.object_done(notice);
    }

    fn notice_closed(&mut self, id: &Arc<str>) {
        match self.notices.remove(id) {
            // It comes again when its time is over.
            Some(Notice { failed: true, .. }) => {
                if let Some(queue) = &self.queue {
                    queue.give_up(id);
                }
            }
            _ => self.finished.push(Arc::clone(id)),
        }
    }

    /// Deletes notifications that are done, when there are at least so many. When this future is dropped, they still are to be
    /// deleted.
    async fn delete_finished(&mut self, least: usize) -> Result<(), ConnectorError> {
        if let Some(queue) = &self.queue
            && self.finished.len() >= least
        {
            queue.delete(&self.finished).await?;
            self.finished.clear();
        }
        Ok(())
    }

    /// True when what waits may begin: there is room, and nobody here is at the same object, whose end the ledger does not
    /// know yet.
    fn can_begin(&self) -> bool {
        match &self.waiting {
            Some(Arrival::Object { partition, .. }) => {
                self.reading < self.config.objects && !self.at_work.contains(partition)
            }
            waiting => waiting.is_some(),
        }
    }

    /// True when nothing arrives any more and nothing is being read.
    fn is_over(&self) -> bool {
        self.arriving.is_none() && self.waiting.is_none() && self.reading == 0
    }
}

#[async_trait]
impl Source for S3Source {
    async fn open(&mut self, _: &mut dyn Ledger) -> Result<(), ConnectorError> {
        let client = self.connect().await.map_err(|error| error.context("s3"))?;
        let (send, arriving) = mpsc::channel(1);
        match self.listing(&client)? {
            Some(listing) => drop(tokio::spawn(list(listing, send))),
            None => {
                if let Some(config) = &self.config.queue {
                    let queue =
                        Queue::open(config, self.context.retry, false).await.map_err(|error| error.context("s3"))?;
                    let listening = Listening {
                        queue: queue.clone(),
                        client: client.clone(),
                        retry: self.context.retry,
                        bucket: self.bucket()?,
                        prefix: self.config.prefix.clone(),
                        other: self.config.other_messages,
                        once: self.context.once,
                        send,
                    };
                    queue.spawn(listening.listen());
                    self.queue = Some(queue);
                }
            }
        }
        self.client = Some(client);
        self.arriving = Some(arriving);
        Ok(())
    }

    async fn next_batch(&mut self, ledger: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
        loop {
            self.delete_finished(PER_CALL).await?;
            if self.can_begin() {
                if let Some(batch) = self.begin(ledger).await? {
                    return Ok(Some(batch));
                }
                continue;
            }
            if self.is_over() {
                self.delete_finished(1).await?;
                return match self.left.take() {
                    Some((error, count)) => Err(error.context(format!("s3: {count} objects were left; the last one"))),
                    None => Ok(None),
                };
            }
            tokio::select! {
                told = self.told.recv(), if self.reading > 0 => {
                    if let Some(told) = told
                        && let Some(batch) = self.take(told)?
                    {
                        return Ok(Some(batch));
                    }
                }
                arrival = arrive(&mut self.arriving), if self.waiting.is_none() && self.arriving.is_some() => {
                    match arrival.transpose()? {
                        Some(Arrival::End) => self.arriving = None,
                        Some(arrival) => self.waiting = Some(arrival),
                        // Silence must not look like the end.
                        None => return Err(ConnectorError::new(ErrorKind::Internal, "s3: nothing arrives any more")),
                    }
                }
                () = tokio::time::sleep(LINGER), if !self.finished.is_empty() => self.delete_finished(1).await?,
                // An object waits until what was given out of it is settled.
                else => std::future::pending().await,
            }
        }
    }

    async fn settle(&mut self, _: &Progress, _: &[Outcome]) -> Result<(), ConnectorError> {
        match self.given.pop_front() {
            Some(Given::Object { number, last }) => {
                let Some(object) = self.objects.get_mut(&number) else { return Ok(()) };
                object.unsettled -= 1;
                let notice = object.notice.clone();
                if last {
                    self.object_done(notice.as_ref());
                }
                self.forget_if_over(number);
            }
            Some(Given::Message(id)) => self.finished.push(id),
            None => {}
        }
        self.delete_finished(PER_CALL).await
    }

    async fn yield_to_other(&mut self, _: &Progress) -> Result<bool, ConnectorError> {
        let Some(Given::Object { number, .. }) = self.given.pop_front() else { return Ok(false) };
        let Some(object) = self.objects.get_mut(&number) else { return Ok(false) };
        object.unsettled -= 1;
        if !object.yielded {
            object.yielded = true;
            object.stop.store(true, Ordering::Relaxed);
            tracing::info!(object = %object.partition, "another run reads this object, which is left to it");
            let notice = object.notice.clone();
            self.object_failed(notice.as_ref());
        }
        self.forget_if_over(number);
        Ok(true)
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.arriving = None;
        self.waiting = None;
        for object in self.objects.values() {
            object.stop.store(true, Ordering::Relaxed);
        }
        // Threads that wait for somebody to take a batch end by this.
        self.told.close();
        // Before the queue gives back what it holds.
        let deleted = self.delete_finished(1).await;
        self.finished.clear();
        if let Some(queue) = &self.queue {
            queue.close().await?;
        }
        deleted
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        let client = self.connect().await.map_err(|error| error.context("s3"))?;
        match (self.listing(&client)?, &self.config.queue) {
            (Some(mut listing), _) => listing.check().await.map_err(|error| error.context("s3")),
            (None, Some(config)) => {
                let queue = Queue::open(config, self.context.retry, false).await?;
                Ok(format!("notifications from {}, about {} waiting", queue.partition(), queue.facts().depth.visible))
            }
            (None, None) => Ok(String::new()),
        }
    }

    /// Objects stay where they are, but nobody reads one again whose notification is deleted.
    fn forgets(&self) -> bool {
        self.config.queue.is_some()
    }
}

async fn arrive(
    arriving: &mut Option<mpsc::Receiver<Result<Arrival, ConnectorError>>>,
) -> Option<Result<Arrival, ConnectorError>> {
    arriving.as_mut()?.recv().await
}
