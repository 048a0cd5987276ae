//! Where a file was read to, and how to tell whether it still is that file.

use std::fmt;
use std::io::Read;

use crate::error::ConnectorError;
use cloakroom_crypto::PseudonymKey;

use super::input::Input;

/// Bytes of the last record that its fingerprint covers.
pub(super) const SAMPLE: usize = 4096;

/// Where a file was read to: `<end>:<number>:<start of the sample>:<its length>:<its fingerprint>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Byte offset after the last record (and its separator).
    pub end: u64,
    /// The last record's line, row or element number.
    pub number: u64,
    start: u64,
    length: u64,
    fingerprint: String,
}

impl Position {
    /// The beginning.
    #[must_use]
    pub fn start() -> Self {
        Self { end: 0, number: 0, start: 0, length: 0, fingerprint: String::new() }
    }

    /// The position after a record, of which a sample stands at `start`.
    pub(super) fn after(end: u64, number: u64, start: u64, sample: &[u8], key: &PseudonymKey) -> Self {
        let sample = &sample[..sample.len().min(SAMPLE)];
        Self { end, number, start, length: sample.len() as u64, fingerprint: fingerprint(sample, key) }
    }

    /// Reads what [`ToString`] wrote; `None` when it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, ':');
        let mut number = || parts.next()?.parse().ok();
        let (end, count, start, length) = (number()?, number()?, number()?, number()?);
        Some(Self { end, number: count, start, length, fingerprint: parts.next()?.to_owned() })
    }

    /// True when the record before this position is still there.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn still_holds(&self, input: &Input, key: &PseudonymKey) -> Result<bool, ConnectorError> {
        if self.length > SAMPLE as u64 {
            return Ok(false);
        }
        let mut sample = Vec::new();
        match input.reader_at(self.start)? {
            Some(mut reader) => {
                let mut limited = reader.by_ref().take(self.length);
                limited.read_to_end(&mut sample).map_err(|error| input.error(&error))?;
            }
            // Shorter than it was: another file.
            None => return Ok(false),
        }
        Ok(sample.len() as u64 == self.length && fingerprint(&sample, key) == self.fingerprint)
    }
}

fn fingerprint(sample: &[u8], key: &PseudonymKey) -> String {
    key.tag(sample)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}:{}:{}", self.end, self.number, self.start, self.length, self.fingerprint)
    }
}
