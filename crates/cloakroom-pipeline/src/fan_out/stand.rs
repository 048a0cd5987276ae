//! Where several sinks stand in one partition, and what each of them is to get of the next batch.

use std::sync::Arc;

use cloakroom_core::{Place, ProtectedRecord, RecordId};

use super::marker::{Marker, Names};

/// What the ledgers of all sinks say of a partition.
pub(super) struct Stand {
    sinks: Vec<Known>,
}

#[derive(Clone)]
struct Known {
    marker: Option<Marker>,
    /// Its ledger says nothing, and stands where the others do: it was added to the list. It commits first, so that it is
    /// never left behind.
    is_new: bool,
}

/// Two sinks, by their places in the list, that no crash leaves so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disagreement {
    pub(super) one: usize,
    pub(super) other: usize,
}

impl Stand {
    pub(super) fn new(markers: Vec<Option<Marker>>) -> Result<Self, Disagreement> {
        let number = |marker: &Option<Marker>| marker.as_ref().map_or(0, |marker| marker.batch);
        let newest = (0..markers.len()).max_by_key(|at| number(&markers[*at])).unwrap_or(0);
        let latest = markers.get(newest).map_or(0, number);
        // A crash in the first batch of all leaves some sinks without a marker, too.
        let is_new = |marker: &Option<Marker>| marker.is_none() && latest > 1;
        let counted = || (0..markers.len()).filter(|at| !is_new(&markers[*at]));
        let behind = counted().min_by_key(|at| number(&markers[*at]));
        let position = |at: usize| markers[at].as_ref().map(|marker| (marker.batch, &marker.position));
        for at in counted() {
            let base = behind.filter(|base| number(&markers[*base]) == number(&markers[at]));
            if latest - number(&markers[at]) > 1 {
                return Err(Disagreement { one: at, other: newest });
            }
            if let Some(base) = base.filter(|base| position(*base) != position(at)) {
                return Err(Disagreement { one: base, other: at });
            }
        }
        let base = behind.and_then(|at| markers[at].clone());
        let known = |marker: Option<Marker>| match is_new(&marker) {
            true => Known { marker: base.clone(), is_new: true },
            false => Known { marker, is_new: false },
        };
        Ok(Self { sinks: markers.into_iter().map(known).collect() })
    }

    /// The number of the batch that all sinks have, and the records that those have whose last one it was.
    fn base(&self) -> (u64, Names) {
        let number = |known: &Known| known.marker.as_ref().map_or(0, |marker| marker.batch);
        let batch = self.sinks.iter().map(number).min().unwrap_or(0);
        let mut has: Option<Names> = None;
        for marker in self.sinks.iter().filter_map(|known| known.marker.as_ref()).filter(|one| one.batch == batch) {
            has = Some(match has {
                Some(has) => has.minus(&has.minus(&marker.has)),
                None => marker.has.clone(),
            });
        }
        (batch, has.unwrap_or_default())
    }

    /// Where the source goes on: where those sinks stand that are behind.
    pub(super) fn position(&self) -> Option<String> {
        let behind = self.sinks.iter().min_by_key(|known| known.marker.as_ref().map_or(0, |marker| marker.batch));
        behind.and_then(|known| known.marker.as_ref()).map(|marker| marker.position.clone())
    }

    /// What is to be done with a batch that goes up to a position.
    pub(super) fn plan(&self, partition: &Arc<str>, position: &str, records: &[ProtectedRecord]) -> Plan {
        let (batch, base) = self.base();
        let has = |known: &Known| known.marker.as_ref().map(|marker| marker.has.minus(&base)).unwrap_or_default();
        let mut ahead: Vec<Names> = self.sinks.iter().map(has).collect();
        // A source that goes on does not come back to what all sinks have, and gives each record where it was: this one
        // begins anew, with other records under the same numbers.
        let is_other = |record: &ProtectedRecord| {
            let again = match &record.id().position {
                Place::Offset { number, .. } => base.highest().is_some_and(|highest| *number <= highest),
                Place::Id(_) => false,
            };
            again || ahead.iter().any(|names| !names.is_empty() && names.contradicts(record.id()))
        };
        if records.iter().any(is_other) {
            ahead.iter_mut().for_each(|names| *names = Names::default());
        }
        let all = Names::of(records.iter().map(ProtectedRecord::id));
        let later = ahead.iter().map(|names| names.minus(&all).beyond(all.highest())).collect();
        let is_behind =
            |known: &Known| !known.is_new && known.marker.as_ref().map_or(0, |marker| marker.batch) == batch;
        let mut order: Vec<usize> = (0..self.sinks.len()).collect();
        order.sort_by_key(|at| is_behind(&self.sinks[*at]));
        Plan { partition: Arc::clone(partition), batch: batch + 1, position: position.to_owned(), ahead, later, order }
    }

    /// A sink has committed.
    pub(super) fn committed(&mut self, index: usize, marker: Marker) {
        self.sinks[index] = Known { marker: Some(marker), is_new: false };
    }
}

/// What is to be done with one batch.
pub(super) struct Plan {
    pub(super) partition: Arc<str>,
    batch: u64,
    position: String,
    /// What each sink has that not all have.
    ahead: Vec<Names>,
    /// What it has of later batches.
    later: Vec<Names>,
    /// In which order sinks commit: those first that others wait for.
    pub(super) order: Vec<usize>,
}

impl Plan {
    /// True when a sink has a record already.
    pub(super) fn is_known(&self, sink: usize, record: &RecordId) -> bool {
        self.ahead[sink].contains(record)
    }

    /// What a sink remembers of the batch when these records of it are in all sinks.
    pub(super) fn marker<'r>(&self, sink: usize, accepted: impl Iterator<Item = &'r RecordId>) -> Marker {
        let has = Names::of(accepted).plus(&self.later[sink]);
        Marker { batch: self.batch, position: self.position.clone(), has }
    }
}
