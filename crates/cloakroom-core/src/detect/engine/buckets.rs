//! Shares several hundred beginnings out to the few buckets of the prefilter, so that little ordinary text fits one.

use cloakroom_prefilter::{Bucket, ByteSet, DEPTH};

use super::beginning::{Beginning, mass};

/// A bucket may take on this much of ordinary text before a free one is opened instead.
const CHEAP: f64 = 1e-5;

/// What it costs when a bucket takes on runs of one byte, a line of dashes, that fit none of its beginnings.
const RUNS: f64 = 1e-3;

/// The bytes of which a run fits.
fn runs_of(sets: &[ByteSet; DEPTH]) -> ByteSet {
    sets.iter().fold(ByteSet::ALL, |all, set| all.intersection(set))
}

/// Puts every beginning into the bucket that grows least by it, the commonest first.
pub(crate) fn share_out(beginnings: &[&Beginning], buckets: usize) -> Vec<Bucket> {
    let mut sets: Vec<[ByteSet; DEPTH]> =
        beginnings.iter().map(|beginning| std::array::from_fn(|offset| beginning.sets[offset])).collect();
    sets.sort_unstable();
    sets.dedup();
    let mut by_mass: Vec<(f64, [ByteSet; DEPTH])> = sets.into_iter().map(|sets| (mass(&sets), sets)).collect();
    by_mass.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut shared: Vec<(f64, [ByteSet; DEPTH])> = Vec::new();
    for (own, sets) in by_mass {
        let holds =
            |bucket: &[ByteSet; DEPTH]| (0..DEPTH).all(|offset| bucket[offset].union(&sets[offset]) == bucket[offset]);
        if shared.iter().any(|(_, bucket)| holds(bucket)) {
            continue;
        }
        let grown = |(before, bucket): &(f64, [ByteSet; DEPTH])| {
            let union: [ByteSet; DEPTH] = std::array::from_fn(|offset| bucket[offset].union(&sets[offset]));
            let runs = runs_of(&union).len() > runs_of(bucket).union(&runs_of(&sets)).len();
            (mass(&union) - before + if runs { RUNS } else { 0.0 }, union)
        };
        let best = shared.iter().map(grown).enumerate().min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
        match best {
            Some((index, (growth, union))) if growth <= CHEAP || shared.len() >= buckets => {
                shared[index] = (mass(&union), union);
            }
            _ => shared.push((own, sets)),
        }
    }
    shared.into_iter().map(|(_, sets)| Bucket { sets }).collect()
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
