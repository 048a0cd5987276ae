//! Two policies' treatment of one value, held against each other.

use cloakroom_core::{How, Spotted, Treated};
use serde::Serialize;

/// What a new policy changes. Worst first: this is the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    /// Was covered, is clear.
    Uncovered,
    /// Covered by less.
    Weaker,
    /// Covered in another way, and neither is less.
    Changed,
    /// Covered by more.
    Stronger,
    /// Was clear, is covered.
    Covered,
}

/// A change of one value, or of something found in one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    pub(crate) change: Change,
    /// What was found, where the value itself is not treated as a whole.
    pub(crate) entity: Option<String>,
    pub(crate) was: String,
    pub(crate) becomes: String,
}

const CLEAR: &str = "clear";

/// Adds what differs for one value.
pub(crate) fn compare(old: &Treated, new: &Treated, found: &mut Vec<Difference>) {
    let difference = |was: &str, becomes: &str, entity: Option<&str>| {
        let change = change(was, becomes)?;
        let (was, becomes, entity) = (was.to_owned(), becomes.to_owned(), entity.map(str::to_owned));
        Some(Difference { change, entity, was, becomes })
    };
    match (whole(old), whole(new)) {
        (Some(was), Some(becomes)) => found.extend(difference(&was, &becomes, None)),
        // Something of the value is clear now, or nothing is searched any more.
        (Some(was), None) => found.extend(difference(&was, CLEAR, None)),
        (None, Some(becomes)) => {
            // All of it is covered; what had been found in it may have been covered by more.
            found.extend(difference(CLEAR, &becomes, None));
            for one in spotted(old) {
                let was = one.how.as_deref().unwrap_or(CLEAR);
                found.extend(difference(was, &becomes, Some(&one.entity)).filter(|d| d.change < Change::Stronger));
            }
        }
        (None, None) => {
            for one in spotted(old) {
                let was = one.how.as_deref().unwrap_or(CLEAR);
                let becomes = covering(new, one).unwrap_or(CLEAR);
                found.extend(difference(was, becomes, Some(&one.entity)));
            }
            let fresh = spotted(new).iter().filter(|one| !spotted(old).iter().any(|before| touches(before, one)));
            for one in fresh {
                found.extend(difference(CLEAR, one.how.as_deref().unwrap_or(CLEAR), Some(&one.entity)));
            }
        }
    }
}

/// What is done to all of the value; `None` when something of it may leave as it came.
fn whole(treated: &Treated) -> Option<String> {
    match &treated.how {
        How::Protected(how) => Some(how.clone()),
        How::Dropped => Some("drop".to_owned()),
        How::Rejected => Some("block".to_owned()),
        How::Clear => None,
        How::Searched(spotted) => {
            // A finding that is the whole text.
            let all = |one: &&Spotted| one.inside.is_empty() && one.span == (0..treated.length) && treated.length > 0;
            spotted.iter().find(all)?.how.clone()
        }
    }
}

fn spotted(treated: &Treated) -> &[Spotted] {
    match &treated.how {
        How::Searched(spotted) => spotted,
        _ => &[],
    }
}

/// What covers all of a place that was found by the other policy.
fn covering<'a>(treated: &'a Treated, place: &Spotted) -> Option<&'a str> {
    let covers = |one: &&Spotted| {
        one.inside == place.inside && one.span.start <= place.span.start && one.span.end >= place.span.end
    };
    spotted(treated).iter().filter(covers).find_map(|one| one.how.as_deref())
}

fn touches(a: &Spotted, b: &Spotted) -> bool {
    a.inside == b.inside && a.span.start < b.span.end && b.span.start < a.span.end
}

fn change(was: &str, becomes: &str) -> Option<Change> {
    if was == becomes {
        return None;
    }
    Some(match (strength(was), strength(becomes)) {
        (_, Some(0)) => Change::Uncovered,
        (Some(0), _) => Change::Covered,
        // Two words for the same: nothing of the value arrives.
        (Some(5), Some(5)) => return None,
        (Some(before), Some(after)) if after < before => Change::Weaker,
        (Some(before), Some(after)) if after > before => Change::Stronger,
        _ => Change::Changed,
    })
}

/// How much a protection covers; `None` for one that has no place in a plain order.
fn strength(how: &str) -> Option<u8> {
    match how.split(' ').next().unwrap_or_default() {
        "block" | "drop" | "null" => Some(5),
        "redact" => Some(4),
        "encrypt" | "hmac" | "token" | "eax-scrypt" => Some(3),
        "mask" => Some(2),
        "hash" | "bcrypt" => Some(1),
        CLEAR => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn treated(how: How) -> Treated {
        Treated { path: "f".to_owned(), is_name: false, length: 10, how }
    }

    fn by(how: &str) -> How {
        How::Protected(how.to_owned())
    }

    fn searched(spots: &[(usize, usize, Option<&str>)]) -> How {
        let one = |(from, to, how): &(usize, usize, Option<&str>)| Spotted {
            inside: String::new(),
            span: *from..*to,
            entity: "E".to_owned(),
            how: how.map(str::to_owned),
        };
        How::Searched(spots.iter().map(one).collect())
    }

    fn changes(old: How, new: How) -> Vec<Change> {
        let mut found = Vec::new();
        compare(&treated(old), &treated(new), &mut found);
        found.into_iter().map(|difference| difference.change).collect()
    }

    #[test]
    fn whole_values_are_ordered() {
        use Change::{Changed, Covered, Stronger, Uncovered, Weaker};
        for (old, new, expected) in [
            (by("encrypt"), How::Clear, vec![Uncovered]),
            (How::Dropped, How::Clear, vec![Uncovered]),
            (How::Rejected, How::Clear, vec![Uncovered]),
            (by("bucket month"), How::Clear, vec![Uncovered]),
            (How::Clear, by("bucket month"), vec![Covered]),
            (How::Clear, How::Dropped, vec![Covered]),
            (by("redact"), by("hmac"), vec![Weaker]),
            (by("mask last4"), by("encrypt"), vec![Stronger]),
            (by("hash md5"), by("mask last4"), vec![Stronger]),
            (by("encrypt"), by("hmac"), vec![Changed]),
            (by("mask last4"), by("mask pan"), vec![Changed]),
            (by("bucket month"), by("mask last4"), vec![Changed]),
            (How::Dropped, by("null"), vec![]),
            (by("hmac"), by("hmac"), vec![]),
            (How::Clear, How::Clear, vec![]),
        ] {
            assert_eq!(changes(old.clone(), new.clone()), expected, "{old:?} to {new:?}");
        }
    }

    #[test]
    fn findings_are_compared_by_their_place() {
        use Change::{Covered, Stronger, Uncovered, Weaker};
        let redacted = searched(&[(2, 5, Some("redact"))]);
        assert_eq!(changes(redacted.clone(), How::Clear), [Uncovered]);
        assert_eq!(changes(redacted.clone(), searched(&[])), [Uncovered]);
        assert_eq!(changes(redacted.clone(), searched(&[(2, 5, None)])), [Uncovered]);
        assert_eq!(changes(redacted.clone(), searched(&[(3, 5, Some("redact"))])), [Uncovered], "a part stays clear");
        assert_eq!(changes(redacted.clone(), searched(&[(1, 9, Some("redact"))])), []);
        assert_eq!(changes(redacted.clone(), searched(&[(2, 5, Some("mask pan"))])), [Weaker]);
        assert_eq!(changes(How::Clear, redacted.clone()), [Covered]);
        assert_eq!(changes(searched(&[(2, 5, None)]), redacted.clone()), [Covered]);
        assert_eq!(changes(redacted.clone(), How::Dropped), [Covered]);
        assert_eq!(changes(redacted.clone(), by("hash md5")), [Covered, Weaker]);
        // A finding that is the whole value counts as the value.
        let all = searched(&[(0, 10, Some("redact"))]);
        assert_eq!(changes(by("redact"), all.clone()), []);
        assert_eq!(changes(by("mask last4"), all), [Stronger]);
        assert_eq!(changes(by("mask last4"), redacted), [Uncovered], "around the finding it is clear");
    }
}
