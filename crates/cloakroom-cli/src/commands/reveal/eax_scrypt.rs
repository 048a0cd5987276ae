//! Documents of the format `eax-scrypt` to plain JSON lines.

use std::io::{self, Write};
use std::path::Path;

use cloakroom_core::encode::{write_object, write_string};
use cloakroom_core::value::{Object, Value};
use cloakroom_core::{RecordError, RecordErrorKind};
use cloakroom_pipeline::audit::{Action, AuditText, Event, Level, Outcome, Refusal};
use cloakroom_pipeline::documents::{BATCH, Documents, Opened, master_key};
use cloakroom_pipeline::sink::NoLedger;
use cloakroom_pipeline::{ConnectorError, ErrorKind};

use super::open_lines;
use crate::error::Failure;
use crate::load::parallel;
use crate::trail::Trail;

pub(super) async fn reveal(
    jsonl: &str,
    master_key_file: Option<&Path>,
    trail: &Trail,
    reason: &AuditText,
) -> Result<u8, Failure> {
    let master = master_key(master_key_file)?;
    let (source, limits) = open_lines(jsonl, BATCH).await?;
    let mut documents = Documents::new(source, master, limits, parallel());
    let mut refused = 0;
    let mut text = Vec::new();
    loop {
        let opened = match documents.next(&mut NoLedger).await {
            Ok(Some(opened)) => opened,
            Ok(None) => break,
            Err(error) => {
                if error.kind == ErrorKind::Denied {
                    let outcome = Outcome::Refused(Refusal::UnknownKey);
                    trail.put(Action::Reveal, outcome, |event| event.reason(reason.clone()))?;
                }
                return Err(error.into());
            }
        };
        // On record before anybody sees it.
        trail.put_all(&events(&opened, trail, reason)?)?;
        text.clear();
        refused += lines(&opened, &mut text);
        let mut out = io::stdout().lock();
        match out.write_all(&text).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(ConnectorError::io("standard output", &error).into()),
        }
    }
    Ok(u8::from(refused > 0))
}

/// One event for each document: whose it is, what was opened, or why not.
fn events(opened: &Opened, trail: &Trail, reason: &AuditText) -> Result<Vec<Event>, Failure> {
    let event = |record: &Result<Object, RecordError>| {
        let event = |outcome| trail.event(Action::Reveal, outcome).reason(reason.clone());
        match record {
            Ok(plain) => {
                let paths = FIELDS.into_iter().filter(|name| plain.get(name).is_some());
                let event = event(Outcome::Allowed).count(1).level(Level::Full).paths(paths);
                match plain.get(USER) {
                    Some(Value::String(user)) => Ok(event.subject(trail.log().subject(user)?)),
                    _ => Ok(event),
                }
            }
            Err(error) if error.kind == RecordErrorKind::Key => Ok(event(Outcome::Refused(Refusal::UnknownKey))),
            Err(_) => Ok(event(Outcome::Refused(Refusal::NotAuthentic))),
        }
    };
    opened.records.iter().map(|(_, record)| event(record)).collect()
}

/// What is sealed in a document.
const FIELDS: [&str; 3] = ["cc", "ccv", "cuenta_numero"];
/// Whose it is.
const USER: &str = "username";

/// Adds the line of each document, and counts those that were refused.
fn lines(opened: &Opened, text: &mut Vec<u8>) -> u64 {
    let mut refused = 0;
    for (_, record) in &opened.records {
        match record {
            Ok(plain) => write_object(plain, text),
            Err(error) => {
                refused += 1;
                text.extend_from_slice(b"{\"error\":");
                write_string(&error.to_string(), text);
                text.push(b'}');
            }
        }
        text.push(b'\n');
    }
    refused
}
