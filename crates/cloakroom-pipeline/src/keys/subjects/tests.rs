//! Keys of people, from first sight to erasure.

use std::fs;

use cloakroom_crypto::RootKey;
use cloakroom_crypto::envelope::{AdditionalData, ValueType, open, parse, seal};

use super::*;

struct Place {
    folder: tempfile::TempDir,
    ring: Arc<KeyRing>,
}

impl Place {
    fn new() -> Self {
        let ring = Arc::new(KeyRing::new(vec![RootKey::generate("").unwrap()]).unwrap());
        Self { folder: tempfile::tempdir().unwrap(), ring }
    }

    fn files(&self) -> SubjectFiles {
        SubjectFiles::beside(&self.folder.path().join("keys.json"))
    }

    fn open(&self) -> SubjectKeys {
        SubjectKeys::open(Arc::clone(&self.ring), &self.files(), true, || "2026-01-31T12:00:00Z".to_owned()).unwrap()
    }

    /// Copies the key table, as a backup does.
    fn table_copy(&self, to: &str) {
        self.open().table().run_for_test("PRAGMA wal_checkpoint(TRUNCATE)");
        fs::copy(self.files().table, self.folder.path().join(to)).unwrap();
    }
}

fn data<'a>(subject: &'a str) -> AdditionalData<'a> {
    AdditionalData { tenant: "t", collection: "c", path: "p", subject, value_type: ValueType::String }
}

fn sealed(keys: &SubjectKeys, subject: &str) -> String {
    let batch = keys.begin();
    let mut text = String::new();
    seal(&*keys.data_key("t", subject).unwrap(), &data(subject), b"secret", &mut text).unwrap();
    keys.persist(batch).unwrap();
    text
}

fn opened(keys: &SubjectKeys, subject: &str, text: &str) -> Result<Vec<u8>, CryptoError> {
    let key = keys.opening_key("t", subject, &parse(text).unwrap().kid)?;
    open(&*key, &data(subject), text).map(|plain| plain.to_vec())
}

#[test]
fn each_person_has_a_key_of_their_own_that_stays() {
    let place = Place::new();
    let keys = place.open();
    let (ada, bob) = (sealed(&keys, "ada"), sealed(&keys, "bob"));
    assert_ne!(parse(&ada).unwrap().kid, parse(&bob).unwrap().kid);
    assert_eq!(parse(&sealed(&keys, "ada")).unwrap().kid, parse(&ada).unwrap().kid);
    let again = place.open();
    assert_eq!(opened(&again, "ada", &ada).unwrap(), b"secret");
    assert_eq!(parse(&sealed(&again, "ada")).unwrap().kid, parse(&ada).unwrap().kid);
    assert!(opened(&again, "bob", &ada).is_err());
    assert_ne!(again.owner("t", "ada"), again.owner("u", "ada"));
    assert_ne!(again.owner("ta", "da"), again.owner("t", "ada"));
    assert_eq!(again.check().unwrap(), TableCheck { open: 2, destroyed: 0, damaged: 0 });
    // Nobody in particular: the key of the ring, as without a key table.
    assert_eq!(again.data_key("t", "").unwrap().kid(), place.ring.active_kid());
}

#[test]
fn an_erased_person_is_gone_from_old_copies_too_and_all_others_stay() {
    let place = Place::new();
    let keys = place.open();
    // So many that shards have several people.
    let everybody: Vec<(String, String)> =
        (0..9000).map(|n| format!("person{n}")).map(|name| (sealed_quickly(&keys, &name), name)).collect();
    keys.persist(keys.begin()).unwrap();
    place.table_copy("yesterday.db");
    let other = place.open();
    assert!(opened(&other, "person7", &everybody[7].0).is_ok());
    let shard = shard_of(&keys.owner("t", "person7"));
    let neighbours = everybody.iter().filter(|(_, name)| shard_of(&keys.owner("t", name)) == shard).count() as u64 - 1;

    let receipt = keys
        .erase("t", "person7", &|erasure| {
            assert_eq!((erasure.destroyed, erasure.rewrapped), (1, neighbours));
            Ok(format!("{} {}", erasure.from, erasure.to))
        })
        .unwrap();
    assert_eq!(receipt.as_deref(), Some("1 2"));
    // At once, also where the key was in memory.
    assert_eq!(opened(&keys, "person7", &everybody[7].0).unwrap_err(), CryptoError::Erased);
    assert_eq!(opened(&other, "person7", &everybody[7].0).unwrap_err(), CryptoError::Erased);
    assert_eq!(keys.data_key("t", "person7").unwrap_err(), CryptoError::Erased);
    for (text, name) in everybody.iter().filter(|(_, name)| name != "person7") {
        assert_eq!(opened(&other, name, text).unwrap(), b"secret");
    }
    assert_eq!(keys.erase("t", "person7", &|_| Ok(String::new())).unwrap(), None);
    assert_eq!(keys.table().receipt(&keys.owner("t", "person7")).unwrap().as_deref(), Some("1 2"));
    assert_eq!(keys.erase("t", "nobody", &|_| Ok(String::new())).unwrap(), None);

    // Yesterday's table, today's shard file.
    drop((keys, other));
    for extra in ["db-wal", "db-shm"] {
        let _ = fs::remove_file(place.files().table.with_extension(extra));
    }
    fs::copy(place.folder.path().join("yesterday.db"), place.files().table).unwrap();
    let restored = place.open();
    assert!(matches!(opened(&restored, "person7", &everybody[7].0), Err(CryptoError::UnknownSubjectKey(_))));
    assert_eq!(
        restored.check().unwrap(),
        TableCheck { open: 9000 - 1 - neighbours, destroyed: 1 + neighbours, damaged: 0 }
    );
}

fn sealed_quickly(keys: &SubjectKeys, subject: &str) -> String {
    let mut text = String::new();
    seal(&*keys.data_key("t", subject).unwrap(), &data(subject), b"secret", &mut text).unwrap();
    text
}

#[test]
fn keys_that_could_not_be_stored_stop_every_batch_that_may_have_used_them() {
    let place = Place::new();
    let (keys, other) = (place.open(), place.open());
    sealed(&keys, "ada");
    let shard = shard_of(&keys.owner("t", "ada"));
    // Somebody new in the same shard.
    let new = (0..).map(|n| format!("new{n}")).find(|name| shard_of(&keys.owner("t", name)) == shard).unwrap();
    let (mine, theirs) = (keys.begin(), keys.begin());
    sealed_quickly(&keys, &new);
    other.erase("t", "ada", &|_| Ok(String::new())).unwrap().unwrap();
    assert_eq!(keys.persist(mine), Err(PersistError::Again));
    assert_eq!(keys.persist(theirs), Err(PersistError::Again));
    // From the beginning, it works.
    let text = sealed(&keys, &new);
    assert_eq!(opened(&other, &new, &text).unwrap(), b"secret");
    assert_eq!(keys.data_key("t", "ada").unwrap_err(), CryptoError::Erased);
}

#[test]
fn an_interrupted_erasure_is_finished_by_the_next_one() {
    let place = Place::new();
    let keys = place.open();
    let ada = sealed(&keys, "ada");
    let shard = shard_of(&keys.owner("t", "ada"));
    // Before the table was changed: a new shard key that nothing uses.
    let stopped = keys.erase("t", "ada", &|_| Err(ConnectorError::unavailable("pulled the plug")));
    assert!(stopped.is_err());
    assert!(keys.shards().key(shard, 2).unwrap().is_some());
    assert_eq!(opened(&place.open(), "ada", &ada).unwrap(), b"secret");
    // After it: an old one that nothing uses any more.
    keys.erase("t", "ada", &|_| Ok(String::new())).unwrap().unwrap();
    keys.shards().make(shard, 1).unwrap();
    let new = (0..).map(|n| format!("new{n}")).find(|name| shard_of(&keys.owner("t", name)) == shard).unwrap();
    sealed(&keys, &new);
    keys.erase("t", &new, &|_| Ok(String::new())).unwrap().unwrap();
    assert!(keys.shards().key(shard, 1).unwrap().is_none() && keys.shards().key(shard, 2).unwrap().is_none());
    assert!(keys.shards().key(shard, 3).unwrap().is_some());
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    sealed(&place.open(), "ada");
    sealed(&other.open(), "ada");
    fs::copy(other.files().shards, place.files().shards).unwrap();
    let open = || SubjectKeys::open(Arc::clone(&place.ring), &place.files(), true, String::new);
    assert!(open().is_err(), "another ring's shard file");
    fs::remove_file(place.files().shards).unwrap();
    assert!(open().err().unwrap().message.contains("belong together"));
    let same_ring = ShardFile::open(&place.files().shards, Arc::clone(&place.ring), true).unwrap();
    drop(same_ring);
    assert!(open().err().unwrap().message.contains("another shard file"));
}

#[test]
fn a_key_that_was_moved_to_another_person_does_not_open() {
    let place = Place::new();
    let keys = place.open();
    let ada = sealed(&keys, "ada");
    sealed(&keys, "bob");
    let (a, b) = (keys.owner("t", "ada"), keys.owner("t", "bob"));
    let Known::Keys(stored) = keys.table().find(&a).unwrap() else { panic!("erased") };
    let mut moved = stored[0].clone();
    moved.owner = b;
    moved.shard_version = keys.table().shard_version(shard_of(&b)).unwrap();
    keys.table().insert(&[moved]).map_err(|_| ()).unwrap();
    assert!(opened(&place.open(), "bob", &ada).is_err());
    assert_eq!(keys.check().unwrap().damaged, 1);
}
