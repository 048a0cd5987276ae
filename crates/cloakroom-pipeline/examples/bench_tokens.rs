//! Random tokens: values per CPU second of one thread, decoding and encoding nothing but a record of one field.
//!
//! ```sh
//! cargo run --release -p cloakroom-pipeline --example bench_tokens
//! ```
//!
//! CPU time is the thread's, from `/proc/thread-self/schedstat`: Linux only.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::fs;
use std::sync::Arc;

use cloakroom_core::policy::FieldConfig;
use cloakroom_core::{Cloak, IngestTime, Payload, Place, Policy, PolicyConfig, RecordId};
use cloakroom_crypto::{KeyRing, RootKey};
use cloakroom_pipeline::keys::Keys;

/// Values of a batch.
const BATCH: usize = 5_000;
/// Batches of a round.
const BATCHES: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let keys = || -> Result<Keys, Box<dyn Error>> {
        let ring = KeyRing::new(vec![RootKey::generate("")?])?;
        Ok(Keys::new(ring, String::new(), None)?.with_tokens(Some(folder.path().join("tokens.db"))))
    };
    let keys = keys()?;
    let field: FieldConfig = serde_saphyr::from_str("protect: { token: random }")?;
    let mut config = PolicyConfig { tokens: keys.vault(), ..PolicyConfig::default() };
    config.record.max_bytes = 1 << 16;
    config.fields.0.push((cloakroom_core::located::Located { value: "v".to_owned(), at: None }, field));
    let policy = Policy::compile(&config, Some(&keys.provider)).map_err(|error| error.to_string())?;
    let cloak = Cloak::new(Arc::new(policy));
    println!("{:>28}  {:>10}", "values", "per CPU s");
    for (name, distinct) in [
        ("new", BATCH * BATCHES),
        ("stored, not in memory", BATCH * BATCHES),
        ("known, 50,000 different", 50_000),
        ("known, 50,000 different", 50_000),
    ] {
        println!("{name:>28}  {:>10}", round(&cloak, distinct)?);
    }
    Ok(())
}

fn round(cloak: &Cloak, distinct: usize) -> Result<u64, Box<dyn Error>> {
    let id = RecordId { partition: "p".into(), position: Place::Offset { byte: 0, number: 1 } };
    let now = IngestTime::from_unix_seconds(0);
    let mut spent = 0;
    for batch in 0..BATCHES {
        let json = |at: usize| format!("{{\"v\":\"4111 1111 {:08}\"}}", (batch * BATCH + at) % distinct);
        let payloads: Vec<Payload> = (0..BATCH).map(|at| Payload::Json(json(at).into_bytes().into())).collect();
        let before = cpu_nanoseconds()?;
        let begun = cloak.begin_keys();
        let records = cloak.process_batch(payloads.iter().map(|payload| (&id, payload)), now);
        cloak.persist_keys(begun).map_err(|error| format!("{error:?}"))?;
        spent += cpu_nanoseconds()? - before;
        if records.iter().any(Result::is_err) {
            return Err("a record was rejected".into());
        }
    }
    Ok((BATCH * BATCHES) as u64 * 1_000_000_000 / spent.max(1))
}

fn cpu_nanoseconds() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("an empty schedstat")?.parse()?)
}
