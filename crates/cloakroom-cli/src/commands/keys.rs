//! `cloakroom keys`

use std::path::PathBuf;

use cloakroom_crypto::{KeyRing, KeyState};
use cloakroom_pipeline::keys::{self, KeysConfig};
use serde_json::json;

use crate::args::{KeysCommand, Output};
use crate::error::Failure;
use crate::output;

pub(crate) fn keys(command: KeysCommand) -> Result<u8, Failure> {
    match command {
        KeysCommand::Init { file } => init(file),
        KeysCommand::Status { file, output } => status(file, output),
    }
}

fn init(file: Option<PathBuf>) -> Result<u8, Failure> {
    let path = match file {
        Some(file) => file,
        None => keys::key_file(&KeysConfig::default())?,
    };
    let ring = keys::init(&path, &cloakroom_pipeline::run::now().timestamp())?;
    output::line(&format!("made {} with key {}", path.display(), ring.active_kid()));
    output::line("keep a copy in a safe place: what is encrypted with it cannot be read without it");
    Ok(0)
}

fn status(file: Option<PathBuf>, output: Output) -> Result<u8, Failure> {
    let (ring, origin): (std::sync::Arc<KeyRing>, String) = match file {
        Some(file) => (keys::read(&file)?.into(), file.display().to_string()),
        None => match keys::load(&KeysConfig::default())? {
            Some(keys) => (keys.ring, keys.origin),
            None => {
                let path = keys::key_file(&KeysConfig::default())?;
                return Err(Failure::new(
                    2,
                    format!("there is no key ring at {}; make one with `cloakroom keys init`", path.display()),
                ));
            }
        },
    };
    let state = |state| match state {
        KeyState::Active => "active",
        KeyState::Retired => "retired",
    };
    if output == Output::Json {
        let versions: Vec<_> = ring
            .kids()
            .map(|(kid, s, created)| json!({ "kid": kid.as_str(), "state": state(s), "created": created }))
            .collect();
        output::json(&json!({ "origin": origin, "keys": versions }))?;
    } else {
        output::line(&format!("key ring: {origin}"));
        let rows: Vec<_> = ring
            .kids()
            .map(|(kid, s, created)| vec![kid.to_string(), state(s).to_owned(), created.to_owned()])
            .collect();
        output::line(&output::table(&["KEY", "STATE", "CREATED"], &rows));
    }
    Ok(0)
}
