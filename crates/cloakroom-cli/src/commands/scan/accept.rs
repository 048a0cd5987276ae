//! What is accepted already: allow lists and baselines, read and written.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use cloakroom_core::detect::Rule;
use cloakroom_core::detect::allow::{AllowList, AllowSpec};
use cloakroom_core::located::Located;
use cloakroom_pipeline::config::ConfigError;
use serde::{Deserialize, Serialize};

use super::hit::Hit;
use crate::error::Failure;
use crate::load::read_text;
use crate::output;

/// Read without being named.
const DEFAULT_ALLOW: &str = ".cloakroom-allow.yaml";
const VERSION: u32 = 1;

/// The allow list that was named, or the one in this folder. Entries that are over are told.
pub(super) fn allow_list(named: Option<&Path>, rules: &[&Rule]) -> Result<AllowList, Failure> {
    let default = Path::new(DEFAULT_ALLOW);
    let path = match named {
        Some(path) => path,
        None if default.is_file() => default,
        None => return Ok(AllowList::default()),
    };
    let shown = path.display().to_string();
    let text = read_text(path)?;
    // A file of comments only is an empty list.
    let specs: Option<Vec<Located<AllowSpec>>> =
        serde_saphyr::from_str(&text).map_err(|error| ConfigError::from_yaml(&shown, &error))?;
    let made = AllowList::new(&specs.unwrap_or_default(), cloakroom_pipeline::run::now(), rules.iter().copied());
    let (list, expired) = made.map_err(|error| ConfigError::from_policy(&shown, error))?;
    for entry in expired {
        let line = entry.at.map_or_else(String::new, |at| format!(":{}", at.line));
        let reason = entry.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        output::note(&format!(
            "warning: {shown}{line}: this entry expired on {} and does not apply{reason}",
            entry.day
        ));
    }
    Ok(list)
}

/// A baseline as it is stored: what was there when somebody looked, by keyed fingerprints.
#[derive(Serialize, Deserialize)]
struct BaselineFile {
    version: u32,
    /// The key that the fingerprints were made with.
    key: String,
    findings: Vec<Entry>,
}

/// The place is for people; a value that moves keeps its fingerprint.
#[derive(Serialize, Deserialize)]
struct Entry {
    fingerprint: String,
    entity: String,
    rule: String,
    path: String,
}

/// Findings that are known.
pub(super) struct Baseline(HashSet<String>);

impl Baseline {
    pub(super) fn read(path: &Path, kid: &str) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let wrong = |what: &str| Failure::new(2, format!("{shown}: {what}"));
        let file: BaselineFile = serde_json::from_str(&read_text(path)?).map_err(|error| {
            wrong(&format!("not a baseline (line {}); write one with --write-baseline", error.line()))
        })?;
        if file.version != VERSION {
            return Err(wrong(&format!("version {} of baselines; this program reads {VERSION}", file.version)));
        }
        if file.key != kid {
            let key = &file.key;
            return Err(wrong(&format!(
                "its fingerprints were made with key {key}, and those of this run with {kid}: they cannot be compared; \
                 name the key file with --fingerprint-key, or write the baseline again"
            )));
        }
        Ok(Self(file.findings.into_iter().map(|entry| entry.fingerprint).collect()))
    }

    pub(super) fn knows(&self, fingerprint: &str) -> bool {
        self.0.contains(fingerprint)
    }
}

/// Gathers findings for a baseline.
pub(super) struct BaselineWriter {
    kid: String,
    findings: BTreeMap<String, Entry>,
}

impl BaselineWriter {
    pub(super) fn new(kid: String) -> Self {
        Self { kid, findings: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, path: &str, hit: &Hit<'_>) {
        let Some(fingerprint) = &hit.fingerprint else { return };
        if self.findings.contains_key(fingerprint) {
            return;
        }
        let entry = Entry {
            fingerprint: fingerprint.clone(),
            entity: hit.rule.entity.to_string(),
            rule: hit.rule.id.to_string(),
            path: path.to_owned(),
        };
        self.findings.insert(fingerprint.clone(), entry);
    }

    /// The file appears whole: half a baseline would report the other half anew.
    pub(super) fn write(self, path: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::new(3, format!("{}: {error}", path.display()));
        let file = BaselineFile { version: VERSION, key: self.kid, findings: self.findings.into_values().collect() };
        let mut text = serde_json::to_string_pretty(&file).map_err(|error| failed(error.into()))?;
        text.push('\n');
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        fs::write(&partial, text).and_then(|()| fs::rename(&partial, path)).map_err(failed)
    }
}
