//! The head file: where the chain ends. Without it, a log that lost its last lines would look whole.

use std::fs;
use std::path::Path;

use cloakroom_crypto::audit::{CHAIN_START, ChainMac, fixed, push_text, same_mac};
use cloakroom_crypto::{AuditKey, KeyId};
use serde::{Deserialize, Serialize};

use super::line;
use crate::error::{ConnectorError, ErrorKind};
use crate::private;

/// The end of the chain, as the last append left it.
#[derive(Clone)]
pub(super) struct Head {
    /// The random name of the log.
    pub(super) log: String,
    /// The last line.
    pub(super) seq: u64,
    /// Lines since the last checkpoint.
    pub(super) count: u64,
    /// Length of the log in bytes.
    pub(super) bytes: u64,
    /// The MAC of the last line.
    pub(super) end: ChainMac,
    /// The key of the last line.
    pub(super) kid: KeyId,
}

#[derive(Serialize, Deserialize)]
struct Written {
    log: String,
    seq: u64,
    count: u64,
    bytes: u64,
    end: String,
    kid: KeyId,
}

/// Why there is no head to be had.
pub(super) enum Problem {
    Missing,
    UnknownKey(KeyId),
    /// Not as it was written.
    Edited,
    Io(std::io::Error),
}

impl Head {
    /// The head of a log that has no line.
    pub(super) fn start(log: String, kid: KeyId) -> Self {
        Self { log, seq: 0, count: 0, bytes: 0, end: CHAIN_START, kid }
    }

    pub(super) fn read(path: &Path, keys: &[AuditKey]) -> Result<Self, Problem> {
        let text = match fs::read(path) {
            Ok(text) if text.len() <= line::MAX_LINE => text,
            Ok(_) => return Err(Problem::Edited),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Problem::Missing),
            Err(error) => return Err(Problem::Io(error)),
        };
        let (covered, mac) = text.strip_suffix(b"\n").and_then(line::split).ok_or(Problem::Edited)?;
        let written: Written = serde_json::from_slice(&text).map_err(|_| Problem::Edited)?;
        let key = keys.iter().find(|key| *key.kid() == written.kid).ok_or(Problem::UnknownKey(written.kid))?;
        if !same_mac(&mac, &key.head(covered)) {
            return Err(Problem::Edited);
        }
        let Written { log, seq, count, bytes, end, kid } = written;
        Ok(Self { log, seq, count, bytes, end: fixed(&end).ok_or(Problem::Edited)?, kid })
    }

    /// Replaces the head file in one step: after a crash there is the old one or the new one.
    pub(super) fn write(&self, path: &Path, key: &AuditKey) -> Result<(), ConnectorError> {
        let mut end = String::new();
        push_text(&mut end, &self.end);
        let written =
            Written { log: self.log.clone(), seq: self.seq, count: self.count, bytes: self.bytes, end, kid: self.kid };
        let (mut text, _) = line::sealed(&written, |covered| key.head(covered))?;
        text.push('\n');
        private::replace(path, text.as_bytes())
            .map_err(|error| ConnectorError::io(format!("audit head {}", path.display()), &error))
    }
}

impl Problem {
    /// For whoever wants to append.
    pub(super) fn describe(self, log: &Path) -> ConnectorError {
        let head = super::head_file(log);
        match self {
            Self::Missing => super::log::damaged(
                log,
                &format!("its head file {} is missing, so lines may be missing at its end", head.display()),
            ),
            Self::Edited => {
                super::log::damaged(log, &format!("its head file {} is not as it was written", head.display()))
            }
            Self::UnknownKey(kid) => ConnectorError::new(
                ErrorKind::Corrupt,
                format!(
                    "audit log {}: its last line was made with key {kid}, which the key ring does not have; \
                     use the key ring that has it, or read the key ring again if it was just rotated",
                    log.display()
                ),
            ),
            Self::Io(error) => ConnectorError::io(format!("audit head {}", head.display()), &error),
        }
    }
}
