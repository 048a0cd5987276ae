//! Which of several overlapping findings stay.
//!
//! Weighted interval scheduling: of all sets of findings that do not overlap, the one with the most validated bytes, then
//! the most confidence over its bytes, then the most specific rules. So a weak match never hides a validated one, a
//! whole URL with a password wins over the address-like piece in it, and two values side by side win over one guess across both.

use super::Detection;

type Weight = (u64, u64, u64);

fn add(a: Weight, b: Weight) -> Weight {
    (a.0 + b.0, a.1 + b.1, a.2 + b.2)
}

/// A run of findings that overlap one another is decided as a whole up to this length in bytes; a longer one, which only text made
/// for it has, is decided in pieces.
const MAX_RUN: usize = 64 * 1024;

/// Keeps the best set that does not overlap, in the order of the text. `specificity` ranks rules that are otherwise equal.
pub(crate) fn choose(found: &mut Vec<Detection>, specificity: impl Fn(&Detection) -> u64) {
    if found.len() > 1 {
        let kept = choose_before(found, usize::MAX, 0, specificity);
        *found = kept;
    }
}

/// The same for what comes piece by piece: decides on all runs that nothing at or behind `certain` can change, takes them out of
/// `found` and returns what is kept of them. `free` is the end of the last finding that was kept.
pub(crate) fn choose_before(
    found: &mut Vec<Detection>,
    certain: usize,
    mut free: usize,
    specificity: impl Fn(&Detection) -> u64,
) -> Vec<Detection> {
    found.sort_unstable_by_key(|d| (d.start, d.end, d.rule));
    let mut kept: Vec<Detection> = Vec::with_capacity(found.len());
    let mut done = 0;
    while let Some(first) = found.get(done) {
        // A run: findings each of which overlaps one before it.
        let (mut end, limit) = (first.end, first.start.saturating_add(MAX_RUN));
        let joined = |d: &&Detection| {
            let joined = d.start < end && d.start < limit;
            end = end.max(d.end);
            joined
        };
        let length = found[done..].iter().take_while(joined).count().max(1);
        let run = &found[done..done + length];
        let behind = run.iter().map(|d| d.end).max().unwrap_or(0).min(limit);
        if behind > certain {
            break;
        }
        let possible: Vec<Detection> = run.iter().filter(|d| d.start >= free).cloned().collect();
        match possible.as_slice() {
            [] => {}
            [one] => kept.push(one.clone()),
            several => choose_in_run(several, &specificity, &mut kept),
        }
        free = kept.last().map_or(free, |last| last.end);
        done += length;
    }
    found.drain(..done);
    kept
}

fn choose_in_run(run: &[Detection], specificity: &impl Fn(&Detection) -> u64, kept: &mut Vec<Detection>) {
    let weight = |d: &Detection| -> Weight {
        let bytes = (d.end - d.start) as u64;
        let confidence = (d.confidence * 1000.0) as u64;
        (if d.validated { bytes } else { 0 }, bytes * confidence, specificity(d) + 1)
    };
    let mut by_end: Vec<&Detection> = run.iter().collect();
    by_end.sort_unstable_by_key(|d| (d.end, d.start, d.rule));
    // best[i]: the best weight of the first i findings; taken[i]: whether finding i-1 is in it.
    let mut best: Vec<Weight> = vec![(0, 0, 0)];
    let mut taken = vec![None];
    for (index, d) in by_end.iter().enumerate() {
        let before = by_end[..index].partition_point(|other| other.end <= d.start);
        let with = add(best[before], weight(d));
        if with > best[index] {
            best.push(with);
            taken.push(Some(before));
        } else {
            best.push(best[index]);
            taken.push(None);
        }
    }
    let from = kept.len();
    let mut at = by_end.len();
    while at > 0 {
        match taken[at] {
            Some(before) => {
                kept.push(by_end[at - 1].clone());
                at = before;
            }
            None => at -= 1,
        }
    }
    kept[from..].reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(found: &[(usize, usize, f32, bool)]) -> Vec<(usize, usize)> {
        let one = |(rule, (start, end, confidence, validated)): (u32, &(usize, usize, f32, bool))| Detection {
            start: *start,
            end: *end,
            rule,
            confidence: *confidence,
            validated: *validated,
        };
        let mut found: Vec<Detection> = (0..).zip(found).map(one).collect();
        choose(&mut found, |_| 0);
        found.iter().map(|d| (d.start, d.end)).collect()
    }

    #[test]
    fn a_weak_match_never_hides_a_validated_one() {
        assert_eq!(chosen(&[(0, 100, 0.9, false), (40, 50, 0.5, true)]), [(40, 50)]);
        assert_eq!(chosen(&[(0, 10, 0.9, false), (5, 15, 0.5, true), (14, 90, 0.9, false)]), [(5, 15)]);
    }

    #[test]
    fn more_bytes_with_more_confidence_win() {
        assert_eq!(chosen(&[(0, 40, 0.8, false), (10, 30, 0.9, false)]), [(0, 40)]);
        assert_eq!(chosen(&[(0, 10, 0.9, true), (10, 20, 0.9, true), (5, 16, 1.0, true)]), [(0, 10), (10, 20)]);
        assert_eq!(chosen(&[(0, 10, 0.6, false), (0, 10, 0.7, false)]).len(), 1);
    }

    #[test]
    fn findings_apart_all_stay() {
        assert_eq!(chosen(&[(20, 30, 0.5, false), (0, 10, 0.5, false), (10, 20, 0.5, false)]).len(), 3);
        assert_eq!(chosen(&[(0, 4, 0.5, false)]), [(0, 4)]);
    }
}
