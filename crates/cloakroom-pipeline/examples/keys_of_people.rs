//! Keys of people: made, found and used to open values, per CPU second of one thread; data in memory, the key table in a folder.
//!
//! ```sh
//! cargo run --release -p cloakroom-pipeline --example keys_of_people -- 1000000 folder
//! ```
//!
//! CPU time is the thread's, from `/proc/thread-self/schedstat`: Linux only.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use cloakroom_core::keys::{KeyProvider, LocalKeys};
use cloakroom_core::{Cloak, IngestTime, Payload, Place, Policy, RecordId};
use cloakroom_crypto::envelope::{AdditionalData, ValueType, open, parse};
use cloakroom_crypto::{DataKey, KeyId, KeyRing, KeyState, RootKey, SecretKey, WrappingKey};
use cloakroom_pipeline::config::PipelineFile;
use cloakroom_pipeline::keys::subjects::{SubjectFiles, SubjectKeys};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const BATCH: usize = 20_000;
const TENANT: &str = "default";
const POLICY: &str = "subject: id\nfields: { ssn: { protect: encrypt }, card: { protect: encrypt } }";

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let people: usize = arguments.next().map_or(Ok(200_000), |count| count.parse())?;
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from).join("keys_of_people");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let ring = Arc::new(KeyRing::new(vec![RootKey::generate("")?])?);
    let open = || {
        let files = SubjectFiles::beside(&folder.join("keys.json"));
        SubjectKeys::open(Arc::clone(&ring), &files, true, cloakroom_pipeline::run::now)
    };
    protect("one key for all", people, &(Arc::new(LocalKeys::new(Arc::clone(&ring))?) as _))?;
    let mut envelopes = Vec::new();
    for round in ["a key for each, made now", "a key for each, known"] {
        let keys: Arc<dyn KeyProvider> = Arc::new(open()?);
        envelopes = protect(round, people, &keys)?;
    }
    cryptography()?;
    let keys = open()?;
    reveal("one by one", &keys, &envelopes, 1)?;
    let keys = open()?;
    reveal("1,000 at a time", &keys, &envelopes, 1000)?;
    drop(keys);
    Ok(std::fs::remove_dir_all(&folder)?)
}

/// Protects a record of each person, two values of it with their key. Gives one of the two.
fn protect(name: &str, people: usize, keys: &Arc<dyn KeyProvider>) -> Outcome<Vec<(String, String)>> {
    let file =
        PipelineFile::<serde_json::Value, serde_json::Value, serde_json::Value>::parse(POLICY, "customers.yaml")?;
    let cloak = Cloak::new(Arc::new(Policy::compile(&file.policy("customers")?, Some(keys))?));
    let mut envelopes = Vec::new();
    let mut spent = 0.0;
    for first in (0..people).step_by(BATCH) {
        let records: Vec<(RecordId, Payload)> = (first..people.min(first + BATCH))
            .map(|id| {
                let json = format!(
                    r#"{{"id":{id},"ssn":"078-05-{:04}","card":"4111-1111-1111-1111","city":"Tolosa","note":"nothing","active":true}}"#,
                    id % 10_000
                );
                (record_id(id), Payload::Json(Bytes::from(json)))
            })
            .collect();
        let began = cpu_seconds()?;
        let batch = cloak.begin_keys();
        let done =
            cloak.process_batch(records.iter().map(|(id, payload)| (id, payload)), IngestTime::from_unix_seconds(0));
        cloak.persist_keys(batch).map_err(|error| format!("{error:?}"))?;
        spent += cpu_seconds()? - began;
        for (index, record) in done.into_iter().enumerate() {
            let record = record.map_err(|error| error.to_string())?;
            if let Some(cloakroom_core::Value::String(text)) = record.content().get("ssn") {
                envelopes.push(((first + index).to_string(), text.to_string()));
            }
        }
    }
    println!("protected, {name}: {:.0} records/s", people as f64 / spent);
    Ok(envelopes)
}

fn record_id(id: usize) -> RecordId {
    let position = Place::Offset { byte: id as u64, number: id as u64 };
    RecordId { partition: Arc::from("memory"), position }
}

/// Opens a value of each person, with keys that are not in memory.
fn reveal(name: &str, keys: &SubjectKeys, envelopes: &[(String, String)], at_once: usize) -> Outcome<()> {
    let mut found = 0;
    let began = cpu_seconds()?;
    for group in envelopes.chunks(at_once) {
        let wanted: Vec<(&str, KeyId)> =
            group.iter().map(|(subject, text)| Ok((subject.as_str(), parse(text)?.kid))).collect::<Outcome<_>>()?;
        for ((subject, text), key) in group.iter().zip(keys.opening_keys(TENANT, &wanted)) {
            found += open(&*key?, &place(subject), text)?.len();
        }
    }
    let spent = cpu_seconds()? - began;
    assert_eq!(found, envelopes.len() * 11);
    println!("opened, keys from the table, {name}: {:.0} values/s", envelopes.len() as f64 / spent);
    Ok(())
}

/// The same without the table: unwrap, check the commitment, open.
fn cryptography() -> Outcome<()> {
    const VALUES: u32 = 200_000;
    let shard = WrappingKey::from_secret(&SecretKey::generate()?)?;
    let secret = SecretKey::generate()?;
    let kid = KeyId::of(&secret);
    let key = DataKey::from_secret(kid, &secret, KeyState::Active)?;
    let bound: [&[u8]; 3] = [b"subject", &[7; 16], kid.as_str().as_bytes()];
    let (wrapped, commitment) = (shard.wrap(&secret, &bound)?, *key.commitment());
    let mut text = String::new();
    cloakroom_crypto::envelope::seal(&key, &place("7"), b"078-05-1120", &mut text)?;
    let began = cpu_seconds()?;
    for _ in 0..VALUES {
        let secret = shard.unwrap(&wrapped, &bound)?;
        let key = DataKey::from_secret(kid, &secret, KeyState::Active)?;
        key.check_commitment(&commitment)?;
        std::hint::black_box(open(&key, &place("7"), &text)?);
    }
    let spent = cpu_seconds()? - began;
    println!("opened, wrapped key at hand: {:.0} values/s", f64::from(VALUES) / spent);
    Ok(())
}

fn place(subject: &str) -> AdditionalData<'_> {
    AdditionalData { tenant: TENANT, collection: "customers", path: "ssn", subject, value_type: ValueType::String }
}

/// What this thread has spent.
fn cpu_seconds() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = text.split(' ').next().ok_or("no schedstat")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}
