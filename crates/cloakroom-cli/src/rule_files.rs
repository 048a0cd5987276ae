//! Rules of the user's own: files and folders of YAML, checked as a whole before anything is searched.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use cloakroom_core::detect::{Rule, RuleSpec, built_in, examples};
use cloakroom_core::located::Located;
use cloakroom_pipeline::config::ConfigError;
use serde::Deserialize;

use crate::error::Failure;
use crate::load::read_text;

/// A file as `rules/README.md` of cloakroom-core describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    rules: Vec<Located<RuleSpec>>,
}

/// Reads rules; a folder stands for its files that end in `.yaml` or `.yml`.
pub(crate) fn load(paths: &[PathBuf]) -> Result<Vec<Rule>, Failure> {
    let mut rules = Vec::new();
    let mut taken: HashMap<String, String> =
        built_in().iter().map(|rule| (rule.id.to_string(), "a built-in rule".to_owned())).collect();
    for path in paths {
        for file in files(path)? {
            let shown = file.display().to_string();
            for Located { value: spec, at } in read(&file, &shown)? {
                let wrong = |message: String| Failure::from(ConfigError::new(&shown, at, message));
                if let Some(other) = taken.get(&spec.id) {
                    return Err(wrong(format!("rule `{}`: the id is taken by {other}; choose another", spec.id)));
                }
                let named = |id: &str, message: String| match message.contains(id) {
                    true => message,
                    false => format!("rule `{id}`: {message}"),
                };
                let id = spec.id.clone();
                let rule = Rule::from_spec(spec).map_err(|message| wrong(named(&id, message)))?;
                // Compiled alone, so that a regex that is refused has a name and a line.
                examples::alone(&rule).map_err(|message| wrong(named(&id, message)))?;
                taken.insert(id, shown.clone());
                rules.push(rule);
            }
        }
    }
    Ok(rules)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::new(2, format!("{}: {error}", path.display()));
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_yaml).collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::new(2, format!("{}: no .yaml file in this folder", path.display())));
    }
    Ok(files)
}

fn read(path: &Path, shown: &str) -> Result<Vec<Located<RuleSpec>>, Failure> {
    let file: RuleFile =
        serde_saphyr::from_str(&read_text(path)?).map_err(|error| ConfigError::from_yaml(shown, &error))?;
    if file.rules.is_empty() {
        return Err(ConfigError::new(shown, None, "`rules` is empty").into());
    }
    Ok(file.rules)
}
