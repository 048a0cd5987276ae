//! Shares several hundred beginnings out to the few buckets of the prefilter, so that little ordinary text fits one.

use cloakroom_prefilter::{Bucket, ByteSet, DEPTH};

use super::beginning::{Beginning, Parts, mass_of, parts};

/// A bucket may take on this much of ordinary text before a free one is opened instead.
const CHEAP: f64 = 1e-5;

/// What it costs when a bucket takes on runs of one byte, a line of dashes, that fit none of its beginnings.
const RUNS: f64 = 1e-3;

/// The bytes of which a run fits.
fn runs_of(sets: &[ByteSet; DEPTH]) -> ByteSet {
    sets.iter().fold(ByteSet::ALL, |all, set| all.intersection(set))
}

/// A bucket, and what its share of ordinary text is made of.
struct Shared {
    mass: f64,
    sets: [ByteSet; DEPTH],
    parts: [Parts; DEPTH],
}

impl Shared {
    fn new(sets: [ByteSet; DEPTH]) -> Self {
        let parts = sets.map(|set| parts(&set));
        Self { mass: mass_of(parts.into_iter()), sets, parts }
    }

    /// What its sets are with another one taken on, and their parts.
    fn with<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = (ByteSet, Parts)> + 's {
        (0..DEPTH).map(|offset| {
            let (set, more) = (&self.sets[offset], &other.sets[offset]);
            let union = set.union(more);
            let parts = match () {
                () if union == *set => self.parts[offset],
                () if union == *more => other.parts[offset],
                () => parts(&union),
            };
            (union, parts)
        })
    }

    /// Takes another one on.
    fn take_on(&mut self, other: &Self) {
        let grown: Vec<(ByteSet, Parts)> = self.with(other).collect();
        for (offset, (set, parts)) in grown.into_iter().enumerate() {
            (self.sets[offset], self.parts[offset]) = (set, parts);
        }
        self.mass = mass_of(self.parts.into_iter());
    }

    fn holds(&self, other: &Self) -> bool {
        self.sets.iter().zip(&other.sets).all(|(set, other)| set.union(other) == *set)
    }
}

/// Puts every beginning into the bucket that grows least by it, the commonest first.
pub(crate) fn share_out(beginnings: &[&Beginning], buckets: usize) -> Vec<Bucket> {
    let mut sets: Vec<[ByteSet; DEPTH]> =
        beginnings.iter().map(|beginning| std::array::from_fn(|offset| beginning.sets[offset])).collect();
    sets.sort_unstable();
    sets.dedup();
    let mut by_mass: Vec<Shared> = sets.into_iter().map(Shared::new).collect();
    by_mass.sort_by(|a, b| b.mass.total_cmp(&a.mass));
    let mut shared: Vec<Shared> = Vec::new();
    for own in by_mass {
        if shared.iter().any(|bucket| bucket.holds(&own)) {
            continue;
        }
        let runs_of_own = runs_of(&own.sets);
        let growth = |bucket: &Shared| {
            let mass = mass_of(bucket.with(&own).map(|(_, parts)| parts));
            let both = bucket.sets.iter().zip(&own.sets).map(|(set, more)| set.union(more));
            let runs_of_both = both.fold(ByteSet::ALL, |all, set| all.intersection(&set));
            let runs = runs_of_both.len() > runs_of(&bucket.sets).union(&runs_of_own).len();
            mass - bucket.mass + if runs { RUNS } else { 0.0 }
        };
        let best = shared.iter().map(growth).enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        match best {
            Some((index, growth)) if growth <= CHEAP || shared.len() >= buckets => shared[index].take_on(&own),
            _ => shared.push(own),
        }
    }
    shared.into_iter().map(|bucket| Bucket { sets: bucket.sets }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::engine::trigger::parse;

    #[test]
    fn every_beginning_fits_a_bucket() {
        let patterns: Vec<String> =
            (b'A'..=b'Z').map(|letter| format!(r"\b{}[0-9a-f]{{{}}}", char::from(letter), letter % 9 + 3)).collect();
        let beginnings: Vec<Beginning> = patterns.iter().map(|p| Beginning::of(&parse(p).unwrap()).unwrap()).collect();
        let buckets = share_out(&beginnings.iter().collect::<Vec<_>>(), 3);
        assert!(buckets.len() <= 3);
        for beginning in &beginnings {
            let within = |bucket: &Bucket| {
                (0..DEPTH).all(|at| bucket.sets[at].intersection(&beginning.sets[at]) == beginning.sets[at])
            };
            assert!(buckets.iter().any(within));
        }
    }
}
