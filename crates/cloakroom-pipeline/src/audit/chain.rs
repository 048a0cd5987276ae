//! Walks along the chain, line by line.

use std::borrow::Cow;

use cloakroom_crypto::audit::{CHAIN_START, ChainMac, push_text, same_mac};
use cloakroom_crypto::{AuditKey, AuditPublicKey};
use serde::Deserialize;

use super::checkpoint::{Checkpoint, Signed};
use super::head::Head;
use super::line;

/// What a log is held against.
#[derive(Clone, Copy)]
pub enum Trust<'a> {
    /// The audit keys of all versions of a key ring: every line is checked.
    Keys(&'a [AuditKey]),
    /// Public keys only: order and checkpoints are checked; lines between two checkpoints are not.
    PublicKeys(&'a [AuditPublicKey]),
}

/// What the walk needs of a line.
#[derive(Deserialize)]
struct Probe<'a> {
    seq: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(default)]
    log: Option<String>,
    #[serde(default)]
    checkpoint: Option<Signed>,
}

/// Why a line is not the next one.
pub(super) enum Bad {
    /// Not a line of an audit log.
    Malformed,
    /// It has another number.
    Sequence(u64),
    UnknownKey,
    /// A key that had been replaced before.
    ReplacedKey,
    Mac,
    /// A checkpoint whose signature or content is wrong.
    Checkpoint,
}

/// The end of the chain so far.
pub(super) struct Chain<'a> {
    trust: Trust<'a>,
    /// The log's random name, once its first line was seen.
    pub(super) log: String,
    pub(super) seq: u64,
    pub(super) end: ChainMac,
    /// Lines since the last checkpoint.
    pub(super) since: u64,
    /// When the last line was written.
    pub(super) time: String,
    /// Which of the keys made the last line.
    key: Option<usize>,
    /// Keys that others have replaced: they may not come back.
    replaced: Vec<usize>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(trust: Trust<'a>) -> Self {
        Self {
            trust,
            log: String::new(),
            seq: 0,
            end: CHAIN_START,
            since: 0,
            time: String::new(),
            key: None,
            replaced: Vec::new(),
        }
    }

    /// Goes on where a head file says.
    pub(super) fn from_head(keys: &'a [AuditKey], head: &Head) -> Self {
        Self {
            log: head.log.clone(),
            seq: head.seq,
            end: head.end,
            since: head.count,
            key: keys.iter().position(|key| *key.kid() == head.kid),
            ..Self::new(Trust::Keys(keys))
        }
    }

    /// The key of the last line.
    pub(super) fn key(&self) -> Option<&'a AuditKey> {
        match self.trust {
            Trust::Keys(keys) => keys.get(self.key?),
            Trust::PublicKeys(_) => None,
        }
    }

    /// Takes the next line; true for a checkpoint. After an error nothing has moved.
    pub(super) fn step(&mut self, line: &[u8]) -> Result<bool, Bad> {
        let (covered, mac) = line::split(line).ok_or(Bad::Malformed)?;
        let probe: Probe<'_> = serde_json::from_slice(line).map_err(|_| Bad::Malformed)?;
        if probe.seq != self.seq + 1 {
            return Err(Bad::Sequence(probe.seq));
        }
        let key = match self.trust {
            Trust::PublicKeys(_) => None,
            Trust::Keys(keys) => {
                let index = self.key.filter(|&index| keys.get(index).is_some_and(|key| is(key, &probe.kid)));
                let index = index.or_else(|| keys.iter().position(|key| is(key, &probe.kid)));
                let index = index.ok_or(Bad::UnknownKey)?;
                if !same_mac(&mac, &keys.get(index).ok_or(Bad::UnknownKey)?.chain(&self.end, covered)) {
                    return Err(Bad::Mac);
                }
                if self.replaced.contains(&index) {
                    return Err(Bad::ReplacedKey);
                }
                Some(index)
            }
        };
        if probe.seq == 1 && probe.log.is_none() {
            return Err(Bad::Malformed);
        }
        let is_checkpoint = probe.checkpoint.is_some();
        if let Some(signed) = probe.checkpoint
            && !self.is_mine(signed, &probe.time, &probe.kid, key)
        {
            return Err(Bad::Checkpoint);
        }
        if let (1, Some(log)) = (probe.seq, probe.log) {
            self.log = log;
        }
        if let Some(before) = self.key.filter(|_| key != self.key) {
            self.replaced.push(before);
        }
        (self.seq, self.end, self.key) = (probe.seq, mac, key);
        self.since = if is_checkpoint { 0 } else { self.since + 1 };
        self.time.clear();
        self.time.push_str(&probe.time);
        Ok(is_checkpoint)
    }

    /// Whether a checkpoint speaks of the chain as it stands, and is signed.
    fn is_mine(&self, signed: Signed, time: &str, kid: &str, key: Option<usize>) -> bool {
        let mut end = String::new();
        push_text(&mut end, &self.end);
        let speaks_of_this = signed.seq == self.seq && signed.count == self.since && signed.mac == end;
        let checkpoint = Checkpoint::from_line(signed, &self.log, time, kid);
        speaks_of_this
            && match self.trust {
                Trust::PublicKeys(keys) => checkpoint.is_signed_by(keys),
                Trust::Keys(keys) => {
                    key.and_then(|key| keys.get(key)).is_some_and(|key| checkpoint.is_signed_by(&[key.public_key()]))
                }
            }
    }
}

fn is(key: &AuditKey, kid: &str) -> bool {
    key.kid().as_str() == kid
}
