//! What stands in a sink's ledger for a partition: the source's position, and which records the batch before it had.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_core::{Place, RecordId};
use cloakroom_crypto::digest::sha256;
use serde::{Deserialize, Serialize};

use crate::error::{ConnectorError, ErrorKind};

/// How a marker begins. No source's own position does.
const BEGINNING: &str = "{\"fan_out\":";

/// The number that a position gets that was kept before the sink was one of several: not the first batch, which
/// others may not have for another reason.
const KEPT_BEFORE: u64 = 2;

/// Bytes that are kept of an id's hash. Kinesis has ids of 56 digits, and a ledger's entry may be an item of DynamoDB, with
/// 400 KB at most: the ids of two batches of 10,000 fit. Only records of one partition around one crash are told apart by
/// them; that two of 10,000 are alike has a chance of one in 10^14.
const KEPT_OF_ID: usize = 9;

/// A position in a ledger of one of several sinks, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marker {
    /// Which batch of the partition it was, from 1. Sinks differ by one at most.
    #[serde(rename = "fan_out")]
    pub(super) batch: u64,
    /// The source's position.
    pub(super) position: String,
    /// The records of the batch that all sinks have, or are about to.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub(super) has: Names,
}

impl Marker {
    pub(super) fn parse(text: &str) -> Result<Self, ConnectorError> {
        if !text.starts_with(BEGINNING) {
            return Ok(Self { batch: KEPT_BEFORE, position: text.to_owned(), has: Names::default() });
        }
        serde_json::from_str(text).map_err(|_| {
            ConnectorError::new(ErrorKind::Corrupt, "the ledger's position was not written by this program")
        })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// A set of records of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Names {
    /// Numbers of records, as ranges, first and last one included, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    numbers: Vec<(u64, u64)>,
    /// The record with the highest number, and the byte that it begins at: another file has it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<(u64, u64)>,
    /// Ids of records that have no number, as [`short`] ones.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    ids: BTreeSet<String>,
}

impl Names {
    pub(super) fn of<'r>(records: impl Iterator<Item = &'r RecordId>) -> Self {
        let mut names = Self::default();
        let mut numbers = Vec::new();
        for record in records {
            match &record.position {
                Place::Offset { byte, number } => {
                    numbers.push((*number, *number));
                    names.last = names.last.max(Some((*number, *byte)));
                }
                Place::Id(id) => {
                    names.ids.insert(short(id));
                }
            }
        }
        names.numbers = joined(numbers);
        names
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.ids.is_empty()
    }

    pub(super) fn contains(&self, record: &RecordId) -> bool {
        match &record.position {
            Place::Offset { number, .. } => {
                let at = self.numbers.partition_point(|(_, end)| end < number);
                self.numbers.get(at).is_some_and(|(start, _)| start <= number)
            }
            Place::Id(id) => self.ids.contains(&short(id)),
        }
    }

    /// The highest number.
    pub(super) fn highest(&self) -> Option<u64> {
        self.numbers.last().map(|(_, end)| *end)
    }

    /// True when this record stands where the last one of these does not.
    pub(super) fn contradicts(&self, record: &RecordId) -> bool {
        match (&record.position, self.last) {
            (Place::Offset { byte, number }, Some((last, at))) => *number == last && *byte != at,
            _ => false,
        }
    }

    /// Without those of another set.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut numbers = Vec::new();
        for (start, end) in &self.numbers {
            let mut from = *start;
            let mut open = true;
            for (first, last) in &other.numbers {
                if *last < from || first > end {
                    continue;
                }
                if *first > from {
                    numbers.push((from, first - 1));
                }
                match last.checked_add(1) {
                    Some(next) if next <= *end => from = next,
                    _ => {
                        open = false;
                        break;
                    }
                }
            }
            if open {
                numbers.push((from, *end));
            }
        }
        Self { numbers, last: self.last, ids: self.ids.difference(&other.ids).cloned().collect() }
    }

    /// Those whose number is higher, and those without one.
    pub(super) fn beyond(&self, number: Option<u64>) -> Self {
        match number {
            Some(number) => self.minus(&Self { numbers: vec![(0, number)], ..Self::default() }),
            None => self.clone(),
        }
    }

    /// With those of another set.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let last = if other.is_empty() { self.last } else { self.last.max(other.last) };
        let numbers = joined(self.numbers.iter().chain(&other.numbers).copied().collect());
        Self { numbers, last, ids: self.ids.union(&other.ids).cloned().collect() }
    }
}

/// An id in 12 characters.
fn short(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(&sha256(id.as_bytes())[..KEPT_OF_ID])
}

/// In order, and one range where two touch.
fn joined(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut all: Vec<(u64, u64)> = Vec::new();
    for (start, end) in ranges {
        match all.last_mut() {
            Some((_, before)) if start <= before.saturating_add(1) => *before = end.max(*before),
            _ => all.push((start, end)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(ranges: &[(u64, u64)]) -> Names {
        let record = |number| RecordId { partition: "p".into(), position: Place::Offset { byte: number * 10, number } };
        let records: Vec<RecordId> = ranges.iter().flat_map(|(start, end)| *start..=*end).map(record).collect();
        Names::of(records.iter())
    }

    #[test]
    fn sets_of_numbers_are_kept_as_ranges() {
        let names = numbered(&[(11, 20), (22, 22), (24, 30)]);
        assert_eq!(names.numbers, [(11, 20), (22, 22), (24, 30)]);
        assert_eq!(names.last, Some((30, 300)));
        for (less, left) in [
            (&[(1, 10)][..], &[(11, 20), (22, 22), (24, 30)][..]),
            (&[(1, 15)], &[(16, 20), (22, 22), (24, 30)]),
            (&[(12, 13), (18, 25)], &[(11, 11), (14, 17), (26, 30)]),
            (&[(20, 22), (30, 31)], &[(11, 19), (24, 29)]),
            (&[(1, 40)], &[]),
            (&[], &[(11, 20), (22, 22), (24, 30)]),
        ] {
            assert_eq!(names.minus(&numbered(less)).numbers, left, "{less:?}");
        }
        assert_eq!(names.beyond(Some(24)).numbers, [(25, 30)]);
        assert_eq!(names.plus(&numbered(&[(21, 21), (40, 41)])).numbers, [(11, 22), (24, 30), (40, 41)]);
        assert_eq!(numbered(&[(u64::MAX / 10, u64::MAX / 10)]).highest(), Some(u64::MAX / 10));
    }

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let ids = ["b", "a"].map(|id| RecordId { partition: "p".into(), position: Place::Id(id.into()) });
        for has in [Names::default(), numbered(&[(1, 5), (7, 9)]), Names::of(ids.iter())] {
            let marker = Marker { batch: 7, position: "12:\"x\":3".to_owned(), has };
            let text = marker.to_string();
            assert!(text.starts_with(BEGINNING), "{text}");
            assert_eq!(Marker::parse(&text).unwrap(), marker);
        }
        let before = Marker::parse("100:9:90:10:abcd").unwrap();
        assert_eq!((before.batch, before.position.as_str()), (KEPT_BEFORE, "100:9:90:10:abcd"));
        assert!(Marker::parse("{\"fan_out\":1}").is_err());
    }

    #[test]
    fn markers_of_two_large_batches_fit_into_an_item_of_dynamodb() {
        let id = |number: u32| Place::Id(format!("{number:056}").into());
        let record = |number| RecordId { partition: "p".into(), position: id(number) };
        let names = |numbers: std::ops::Range<u32>| {
            let records: Vec<RecordId> = numbers.map(record).collect();
            Names::of(records.iter())
        };
        let (one, two) = (names(0..10_000), names(10_000..20_000));
        let has = one.plus(&two);
        assert_eq!(has.ids.len(), 20_000);
        assert!(has.contains(&record(19_999)) && !has.contains(&record(20_000)));
        assert_eq!(has.minus(&one), two);
        let marker = Marker { batch: u64::MAX, position: "9".repeat(56), has };
        assert!(marker.to_string().len() < 350 << 10);
    }
}
