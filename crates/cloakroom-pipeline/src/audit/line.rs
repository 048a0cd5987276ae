//! One line of the log: JSON in a fixed order, its MAC at the end.
//!
//! The MAC covers the bytes of the line before `,"mac":"`, as they stand in the file. There is no second
//! spelling of a line: white space, another order or another escape are changes.

use std::io::{BufRead, BufReader};
use std::path::Path;

use cloakroom_crypto::audit::{ChainMac, fixed, push_text};
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, Signed};
use super::event::{Event, Outcome};
use crate::error::{ConnectorError, ErrorKind};

/// No line is longer: texts and paths are short.
pub(super) const MAX_LINE: usize = 256 * 1024;

const BEFORE_MAC: &[u8] = b",\"mac\":\"";
const AFTER_MAC: &[u8] = b"\"}";
/// Characters of a MAC: base64url of 32 bytes.
const MAC_CHARS: usize = 43;
/// Bytes that the MAC does not cover.
pub(super) const SUFFIX: usize = BEFORE_MAC.len() + MAC_CHARS + AFTER_MAC.len();

/// A line, read. Its texts are as they stand in the file; whether that is as it was written, only
/// [`verify`](super::verify()) knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// RFC 3339, UTC, to the second.
    pub time: String,
    /// Who.
    pub principal: String,
    /// What: `reveal`, `erase`, `rotate`, …
    pub action: String,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Why, in the principal's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Paths of fields, or classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// A pseudonym of the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How many values, records or keys.
    pub count: u64,
    /// `allowed`, `refused` or `failed`.
    pub outcome: String,
    /// Why it was refused: `no_reason`, `no_right`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// `masked` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Which request for another person's agreement it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Who agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// In the first line: the random name of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// In a checkpoint: what was signed, and the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Signed>,
    /// The key version that made the MAC.
    pub kid: String,
    /// The MAC: base64url of 32 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mac: String,
}

impl Entry {
    pub(super) fn of(event: &Event, seq: u64, time: String, kid: &str) -> Self {
        let text = |text: &Option<super::AuditText>| text.as_ref().map(|text| text.as_str().to_owned());
        Self {
            seq,
            time,
            principal: event.principal.as_str().to_owned(),
            action: event.action.as_str().to_owned(),
            purpose: text(&event.purpose),
            reason: text(&event.reason),
            path: event.path.clone(),
            subject: event.subject.as_ref().map(|subject| subject.0.clone()),
            count: event.count,
            outcome: event.outcome.as_str().to_owned(),
            why: match event.outcome {
                Outcome::Refused(why) => Some(why.as_str().to_owned()),
                Outcome::Allowed | Outcome::Failed => None,
            },
            level: event.level.map(|level| level.as_str().to_owned()),
            request: event.request.clone(),
            approver: text(&event.approver),
            log: None,
            checkpoint: None,
            kid: kid.to_owned(),
            mac: String::new(),
        }
    }
}

/// JSON without its closing brace, then the MAC of it, which `mac` computes, as the last member.
pub(super) fn sealed(
    value: &impl Serialize,
    mac: impl FnOnce(&[u8]) -> ChainMac,
) -> Result<(String, ChainMac), ConnectorError> {
    let internal = || ConnectorError::new(ErrorKind::Internal, "audit log: a line cannot be written as JSON");
    let mut text = serde_json::to_string(value).map_err(|_| internal())?;
    if text.pop() != Some('}') {
        return Err(internal());
    }
    let mac = mac(text.as_bytes());
    text.push_str(",\"mac\":\"");
    push_text(&mut text, &mac);
    text.push_str("\"}");
    Ok((text, mac))
}

/// What the MAC covers, and the MAC; `None` for anything that does not end like a line.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], ChainMac)> {
    let (covered, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX)?)?;
    let mac = suffix.strip_prefix(BEFORE_MAC)?.strip_suffix(AFTER_MAC)?;
    Some((covered, fixed(std::str::from_utf8(mac).ok()?)?))
}

/// Reads the entries of a log one by one, without checking anything.
///
/// # Errors
/// When the file cannot be read, or a line is not one of an audit log; its number is told.
pub fn entries(path: &Path) -> Result<impl Iterator<Item = Result<Entry, ConnectorError>>, ConnectorError> {
    let name = path.display().to_string();
    let io = move |error: &std::io::Error| ConnectorError::io(format!("audit log {name}"), error);
    let file = std::fs::File::open(path).map_err(|error| io(&error))?;
    let shown = path.display().to_string();
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut number = 0u64;
    let mut line = Vec::new();
    Ok(std::iter::from_fn(move || {
        line.clear();
        number += 1;
        match read_line(&mut reader, &mut line) {
            Ok(Read::End) => None,
            // What a crash tore is no entry.
            Ok(Read::Torn) => None,
            Ok(Read::Line) => Some(serde_json::from_slice(&line).map_err(|_| {
                let text = format!(
                    "audit log {shown}: line {number} is not a line of an audit log; see `cloakroom audit verify`"
                );
                ConnectorError::new(ErrorKind::Corrupt, text)
            })),
            Ok(Read::TooLong) => Some(Err(ConnectorError::new(
                ErrorKind::Corrupt,
                format!("audit log {shown}: line {number} is too long; see `cloakroom audit verify`"),
            ))),
            Err(error) => Some(Err(io(&error))),
        }
    }))
}

/// The checkpoints in a log, to be kept elsewhere. Nothing is checked.
///
/// # Errors
/// As [`entries`].
pub fn checkpoints(path: &Path) -> Result<Vec<Checkpoint>, ConnectorError> {
    let mut log = String::new();
    let mut found = Vec::new();
    for entry in entries(path)? {
        let entry = entry?;
        if let Some(name) = entry.log {
            log = name;
        }
        if let Some(signed) = entry.checkpoint {
            found.push(Checkpoint::from_line(signed, &log, &entry.time, &entry.kid));
        }
    }
    Ok(found)
}

/// How reading a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Line,
    /// Bytes without a line end at the end of the file.
    Torn,
    TooLong,
    End,
}

/// One line without its end, into `line`.
pub(super) fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Read> {
    let limit = MAX_LINE as u64 + 1;
    let taken = std::io::Read::take(&mut *reader, limit).read_until(b'\n', line)?;
    Ok(match line.last() {
        None => Read::End,
        Some(b'\n') => {
            line.pop();
            Read::Line
        }
        Some(_) if taken as u64 == limit => Read::TooLong,
        Some(_) => Read::Torn,
    })
}
