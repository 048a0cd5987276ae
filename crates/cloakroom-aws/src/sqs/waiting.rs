//! Messages that were received and wait for the run loop: bounded, and handed out as batches.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cloakroom_pipeline::config::BatchConfig;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::source::Delivery;
use tokio::sync::Notify;

/// Messages that wait at most, however large a batch may be: each must be renewed, and nobody else can have it.
const MOST: usize = 1000;

/// One message, by its id and as a record.
pub(super) struct Arrived {
    pub(super) id: Arc<str>,
    pub(super) delivery: Delivery,
}

/// The waiting room between receivers and run loop.
pub(super) struct Waiting {
    state: Mutex<State>,
    /// Something arrived, or nothing will any more.
    arrived: Notify,
    /// A batch was taken.
    taken: Notify,
    batch: BatchConfig,
}

#[derive(Default)]
struct State {
    messages: VecDeque<(Instant, Arrived)>,
    bytes: usize,
    /// Receivers at work.
    receivers: usize,
    /// True when they end because there is no more.
    is_drained: bool,
    failed: Option<ConnectorError>,
}

impl Waiting {
    pub(super) fn new(batch: BatchConfig, receivers: usize) -> Self {
        let state = State { receivers, ..State::default() };
        Self { state: Mutex::new(state), arrived: Notify::new(), taken: Notify::new(), batch }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room. What one call of each receiver brings may go beyond the bound: two batches, or [`MOST`].
    pub(super) async fn room(&self) {
        loop {
            let mut taken = pin!(self.taken.notified());
            taken.as_mut().enable();
            {
                let state = self.state();
                let most = self.batch.records.saturating_mul(2).min(MOST);
                if state.messages.len() < most && state.bytes < self.batch.bytes.saturating_mul(2) {
                    return;
                }
            }
            taken.await;
        }
    }

    /// Puts messages in, in their order.
    pub(super) fn put(&self, arrived: impl Iterator<Item = Arrived>) {
        let now = Instant::now();
        let mut state = self.state();
        for message in arrived {
            state.bytes += message.delivery.payload.len();
            state.messages.push_back((now, message));
        }
        drop(state);
        self.arrived.notify_waiters();
    }

    /// A receiver failed: what is here is handed out, then the failure.
    pub(super) fn fail(&self, error: ConnectorError) {
        self.state().failed.get_or_insert(error);
        self.arrived.notify_waiters();
    }

    /// There is no more: what is here is handed out, then the end.
    pub(super) fn drained(&self) {
        self.state().is_drained = true;
    }

    /// A receiver ended.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.receivers = state.receivers.saturating_sub(1);
        drop(state);
        self.arrived.notify_waiters();
    }

    /// The next batch: as soon as it is full, or its first message has waited for `wait_ms`. `None` at the end.
    /// Cancel-safe: what is taken out is returned in the same step.
    ///
    /// # Errors
    /// What a receiver failed with.
    pub(super) async fn batch(&self) -> Result<Option<Vec<Arrived>>, ConnectorError> {
        loop {
            let mut arrived = pin!(self.arrived.notified());
            arrived.as_mut().enable();
            let due = match self.try_batch(Instant::now()) {
                Step::Batch(batch) => {
                    self.taken.notify_waiters();
                    return Ok(Some(batch));
                }
                Step::End => return Ok(None),
                Step::Failed(error) => return Err(error),
                Step::Wait(due) => due,
            };
            match due {
                Some(due) => drop(tokio::time::timeout_at(due.into(), arrived).await),
                None => arrived.await,
            }
        }
    }

    fn try_batch(&self, now: Instant) -> Step {
        let mut state = self.state();
        let is_over = state.is_drained && state.receivers == 0 || state.failed.is_some();
        let Some((since, _)) = state.messages.front() else {
            return match state.failed.take() {
                Some(error) => Step::Failed(error),
                None if is_over => Step::End,
                None if state.receivers == 0 => {
                    Step::Failed(ConnectorError::new(ErrorKind::Internal, "nobody receives messages any more"))
                }
                None => Step::Wait(None),
            };
        };
        let due = *since + Duration::from_millis(self.batch.wait_ms);
        // Half of the room: receivers go on while a batch is on its way.
        let is_full = state.messages.len() >= self.batch.records.min(MOST / 2) || state.bytes >= self.batch.bytes;
        if !is_full && !is_over && now < due {
            return Step::Wait(Some(due));
        }
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while let Some((_, next)) = state.messages.front() {
            let size = next.delivery.payload.len();
            let fits = batch.len() < self.batch.records && bytes.saturating_add(size) <= self.batch.bytes;
            if !fits && !batch.is_empty() {
                break;
            }
            if let Some((_, next)) = state.messages.pop_front() {
                bytes += size;
                batch.push(next);
            }
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        Step::Batch(batch)
    }
}

/// What there is to do.
enum Step {
    Batch(Vec<Arrived>),
    /// Until then, or until something arrives.
    Wait(Option<Instant>),
    End,
    Failed(ConnectorError),
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cloakroom_core::{Payload, Place, RecordId};

    use super::*;

    fn arrived(number: usize, size: usize) -> Arrived {
        let id: Arc<str> = number.to_string().into();
        let payload = Payload::Json(Bytes::from(vec![b'x'; size]));
        let delivery =
            Delivery { id: RecordId { partition: "q".into(), position: Place::Id(Arc::clone(&id)) }, payload };
        Arrived { id, delivery }
    }

    fn waiting(records: usize, bytes: usize, wait_ms: u64) -> Waiting {
        Waiting::new(BatchConfig { records, bytes, wait_ms }, 1)
    }

    async fn next(waiting: &Waiting) -> Vec<String> {
        waiting.batch().await.unwrap().unwrap().iter().map(|message| message.id.to_string()).collect()
    }

    #[tokio::test]
    async fn batches_keep_to_records_and_bytes_and_order() {
        let waiting = waiting(3, 100, 60_000);
        waiting.put([arrived(1, 10), arrived(2, 10), arrived(3, 10), arrived(4, 90), arrived(5, 500)].into_iter());
        assert_eq!(next(&waiting).await, ["1", "2", "3"]);
        assert_eq!(next(&waiting).await, ["4"]);
        assert_eq!(next(&waiting).await, ["5"], "one that is larger than a batch travels alone");
        waiting.put([arrived(6, 1)].into_iter());
        waiting.drained();
        waiting.leave();
        assert_eq!(next(&waiting).await, ["6"], "at the end nothing waits for more");
        assert!(waiting.batch().await.unwrap().is_none() && waiting.batch().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_first_message_waits_no_longer_than_it_may_however_often_the_wait_is_dropped() {
        let waiting = waiting(10, 100, 300);
        waiting.put([arrived(1, 1)].into_iter());
        let began = Instant::now();
        let batch = loop {
            if let Ok(batch) = tokio::time::timeout(Duration::from_millis(20), next(&waiting)).await {
                break batch;
            }
            assert!(began.elapsed() < Duration::from_secs(5));
        };
        assert_eq!(batch, ["1"]);
        assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn there_is_room_for_two_batches() {
        let waiting = waiting(2, 100, 0);
        waiting.put((0..3).map(|number| arrived(number, 1)));
        waiting.room().await;
        waiting.put([arrived(3, 1)].into_iter());
        assert!(tokio::time::timeout(Duration::from_millis(50), waiting.room()).await.is_err());
        let (room, batch) = tokio::join!(tokio::time::timeout(Duration::from_secs(5), waiting.room()), next(&waiting));
        assert!(room.is_ok() && batch.len() == 2);
        waiting.put([arrived(4, 150), arrived(5, 60)].into_iter());
        assert!(tokio::time::timeout(Duration::from_millis(50), waiting.room()).await.is_err(), "bytes count too");
    }

    #[tokio::test]
    async fn a_failure_comes_after_what_was_received_and_silence_is_no_end() {
        let waiting = waiting(10, 100, 60_000);
        waiting.put([arrived(1, 1)].into_iter());
        waiting.fail(ConnectorError::unavailable("gone"));
        assert_eq!(next(&waiting).await, ["1"]);
        assert_eq!(waiting.batch().await.err().unwrap().message, "gone");
        waiting.leave();
        assert_eq!(waiting.batch().await.err().unwrap().kind, ErrorKind::Internal);
    }
}
