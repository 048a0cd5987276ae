//! Keeping leases: a task that looks at all of them, renews its own, takes what is free and asks for what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::share::Share;
use super::{Lease, Store, View, Wish};

/// Writes under way at once.
const WRITES: usize = 16;
/// Between two looks, at least.
const SHORTEST: Duration = Duration::from_millis(100);

/// A lease, and since when it has not moved.
struct Seen {
    lease: Lease,
    since: Instant,
}

/// A lease that was asked for.
struct Asked {
    shard: String,
    owner: String,
    since: Instant,
}

pub(super) struct Keeper {
    store: Arc<dyn Store>,
    me: String,
    /// What earlier runs under this worker's name hold; nothing once it was taken up, or where the worker has no name.
    former: Option<BTreeSet<String>>,
    is_named: bool,
    duration: Duration,
    wish: watch::Receiver<(u64, Wish)>,
    view: watch::Sender<View>,
    seen: BTreeMap<String, Seen>,
    /// Other workers that renewed a lease while this one looked.
    alive: BTreeSet<String>,
    /// When the leases were last looked at.
    looked: Instant,
    /// When leases of this worker were last renewed.
    renewed: BTreeMap<String, Instant>,
    /// Since when shards have been without a lease that is alive.
    free: BTreeMap<String, Instant>,
    asked: Option<Asked>,
}

impl Keeper {
    pub(super) fn new(
        store: Arc<dyn Store>,
        me: String,
        is_named: bool,
        duration: Duration,
        (wish, view): (watch::Receiver<(u64, Wish)>, watch::Sender<View>),
    ) -> Self {
        Self {
            store,
            me,
            former: None,
            is_named,
            duration,
            wish,
            view,
            seen: BTreeMap::new(),
            alive: BTreeSet::new(),
            looked: Instant::now(),
            renewed: BTreeMap::new(),
            free: BTreeMap::new(),
            asked: None,
        }
    }

    /// Keeps the leases until it is stopped, then gives them up. Fails when the store fails for good, or for too long.
    pub(super) async fn run(mut self, retry: RetryConfig, stop: CancellationToken) -> Result<(), ConnectorError> {
        let pace = self.duration / 5;
        let mut backoff = Backoff::new(retry).telling("kinesis: leases");
        loop {
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = stop.cancelled() => break,
            };
            let (pause, may_wake) = match looked {
                Ok(is_settled) => {
                    backoff.succeeded();
                    // Whoever waits for a lease looks more often.
                    (if is_settled { pace } else { (pace / 5).max(SHORTEST) }, true)
                }
                Err(error) => {
                    // Not longer than a renewal may wait when the store is there again.
                    (backoff.after(error)?.min(pace), false)
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => break,
                changed = self.wish.changed(), if may_wake => match changed {
                    Ok(()) => {}
                    // The source is gone.
                    Err(_) => break,
                }
            }
        }
        self.give_all_up().await
    }

    /// One look: renews, takes, asks, and tells the source. True when nothing is free or on its way.
    async fn look(&mut self) -> Result<bool, ConnectorError> {
        let (number, wish) = self.wish.borrow_and_update().clone();
        let leases = self.store.list().await?;
        self.see(leases);
        // A lease that others hold is to be known before one's own are written.
        let was_settled = self.view.borrow().wish == number && self.view.borrow().is_settled;
        self.tell(number, was_settled);
        self.renew(&wish).await?;
        let is_taking = self.take(&wish).await?;
        let is_asking = self.ask(&wish, is_taking).await?;
        self.clear(&wish).await?;
        let owners = self.owners();
        let is_settled = !is_asking && wish.wanted.iter().all(|shard| owners.contains_key(shard));
        self.tell(number, is_settled);
        Ok(is_settled)
    }

    /// Compares the leases with what they were.
    fn see(&mut self, leases: Vec<Lease>) {
        let now = Instant::now();
        // Who did not look does not know who was alive meanwhile.
        let was_away = self.looked.elapsed() > self.duration / 2;
        self.looked = now;
        if self.former.is_none() && self.is_named {
            let name = |owner: &str| owner.rsplit_once('/').map(|(name, _)| name.to_owned());
            let owners = leases.iter().filter_map(|lease| lease.owner.clone());
            self.former = Some(owners.filter(|owner| name(owner) == name(&self.me)).collect());
        }
        let mut before = std::mem::take(&mut self.seen);
        for lease in leases {
            let known = before.remove(&lease.shard);
            // Whoever asks for a lease moves it too.
            let is_renewed = |known: &Seen| {
                let Lease { counter, owner, wanted_by, .. } = &known.lease;
                *counter < lease.counter && *owner == lease.owner && *wanted_by == lease.wanted_by
            };
            if let (Some(owner), true) = (&lease.owner, known.as_ref().is_some_and(is_renewed)) {
                self.alive.insert(owner.clone());
            }
            let known = known.filter(|known| !was_away && known.lease == lease);
            let since = known.map_or(now, |known| known.since);
            self.seen.insert(lease.shard.clone(), Seen { lease, since });
        }
        let seen = self.seen.values().filter_map(|seen| seen.lease.owner.as_ref());
        let owners: BTreeSet<&String> = seen.collect();
        self.alive.retain(|worker| owners.contains(worker));
        self.renewed.retain(|shard, _| {
            self.seen.get(shard).is_some_and(|seen| seen.lease.owner.as_deref() == Some(self.me.as_str()))
        });
    }

    fn is_mine(&self, lease: &Lease) -> bool {
        lease.owner.as_deref() == Some(self.me.as_str())
    }

    /// The owners of leases that are alive.
    fn owners(&self) -> BTreeMap<String, String> {
        let is_alive = |seen: &&Seen| self.is_mine(&seen.lease) || seen.since.elapsed() < self.duration;
        let is_former = |owner: &String| self.former.as_ref().is_some_and(|former| former.contains(owner));
        let alive = self.seen.values().filter(is_alive);
        alive
            .filter_map(|seen| seen.lease.owner.clone().map(|owner| (seen.lease.shard.clone(), owner)))
            .filter(|(_, owner)| !is_former(owner))
            .collect()
    }

    fn tell(&self, number: u64, is_settled: bool) {
        let mine = self.seen.values().filter(|seen| self.is_mine(&seen.lease));
        let asked_for = mine.filter(|seen| seen.lease.wanted_by.is_some()).map(|seen| seen.lease.shard.clone());
        let (owners, alive) = (self.owners(), self.alive.clone());
        let view = View { wish: number, owners, alive, asked_for: asked_for.collect(), is_settled };
        self.view.send_if_modified(|last| {
            let is_new = (last.wish, last.is_settled) != (view.wish, view.is_settled)
                || last.owners != view.owners
                || last.alive != view.alive
                || last.asked_for != view.asked_for;
            if is_new {
                *last = view;
            }
            is_new
        });
    }

    /// Writes a lease, and remembers it when nobody else wrote.
    async fn put(&mut self, new: Lease) -> Result<bool, ConnectorError> {
        let old = self.seen.get(&new.shard).map(|seen| &seen.lease);
        let written = self.store.put(old, &new).await?;
        if written {
            self.note(new);
        }
        Ok(written)
    }

    fn note(&mut self, lease: Lease) {
        let now = Instant::now();
        if self.is_mine(&lease) {
            self.renewed.insert(lease.shard.clone(), now);
        }
        self.seen.insert(lease.shard.clone(), Seen { lease, since: now });
    }

    /// The next write of a lease, or the first one.
    fn next(&self, shard: &str) -> Lease {
        match self.seen.get(shard) {
            Some(Seen { lease, .. }) => Lease { counter: lease.counter + 1, ..lease.clone() },
            None => Lease { shard: shard.to_owned(), owner: None, counter: 1, wanted_by: None },
        }
    }

    /// Renews what is held and gives up what is not wanted. One write that fails keeps none of the others from being made.
    async fn renew(&mut self, wish: &Wish) -> Result<(), ConnectorError> {
        let is_due = |shard: &str| self.renewed.get(shard).is_none_or(|at| at.elapsed() >= self.duration / 5);
        let mine = self.seen.values().filter(|seen| self.is_mine(&seen.lease));
        let mut writes = Vec::new();
        for Seen { lease, .. } in mine {
            let next = self.next(&lease.shard);
            if wish.release.contains(&lease.shard) {
                // To whoever asked for it.
                writes.push((lease.clone(), Lease { owner: next.wanted_by.clone(), wanted_by: None, ..next }));
            } else if is_due(&lease.shard) {
                writes.push((lease.clone(), next));
            }
        }
        // Where somebody asked for one, or has it, the next look tells.
        self.write(writes).await.map(drop)
    }

    /// Writes leases over what they were, side by side. True when nobody else had moved any of them.
    async fn write(&mut self, writes: Vec<(Lease, Lease)>) -> Result<bool, ConnectorError> {
        let writes = stream::iter(writes.into_iter().map(|(old, new)| {
            let store = Arc::clone(&self.store);
            async move {
                let written = store.put(Some(&old), &new).await;
                (new, written)
            }
        }));
        let written: Vec<_> = writes.buffer_unordered(WRITES).collect().await;
        let (mut all, mut failed) = (true, None);
        for (new, written) in written {
            match written {
                Ok(true) => self.note(new),
                Ok(false) => all = false,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(all), Err)
    }

    /// Takes what is free, up to the fair share. True when something is left.
    async fn take(&mut self, wish: &Wish) -> Result<bool, ConnectorError> {
        let owners = self.owners();
        let share = Share { me: &self.me, wanted: &wish.wanted, owners: &owners, asked: &BTreeSet::new() };
        let mut free: Vec<String> = share.free().into_iter().map(str::to_owned).collect();
        let mut room = share.room();
        let now = Instant::now();
        self.free.retain(|shard, _| free.contains(shard));
        for shard in &free {
            self.free.entry(shard.clone()).or_insert(now);
        }
        if !wish.wanted.is_empty() {
            // Only once: who comes later under the same name is another worker.
            self.former = self.former.as_ref().map(|_| BTreeSet::new());
        }
        // Several workers that begin together are not to want the same first.
        free.sort_by_cached_key(|_| rand::random::<u32>());
        let mut is_left = false;
        for shard in free {
            // Nobody else wants it.
            let is_abandoned = self.free.get(&shard).is_some_and(|since| since.elapsed() >= self.duration);
            if room == 0 && !is_abandoned {
                is_left = true;
                continue;
            }
            let lease = Lease { owner: Some(self.me.clone()), wanted_by: None, ..self.next(&shard) };
            if self.put(lease).await? {
                tracing::debug!(shard, "took the lease of a shard");
                room = room.saturating_sub(1);
            } else {
                is_left = true;
            }
        }
        Ok(is_left)
    }

    /// Asks the worker that holds most for a lease, one at a time; takes it when there is no answer for as long as a lease
    /// lasts. True while one is asked for.
    async fn ask(&mut self, wish: &Wish, is_taking: bool) -> Result<bool, ConnectorError> {
        if let Some(Asked { shard, owner, since }) = self.asked.take() {
            let lease = self.seen.get(&shard).map(|seen| &seen.lease);
            let is_open = lease.is_some_and(|lease| {
                lease.owner.as_deref() == Some(&*owner) && lease.wanted_by.as_deref() == Some(&*self.me)
            });
            if is_open && since.elapsed() < self.duration {
                self.asked = Some(Asked { shard, owner, since });
                return Ok(true);
            }
            if is_open {
                let lease = Lease { owner: Some(self.me.clone()), wanted_by: None, ..self.next(&shard) };
                return Ok(!self.put(lease).await?);
            }
        }
        if is_taking {
            return Ok(false);
        }
        let owners = self.owners();
        let asked = self.seen.values().filter(|seen| seen.lease.wanted_by.is_some());
        let asked = asked.map(|seen| seen.lease.shard.clone()).collect();
        let share = Share { me: &self.me, wanted: &wish.wanted, owners: &owners, asked: &asked };
        let Some(shard) = share.to_ask_for().map(str::to_owned) else { return Ok(false) };
        let next = self.next(&shard);
        let Some(owner) = next.owner.clone() else { return Ok(false) };
        if self.put(Lease { wanted_by: Some(self.me.clone()), ..next }).await? {
            tracing::debug!(shard, "asked for the lease of a shard");
            self.asked = Some(Asked { shard, owner, since: Instant::now() });
        }
        Ok(true)
    }

    /// Removes leases of shards that the stream does not list any more.
    async fn clear(&mut self, wish: &Wish) -> Result<(), ConnectorError> {
        let is_gone = |seen: &&Seen| seen.lease.owner.is_none() && !wish.listed.contains(&seen.lease.shard);
        let gone: Vec<Lease> = self.seen.values().filter(is_gone).map(|seen| seen.lease.clone()).collect();
        if wish.listed.is_empty() {
            return Ok(());
        }
        for lease in gone {
            self.store.remove(&lease).await?;
            self.seen.remove(&lease.shard);
        }
        Ok(())
    }

    /// Gives up what is held and withdraws what was asked for, until neither is left: another worker may move a lease in
    /// between. Whoever closes the leases does not wait for ever.
    async fn give_all_up(mut self) -> Result<(), ConnectorError> {
        loop {
            match self.leave().await {
                Ok(true) => return Ok(()),
                Err(error) if !error.kind.is_transient() => return Err(error),
                Ok(false) | Err(_) => sleep(SHORTEST).await,
            }
        }
    }

    /// One try; true when nothing was left.
    async fn leave(&mut self) -> Result<bool, ConnectorError> {
        let leases = self.store.list().await?;
        self.see(leases);
        let mut writes = Vec::new();
        for Seen { lease, .. } in self.seen.values() {
            let next = self.next(&lease.shard);
            if self.is_mine(lease) {
                // To nobody: whoever asked for it may be gone, and finds it free if not.
                writes.push((lease.clone(), Lease { owner: None, wanted_by: None, ..next }));
            } else if lease.wanted_by.as_deref() == Some(self.me.as_str()) {
                writes.push((lease.clone(), Lease { wanted_by: None, ..next }));
            }
        }
        self.write(writes).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;

    /// Leases in memory, one of which somebody else moves before it is written the first time.
    struct Memory {
        leases: Mutex<BTreeMap<String, Lease>>,
        moves: Mutex<Option<Lease>>,
    }

    #[async_trait]
    impl Store for Memory {
        async fn open(&self) -> Result<(), ConnectorError> {
            Ok(())
        }

        async fn list(&self) -> Result<Vec<Lease>, ConnectorError> {
            Ok(self.leases.lock().unwrap().values().cloned().collect())
        }

        async fn put(&self, old: Option<&Lease>, new: &Lease) -> Result<bool, ConnectorError> {
            let mut leases = self.leases.lock().unwrap();
            if let Some(moved) = self.moves.lock().unwrap().take() {
                leases.insert(moved.shard.clone(), moved);
            }
            let is_as_it_was = leases.get(&new.shard).map(|lease| lease.counter) == old.map(|lease| lease.counter);
            if is_as_it_was {
                leases.insert(new.shard.clone(), new.clone());
            }
            Ok(is_as_it_was)
        }

        async fn remove(&self, old: &Lease) -> Result<(), ConnectorError> {
            self.leases.lock().unwrap().remove(&old.shard);
            Ok(())
        }
    }

    #[tokio::test]
    async fn whoever_ends_holds_nothing_and_asks_for_nothing_any_more() {
        let lease = |shard: &str, owner: &str, wanted_by: Option<&str>, counter| Lease {
            shard: shard.to_owned(),
            owner: Some(owner.to_owned()),
            counter,
            wanted_by: wanted_by.map(str::to_owned),
        };
        let leases =
            [lease("1", "me/1", None, 5), lease("2", "other/2", Some("me/1"), 8), lease("3", "other/2", None, 3)];
        let store = Arc::new(Memory {
            leases: Mutex::new(leases.into_iter().map(|lease| (lease.shard.clone(), lease)).collect()),
            // The other one asks for it.
            moves: Mutex::new(Some(lease("1", "me/1", Some("other/2"), 6))),
        });
        let (wishes, wish) = watch::channel((0, Wish::default()));
        let (view, views) = watch::channel(View::default());
        let store_of_keeper: Arc<dyn Store> = Arc::clone(&store) as _;
        let keeper = Keeper::new(store_of_keeper, "me/1".to_owned(), true, Duration::from_secs(30), (wish, view));
        keeper.give_all_up().await.unwrap();
        drop((wishes, views));
        let found = store.leases.lock().unwrap().clone();
        assert_eq!(found["1"], Lease { owner: None, wanted_by: None, ..lease("1", "", None, 7) });
        assert_eq!(found["2"], lease("2", "other/2", None, 9));
        assert_eq!(found["3"], lease("3", "other/2", None, 3));
    }
}
