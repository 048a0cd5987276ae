//! A queue, with its protocol hidden: receive, and then delete or give back. Whatever is held in between stays hidden from
//! others for as long as it takes.
//!
//! ```text
//!  receive ──► held: a heartbeat renews every message from its receipt on ──► delete    it has its outcome
//!                                                                        └──► release   others may have it at once
//! ```
//!
//! Messages are named by their ids. Receipts, which change when a message comes again, are known here alone.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message as Received,
    MessageSystemAttributeName, QueueAttributeName,
};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use futures_util::stream::{self, StreamExt};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::address::Address;
use super::error::{is_stale_receipt, known};
use super::held::{Handle, Held};
use crate::client::{ClientConfig, patient, sdk_config};
use crate::error::failure;

/// SQS takes and gives no more messages with one call.
pub(crate) const PER_CALL: usize = 10;
/// Calls at the same time, to delete, renew and give back.
const AT_ONCE: usize = 8;
/// Where a queue's own timeout is 0 nobody can hold a message of it, and we take this one, SQS' default.
const DEFAULT_VISIBILITY_S: i32 = 30;
/// How long giving back is tried again. What is not given back comes by itself, later.
const GIVE_BACK: RetryConfig = RetryConfig { base_ms: 100, max_ms: 1000, give_up_after_s: 5 };

/// Which queue, and how to ask it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// The queue's URL, as the console and `aws sqs get-queue-url` show it. It also says the region, and the address of an
    /// emulator or a VPC endpoint.
    pub queue_url: Template,
    /// The region (default: the one in the URL, else `AWS_REGION`, else the profile's; for an emulator on this machine
    /// else `us-east-1`).
    pub region: Option<Template>,
    /// Another address of SQS (default: the one in the URL).
    pub endpoint: Option<Template>,
    /// The profile of credentials (default: `AWS_PROFILE`, else `default`).
    pub profile: Option<Template>,
    /// Seconds that SQS may wait for a message before it says that there is none: 1 to 20. A run that is stopped while the
    /// queue is empty ends after at most as many.
    #[serde(default = "longest_wait")]
    pub wait_s: u8,
    /// How many calls ask for messages side by side: 1 to 64. An empty queue is asked by one.
    #[serde(default = "four")]
    pub receivers: usize,
    /// Seconds that messages stay hidden from others before they must be renewed (default: the queue's own setting). They are
    /// renewed until they have an outcome, whatever this is.
    pub visibility_timeout_s: Option<u16>,
}

fn longest_wait() -> u8 {
    20
}

fn four() -> usize {
    4
}

impl QueueConfig {
    /// What can be said without a network.
    ///
    /// # Errors
    /// The setting that cannot work.
    pub(crate) fn check(&self) -> Result<(), ConnectorError> {
        let within = |name: &str, is_in: bool, range: &str| match is_in {
            true => Ok(()),
            false => Err(ConnectorError::configuration(format!("`{name}` must be {range}"))),
        };
        within(
            "wait_s",
            (1..=20).contains(&self.wait_s),
            "1 to 20: SQS waits no longer, and not to wait would be to ask all the time",
        )?;
        within("receivers", (1..=64).contains(&self.receivers), "1 to 64")?;
        let hidden = self.visibility_timeout_s;
        within(
            "visibility_timeout_s",
            hidden.is_none_or(|hidden| (1..=43_200).contains(&hidden)),
            "1 to 43200, 12 hours",
        )?;
        Address::parse(&self.queue_url.resolve_plain()?).map(drop)
    }
}

/// One message that we hold.
pub(crate) struct Message {
    /// The same each time that it comes.
    pub(crate) id: Arc<str>,
    /// Its body, attributes and all else, as the client gives it.
    pub(crate) received: Received,
}

impl Message {
    /// One of the attributes that SQS itself sets.
    pub(crate) fn system(&self, name: &MessageSystemAttributeName) -> Option<&str> {
        self.received.attributes()?.get(name).map(String::as_str)
    }
}

/// About how many messages a queue has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// They can be had now. In FIFO queues some of them wait for others of their group.
    pub(crate) visible: u64,
    /// Somebody holds them.
    pub(crate) in_flight: u64,
    /// They were sent with a delay.
    pub(crate) delayed: u64,
}

/// What a queue says about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Order is kept within groups.
    pub(crate) is_fifo: bool,
    /// Its own visibility timeout, in seconds.
    pub(crate) visibility_s: i32,
    /// After how many receipts SQS itself moves a message to the queue's dead-letter queue, if it has one.
    pub(crate) max_receives: Option<u64>,
    /// How many messages there were.
    pub(crate) depth: Depth,
}

/// A queue. Cheap to clone; heartbeats end with the last clone.
#[derive(Clone)]
pub(crate) struct Queue {
    inner: Arc<Inner>,
    _heartbeat: Arc<DropGuard>,
}

struct Inner {
    /// For calls that are answered at once.
    client: Client,
    /// For long polls.
    patient: Client,
    address: Address,
    facts: Facts,
    wait_s: i32,
    retry: RetryConfig,
    /// How long messages are hidden by a receipt and by a renewal.
    visibility_s: i32,
    held: Mutex<Held>,
    /// Something is held that was not before.
    woken: Notify,
    /// While renewals are under way nothing is given back: one that arrives late would hide it again.
    renewing: tokio::sync::Mutex<()>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Queue {
    /// Asks the queue for its settings, once; and keeps alive what is received from then on.
    ///
    /// # Errors
    /// When there is no such queue, it cannot be reached, or may not be used.
    pub(crate) async fn open(config: &QueueConfig, retry: RetryConfig) -> Result<Self, ConnectorError> {
        let address = Address::parse(&config.queue_url.resolve_plain()?)?;
        let plain = |text: &Option<Template>| text.as_ref().map(Template::resolve_plain).transpose();
        let endpoint = plain(&config.endpoint)?;
        let is_emulated = match &endpoint {
            Some(endpoint) => endpoint.strip_prefix("http://").is_some_and(crate::client::is_here),
            None => address.is_emulated,
        };
        let sdk = sdk_config(&ClientConfig {
            region: plain(&config.region)?.or_else(|| address.region.clone()),
            endpoint: endpoint.or_else(|| address.endpoint.clone()),
            profile: plain(&config.profile)?,
            emulated: is_emulated,
        })
        .await
        .map_err(|error| error.context(&address.partition))?;
        let wait = Duration::from_secs(config.wait_s.into());
        let client = Client::new(&sdk);
        let patient = aws_sdk_sqs::config::Builder::from(&sdk).timeout_config(patient(wait)).build();
        let facts = facts(&client, &address).await?;
        let visibility_s = match config.visibility_timeout_s.map(i32::from) {
            Some(seconds) => seconds,
            None if facts.visibility_s > 0 => facts.visibility_s,
            None => DEFAULT_VISIBILITY_S,
        };
        let visibility = Duration::from_secs(u64::try_from(visibility_s).unwrap_or_default());
        let inner = Arc::new(Inner {
            client,
            patient: Client::from_conf(patient),
            address,
            facts,
            wait_s: config.wait_s.into(),
            retry,
            visibility_s,
            held: Mutex::new(Held::new(visibility)),
            woken: Notify::new(),
            renewing: tokio::sync::Mutex::new(()),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let ended = CancellationToken::new();
        let heartbeat = Arc::clone(&inner).heartbeat();
        let until = ended.clone();
        tokio::spawn(async move { until.run_until_cancelled(heartbeat).await });
        Ok(Self { inner, _heartbeat: Arc::new(ended.drop_guard()) })
    }

    /// `sqs/ACCOUNT/NAME`
    pub(crate) fn partition(&self) -> &Arc<str> {
        &self.inner.address.partition
    }

    /// What it said about itself when it was opened.
    pub(crate) fn facts(&self) -> Facts {
        self.inner.facts
    }

    /// Runs something that receives. [`Queue::close`] waits for its end.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(work);
    }

    /// Up to ten messages; none when there were none for as long as the queue's `wait_s`, or `wait_s` here if that is less.
    /// They are held from now on. Messages that are held already are left out. `None`: the queue is being closed.
    ///
    /// Call it in a task of [`Queue::spawn`], and do not drop the future: messages that SQS was about to hand over would
    /// come only after their visibility timeout.
    ///
    /// # Errors
    /// When it fails for good; what may pass is tried again, with pauses.
    pub(crate) async fn receive(&self, wait_s: Option<i32>) -> Result<Option<Vec<Message>>, ConnectorError> {
        self.inner.receive(wait_s.unwrap_or(i32::MAX).min(self.inner.wait_s)).await
    }

    /// Deletes messages. Each was told by us; one that SQS does not let us delete any more is left with a word in the log,
    /// and comes again.
    ///
    /// # Errors
    /// When SQS fails for longer than is worth trying again.
    pub(crate) async fn delete(&self, ids: &[Arc<str>]) -> Result<(), ConnectorError> {
        let calls: Vec<_> = ids.chunks(PER_CALL).map(|ids| self.inner.delete(ids)).collect();
        stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
    }

    /// Gives messages back: others may have them at once. Oldest first, so that a group of a FIFO queue goes on with its first.
    ///
    /// # Errors
    /// When that fails; they come again after their visibility timeout.
    pub(crate) async fn release(&self, ids: &[Arc<str>]) -> Result<(), ConnectorError> {
        self.inner.release(ids).await
    }

    /// Keeps messages hidden no longer: they come again after their visibility timeout, and how often is for the queue's
    /// redrive policy to say.
    pub(crate) fn give_up(&self, ids: &[Arc<str>]) {
        let mut held = self.inner.held();
        ids.iter().for_each(|id| held.give_up(id));
    }

    /// True when messages are held.
    pub(crate) fn holds_any(&self) -> bool {
        !self.inner.held().is_empty()
    }

    /// Gives back everything that is held, waits for what [`Queue::spawn`] runs, and gives back what that still received.
    ///
    /// # Errors
    /// When giving back fails; it comes again after its visibility timeout.
    pub(crate) async fn close(&self) -> Result<(), ConnectorError> {
        self.inner.closing.cancel();
        let held = self.inner.held().ids();
        let first = self.inner.release(&held).await;
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        let held = self.inner.held().ids();
        first.and(self.inner.release(&held).await)
    }

    /// Cancelled when [`Queue::close`] begins: for what `receive` callers wait for besides.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closing
    }

    /// About how many messages the queue has.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) async fn depth(&self) -> Result<Depth, ConnectorError> {
        Ok(facts(&self.inner.client, &self.inner.address).await?.depth)
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in there can be left half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn receive(&self, wait_s: i32) -> Result<Option<Vec<Message>>, ConnectorError> {
        let mut backoff = Backoff::new(self.retry);
        loop {
            if self.closing.is_cancelled() {
                return Ok(None);
            }
            match self.receive_once(wait_s).await {
                Ok(messages) if self.closing.is_cancelled() => {
                    let ids: Vec<_> = messages.into_iter().map(|message| message.id).collect();
                    if let Err(error) = self.release(&ids).await {
                        tracing::warn!(queue = %self.address.partition, count = ids.len(), "giving messages back failed: {error}");
                    }
                    return Ok(None);
                }
                Ok(messages) => return Ok(Some(messages)),
                Err(error) => {
                    let text = error.message.clone();
                    let pause = backoff.after(error)?;
                    tracing::warn!(queue = %self.address.partition, tries = backoff.tries(), "receiving failed: {text}");
                    self.closing.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
    }

    async fn receive_once(&self, wait_s: i32) -> Result<Vec<Message>, ConnectorError> {
        // With it a FIFO queue answers a call that was lost on its way once more, instead of locking its groups.
        let attempt = self.facts.is_fifo.then(|| format!("{:032x}", rand::random::<u128>()));
        let call = self
            .patient
            .receive_message()
            .queue_url(&self.address.url)
            .max_number_of_messages(10)
            .wait_time_seconds(wait_s)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .set_visibility_timeout((self.visibility_s != self.facts.visibility_s).then_some(self.visibility_s))
            .set_receive_request_attempt_id(attempt);
        let answer = call.send().await.map_err(|error| self.failed("ReceiveMessage", &failure(&error, known)))?;
        let now = Instant::now();
        let mut messages = Vec::with_capacity(PER_CALL);
        {
            let mut held = self.held();
            for mut received in answer.messages.unwrap_or_default() {
                let (Some(id), Some(receipt)) = (received.message_id.take(), received.receipt_handle.take()) else {
                    tracing::warn!(queue = %self.address.partition, "SQS sent a message without id or receipt; it is left");
                    continue;
                };
                let id: Arc<str> = id.into();
                match held.take(&id, receipt.into(), now) {
                    true => messages.push(Message { id, received }),
                    false => {
                        tracing::info!(queue = %self.address.partition, message = %id, "came again while it is held")
                    }
                }
            }
        }
        self.woken.notify_one();
        Ok(messages)
    }

    /// Deletes up to ten.
    async fn delete(&self, ids: &[Arc<str>]) -> Result<(), ConnectorError> {
        let mut backoff = Backoff::new(self.retry);
        loop {
            let handles = self.held().handles(ids);
            if handles.is_empty() {
                return Ok(());
            }
            let error = match self.delete_once(&handles).await {
                Ok(answer) => {
                    self.settle(&handles, answer, "deleted, and comes again");
                    let left = self.held().handles(ids).len();
                    if left == 0 {
                        return Ok(());
                    }
                    ConnectorError::unavailable(format!("SQS did not delete {left} of {} messages", handles.len()))
                        .context(&self.address.partition)
                }
                Err(error) => error,
            };
            tracing::debug!(queue = %self.address.partition, tries = backoff.tries(), "deleting is tried again: {error}");
            tokio::time::sleep(backoff.after(error)?).await;
        }
    }

    async fn delete_once(&self, handles: &[Handle]) -> Result<Answer, ConnectorError> {
        let entries = handles.iter().enumerate().map(|(index, handle)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.receipt_handle(&*handle.receipt).build().map_err(|_| incomplete())
        });
        let call = self.client.delete_message_batch().queue_url(&self.address.url);
        let call = call.set_entries(Some(entries.collect::<Result<_, _>>()?));
        let answer = call.send().await.map_err(|error| self.failed("DeleteMessage", &failure(&error, known)))?;
        Ok(Answer {
            done: answer.successful.iter().map(|done| index(&done.id)).collect(),
            refused: answer.failed.iter().map(refusal).collect(),
        })
    }

    /// Hides up to ten for so long from now on.
    async fn hide(&self, handles: &[Handle], seconds: i32) -> Result<Answer, ConnectorError> {
        let entries = handles.iter().enumerate().map(|(index, handle)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.receipt_handle(&*handle.receipt).visibility_timeout(seconds);
            entry.build().map_err(|_| incomplete())
        });
        let call = self.client.change_message_visibility_batch().queue_url(&self.address.url);
        let call = call.set_entries(Some(entries.collect::<Result<_, _>>()?));
        let sent = call.send().await;
        let answer = sent.map_err(|error| self.failed("ChangeMessageVisibility", &failure(&error, known)))?;
        Ok(Answer {
            done: answer.successful.iter().map(|done| index(&done.id)).collect(),
            refused: answer.failed.iter().map(refusal).collect(),
        })
    }

    /// Forgets the messages with which a call was done, and those with which it never will be.
    fn settle(&self, handles: &[Handle], answer: Answer, what: &str) {
        let mut held = self.held();
        for handle in answer.done.into_iter().filter_map(|index| handles.get(index)) {
            held.forget(&handle.id);
        }
        for (index, code, is_stale) in answer.refused {
            let Some(handle) = handles.get(index) else { continue };
            // Under another receipt it may do better.
            if is_stale && held.is_current(handle) {
                held.forget(&handle.id);
                tracing::warn!(queue = %self.address.partition, message = %handle.id, code, "could not be {what}");
            }
        }
    }

    async fn release(&self, ids: &[Arc<str>]) -> Result<(), ConnectorError> {
        if ids.is_empty() {
            return Ok(());
        }
        let _renewals_wait = self.renewing.lock().await;
        // One call after the other where order counts.
        let at_once = if self.facts.is_fifo { 1 } else { AT_ONCE };
        let calls: Vec<_> = ids.chunks(PER_CALL).map(|ids| self.release_ten(ids)).collect();
        stream::iter(calls).buffered(at_once).collect::<Vec<_>>().await.into_iter().collect()
    }

    async fn release_ten(&self, ids: &[Arc<str>]) -> Result<(), ConnectorError> {
        let mut backoff = Backoff::new(GIVE_BACK);
        loop {
            let handles = self.held().handles(ids);
            if handles.is_empty() {
                return Ok(());
            }
            let error = match self.hide(&handles, 0).await {
                Ok(answer) => {
                    self.settle(&handles, answer, "given back; it comes after its visibility timeout");
                    let left = self.held().handles(ids).len();
                    ConnectorError::unavailable(format!("SQS did not take {left} messages back"))
                        .context(&self.address.partition)
                }
                Err(error) => error,
            };
            if !self.held().handles(ids).is_empty() {
                tokio::time::sleep(backoff.after(error)?).await;
            }
        }
    }

    /// Renews what is held, for ever.
    async fn heartbeat(self: Arc<Self>) {
        let least_pause = Duration::from_millis(50);
        loop {
            let next = self.held().next_renewal();
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                // Renewals are a while after receipts: to look again at the first of new messages is early enough.
                None => self.woken.notified().await,
            }
            let renewing = self.renewing.lock().await;
            let (due, given_up) = self.held().due(Instant::now());
            if given_up > 0 {
                tracing::warn!(queue = %self.address.partition, count = given_up, "messages were held for 12 hours, as long as SQS allows; they come again");
            }
            let calls: Vec<_> = due.chunks(PER_CALL).map(|handles| self.renew(handles)).collect();
            stream::iter(calls).buffer_unordered(AT_ONCE).collect::<()>().await;
            drop(renewing);
            tokio::time::sleep(least_pause).await;
        }
    }

    async fn renew(&self, handles: &[Handle]) {
        let began = Instant::now();
        let interval = self.held().interval();
        // A call that takes longer than that comes too late; the next one may not.
        let longest = interval.max(Duration::from_secs(1));
        let answer = match tokio::time::timeout(longest, self.hide(handles, self.visibility_s)).await {
            Ok(answer) => answer,
            Err(_) => Err(ConnectorError::unavailable("SQS did not answer in time")),
        };
        let later = Instant::now() + (interval / 4).min(Duration::from_secs(5));
        let answer = answer.unwrap_or_else(|error| {
            tracing::warn!(queue = %self.address.partition, count = handles.len(), "keeping messages hidden failed, and is tried again: {error}");
            Answer::default()
        });
        let mut held = self.held();
        // Whatever has no answer is tried again soon.
        handles.iter().for_each(|handle| held.renew_later(handle, later));
        for handle in answer.done.into_iter().filter_map(|index| handles.get(index)) {
            held.renewed(handle, began);
        }
        for (index, code, is_stale) in answer.refused {
            let Some(handle) = handles.get(index) else { continue };
            if is_stale && held.lost(handle) {
                tracing::warn!(queue = %self.address.partition, message = %handle.id, code, "is not ours any more, and comes again");
            }
        }
    }

    fn failed(&self, action: &str, error: &ConnectorError) -> ConnectorError {
        let mut error = error.clone();
        if error.kind == ErrorKind::Denied {
            error.message = format!("{} (it needs sqs:{action})", error.message);
        }
        error.context(&self.address.partition)
    }
}

/// What SQS said to each of up to ten.
#[derive(Default)]
struct Answer {
    done: Vec<usize>,
    /// Index, code, and whether another try with the same receipt is of no use.
    refused: Vec<(usize, String, bool)>,
}

fn index(id: &str) -> usize {
    id.parse().unwrap_or(usize::MAX)
}

fn refusal(entry: &aws_sdk_sqs::types::BatchResultErrorEntry) -> (usize, String, bool) {
    // A code, not a text: it quotes nothing.
    (index(&entry.id), entry.code.clone(), is_stale_receipt(&entry.code, entry.sender_fault))
}

fn incomplete() -> ConnectorError {
    ConnectorError::new(ErrorKind::Internal, "a message cannot be named to SQS")
}

async fn facts(client: &Client, address: &Address) -> Result<Facts, ConnectorError> {
    let call = client.get_queue_attributes().queue_url(&address.url).attribute_names(QueueAttributeName::All);
    let answer = call.send().await.map_err(|error| {
        let mut error = failure(&error, known);
        if error.kind == ErrorKind::Denied {
            error.message = format!("{} (it needs sqs:GetQueueAttributes)", error.message);
        }
        error.context(&address.partition)
    })?;
    let attributes = answer.attributes.unwrap_or_default();
    let number = |name: QueueAttributeName| attributes.get(&name).and_then(|text| text.parse::<u64>().ok());
    let redrive = attributes.get(&QueueAttributeName::RedrivePolicy);
    let redrive = redrive.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    // A number in quotes or without, depending on who wrote it.
    let max_receives = redrive.and_then(|policy| match &policy["maxReceiveCount"] {
        serde_json::Value::String(text) => text.parse().ok(),
        count => count.as_u64(),
    });
    let visibility = number(QueueAttributeName::VisibilityTimeout);
    Ok(Facts {
        is_fifo: attributes.get(&QueueAttributeName::FifoQueue).is_some_and(|text| text == "true"),
        visibility_s: visibility.and_then(|seconds| i32::try_from(seconds).ok()).unwrap_or(DEFAULT_VISIBILITY_S),
        max_receives,
        depth: Depth {
            visible: number(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or_default(),
            in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).unwrap_or_default(),
            delayed: number(QueueAttributeName::ApproximateNumberOfMessagesDelayed).unwrap_or_default(),
        },
    })
}
