//! `cloakroom keys`

mod change;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_crypto::{KeyId, KeyRing, KeyState, envelope};
use cloakroom_pipeline::audit::{Action, Outcome, Refusal, audit_keys};
use cloakroom_pipeline::keys::receipt::Receipt;
use cloakroom_pipeline::keys::subjects::{SubjectFiles, SubjectKeys};
use cloakroom_pipeline::keys::table::{Erasure, TableCounts};
use cloakroom_pipeline::keys::tokens::Vault;
use cloakroom_pipeline::keys::{self, Keys, KeysConfig};
use cloakroom_pipeline::{ConnectorError, ErrorKind};
use serde_json::json;

use crate::args::{KeyFileOptions, KeysCommand, Output};
use crate::error::Failure;
use crate::output;
use crate::protectors::access_with;
use crate::trail::Trail;

pub(crate) async fn keys(command: KeysCommand) -> Result<u8, Failure> {
    match command {
        KeysCommand::Init { key_file, protection } => change::init(key_file, protection).await,
        KeysCommand::Status { key_file, data, output } => status(&load(key_file).await?, data, output),
        KeysCommand::Rotate { key_file, pseudonyms, output } => change::rotate(key_file, pseudonyms, output).await,
        KeysCommand::Rewrap { key_file, protection, new_passphrase_file, output } => {
            change::rewrap(key_file, protection, new_passphrase_file, output).await
        }
        KeysCommand::Erase { subject, tenant, key_file } => {
            let log = key_file.file.clone();
            erase(&subject, &tenant, &load(key_file).await?, log.as_deref())
        }
        KeysCommand::Receipt { receipt: path, subject, tenant, key_file } => {
            // Before anybody is asked for a passphrase.
            let text = crate::load::read_text(&path)?;
            receipt(&path, &text, subject.as_deref(), &tenant, &load(key_file).await?)
        }
        KeysCommand::ExportCheck { table, key_file, output } => export_check(table, &load(key_file).await?, output),
    }
}

fn status(keys: &Keys, data: Option<PathBuf>, output: Output) -> Result<u8, Failure> {
    let ring = &keys.ring;
    let (counts, root) = match &keys.subjects {
        Some(files) if files.table.exists() || files.shards.exists() => {
            let subjects = open(keys, files)?;
            let counts = subjects.table().counts()?;
            (Some(counts), Some(subjects.shards().root_kid()?))
        }
        _ => (None, None),
    };
    let vault = keys.tokens.as_deref();
    let tokens = vault.map_or(Ok(Vec::new()), Vault::counts)?;
    let vault_root = vault.map_or(Ok(None), Vault::root_kid)?;
    let values = data.as_deref().map(|data| count_values(data, ring)).transpose()?;
    let state = |state| match state {
        KeyState::Active => "active",
        KeyState::Retired => "retired",
    };
    let uses = |kid: &KeyId| {
        let mut uses = Vec::new();
        if kid == ring.pseudonym_kid() {
            uses.push("pseudonyms");
        }
        if root.as_ref() == Some(kid) {
            uses.push("wraps the keys of people");
        }
        if vault_root.as_ref() == Some(kid) {
            uses.push("wraps the keys of the token vault");
        }
        uses
    };
    if output == Output::Json {
        let versions: Vec<_> = ring
            .kids()
            .map(|(kid, s, created)| {
                json!({ "kid": kid.as_str(), "state": state(s), "created": created, "uses": uses(kid),
                        "values": values.as_ref().map(|values| values.of(kid)) })
            })
            .collect();
        let subjects = counts.map(
            |TableCounts { subjects, keys, erased }| json!({ "subjects": subjects, "keys": keys, "erased": erased }),
        );
        let of_people =
            values.as_ref().map(|values| json!({ "values": values.of_people, "keys": values.people.len() }));
        let protected_by = keys.protector.as_ref().map(|protector| protector.protection());
        let protected_by = protected_by.map(|it| json!({ it.provider: it.settings }));
        let tokens: serde_json::Map<_, _> = tokens.into_iter().map(|(domain, count)| (domain, count.into())).collect();
        output::json(
            &json!({ "origin": keys.origin, "protected_by": protected_by, "keys": versions, "people": subjects,
                     "values_of_people": of_people, "tokens": tokens }),
        )?;
        return Ok(0);
    }
    output::line(&format!("key ring: {}", keys.origin));
    let protected_by = keys.protector.as_ref().map_or_else(|| "nothing".to_owned(), |protector| protector.describe());
    output::line(&format!("protected by: {protected_by}"));
    let mut header = vec!["KEY", "STATE", "CREATED", "USED FOR"];
    if values.is_some() {
        header.push("VALUES");
    }
    let rows: Vec<_> = ring
        .kids()
        .map(|(kid, s, created)| {
            let mut row = vec![kid.to_string(), state(s).to_owned(), created.to_owned(), uses(kid).join(", ")];
            row.extend(values.as_ref().map(|values| output::grouped(values.of(kid))));
            row
        })
        .collect();
    output::line(&output::table(&header, &rows));
    if let Some(TableCounts { subjects, keys, erased }) = counts {
        let [subjects, keys, erased] = [subjects, keys, erased].map(output::grouped);
        output::line(&format!("keys of people: {keys} of {subjects} people; {erased} people erased"));
    }
    for (domain, count) in tokens {
        output::line(&format!("random tokens of the domain {domain}: {}", output::grouped(count)));
    }
    if let Some(values) = values {
        let (count, keys) = (output::grouped(values.of_people), output::grouped(values.people.len() as u64));
        output::line(&format!("values under keys of people: {count}, under {keys} different keys"));
    }
    Ok(0)
}

/// `ck1` values by key version.
#[derive(Default)]
struct Values {
    ring: BTreeMap<KeyId, u64>,
    of_people: u64,
    people: std::collections::BTreeSet<KeyId>,
}

impl Values {
    fn of(&self, kid: &KeyId) -> u64 {
        self.ring.get(kid).copied().unwrap_or(0)
    }
}

/// Counts whatever is a `ck1` value in a text, piece by piece.
fn count_values(path: &Path, ring: &KeyRing) -> Result<Values, Failure> {
    const PIECE: usize = 1 << 20;
    let failed = |error: std::io::Error| Failure::new(2, format!("{}: {error}", path.display()));
    let mut input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    let known: Vec<KeyId> = ring.kids().map(|(kid, _, _)| *kid).collect();
    let mut values = Values::default();
    let mut text: Vec<u8> = Vec::new();
    loop {
        let before = text.len();
        text.resize(before + PIECE, 0);
        let read = input.read(&mut text[before..]).map_err(failed)?;
        text.truncate(before + read);
        // A value that is cut here is looked at with the next piece.
        let whole = if read == 0 {
            text.len()
        } else {
            text.iter().rposition(|byte| !is_of_envelope(*byte)).map_or(0, |last| last + 1)
        };
        for word in text[..whole].split(|byte| !is_of_envelope(*byte)) {
            let word = word.get(word.windows(4).position(|four| four == b"ck1.").unwrap_or(word.len())..);
            if let Some(parts) =
                word.and_then(|word| std::str::from_utf8(word).ok()).and_then(|w| envelope::parse(w).ok())
            {
                if known.contains(&parts.kid) {
                    *values.ring.entry(parts.kid).or_default() += 1;
                } else {
                    values.of_people += 1;
                    values.people.insert(parts.kid);
                }
            }
        }
        text.drain(..whole);
        if read == 0 {
            return Ok(values);
        }
    }
}

fn is_of_envelope(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

fn erase(subject: &str, tenant: &str, keys: &Keys, key_file: Option<&Path>) -> Result<u8, Failure> {
    let trail = Trail::of(&keys.ring, key_file)?;
    let pseudonym = trail.log().subject(subject)?;
    let put = |outcome| trail.put(Action::Erase, outcome, |event| event.subject(pseudonym.clone()));
    let vault = keys.tokens.as_deref().filter(|vault| vault.path().exists());
    let subjects = match (subject_files(keys), vault) {
        (Ok(files), _) => Some(open(keys, files)?),
        (Err(_), Some(_)) => None,
        (Err(failure), None) => return Err(failure),
    };
    let time = now();
    let signer = keys.ring.audit_key().map_err(crypto)?;
    put(Outcome::Allowed)?;
    let erase = || -> Result<(u64, Option<String>, bool), ConnectorError> {
        let sign = |erasure: &Erasure| {
            serde_json::to_string(&Receipt::sign(&signer, &time, erasure))
                .map_err(|_| ConnectorError::new(ErrorKind::Internal, "the receipt could not be written"))
        };
        // Also for somebody who was erased before: they may have got tokens since.
        let tokens = vault.map_or(Ok(0), |vault| vault.erase(tenant, subject))?;
        let Some(subjects) = &subjects else { return Ok((tokens, None, false)) };
        match subjects.erase(tenant, subject, &sign)? {
            Some(receipt) => Ok((tokens, Some(receipt), false)),
            None => Ok((tokens, subjects.table().receipt(&subjects.owner(tenant, subject))?, true)),
        }
    };
    let (tokens, receipt, before) = match erase() {
        Ok(done) => done,
        Err(error) => {
            put(Outcome::Failed)?;
            return Err(error.into());
        }
    };
    if tokens > 0 {
        output::note(&format!("{} random tokens that were theirs alone were deleted", output::grouped(tokens)));
    }
    match receipt {
        Some(receipt) => {
            if before {
                output::note("this person was erased before; here is the receipt of then");
            }
            output::line(&receipt);
            Ok(0)
        }
        None if tokens > 0 => Ok(0),
        None => {
            put(Outcome::Refused(Refusal::NotFound))?;
            output::error(
                "there is no key for this person, nor a token of theirs alone: nothing was encrypted for them, or --tenant \
                 is another",
            );
            Ok(1)
        }
    }
}

fn receipt(path: &Path, text: &str, subject: Option<&str>, tenant: &str, keys: &Keys) -> Result<u8, Failure> {
    let shown = path.display();
    let receipt: Receipt =
        serde_json::from_str(text).map_err(|_| Failure::new(2, format!("{shown}: not a receipt of an erasure")))?;
    let ours = audit_keys(&keys.ring)?.iter().any(|key| key.public_key().to_string() == receipt.public_key);
    if !receipt.is_genuine() {
        output::line(&format!("{shown}: not as it was signed"));
        return Ok(1);
    }
    if !ours {
        output::line(&format!(
            "{shown}: signed, but not by this key ring; compare {} with the key you expect",
            receipt.public_key
        ));
        return Ok(1);
    }
    if let Some(subject) = subject
        && !receipt.is_of(&open(keys, subject_files(keys)?)?.owner(tenant, subject))
    {
        output::line(&format!("{shown}: genuine, but about somebody else"));
        return Ok(1);
    }
    let Receipt { keys_destroyed, time, .. } = &receipt;
    output::line(&format!("{shown}: genuine; keys destroyed: {keys_destroyed}, at {time}"));
    Ok(0)
}

fn export_check(table: Option<PathBuf>, keys: &Keys, output: Output) -> Result<u8, Failure> {
    let mut files = subject_files(keys)?.clone();
    if let Some(table) = table {
        files.table = table;
    }
    let check = open(keys, &files)?.check()?;
    if output == Output::Json {
        output::json(&json!({ "open": check.open, "destroyed": check.destroyed, "damaged": check.damaged }))?;
    } else {
        let [opened, destroyed, damaged] = [check.open, check.destroyed, check.damaged].map(output::grouped);
        output::line(&format!("{opened} keys open"));
        if check.destroyed > 0 {
            output::line(&format!(
                "{destroyed} keys do not: their shard's key was destroyed by an erasure after this copy was made"
            ));
        }
        if check.damaged > 0 {
            output::line(&format!("{damaged} keys are damaged"));
        }
    }
    Ok(u8::from(check.destroyed + check.damaged > 0))
}

fn key_file(file: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match file {
        Some(file) => Ok(file),
        None => Ok(keys::key_file(&KeysConfig::default())?),
    }
}

async fn load(options: KeyFileOptions) -> Result<Keys, Failure> {
    let access = access_with(options.passphrase_file);
    if let Some(path) = options.file {
        return Ok(Keys::of_file(&path, None, &access).await?);
    }
    match keys::load(&KeysConfig::default(), &access).await? {
        Some(keys) => Ok(keys),
        None => {
            let path = keys::key_file(&KeysConfig::default())?;
            let text = format!("there is no key ring at {}; make one with `cloakroom keys init`", path.display());
            Err(Failure::new(2, text))
        }
    }
}

fn subject_files(keys: &Keys) -> Result<&SubjectFiles, Failure> {
    let files = keys.subjects.as_ref().ok_or_else(|| {
        Failure::new(2, "with a key from the environment there is no key table; name the key file by --file")
    })?;
    if !files.table.exists() {
        let text = format!("there is no key table at {}: nothing was encrypted for anybody yet", files.table.display());
        return Err(Failure::new(2, text));
    }
    Ok(files)
}

fn open(keys: &Keys, files: &SubjectFiles) -> Result<SubjectKeys, Failure> {
    Ok(SubjectKeys::open(Arc::clone(&keys.ring), files, false, cloakroom_pipeline::run::now)?)
}

fn now() -> String {
    cloakroom_pipeline::run::now().timestamp()
}

fn crypto(error: cloakroom_crypto::CryptoError) -> Failure {
    cloakroom_pipeline::ConnectorError::from(error).into()
}
