//! Keys of subjects, looked for a group of records at a time.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cloakroom_crypto::envelope::{AdditionalData, ValueType, open};
use cloakroom_crypto::{CryptoError, DataKey, KeyId, KeyRing, KeyState, SecretKey, digest};

use super::super::*;
use super::compile_with;
use crate::keys::{KeyProvider, KeysOfBatch, LocalKeys};

/// Keys made of names; counts who asks for what.
struct Named {
    ring: Arc<KeyRing>,
    in_groups: bool,
    groups: Mutex<Vec<usize>>,
    asked: Mutex<Vec<String>>,
}

impl Named {
    fn key(subject: &str) -> Result<Arc<DataKey>, CryptoError> {
        if subject == "erased" {
            return Err(CryptoError::Erased);
        }
        let secret = SecretKey::from_bytes(digest::sha256(subject.as_bytes()));
        DataKey::from_secret(KeyId::of(&secret), &secret, KeyState::Active).map(Arc::new)
    }

    fn note(&self, subject: &str) {
        self.asked.lock().unwrap().push(subject.to_owned());
    }
}

struct Group<'n> {
    named: &'n Named,
    subjects: Vec<String>,
}

impl KeysOfBatch for Group<'_> {
    fn data_key(&self, index: usize) -> Result<Arc<DataKey>, CryptoError> {
        self.named.note(&self.subjects[index]);
        Named::key(&self.subjects[index])
    }
}

impl KeyProvider for Named {
    fn ring(&self) -> &KeyRing {
        &self.ring
    }

    fn data_key(&self, _: &str, subject: &str) -> Result<Arc<DataKey>, CryptoError> {
        self.note(subject);
        Self::key(subject)
    }

    fn of_subjects<'k>(&'k self, tenant: &str, subjects: &[&str]) -> Option<Box<dyn KeysOfBatch + 'k>> {
        assert_eq!(tenant, "t");
        self.groups.lock().unwrap().push(subjects.len());
        let subjects = subjects.iter().map(|&subject| subject.to_owned()).collect();
        self.in_groups.then(|| Box::new(Group { named: self, subjects }) as Box<dyn KeysOfBatch>)
    }

    fn opening_key(&self, _: &str, subject: &str, _: &KeyId) -> Result<Arc<DataKey>, CryptoError> {
        Self::key(subject)
    }
}

fn named(in_groups: bool) -> Arc<Named> {
    let ring = Arc::new(cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap());
    Arc::new(Named { ring, in_groups, groups: Mutex::default(), asked: Mutex::default() })
}

fn process(yaml: &str, keys: &Arc<Named>, records: &[String]) -> Vec<Result<String, String>> {
    let cloak = compile_with(yaml, &(Arc::clone(keys) as Arc<dyn KeyProvider>)).unwrap();
    let payloads: Vec<_> = records.iter().map(|json| Payload::Json(Bytes::from(json.clone()))).collect();
    let id = super::id();
    let time = IngestTime::from_unix_seconds(0);
    let done = cloak.process_batch(payloads.iter().map(|payload| (&id, payload)), time);
    let text = |record: ProtectedRecord| {
        let mut out = Vec::new();
        record.write_json(&mut out);
        String::from_utf8(out).unwrap()
    };
    done.into_iter().map(|done| done.map(text).map_err(|error| error.to_string())).collect()
}

#[test]
fn every_record_gets_the_key_of_its_own_subject() {
    const COUNT: usize = 2 * GROUP + 10;
    let json = |n: usize| match n {
        // Nobody's key may move to the neighbour of a record that is refused.
        3 => "{broken".to_owned(),
        5 => r#"{"a":"x"}"#.to_owned(),
        7 => r#"{"id":"erased","a":"x"}"#.to_owned(),
        9 => r#"{"id":"erased","other":"x"}"#.to_owned(),
        _ => format!(r#"{{"id":{n},"a":"x","b":"y"}}"#),
    };
    let records: Vec<String> = (0..COUNT).map(json).collect();
    for in_groups in [true, false] {
        let keys = named(in_groups);
        let done =
            process("subject: id\nfields: { a: { protect: encrypt }, b: { protect: encrypt } }", &keys, &records);
        assert_eq!(done.len(), COUNT);
        for (n, done) in done.iter().enumerate() {
            match n {
                3 | 5 | 7 => assert!(done.is_err(), "{n}"),
                9 => assert_eq!(done.as_deref(), Ok(records[9].as_str()), "no value, no key"),
                _ => {
                    let record: serde_json::Value = serde_json::from_str(done.as_ref().unwrap()).unwrap();
                    let subject = n.to_string();
                    let place = AdditionalData {
                        tenant: "t",
                        collection: "c",
                        path: "b",
                        subject: &subject,
                        value_type: ValueType::String,
                    };
                    let key = Named::key(&subject).unwrap();
                    assert_eq!(*open(&*key, &place, record["b"].as_str().unwrap()).unwrap(), b"y");
                }
            }
        }
        assert_eq!(*keys.groups.lock().unwrap(), [GROUP - 2, GROUP, 10]);
        let (all, refused) = (COUNT - 4, usize::from(true));
        assert_eq!(keys.asked.lock().unwrap().len(), all + refused, "once for a record, however many values it has");
    }
}

#[test]
fn nobody_is_looked_for_where_no_key_of_a_subject_is_used() {
    for yaml in [
        "fields: { a: { protect: encrypt } }",
        "subject: id\nfields: { a: { protect: hmac } }",
        "subject: id\nfields: { a: { protect: { encrypt: deterministic } } }",
    ] {
        let keys = named(true);
        assert!(process(yaml, &keys, &[r#"{"id":1,"a":"x"}"#.to_owned()])[0].is_ok());
        assert!(keys.groups.lock().unwrap().is_empty(), "{yaml}");
    }
    let keys = named(true);
    let found = "subject: id\ndetect: { everywhere: encrypt }";
    let done = process(found, &keys, &[r#"{"id":1,"note":"write to ada@example.com"}"#.to_owned()]);
    assert!(done[0].as_ref().unwrap().contains("ck1.a."), "{done:?}");
    assert_eq!(*keys.groups.lock().unwrap(), [1]);
    let keys = Arc::new(LocalKeys::new(Arc::clone(&keys.ring)).unwrap());
    assert!(keys.of_subjects("t", &["1"]).is_none());
}
