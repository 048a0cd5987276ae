//! A batch that is written in parts, each by a call of its own: what the calls told.

use std::collections::HashMap;
use std::hash::Hash;

use crate::error::ConnectorError;
use crate::sink::RowOutcome;

/// What is known of one record.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What became of it, once that is known.
    pub outcome: Option<RowOutcome>,
    /// A call that may have written it was not answered.
    pub in_doubt: bool,
}

/// What sending some records told, and what kept the rest from being told. Records go by their place in the batch.
#[derive(Debug, Default)]
pub struct Told {
    /// Records with their outcomes.
    pub known: Vec<(usize, RowOutcome)>,
    /// Records that a call may have written which was not answered.
    pub doubt: Vec<usize>,
    /// Why there is no more.
    pub failed: Option<ConnectorError>,
}

impl Told {
    /// Notes it in the states of the batch's records; gives what failed.
    pub fn note(self, states: &mut [State]) -> Option<ConnectorError> {
        for (at, outcome) in self.known {
            states[at].outcome = Some(outcome);
        }
        for at in self.doubt {
            states[at].in_doubt = true;
        }
        self.failed
    }
}

/// Every round has each key once, the earliest record first.
pub fn rounds<T, K: Eq + Hash>(records: Vec<T>, key: impl Fn(&T) -> K) -> Vec<Vec<T>> {
    let mut seen: HashMap<K, usize> = HashMap::with_capacity(records.len());
    let mut rounds: Vec<Vec<T>> = Vec::new();
    for record in records {
        let round = seen.entry(key(&record)).or_default();
        match rounds.get_mut(*round) {
            Some(records) => records.push(record),
            None => rounds.push(vec![record]),
        }
        *round += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_each_key_once_and_the_order_of_a_key_holds() {
        let records = vec![("a", 1), ("b", 1), ("a", 2), ("a", 3), ("c", 1), ("b", 2)];
        let expected = vec![vec![("a", 1), ("b", 1), ("c", 1)], vec![("a", 2), ("b", 2)], vec![("a", 3)]];
        assert_eq!(rounds(records, |record| record.0), expected);
    }
}
