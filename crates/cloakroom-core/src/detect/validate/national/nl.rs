//! Netherlands.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("nl_bsn", bsn)];

/// Burgerservicenummer: nine digits (eight where a leading 0 is left out) that pass the *elfproef*: weights 9 to 2
/// and -1 (Rijksdienst voor Identiteitsgegevens, Logisch ontwerp BSN).
fn bsn(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let weights: &[u32] = match digits.len() {
        9 => &[9, 8, 7, 6, 5, 4, 3, 2, 10],
        8 => &[8, 7, 6, 5, 4, 3, 2, 10],
        _ => return Verdict::Invalid,
    };
    let given = digits.number(0..digits.len()) >= 1_000_000 && !digits.all_same();
    Verdict::checksum(given && weighted_sum(&digits, weights).is_multiple_of(11))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The specimen of Dutch passports, and test numbers of the Rijksdienst.
        for good in ["999999011", "1112.22.333", "123456782", "073066357", "73066357"] {
            assert_eq!(verdict(bsn, good), Verdict::Valid, "{good}");
        }
        for bad in ["1112.52.333", "123456783", "000000000", "1112223334"] {
            assert_eq!(verdict(bsn, bad), Verdict::Invalid, "{bad}");
        }
    }
}
