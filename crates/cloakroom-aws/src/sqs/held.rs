//! Which messages we hold, and when each must be renewed: without a network and without a clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// SQS lets nobody hold a message longer, counted from its receipt
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>).
const CEILING: Duration = Duration::from_secs(12 * 60 * 60);

/// One message that was received and is neither deleted nor given back.
struct Holding {
    /// The newest: it is the one that deletes.
    receipt: Arc<str>,
    /// The how-manieth message of this run.
    order: u64,
    since: Instant,
    /// `None`: given up. It comes again, to us or to others.
    renew_at: Option<Instant>,
    /// It is being deleted: that its receipt ends is no surprise.
    is_leaving: bool,
}

/// A message as calls name it.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) id: Arc<str>,
    pub(super) receipt: Arc<str>,
}

/// All messages that are held.
pub(super) struct Held {
    messages: HashMap<Arc<str>, Holding>,
    received: u64,
    /// How long a message stays hidden after its receipt and after each renewal.
    visibility: Duration,
}

impl Held {
    pub(super) fn new(visibility: Duration) -> Self {
        Self { messages: HashMap::new(), received: 0, visibility }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// How long after receipt or renewal a message is renewed: early enough for two more tries.
    pub(super) fn interval(&self) -> Duration {
        self.visibility / 3
    }

    /// Notes a message that was just received. False when it is held already and came again, because its time was over or
    /// because the queue delivered it twice: whoever has it goes on, and the new receipt is the one that counts.
    pub(super) fn take(&mut self, id: &Arc<str>, receipt: Arc<str>, now: Instant) -> bool {
        let renew_at = Some(now + self.interval());
        if let Some(held) = self.messages.get_mut(id) {
            (held.receipt, held.since, held.renew_at) = (receipt, now, renew_at);
            return false;
        }
        self.received += 1;
        let holding = Holding { receipt, order: self.received, since: now, renew_at, is_leaving: false };
        self.messages.insert(Arc::clone(id), holding);
        true
    }

    /// When the next message must be renewed.
    pub(super) fn next_renewal(&self) -> Option<Instant> {
        self.messages.values().filter_map(|held| held.renew_at).min()
    }

    /// What must be renewed now or soon, so that calls are full, oldest first; and how many were given up, because SQS'
    /// ceiling is near.
    pub(super) fn due(&mut self, now: Instant) -> (Vec<Handle>, usize) {
        let soon = now + self.interval() / 4;
        let mut given_up = 0;
        let mut due = Vec::new();
        for (id, held) in &mut self.messages {
            if held.renew_at.is_none_or(|at| at > soon) {
                continue;
            }
            // SQS refuses a renewal that would end beyond the ceiling, by its own clock, which began a little earlier.
            let margin = Duration::from_secs(5);
            if now.duration_since(held.since) + self.visibility + margin > CEILING {
                held.renew_at = None;
                given_up += 1;
            } else {
                due.push((held.order, Handle { id: Arc::clone(id), receipt: Arc::clone(&held.receipt) }));
            }
        }
        due.sort_unstable_by_key(|(order, _)| *order);
        (due.into_iter().map(|(_, handle)| handle).collect(), given_up)
    }

    /// A renewal was made, by a call that began then.
    pub(super) fn renewed(&mut self, handle: &Handle, began: Instant) {
        let interval = self.interval();
        if let Some(held) = self.same(handle) {
            held.renew_at = Some(began + interval);
        }
    }

    /// A renewal failed, and may do better then.
    pub(super) fn renew_later(&mut self, handle: &Handle, at: Instant) {
        if let Some(held) = self.same(handle) {
            held.renew_at = Some(at);
        }
    }

    /// SQS does not know the receipt any more. True when that is news: the message was not deleted meanwhile, and did not
    /// come again under another receipt.
    pub(super) fn lost(&mut self, handle: &Handle) -> bool {
        self.same(handle).is_some_and(|held| held.renew_at.take().is_some() && !held.is_leaving)
    }

    /// These messages are about to be deleted.
    pub(super) fn leave(&mut self, ids: &[Arc<str>]) {
        for id in ids {
            if let Some(held) = self.messages.get_mut(id) {
                held.is_leaving = true;
            }
        }
    }

    /// True when the message is held under this receipt.
    pub(super) fn is_current(&self, handle: &Handle) -> bool {
        self.messages.get(&handle.id).is_some_and(|held| held.receipt == handle.receipt)
    }

    fn same(&mut self, handle: &Handle) -> Option<&mut Holding> {
        self.messages.get_mut(&handle.id).filter(|held| held.receipt == handle.receipt)
    }

    /// Those of the messages that are held, under their newest receipts.
    pub(super) fn handles<'a>(&self, ids: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<Handle> {
        let handle = |id: &Arc<str>| {
            let held = self.messages.get(id)?;
            Some(Handle { id: Arc::clone(id), receipt: Arc::clone(&held.receipt) })
        };
        ids.into_iter().filter_map(handle).collect()
    }

    /// All that are held, in the order in which they came.
    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        let mut ids: Vec<_> = self.messages.iter().map(|(id, held)| (held.order, Arc::clone(id))).collect();
        ids.sort_unstable_by_key(|(order, _)| *order);
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Forgets a message: it was deleted or given back.
    pub(super) fn forget(&mut self, id: &str) {
        self.messages.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn id(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn a_message_is_renewed_in_time_until_twelve_hours_have_passed() {
        let begin = Instant::now();
        let mut held = Held::new(TIMEOUT);
        held.take(&id("a"), id("r"), begin);
        let (mut now, mut hidden_until) = (begin, begin + TIMEOUT);
        let mut renewals = 0_u64;
        while let Some(at) = held.next_renewal() {
            now = at;
            assert!(now < hidden_until, "too late");
            let (due, given_up) = held.due(now);
            let Some(handle) = due.first() else {
                assert_eq!(given_up, 1);
                break;
            };
            hidden_until = now + TIMEOUT;
            assert!(hidden_until <= begin + CEILING, "SQS would refuse it");
            held.renewed(handle, now);
            renewals += 1;
        }
        assert!(renewals > 4000 && now > begin + CEILING - 2 * TIMEOUT, "{renewals} {:?}", now - begin);
        assert_eq!(held.next_renewal(), None, "given up");
        assert_eq!(held.handles([&id("a")]).len(), 1, "its outcome still deletes it");
    }

    #[test]
    fn a_message_that_comes_again_is_taken_once_and_deleted_by_its_newest_receipt() {
        let now = Instant::now();
        let mut held = Held::new(TIMEOUT);
        assert!(held.take(&id("a"), id("old"), now));
        let old = held.handles([&id("a")]).remove(0);
        assert!(held.lost(&old) && !held.lost(&old), "told once");
        assert!(!held.take(&id("a"), id("new"), now));
        assert_eq!(&*held.handles([&id("a")])[0].receipt, "new");
        assert!(!held.is_current(&old) && !held.lost(&old), "the old receipt says nothing about the new one");
        assert_eq!(held.next_renewal(), Some(now + TIMEOUT / 3), "it is held again");
        let new = held.handles([&id("a")]).remove(0);
        held.leave(&[id("a")]);
        assert!(!held.lost(&new), "while it is deleted that is no news");
        held.forget("a");
        assert!(held.is_empty() && !held.lost(&new));
    }

    #[test]
    fn what_is_due_soon_goes_along_in_the_order_of_arrival() {
        let begin = Instant::now();
        let mut held = Held::new(TIMEOUT);
        for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            held.take(&id(name), id("r"), begin + Duration::from_secs(number as u64));
        }
        let (due, _) = held.due(begin + TIMEOUT / 3);
        assert_eq!(due.iter().map(|handle| &*handle.id).collect::<Vec<_>>(), ["a", "b", "c"]);
        held.renew_later(&due[0], begin + Duration::from_secs(11));
        assert_eq!(held.next_renewal(), Some(begin + TIMEOUT / 3 + Duration::from_secs(1)), "the second");
        assert_eq!(held.ids().iter().map(|id| &**id).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
