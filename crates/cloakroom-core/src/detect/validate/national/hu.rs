//! Hungary.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("hu_taj", taj)];

/// Társadalombiztosítási azonosító jel: nine digits, weights 3 and 7, modulo 10 (1996. évi XX. törvény, 2. melléklet).
fn taj(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 9 || digits.number(0..8) == 0 {
        return Verdict::Invalid;
    }
    Verdict::checksum(weighted_sum(&digits, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10 == u32::from(digits[8]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The specimen of the card (111 111 110), and one counted by the law's rule.
        for good in ["111 111 110", "123 456 788", "037-182-241"] {
            assert_eq!(verdict(taj, good), Verdict::Valid, "{good}");
        }
        for bad in ["111 111 111", "123456789", "000000000", "12345678"] {
            assert_eq!(verdict(taj, bad), Verdict::Invalid, "{bad}");
        }
    }
}
