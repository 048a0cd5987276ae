//! What a worker's share of the shards is.
//!
//! Workers are known by what they hold, so one that holds nothing yet counts itself. Free leases are taken up to the fair
//! share, the number of shards by that of workers, rounded up. Who holds two less than another asks that one for a lease:
//! each move makes the numbers more even, so they come to rest.

use std::collections::{BTreeMap, BTreeSet};

/// Who holds what, and what may be held.
pub(super) struct Share<'a> {
    pub(super) me: &'a str,
    /// Shards that may be read.
    pub(super) wanted: &'a BTreeSet<String>,
    /// The owners of leases that are alive.
    pub(super) owners: &'a BTreeMap<String, String>,
    /// Shards that somebody asked for already.
    pub(super) asked: &'a BTreeSet<String>,
}

impl<'a> Share<'a> {
    /// How many leases each worker holds; this one is among them.
    fn workers(&self) -> BTreeMap<&'a str, usize> {
        let mut workers = BTreeMap::from([(self.me, 0)]);
        for owner in self.owners.values() {
            *workers.entry(owner.as_str()).or_default() += 1;
        }
        workers
    }

    /// Shards that nobody holds.
    pub(super) fn free(&self) -> Vec<&'a str> {
        self.wanted.iter().filter(|shard| !self.owners.contains_key(*shard)).map(String::as_str).collect()
    }

    /// How many leases this worker may still take.
    pub(super) fn room(&self) -> usize {
        let workers = self.workers();
        let all = self.owners.len() + self.free().len();
        let mine = workers.get(self.me).copied().unwrap_or_default();
        all.div_ceil(workers.len()).saturating_sub(mine)
    }

    /// A shard to ask its owner for.
    pub(super) fn to_ask_for(&self) -> Option<&'a str> {
        let workers = self.workers();
        let mine = workers.get(self.me).copied().unwrap_or_default();
        let (richest, most) = workers.into_iter().max_by_key(|(_, count)| *count)?;
        if most < mine + 2 {
            return None;
        }
        let of_richest = |shard: &&String| {
            self.owners.get(*shard).is_some_and(|owner| owner == richest) && !self.asked.contains(*shard)
        };
        self.wanted.iter().rev().find(of_richest).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(shard, owner)| ((*shard).to_owned(), (*owner).to_owned())).collect()
    }

    #[test]
    fn one_alone_takes_all_and_others_take_their_part() {
        let wanted = names(&["1", "2", "3", "4"]);
        for (owners, free, room) in [
            (&[][..], 4, 4),
            (&[("1", "b")], 3, 2),
            (&[("1", "b"), ("2", "a")], 2, 1),
            (&[("1", "b"), ("2", "c")], 2, 2),
            (&[("1", "b"), ("2", "b"), ("3", "b"), ("4", "b")], 0, 2),
            (&[("1", "a"), ("2", "a")], 2, 2),
        ] {
            let owners = owned(owners);
            let share = Share { me: "a", wanted: &wanted, owners: &owners, asked: &BTreeSet::new() };
            assert_eq!((share.free().len(), share.room()), (free, room), "{owners:?}");
        }
    }

    #[test]
    fn only_who_has_two_more_is_asked() {
        let wanted = names(&["1", "2", "3", "4"]);
        for (owners, asked) in [
            (&[("1", "b"), ("2", "b"), ("3", "b"), ("4", "b")][..], Some("4")),
            (&[("1", "b"), ("2", "b"), ("3", "b"), ("4", "a")], Some("3")),
            (&[("1", "b"), ("2", "b"), ("3", "a"), ("4", "a")], None),
            (&[("1", "b"), ("2", "b"), ("3", "c"), ("4", "c")], Some("4")),
            (&[("1", "b"), ("2", "c"), ("3", "d"), ("4", "e")], None),
            // What may not be read is not asked for.
            (&[("8", "b"), ("9", "b")], None),
        ] {
            let owners = owned(owners);
            let share = Share { me: "a", wanted: &wanted, owners: &owners, asked: &BTreeSet::new() };
            assert_eq!(share.to_ask_for(), asked, "{owners:?}");
        }
    }

    #[test]
    fn any_number_of_workers_comes_to_rest_evenly() {
        for (shards, workers) in [(1, 2), (5, 3), (5, 4), (7, 2), (10, 4), (3, 8)] {
            let wanted: BTreeSet<String> = (0..shards).map(|shard| format!("{shard:02}")).collect();
            let mut owners: BTreeMap<String, String> =
                wanted.iter().map(|shard| (shard.clone(), "w0".to_owned())).collect();
            let mut moves = 0;
            loop {
                let before = moves;
                for worker in 0..workers {
                    let me = format!("w{worker}");
                    let share = Share { me: &me, wanted: &wanted, owners: &owners, asked: &BTreeSet::new() };
                    if let Some(shard) = share.to_ask_for().map(str::to_owned) {
                        owners.insert(shard, me);
                        moves += 1;
                    }
                }
                if moves == before {
                    break;
                }
                assert!(moves < 100, "it must come to rest");
            }
            let counts =
                (0..workers).map(|worker| owners.values().filter(|owner| **owner == format!("w{worker}")).count());
            let counts: Vec<usize> = counts.collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{shards} shards: {counts:?}");
        }
    }
}
