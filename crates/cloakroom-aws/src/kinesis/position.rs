//! How a place in a shard is remembered in the sink's ledger.

use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use super::shards::END;

/// Up to where a shard is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Nothing: from the oldest record that the stream keeps.
    Oldest,
    /// Nothing; only records that arrived at this time or later are wanted, milliseconds since 1970.
    Since(u64),
    /// Up to and with this record; of an aggregated one up to and with the part of this number, counted from zero.
    After { sequence: String, part: Option<usize> },
    /// All of a shard that is closed.
    End,
}

impl Position {
    pub(super) fn parse(text: &str) -> Result<Self, ConnectorError> {
        let strange = || {
            ConnectorError::new(
                ErrorKind::Corrupt,
                "kinesis: the ledger has a position that is none; was it written by another version?",
            )
        };
        if text == END {
            return Ok(Self::End);
        }
        if let Some(time) = text.strip_prefix("since:") {
            return time.parse().map(Self::Since).map_err(|_| strange());
        }
        let (sequence, part) = match text.split_once('/') {
            Some((sequence, part)) => (sequence, Some(part.parse().map_err(|_| strange())?)),
            None => (text, None),
        };
        match !sequence.is_empty() && sequence.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Ok(Self::After { sequence: sequence.to_owned(), part }),
            false => Err(strange()),
        }
    }

    /// The text for the ledger; nothing for a shard that is not begun.
    pub(super) fn text(&self) -> Option<String> {
        Some(match self {
            Self::Oldest => return None,
            Self::Since(time) => format!("since:{time}"),
            Self::After { sequence, part: None } => sequence.clone(),
            Self::After { sequence, part: Some(part) } => format!("{sequence}/{part}"),
            Self::End => END.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_texts_and_nothing_else_is_a_position() {
        let after = |sequence: &str, part| Position::After { sequence: sequence.to_owned(), part };
        for (text, position) in [
            ("END", Position::End),
            ("since:1700000000123", Position::Since(1_700_000_000_123)),
            ("4959033827149025660855969253836", after("4959033827149025660855969253836", None)),
            ("495/0", after("495", Some(0))),
            ("495/17", after("495", Some(17))),
        ] {
            assert_eq!(Position::parse(text).unwrap(), position);
            assert_eq!(position.text().as_deref(), Some(text));
        }
        for text in ["", "end", "since:", "since:x", "495/", "495/x", "/1", "4x", "done"] {
            assert_eq!(Position::parse(text).unwrap_err().kind, ErrorKind::Corrupt, "{text}");
        }
        assert_eq!(Position::Oldest.text(), None);
    }
}
