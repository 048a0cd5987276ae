//! The keys of the people in a batch of records: all looked for at once, each made or opened when it is needed.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use cloakroom_core::keys::KeysOfBatch;
use cloakroom_crypto::{CryptoError, DataKey, KeyId};

use super::cache::{Epoch, FRESH};
use super::{Known, Owner, SubjectKeys, locked};

/// People and what was known of them at one moment.
pub(super) struct Batch<'k> {
    keys: &'k SubjectKeys,
    epoch: Arc<Epoch>,
    /// The moment.
    looked: Instant,
    /// In the order of their owners, each once.
    people: Vec<Person>,
    /// Where in `people` each one stands that was asked for.
    places: Vec<usize>,
    /// Not yet in the cache: it is locked once for all of them.
    opened: RefCell<Vec<(Owner, Arc<DataKey>)>>,
}

struct Person {
    owner: Owner,
    /// `None` when the key was in memory.
    known: Option<Known>,
    key: OnceCell<Arc<DataKey>>,
}

impl<'k> Batch<'k> {
    /// Looks for people. What is in memory counts for [`FRESH`], and not at all with `at_once`.
    pub(super) fn look(keys: &'k SubjectKeys, owners: &[Owner], at_once: bool) -> Result<Self, CryptoError> {
        let mut order: Vec<usize> = (0..owners.len()).collect();
        order.sort_unstable_by_key(|index| owners[*index]);
        loop {
            let mut people: Vec<Person> = Vec::with_capacity(owners.len());
            let mut places = vec![0; owners.len()];
            let asked = Instant::now();
            let mut in_memory = true;
            let (epoch, looked) = {
                let cache = locked(&keys.cache);
                for &index in &order {
                    let owner = owners[index];
                    if people.last().is_none_or(|last| last.owner != owner) {
                        let known = cache.get(&owner).cloned();
                        in_memory &= known.is_some();
                        let key = known.map_or_else(OnceCell::new, OnceCell::from);
                        people.push(Person { owner, known: None, key });
                    }
                    places[index] = people.len() - 1;
                }
                let (epoch, looked) = cache.epoch();
                (Arc::clone(epoch), looked)
            };
            let mut batch = Self { keys, epoch, looked, people, places, opened: RefCell::default() };
            if in_memory && !at_once && batch.is_fresh() {
                return Ok(batch);
            }
            let unknown = batch.people.iter().filter(|person| person.key.get().is_none());
            let unknown: Vec<Owner> = unknown.map(|person| person.owner).collect();
            let is_current = |epoch| epoch == batch.epoch.stand.epoch && !batch.epoch.is_over();
            let (known, stand) = keys.reading(|table| table.look(is_current, &unknown))?;
            let changed = stand.is_some();
            locked(&keys.cache).looked(asked, stand);
            if changed {
                continue;
            }
            let mut known = known.into_iter();
            for person in batch.people.iter_mut().filter(|person| person.key.get().is_none()) {
                person.known = known.next();
            }
            batch.looked = asked;
            return Ok(batch);
        }
    }

    /// Nobody was erased since the look, as far as can be known without another one.
    fn is_fresh(&self) -> bool {
        !self.epoch.is_over() && self.looked.elapsed() < FRESH
    }

    fn person(&self, index: usize) -> Result<&Person, CryptoError> {
        self.places.get(index).and_then(|place| self.people.get(*place)).ok_or(CryptoError::Internal)
    }

    fn sealing(&self, person: &Person) -> Result<Arc<DataKey>, CryptoError> {
        if let Some(key) = person.key.get() {
            return Ok(Arc::clone(key));
        }
        let key = match &person.known {
            Some(Known::Keys(newest, _)) => {
                let key = Arc::new(self.keys.open_stored(&self.epoch, newest)?);
                self.opened.borrow_mut().push((person.owner, Arc::clone(&key)));
                key
            }
            Some(Known::Nobody) => match self.keys.make(&self.epoch, person.owner)? {
                Some(key) => key,
                None => return self.keys.key_of(person.owner),
            },
            Some(Known::Erased) => return Err(CryptoError::Erased),
            None => return Err(CryptoError::Internal),
        };
        Ok(Arc::clone(person.key.get_or_init(|| key)))
    }

    /// The key of a person that opens what the key of this id has sealed.
    pub(super) fn opening_key(&self, index: usize, kid: &KeyId) -> Result<Arc<DataKey>, CryptoError> {
        let person = self.person(index)?;
        if !self.is_fresh() {
            return self.keys.opening_key_of(person.owner, kid);
        }
        if let Some(key) = person.key.get()
            && key.kid() == kid
        {
            return Ok(Arc::clone(key));
        }
        let looked_now;
        let known = match &person.known {
            Some(known) => known,
            // In memory is the newest key, and this is another one.
            None => {
                looked_now = self.keys.reading(|table| table.find(&person.owner))?;
                &looked_now
            }
        };
        match known {
            Known::Erased => Err(CryptoError::Erased),
            Known::Keys(newest, _) if newest.kid == *kid => self.sealing(person),
            Known::Keys(_, older) => {
                let stored = older.iter().find(|stored| stored.kid == *kid);
                let stored = stored.ok_or(CryptoError::UnknownSubjectKey(*kid))?;
                self.keys.open_stored(&self.epoch, stored).map(Arc::new)
            }
            Known::Nobody => Err(CryptoError::UnknownSubjectKey(*kid)),
        }
    }
}

impl KeysOfBatch for Batch<'_> {
    fn data_key(&self, index: usize) -> Result<Arc<DataKey>, CryptoError> {
        let person = self.person(index)?;
        if self.is_fresh() { self.sealing(person) } else { self.keys.key_of(person.owner) }
    }
}

impl SubjectKeys {
    /// The key that seals for one person.
    pub(super) fn key_of(&self, owner: Owner) -> Result<Arc<DataKey>, CryptoError> {
        let batch = Batch::look(self, &[owner], false)?;
        batch.sealing(batch.person(0)?)
    }

    /// The key of one person that opens what the key of this id has sealed; the table is asked first.
    pub(super) fn opening_key_of(&self, owner: Owner, kid: &KeyId) -> Result<Arc<DataKey>, CryptoError> {
        Batch::look(self, &[owner], true)?.opening_key(0, kid)
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let opened = self.opened.take();
        if !opened.is_empty() {
            locked(&self.keys.cache).keep(&self.epoch, opened.into_iter());
        }
    }
}
