//! `cloakroom approve`: the second pair of eyes.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use cloakroom_crypto::ApproverKey;
use cloakroom_pipeline::reveal::approval::{Approval, Asked};
use cloakroom_pipeline::{ConnectorError, keys};

use crate::args::ApproveOptions;
use crate::error::Failure;
use crate::load::read_text;
use crate::output;

pub(crate) fn approve(options: ApproveOptions) -> Result<u8, Failure> {
    let ApproveOptions { request, key, init, yes } = options;
    if let Some(path) = init {
        return make_key(&path);
    }
    let (Some(request), Some(key)) = (request, key) else {
        return Err(Failure::new(2, "give the request, and your key with --key"));
    };
    let text = keys::read_private(&key, "approver's key")?;
    let wrong = |error| Failure::new(2, format!("{}: {error}", key.display()));
    let key = ApproverKey::parse(&text).map_err(wrong)?;
    let asked = Asked::parse(&read_text(&request)?).map_err(|error| error.context(request.display()))?;
    output::note(&described(&asked));
    if !yes && !agrees()? {
        return Err(Failure::new(4, "not agreed; nothing was signed"));
    }
    let approval = Approval::sign(asked, &key)?;
    let json = serde_json::to_string_pretty(&approval).map_err(|_| Failure::new(3, "the approval is no JSON"))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{json}").map_err(|error| ConnectorError::io("standard output", &error))?;
    Ok(0)
}

fn make_key(path: &Path) -> Result<u8, Failure> {
    let key = ApproverKey::generate().map_err(ConnectorError::from)?;
    keys::write_new(path, "approver's key", key.to_text().as_bytes())?;
    output::note(&format!("made {}; for `reveal.approval.by` in the policy:", path.display()));
    let mut out = io::stdout().lock();
    writeln!(out, "{}", key.public_key()).map_err(|error| ConnectorError::io("standard output", &error))?;
    Ok(0)
}

/// What is asked for, in the words of whoever has to decide.
fn described(asked: &Asked) -> String {
    let Asked { time, principal, purpose, reason, level, fields, classes, tenant, collection, subjects, .. } = asked;
    let list = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("  {what:<11} {}\n", names.join(", ")),
    };
    let only = [list("fields", fields), list("classes", classes)].concat();
    let only = if only.is_empty() { "  fields      all that the policy allows\n".to_owned() } else { only };
    format!(
        "{principal} asks to see values of up to {subjects} people\n  purpose     {purpose}\n  reason      {reason}\n  \
         level       {level}\n{only}  of          {collection} (tenant {tenant})\n  asked       {time}; good for a day, once"
    )
}

/// Asks on a terminal.
fn agrees() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(2, "there is no terminal to ask on; say --yes to agree"));
    }
    output::note("Agree? Type yes:");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| ConnectorError::io("standard input", &error))?;
    Ok(answer.trim() == "yes")
}
