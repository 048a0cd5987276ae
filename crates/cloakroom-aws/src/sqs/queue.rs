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

use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName};
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use futures_util::stream::{self, StreamExt};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::address::Address;
use super::calls::{Answer, Calls, DEFAULT_VISIBILITY_S, Depth, Facts};
use super::config::QueueConfig;
use super::held::{Handle, Held};
use crate::client::{ClientConfig, sdk_config};

/// SQS takes and gives no more messages with one call.
pub(crate) const PER_CALL: usize = 10;
/// Calls at the same time, to delete, renew and give back.
const AT_ONCE: usize = 8;
/// How long giving back waits for calls that still receive.
const ENDING: Duration = Duration::from_millis(300);
/// How long giving back may take in all.
const GIVING_BACK: Duration = Duration::from_secs(20);
/// How long giving back ten is tried again. What is not given back comes by itself, later.
const GIVE_BACK: RetryConfig = RetryConfig { base_ms: 100, max_ms: 1000, give_up_after_s: 5 };

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

/// How long a receiver waits for a message in a run that is to end when there is none.
pub(crate) const WAIT_ONCE_S: i32 = 2;
/// How often such a run asks again although no message came, because the queue says that there are some.
const ASK_AGAIN: u32 = 5;

/// A queue. Cheap to clone; heartbeats end with the last clone.
#[derive(Clone)]
pub(crate) struct Queue {
    inner: Arc<Inner>,
    _heartbeat: Arc<DropGuard>,
}

struct Inner {
    calls: Calls,
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
    /// Asks the queue for its settings, once; and keeps alive what is received from then on. `attributes`: messages shall come
    /// with theirs, all of them.
    ///
    /// # Errors
    /// When there is no such queue, it cannot be reached, or may not be used.
    pub(crate) async fn open(
        config: &QueueConfig,
        retry: RetryConfig,
        attributes: bool,
    ) -> Result<Self, ConnectorError> {
        let address = Address::parse(&config.queue_url.resolve_plain()?)?;
        let mut aws = ClientConfig::resolve(&config.region, &config.endpoint, &config.profile)?;
        aws.region = aws.region.or_else(|| address.region.clone());
        if aws.endpoint.is_none() {
            (aws.endpoint, aws.emulated) = (address.endpoint.clone(), address.is_emulated);
        }
        let sdk = sdk_config(&aws).await.map_err(|error| error.context(&address.partition))?;
        let wait = Duration::from_secs(config.wait_s.into());
        let calls = Calls::new(&sdk, address, wait, attributes);
        let facts = calls.facts().await?;
        let visibility_s = match config.visibility_timeout_s.map(i32::from) {
            Some(seconds) => seconds,
            None if facts.visibility_s > 0 => facts.visibility_s,
            None => DEFAULT_VISIBILITY_S,
        };
        let visibility = Duration::from_secs(u64::try_from(visibility_s).unwrap_or_default());
        let inner = Arc::new(Inner {
            calls,
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
        &self.inner.calls.address.partition
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

    /// No message came, in a run that is to end when there is none: is there really none? The queue's own count is approximate,
    /// so it does not have the last word: after some empty rounds in a row, which this counts, its word is not asked for.
    pub(crate) async fn is_drained(&self, empty_rounds: &mut u32) -> bool {
        if self.facts().is_fifo && self.holds_any() {
            // More of the groups that we hold come when these are settled.
            return false;
        }
        *empty_rounds += 1;
        match self.depth().await {
            Ok(depth) => depth.visible == 0 || *empty_rounds > ASK_AGAIN,
            Err(error) => {
                tracing::debug!(queue = %self.partition(), "the queue does not say how many messages it has: {error}");
                *empty_rounds > ASK_AGAIN
            }
        }
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
        match tokio::time::timeout(GIVING_BACK, self.inner.release(ids)).await {
            Ok(released) => released,
            Err(_) => Err(ConnectorError::unavailable("SQS did not take all messages back in time")
                .context(&self.inner.calls.address.partition)),
        }
    }

    /// Lets a message go without giving it back: it comes again after its visibility timeout, to us or to others, and how
    /// often is for the queue's redrive policy to say.
    pub(crate) fn give_up(&self, id: &str) {
        self.inner.held().forget(id);
    }

    /// True when messages are held.
    pub(crate) fn holds_any(&self) -> bool {
        !self.inner.held().is_empty()
    }

    /// Waits for what [`Queue::spawn`] runs, and gives back everything that is held: first what is held now, in the end
    /// what calls under way still brought.
    ///
    /// # Errors
    /// When giving back fails; it comes again after its visibility timeout.
    pub(crate) async fn close(&self) -> Result<(), ConnectorError> {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        // On a busy queue calls end at once, and should not fetch what we give back.
        let ended = tokio::time::timeout(ENDING, self.inner.tasks.wait()).await;
        let held = self.inner.held().ids();
        let first = self.release(&held).await;
        if ended.is_ok() {
            return first;
        }
        self.inner.tasks.wait().await;
        let held = self.inner.held().ids();
        first.and(self.release(&held).await)
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
        Ok(self.inner.calls.facts().await?.depth)
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in there can be left half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn receive(&self, wait_s: i32) -> Result<Option<Vec<Message>>, ConnectorError> {
        let mut backoff = Backoff::new(self.retry).telling("receiving");
        loop {
            if self.closing.is_cancelled() {
                return Ok(None);
            }
            match self.receive_once(wait_s).await {
                Ok(messages) if self.closing.is_cancelled() => {
                    let ids: Vec<_> = messages.into_iter().map(|message| message.id).collect();
                    if let Err(error) = self.release(&ids).await {
                        tracing::warn!(queue = %self.calls.address.partition, count = ids.len(), "giving messages back failed: {error}");
                    }
                    return Ok(None);
                }
                Ok(messages) => return Ok(Some(messages)),
                Err(error) => {
                    let pause = backoff.after(error)?;
                    self.closing.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
    }

    async fn receive_once(&self, wait_s: i32) -> Result<Vec<Message>, ConnectorError> {
        // Also when it is the queue's own, which somebody may change: renewals go by what it was.
        let received = self.calls.receive(wait_s, self.visibility_s, self.facts.is_fifo).await?;
        let now = Instant::now();
        let mut messages = Vec::with_capacity(PER_CALL);
        {
            let mut held = self.held();
            for mut received in received {
                let (Some(id), Some(receipt)) = (received.message_id.take(), received.receipt_handle.take()) else {
                    tracing::warn!(queue = %self.calls.address.partition, "SQS sent a message without id or receipt; it is left");
                    continue;
                };
                let id: Arc<str> = id.into();
                match held.take(&id, receipt.into(), now) {
                    true => messages.push(Message { id, received }),
                    false => {
                        tracing::info!(queue = %self.calls.address.partition, message = %id, "came again while it is held")
                    }
                }
            }
        }
        self.woken.notify_one();
        Ok(messages)
    }

    /// Deletes up to ten.
    async fn delete(&self, ids: &[Arc<str>]) -> Result<(), ConnectorError> {
        let mut backoff = Backoff::new(self.retry).telling("deleting");
        self.held().leave(ids);
        loop {
            let handles = self.held().handles(ids);
            if handles.is_empty() {
                return Ok(());
            }
            let error = match self.calls.delete(&handles).await {
                Ok(answer) => {
                    self.settle(&handles, answer, "deleted, and comes again");
                    let left = self.held().handles(ids).len();
                    if left == 0 {
                        return Ok(());
                    }
                    ConnectorError::unavailable(format!("SQS did not delete {left} of {} messages", handles.len()))
                        .context(&self.calls.address.partition)
                }
                Err(error) => error,
            };
            tokio::time::sleep(backoff.after(error)?).await;
        }
    }

    /// Forgets the messages with which a call was done, and those with which it never will be.
    fn settle(&self, handles: &[Handle], answer: Answer, what: &str) {
        let mut held = self.held();
        for handle in answer.done.into_iter().filter_map(|index| handles.get(index)) {
            // What came again meanwhile is held anew, under another receipt.
            if held.is_current(handle) {
                held.forget(&handle.id);
            }
        }
        for (index, code, is_stale) in answer.refused {
            let Some(handle) = handles.get(index) else { continue };
            // Under another receipt it may do better.
            if is_stale && held.is_current(handle) {
                held.forget(&handle.id);
                tracing::warn!(queue = %self.calls.address.partition, message = %handle.id, code, "could not be {what}");
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
            let error = match self.calls.hide(&handles, 0).await {
                Ok(answer) => {
                    self.settle(&handles, answer, "given back; it comes after its visibility timeout");
                    let left = self.held().handles(ids).len();
                    ConnectorError::unavailable(format!("SQS did not take {left} messages back"))
                        .context(&self.calls.address.partition)
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
                tracing::warn!(queue = %self.calls.address.partition, count = given_up, "messages were held for 12 hours, as long as SQS allows; they come again");
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
        let answer = match tokio::time::timeout(longest, self.calls.hide(handles, self.visibility_s)).await {
            Ok(answer) => answer,
            Err(_) => Err(ConnectorError::unavailable("SQS did not answer in time")),
        };
        let later = Instant::now() + (interval / 4).min(Duration::from_secs(5));
        let answer = answer.unwrap_or_else(|error| {
            tracing::warn!(queue = %self.calls.address.partition, count = handles.len(), "keeping messages hidden failed, and is tried again: {error}");
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
                tracing::warn!(queue = %self.calls.address.partition, message = %handle.id, code, "is not ours any more, and comes again");
            }
        }
    }
}
