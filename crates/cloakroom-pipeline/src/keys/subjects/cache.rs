//! Keys of people in memory, for as long as nobody is erased.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cloakroom_crypto::{DataKey, WrappingKey};

use super::super::shards::SHARDS;
use super::super::stored::{Owner, StoredKey};
use super::super::table::Stand;

/// Data keys in memory at most; each takes three quarters of a kilobyte. More would not stay near the processor.
const CACHED: usize = 16_384;
/// How long keys in memory are used without asking the table again.
pub(super) const FRESH: Duration = Duration::from_millis(100);

/// The time between two erasures: what keys in memory depend on.
pub(super) struct Epoch {
    pub(super) stand: Stand,
    /// Keys of shards, in the versions of `stand`.
    pub(super) shard_keys: Vec<OnceLock<WrappingKey>>,
    /// Somebody was erased.
    over: AtomicBool,
}

impl Epoch {
    pub(super) fn new(stand: Stand) -> Arc<Self> {
        let shard_keys = (0..SHARDS).map(|_| OnceLock::new()).collect();
        Arc::new(Self { stand, shard_keys, over: AtomicBool::new(false) })
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// What is in memory.
pub(super) struct Cache {
    /// The newest key of each person.
    keys: HashMap<Owner, Arc<DataKey>, BuildHasherDefault<OwnerHasher>>,
    /// Made since the last time that keys were stored.
    pending: Vec<StoredKey>,
    /// Erasures when the first of them was made.
    made_at: u64,
    epoch: Arc<Epoch>,
    /// When the table was last asked whether the epoch is over.
    looked: Instant,
}

impl Cache {
    pub(super) fn new(stand: Stand) -> Self {
        let epoch = Epoch::new(stand);
        Self { keys: HashMap::default(), pending: Vec::new(), made_at: 0, epoch, looked: Instant::now() }
    }

    /// The epoch, and when it was last looked at.
    pub(super) fn epoch(&self) -> (&Arc<Epoch>, Instant) {
        (&self.epoch, self.looked)
    }

    /// The table was looked at, at a moment not before `asked`: nobody was erased, or this is how things stand now. Of two looks
    /// that cross, the later one counts.
    pub(super) fn looked(&mut self, asked: Instant, stand: Option<Stand>) {
        if let Some(stand) = stand
            && (self.epoch.is_over() || stand.epoch > self.epoch.stand.epoch)
        {
            self.forget();
            self.epoch = Epoch::new(stand);
        }
        self.looked = self.looked.max(asked);
    }

    /// Somebody was erased, or keys were lost: nothing in memory counts any more.
    pub(super) fn forget(&mut self) {
        self.epoch.over.store(true, Ordering::SeqCst);
        self.keys = HashMap::default();
    }

    pub(super) fn get(&self, owner: &Owner) -> Option<&Arc<DataKey>> {
        self.keys.get(owner)
    }

    /// Keeps keys that were found in an epoch, unless it is over.
    pub(super) fn keep(&mut self, epoch: &Epoch, keys: impl Iterator<Item = (Owner, Arc<DataKey>)>) {
        if epoch.is_over() {
            return;
        }
        for (owner, key) in keys {
            self.make_room();
            self.keys.insert(owner, key);
        }
    }

    /// Takes a key that was made in an epoch, to be stored. Gives the one that somebody else has made meanwhile; `None` when the
    /// epoch is over.
    pub(super) fn made(&mut self, epoch: &Epoch, stored: StoredKey, key: Arc<DataKey>) -> Option<Arc<DataKey>> {
        if epoch.is_over() {
            return None;
        }
        self.make_room();
        match self.keys.entry(stored.owner) {
            Entry::Occupied(other) => Some(Arc::clone(other.get())),
            Entry::Vacant(place) => {
                if self.pending.is_empty() {
                    self.made_at = epoch.stand.epoch;
                }
                self.pending.push(stored);
                Some(Arc::clone(place.insert(key)))
            }
        }
    }

    /// What is to be stored, and how many erasures there were when the first of it was made.
    pub(super) fn take_pending(&mut self) -> (Vec<StoredKey>, u64) {
        (std::mem::take(&mut self.pending), self.made_at)
    }

    fn make_room(&mut self) {
        if self.keys.len() >= CACHED {
            // Rarely, and any half will do.
            let mut count = 0;
            self.keys.retain(|_, _| {
                count += 1;
                count % 2 == 0
            });
        }
    }
}

/// An owner is a hash already.
#[derive(Default)]
pub(super) struct OwnerHasher(u64);

impl Hasher for OwnerHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 ^= u64::from_le_bytes(*last);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
