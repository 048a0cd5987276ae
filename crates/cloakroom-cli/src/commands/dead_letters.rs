//! `cloakroom dead-letters`

use std::path::Path;
use std::sync::Arc;

use cloakroom_core::error::safe_path;
use cloakroom_core::{Limits, Value};
use cloakroom_crypto::{KeyRing, RootKey};
use cloakroom_pipeline::ConnectorError;
use cloakroom_pipeline::config::StateConfig;
use cloakroom_pipeline::dead_letter::{DeadLetter, DeadLetters};
use cloakroom_pipeline::keys::{self, KeysConfig};
use cloakroom_pipeline::state::StateStore;
use serde_json::json;

use crate::args::{DeadLettersCommand, Output};
use crate::commands::run::{drive, exit_code, report};
use crate::error::Failure;
use crate::load::load;
use crate::output;
use crate::protectors::access;

pub(crate) async fn dead_letters(command: DeadLettersCommand) -> Result<u8, Failure> {
    match command {
        DeadLettersCommand::List { file, all, limit, output } => {
            let (letters, pipeline) = store(file.as_deref()).await?;
            let mut found = letters.list(pipeline.as_deref(), all, limit.saturating_add(1)).await?;
            if found.len() as u64 > limit {
                found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                output::note(&format!("there are more than these {limit}; --limit says how many are listed"));
            }
            list(&found, output)
        }
        DeadLettersCommand::Show { id, file, output } => show(&store(file.as_deref()).await?.0, &id, output).await,
        DeadLettersCommand::Replay { file, id, output } => replay(&file, &id, output).await,
        DeadLettersCommand::Discard { id, all, file } => {
            let (letters, pipeline) = store(file.as_deref()).await?;
            let chosen = match all {
                true => letters.list(pipeline.as_deref(), false, u64::MAX).await?,
                false => by_id(&letters, &id).await?,
            };
            let count = letters.discard(chosen.into_iter().map(|letter| letter.id).collect()).await?;
            output::line(&format!("{count} discarded"));
            Ok(0)
        }
    }
}

/// The store that a pipeline file names, and the pipeline's name; or the default store.
async fn store(file: Option<&Path>) -> Result<(DeadLetters, Option<String>), Failure> {
    if let Some(file) = file {
        let loaded = load(file).await?;
        return Ok((loaded.dead_letters()?, Some(loaded.name)));
    }
    let path = StateConfig::default().file()?;
    if !path.exists() {
        return Err(Failure::new(2, format!("there is no state store at {}; name the pipeline file", path.display())));
    }
    let ring = match keys::load(&KeysConfig::default(), &access()).await? {
        Some(keys) => keys.ring,
        // Listing needs no key; opening a letter will say which one is missing.
        None => {
            Arc::new(RootKey::generate("").and_then(|root| KeyRing::new(vec![root])).map_err(ConnectorError::from)?)
        }
    };
    Ok((DeadLetters::new(StateStore::open(&path)?, ring)?, None))
}

async fn by_id(letters: &DeadLetters, ids: &[String]) -> Result<Vec<DeadLetter>, Failure> {
    let mut chosen = Vec::with_capacity(ids.len());
    for id in ids {
        chosen.push(letters.get(id).await?);
    }
    Ok(chosen)
}

fn list(letters: &[DeadLetter], output: Output) -> Result<u8, Failure> {
    if output == Output::Json {
        output::json(&letters)?;
        return Ok(0);
    }
    if letters.is_empty() {
        output::line("no dead letters");
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = letters
        .iter()
        .map(|letter| {
            let field = letter.field.clone().unwrap_or_default();
            let cells = [
                &letter.id,
                &letter.pipeline,
                &letter.source,
                &letter.reason,
                &field,
                &letter.first_seen,
                &letter.state,
            ];
            cells.into_iter().cloned().collect()
        })
        .collect();
    output::line(&output::table(&["ID", "PIPELINE", "SOURCE", "REASON", "FIELD", "SINCE", "STATE"], &rows));
    Ok(0)
}

async fn show(letters: &DeadLetters, id: &str, output: Output) -> Result<u8, Failure> {
    let letter = letters.get(id).await?;
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    let fields: Result<Vec<(String, String)>, String> = match letter.state.as_str() {
        "waiting" => match letters.open(&letter).await?.decode(limits) {
            Ok(record) => Ok(record.iter().map(|(name, value)| (safe_path(name), masked(value))).collect()),
            Err(error) => Err(error.to_string()),
        },
        state => Err(format!("its content was erased when it was {state}")),
    };
    if output == Output::Json {
        let record: Option<serde_json::Map<_, _>> = fields
            .as_ref()
            .ok()
            .map(|fields| fields.iter().map(|(name, kind)| (name.clone(), kind.clone().into())).collect());
        output::json(&json!({ "letter": letter, "record": record, "unreadable": fields.err() }))?;
        return Ok(0);
    }
    let DeadLetter { id, pipeline, source, reason, field, detail, bytes, first_seen, last_seen, times, state } = letter;
    let rows = [
        ("id", id),
        ("pipeline", pipeline),
        ("source", source),
        ("reason", reason),
        ("field", field.unwrap_or_default()),
        ("detail", detail),
        ("size", format!("{bytes} bytes")),
        ("first seen", first_seen),
        ("last seen", format!("{last_seen}, {times} times")),
        ("state", state),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        output::line(&format!("{name:<12}{value}"));
    }
    match fields {
        Ok(fields) => {
            output::line("record, masked:");
            fields.iter().for_each(|(name, kind)| output::line(&format!("  {name:<24}{kind}")));
        }
        Err(why) => output::line(&format!("record      {why}")),
    }
    Ok(0)
}

/// The kind and size of a value.
fn masked(value: &Value) -> String {
    match value {
        Value::String(text) => format!("string of {} characters", text.chars().count()),
        Value::Array(items) => format!("array of {}", items.len()),
        Value::Object(object) => format!("object of {}", object.len()),
        other => other.kind().to_owned(),
    }
}

async fn replay(file: &Path, ids: &[String], output: Output) -> Result<u8, Failure> {
    let loaded = load(file).await?;
    let letters = loaded.dead_letters()?;
    let chosen = match ids {
        [] => letters.list(Some(&loaded.name), false, u64::MAX).await?,
        ids => by_id(&letters, ids).await?,
    };
    if let Some(other) = chosen.iter().find(|letter| letter.pipeline != loaded.name) {
        return Err(Failure::new(2, format!("dead letter `{}` belongs to pipeline `{}`", other.id, other.pipeline)));
    }
    let chosen: Vec<DeadLetter> = chosen.into_iter().filter(|letter| letter.state == "waiting").collect();
    let pipeline = loaded.pipeline(Box::new(letters.replay(chosen))).await?;
    let summary = drive(pipeline, output == Output::Human).await?;
    report(&summary, output, loaded.is_stdout_taken())?;
    Ok(exit_code(&summary))
}
