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
        SubjectKeys::open(Arc::clone(&self.ring), &self.files(), true, || IngestTime::from_unix_seconds(1_769_860_800))
            .unwrap()
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
    let open = || SubjectKeys::open(Arc::clone(&place.ring), &place.files(), true, || IngestTime::from_unix_seconds(0));
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
    let Known::Keys(mut moved, _) = keys.table().find(&a).unwrap() else { panic!("erased") };
    moved.owner = b;
    moved.shard_version = keys.table().shard_version(shard_of(&b)).unwrap();
    keys.table().insert(&[moved], 0).map_err(|_| ()).unwrap();
    assert!(opened(&place.open(), "bob", &ada).is_err());
    assert_eq!(keys.check().unwrap().damaged, 1);
}

#[test]
fn a_batch_gives_the_same_keys_as_one_by_one() {
    let place = Place::new();
    let keys = place.open();
    let ada = sealed(&keys, "ada");
    for keys in [keys, place.open()] {
        let batch = keys.begin();
        let names = ["new", "ada", "bob", "ada", "new"];
        let kids: Vec<KeyId> = {
            let of_batch = keys.of_subjects("t", &names).unwrap();
            (0..names.len()).map(|index| *of_batch.data_key(index).unwrap().kid()).collect()
        };
        assert_eq!((kids[1], kids[3]), (parse(&ada).unwrap().kid, kids[1]));
        assert!(kids[0] == kids[4] && kids[0] != kids[2]);
        assert_eq!(*keys.data_key("t", "bob").unwrap().kid(), kids[2]);
        keys.persist(batch).unwrap();
        // Another program finds what was stored.
        let other = place.open();
        assert_eq!(*other.of_subjects("t", &["bob"]).unwrap().data_key(0).unwrap().kid(), kids[2]);
    }
    assert_eq!(place.open().check().unwrap(), TableCheck { open: 3, destroyed: 0, damaged: 0 });
    assert!(place.open().of_subjects("t", &["ada", ""]).is_none());
}

#[test]
fn a_key_that_nobody_needed_is_not_made() {
    let place = Place::new();
    let keys = place.open();
    let batch = keys.begin();
    assert!(keys.of_subjects("t", &["ada", "bob"]).unwrap().data_key(1).is_ok());
    keys.persist(batch).unwrap();
    assert_eq!(keys.table().counts().unwrap().keys, 1);
}

#[test]
fn an_erasure_reaches_a_batch_at_work() {
    let place = Place::new();
    let (keys, other) = (place.open(), place.open());
    for name in ["ada", "bob", "eve"] {
        sealed(&keys, name);
    }
    let receipt = |_: &Erasure| Ok(String::new());
    let names = ["ada", "bob", "eve"];
    let batch = keys.of_subjects("t", &names).unwrap();
    let cached = keys.of_subjects("t", &names).unwrap();
    (0..3).for_each(|index| drop(cached.data_key(index).unwrap()));
    // In this program: at once.
    keys.erase("t", "ada", &receipt).unwrap().unwrap();
    for one in [&batch, &cached] {
        assert_eq!(one.data_key(0).unwrap_err(), CryptoError::Erased);
        assert!(one.data_key(1).is_ok());
    }
    // In another one: after a tenth of a second.
    let batch = keys.of_subjects("t", &names[1..]).unwrap();
    batch.data_key(0).unwrap();
    other.erase("t", "bob", &receipt).unwrap().unwrap();
    std::thread::sleep(cache::FRESH);
    assert_eq!(batch.data_key(0).unwrap_err(), CryptoError::Erased);
    assert!(batch.data_key(1).is_ok());
    drop((batch, cached));
    assert_eq!(keys.data_key("t", "ada").unwrap_err(), CryptoError::Erased);
    assert_eq!(keys.data_key("t", "bob").unwrap_err(), CryptoError::Erased);
}

#[test]
fn many_are_opened_at_once_and_the_erased_are_not() {
    let place = Place::new();
    let (keys, other) = (place.open(), place.open());
    let texts = ["ada", "bob", "eve"].map(|name| sealed(&keys, name));
    let kids = texts.each_ref().map(|text| parse(text).unwrap().kid);
    let wanted = [("ada", kids[0]), ("bob", kids[1]), ("eve", kids[2]), ("ada", kids[1]), ("nobody", kids[0])];
    let opened = |keys: &SubjectKeys| -> Vec<_> {
        keys.opening_keys("t", &wanted).into_iter().map(|key| key.map(|key| *key.kid())).collect()
    };
    let unknown = |kid| Err(CryptoError::UnknownSubjectKey(kid));
    let all = [Ok(kids[0]), Ok(kids[1]), Ok(kids[2]), unknown(kids[1]), unknown(kids[0])];
    assert_eq!((opened(&keys).as_slice(), opened(&other).as_slice()), (all.as_slice(), all.as_slice()));
    // Whoever opens asks the table: no tenth of a second here.
    keys.erase("t", "bob", &|_| Ok(String::new())).unwrap().unwrap();
    let gone = [Ok(kids[0]), Err(CryptoError::Erased), Ok(kids[2]), unknown(kids[1]), unknown(kids[0])];
    assert_eq!((opened(&other).as_slice(), opened(&keys).as_slice()), (gone.as_slice(), gone.as_slice()));
    let of_ring = [("ada", *place.ring.active_kid())];
    assert!(keys.opening_keys("t", &of_ring)[0].is_ok());
}

#[test]
fn several_programs_lose_no_key() {
    const PEOPLE: usize = 600;
    let place = Place::new();
    sealed(&place.open(), "first");
    let work = |_: usize| {
        let keys = place.open();
        let mut texts = Vec::new();
        for first in (0..PEOPLE).step_by(100) {
            let names: Vec<String> = (first..first + 100).map(|n| format!("person{n}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let batch = keys.begin();
            let of_batch = keys.of_subjects("t", &names).unwrap();
            for (index, name) in names.iter().enumerate() {
                let mut text = String::new();
                seal(&*of_batch.data_key(index).unwrap(), &data(name), b"secret", &mut text).unwrap();
                texts.push(((*name).to_owned(), text));
            }
            keys.persist(batch).unwrap();
        }
        texts
    };
    let texts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|n| scope.spawn(move || work(n))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let keys = place.open();
    for (name, text) in &texts {
        assert_eq!(opened(&keys, name, text).unwrap(), b"secret", "{name}");
    }
    let check = keys.check().unwrap();
    assert_eq!((check.damaged, check.destroyed), (0, 0));
    // Whoever has several keys because two programs met them at the same moment loses all of them together.
    keys.erase("t", "person7", &|_| Ok(String::new())).unwrap().unwrap();
    for (name, text) in texts.iter().filter(|(name, _)| name == "person7") {
        assert_eq!(opened(&keys, name, text).unwrap_err(), CryptoError::Erased);
    }
    assert_eq!(keys.table().counts().unwrap().subjects, PEOPLE as u64);
}

#[test]
fn two_people_may_share_the_beginning_of_their_owner() {
    let place = Place::new();
    let keys = place.open();
    sealed(&keys, "ada");
    let ada = keys.owner("t", "ada");
    let Known::Keys(mut other, _) = keys.table().find(&ada).unwrap() else { panic!("not there") };
    other.owner[15] ^= 1;
    let twin = other.owner;
    assert!(matches!(keys.table().find(&twin).unwrap(), Known::Nobody));
    for _ in 0..2 {
        keys.table().insert(std::slice::from_ref(&other), 0).map_err(|_| ()).unwrap();
        assert_eq!(keys.table().counts().unwrap().keys, 2);
    }
    let has_key = |owner| matches!(keys.table().find(owner).unwrap(), Known::Keys(key, older) if key.owner == *owner && older.is_empty());
    assert!(has_key(&ada) && has_key(&twin));
    // The moved row does not open, so only the table itself can be asked to erase.
    struct Nothing;
    impl ShardRoll for Nothing {
        fn roll(
            &self,
            _: u16,
            _: ShardVersion,
            _: ShardVersion,
            rest: &[StoredKey],
        ) -> Result<Vec<WrappedKey>, ConnectorError> {
            Ok(rest.iter().map(|key| key.wrapped).collect())
        }
        fn receipt(&self, erasure: &Erasure) -> Result<String, ConnectorError> {
            Ok(erasure.destroyed.to_string())
        }
    }
    assert_eq!(keys.table().erase(&ada, "now", &Nothing).unwrap(), Some((1, "1".to_owned())));
    assert!(matches!(keys.table().find(&ada).unwrap(), Known::Erased) && has_key(&twin));
    assert_eq!(keys.table().erase(&twin, "now", &Nothing).unwrap(), Some((2, "1".to_owned())));
    assert!(matches!(keys.table().find(&twin).unwrap(), Known::Erased));
    assert_eq!(keys.table().erase(&twin, "now", &Nothing).unwrap(), None);
    // Somebody new with the tag of people who were erased.
    other.owner[15] ^= 2;
    let epoch = keys.table().stand().unwrap().epoch;
    other.shard_version = 3;
    keys.table().insert(std::slice::from_ref(&other), epoch).map_err(|_| ()).unwrap();
    assert!(has_key(&other.owner) && matches!(keys.table().find(&ada).unwrap(), Known::Erased));
}
