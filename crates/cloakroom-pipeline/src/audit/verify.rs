//! Reads a log from its beginning and says whether it is as it was written.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use cloakroom_crypto::AuditPublicKey;
use cloakroom_crypto::audit::{ChainMac, push_text};
use serde::Serialize;

use super::chain::{Bad, Chain};
use super::checkpoint::Checkpoint;
use super::head::{Head, Problem};
use super::line::{Read, read_line};
use crate::error::ConnectorError;

pub use super::chain::Trust;

/// What is wrong at the first bad position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FaultKind {
    /// A line is not as it was written, or is of another log.
    Edited,
    /// Lines that were there are not.
    Missing,
    /// A line stands in another place than it was written to.
    OutOfOrder,
    /// A line stands there twice.
    Duplicate,
    /// Lines are missing at the end.
    Truncated,
    /// A line names a key that the key ring does not have.
    UnknownKey,
    /// A line was made with a key that had been replaced before.
    ReplacedKey,
    /// A checkpoint in the log or in the given file is not signed by a known key.
    BadCheckpoint,
    /// The log is not the one that a checkpoint was made of: its history is another one.
    OtherHistory,
    /// There is no head file, so lines may be missing at the end.
    NoHead,
    /// The head file is not as it was written, or is of another log.
    BadHead,
}

/// The first bad position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The number of the line in the file, from 1.
    pub line: u64,
    /// For people.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.text)
    }
}

/// What the verifier saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The random name of the log.
    pub log: String,
    /// Good lines, up to the first fault.
    pub lines: u64,
    /// Checkpoints among them.
    pub checkpoints: u64,
    /// Checkpoints from elsewhere that the log agrees with.
    pub kept_checkpoints: u64,
    /// Time of the first and the last good line.
    pub first: Option<String>,
    /// See `first`.
    pub last: Option<String>,
    /// What is worth knowing and is no fault.
    pub notes: Vec<String>,
    /// The first bad position.
    pub fault: Option<Fault>,
}

/// Holds a log against its keys, its head file and checkpoints that were kept elsewhere. Memory does not
/// grow with the log.
///
/// # Errors
/// When a file cannot be read. That a log is not as it was written is no error but a [`Fault`].
pub fn verify(path: &Path, trust: Trust<'_>, kept: &[Checkpoint]) -> Result<Report, ConnectorError> {
    let io = |error: std::io::Error| ConnectorError::io(format!("audit log {}", path.display()), &error);
    let file = File::open(path).map_err(io)?;
    // While nobody writes, the log's length and its head belong together. Where locks are not to be had
    // (a copy on a medium of its own), nobody writes either.
    let locked = file.lock_shared().is_ok();
    let length = file.metadata().map_err(io)?.len();
    let head = match trust {
        Trust::Keys(keys) => Some(Head::read(&super::head_file(path), keys)),
        Trust::PublicKeys(_) => None,
    };
    if locked {
        let _ = file.unlock();
    }
    let mut walk = Walk::new(trust, kept);
    if let Some(fault) = walk.signatures() {
        walk.report.fault = Some(fault);
        return Ok(walk.report);
    }
    if let Some(Ok(head)) = &head {
        walk.watched = Some((head.seq, None));
    }
    let mut reader = BufReader::with_capacity(1 << 18, file.take(length));
    let fault = walk.lines(&mut reader, &head).map_err(io)?;
    let fault = match fault {
        Some(fault) => Some(fault),
        None => walk.end(head),
    };
    let mut report = walk.report;
    report.log = walk.chain.log;
    report.lines = walk.chain.seq;
    report.last = (walk.chain.seq > 0).then_some(walk.chain.time);
    report.fault = fault;
    Ok(report)
}

struct Walk<'a> {
    trust: Trust<'a>,
    chain: Chain<'a>,
    /// By their place in the log; the next one last.
    kept: Vec<&'a Checkpoint>,
    /// The place that the head file speaks of, and the chain's MAC there.
    watched: Option<(u64, Option<ChainMac>)>,
    report: Report,
}

impl<'a> Walk<'a> {
    fn new(trust: Trust<'a>, kept: &'a [Checkpoint]) -> Self {
        let mut kept: Vec<_> = kept.iter().collect();
        kept.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.seq));
        Self { trust, chain: Chain::new(trust), kept, watched: None, report: Report::default() }
    }

    fn fault(&self, kind: FaultKind, text: impl Into<String>) -> Fault {
        Fault { kind, line: self.chain.seq + 1, text: text.into() }
    }

    /// Checkpoints from elsewhere must be signed before they prove anything.
    fn signatures(&self) -> Option<Fault> {
        let public: Vec<AuditPublicKey> = match self.trust {
            Trust::Keys(keys) => keys.iter().map(cloakroom_crypto::AuditKey::public_key).collect(),
            Trust::PublicKeys(keys) => keys.to_vec(),
        };
        let bad = self.kept.iter().rev().find(|checkpoint| !checkpoint.is_signed_by(&public))?;
        let text = format!("the kept checkpoint of line {} is not signed by a known key", bad.seq);
        Some(Fault { kind: FaultKind::BadCheckpoint, line: bad.seq, text })
    }

    fn lines(
        &mut self,
        reader: &mut BufReader<std::io::Take<File>>,
        head: &Option<Result<Head, Problem>>,
    ) -> std::io::Result<Option<Fault>> {
        let mut line = Vec::new();
        let mut bytes = 0u64;
        self.look();
        loop {
            line.clear();
            match read_line(reader, &mut line)? {
                Read::End => return Ok(None),
                Read::TooLong => {
                    return Ok(Some(self.fault(FaultKind::Edited, "is longer than any line of an audit log")));
                }
                Read::Torn => {
                    let known = matches!(head, Some(Ok(head)) if bytes < head.bytes);
                    if known {
                        return Ok(Some(
                            self.fault(FaultKind::Truncated, "ends in the middle; what followed is missing"),
                        ));
                    }
                    self.report.notes.push(format!(
                        "{} bytes after line {} are no whole line, as a crash leaves them; the next event moves them aside",
                        line.len(),
                        self.chain.seq
                    ));
                    return Ok(None);
                }
                Read::Line => {}
            }
            bytes += line.len() as u64 + 1;
            match self.chain.step(&line) {
                Ok(is_checkpoint) => self.report.checkpoints += u64::from(is_checkpoint),
                Err(bad) => return self.explain(bad, reader).map(Some),
            }
            if self.chain.seq == 1 {
                self.report.first = Some(self.chain.time.clone());
            }
            if let Some(fault) = self.look() {
                return Ok(Some(fault));
            }
        }
    }

    /// Holds the chain against what is known from elsewhere about the place it has reached.
    fn look(&mut self) -> Option<Fault> {
        if let Some((seq, mac)) = &mut self.watched
            && *seq == self.chain.seq
        {
            *mac = Some(self.chain.end);
        }
        while let Some(checkpoint) = self.kept.last().filter(|checkpoint| checkpoint.seq == self.chain.seq) {
            let mut end = String::new();
            push_text(&mut end, &self.chain.end);
            if checkpoint.mac != end || checkpoint.log != self.chain.log {
                let text = "the checkpoint that was kept elsewhere was made of another history up to this line";
                return Some(Fault { kind: FaultKind::OtherHistory, line: self.chain.seq, text: text.to_owned() });
            }
            self.report.kept_checkpoints += 1;
            self.kept.pop();
        }
        None
    }

    /// What the end of the file says.
    fn end(&mut self, head: Option<Result<Head, Problem>>) -> Option<Fault> {
        let seq = self.chain.seq;
        if let Some(last) = self.kept.first() {
            let text = format!("is missing: a checkpoint that was kept elsewhere covers lines up to {}", last.seq);
            return Some(self.fault(FaultKind::Truncated, text));
        }
        match head? {
            Err(Problem::Missing) => {
                Some(self.fault(FaultKind::NoHead, "the head file is missing, so lines may be missing from here on"))
            }
            Err(Problem::UnknownKey(kid)) => {
                let text = format!("the head file was made with key {kid}, which the key ring does not have");
                Some(self.fault(FaultKind::UnknownKey, text))
            }
            Err(Problem::Edited) => Some(self.fault(FaultKind::BadHead, "the head file is not as it was written")),
            Err(Problem::Io(error)) => {
                let text = format!("the head file cannot be read: {}", error.kind());
                Some(self.fault(FaultKind::NoHead, text))
            }
            Ok(head) if head.seq > seq => {
                let text = format!("is missing, and all up to line {}", head.seq);
                Some(self.fault(FaultKind::Truncated, text))
            }
            Ok(head) => {
                let here = self.watched.and_then(|(_, mac)| mac);
                if here != Some(head.end) || (seq > 0 && head.log != self.chain.log) {
                    return Some(self.fault(FaultKind::BadHead, "the head file is of another log"));
                }
                if head.seq < seq {
                    self.report.notes.push(format!(
                        "the head file is {} lines behind, as a crash leaves it; the next event brings it up",
                        seq - head.seq
                    ));
                }
                None
            }
        }
    }

    /// Puts a name to a line that is not the next one, with the help of what follows it.
    fn explain(&self, bad: Bad, reader: &mut BufReader<std::io::Take<File>>) -> std::io::Result<Fault> {
        let expected = self.chain.seq + 1;
        Ok(match bad {
            Bad::Malformed => self.fault(FaultKind::Edited, "is not a line of an audit log"),
            Bad::Mac => self.fault(FaultKind::Edited, "is not as it was written, or is of another log"),
            Bad::UnknownKey => self.fault(FaultKind::UnknownKey, "names a key that the key ring does not have"),
            Bad::ReplacedKey => {
                self.fault(FaultKind::ReplacedKey, "was made with a key that another one had replaced before")
            }
            Bad::Checkpoint => self.fault(FaultKind::BadCheckpoint, "is a checkpoint that no known key signed"),
            Bad::Sequence(found) => {
                let (next, later) = self.what_follows(reader, expected)?;
                if later && found > expected {
                    self.fault(
                        FaultKind::OutOfOrder,
                        format!("holds event {found}; event {expected} stands further below"),
                    )
                } else if next == Some(expected + 1) {
                    self.fault(FaultKind::Edited, format!("holds the number {found} in the place of event {expected}"))
                } else if found > expected {
                    let text = match found - expected {
                        1 => format!("event {expected} is missing before it"),
                        _ => format!("events {expected} to {} are missing before it", found - 1),
                    };
                    self.fault(FaultKind::Missing, text)
                } else {
                    self.fault(FaultKind::Duplicate, format!("holds event {found}, which stands above already"))
                }
            }
        })
    }

    /// The number of the next line, and whether `wanted` comes later. Only numbers are read.
    fn what_follows(
        &self,
        reader: &mut BufReader<std::io::Take<File>>,
        wanted: u64,
    ) -> std::io::Result<(Option<u64>, bool)> {
        #[derive(serde::Deserialize)]
        struct Number {
            seq: u64,
        }
        let mut line = Vec::new();
        let mut next = None;
        let mut is_first = true;
        while read_line(reader, &mut line)? == Read::Line {
            let number = serde_json::from_slice::<Number>(&line).ok().map(|number| number.seq);
            if std::mem::take(&mut is_first) {
                next = number;
            }
            if number == Some(wanted) {
                return Ok((next, true));
            }
            line.clear();
        }
        Ok((next, false))
    }
}
