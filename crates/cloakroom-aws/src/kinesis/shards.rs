//! Which shards of a stream may be read now.
//!
//! A shard that was split or merged is closed, and its children have the records that came after. The order of a key holds
//! when a child begins after everything of its parents is delivered: when the ledger says [`END`] of them.

use std::collections::{BTreeMap, BTreeSet};

/// The position of a shard of which nothing is left to read. No sequence number is like it: those are digits.
pub(super) const END: &str = "END";

/// A shard as `ListShards` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// Its name.
    pub(super) id: String,
    /// The shards that were split or merged into it: none, one or two.
    pub(super) parents: Vec<String>,
}

/// The shards that may be read now, by their names, given what the ledger says of each.
///
/// A parent that the stream does not list any more is older than everything that the stream keeps: nothing of it is left.
pub(super) fn readable<'a>(shards: &'a [Shard], positions: &BTreeMap<String, String>) -> BTreeSet<&'a str> {
    let listed: BTreeSet<&str> = shards.iter().map(|shard| shard.id.as_str()).collect();
    let is_ended = |id: &str| positions.get(id).is_some_and(|position| position == END);
    let may_begin = |shard: &Shard| {
        // Begun before: its parents were at their end then.
        positions.contains_key(&shard.id)
            || shard.parents.iter().all(|parent| !listed.contains(parent.as_str()) || is_ended(parent))
    };
    let open = shards.iter().filter(|shard| !is_ended(&shard.id) && may_begin(shard));
    open.map(|shard| shard.id.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parents: &[&str]) -> Shard {
        Shard { id: id.to_owned(), parents: parents.iter().map(|parent| (*parent).to_owned()).collect() }
    }

    #[test]
    fn children_wait_for_all_of_their_parents() {
        // a is split into b and c; c and d are merged into e; the parent of d is gone.
        let shards =
            [shard("a", &[]), shard("b", &["a"]), shard("c", &["a"]), shard("d", &["gone"]), shard("e", &["c", "d"])];
        let mut positions = BTreeMap::new();
        let mut check = |id: &str, position: &str, expected: &[&str]| {
            if !id.is_empty() {
                positions.insert(id.to_owned(), position.to_owned());
            }
            assert_eq!(readable(&shards, &positions), expected.iter().copied().collect(), "{id} at {position}");
        };
        check("", "", &["a", "d"]);
        check("a", "495", &["a", "d"]);
        check("a", END, &["b", "c", "d"]);
        check("c", END, &["b", "d"]);
        // One parent is not enough.
        check("d", "7", &["b", "d"]);
        check("d", END, &["b", "e"]);
        check("b", END, &["e"]);
        check("e", END, &[]);
    }

    #[test]
    fn a_shard_that_was_begun_goes_on() {
        let shards = [shard("a", &[]), shard("b", &["a"])];
        let positions = BTreeMap::from([("b".to_owned(), "12".to_owned())]);
        assert_eq!(readable(&shards, &positions), BTreeSet::from(["a", "b"]));
    }
}
