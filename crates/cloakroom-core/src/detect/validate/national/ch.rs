//! Switzerland.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("ch_ahv", ahv)];

/// AHV number: 756, nine digits and the check digit of EAN-13 (Zentrale Ausgleichsstelle, AHVN13).
fn ahv(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let sum = weighted_sum(&digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]);
    Verdict::checksum(
        digits.len() == 13 && digits.number(0..3) == 756 && digits.number(3..12) > 0 && sum.is_multiple_of(10),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The specimens of the Zentrale Ausgleichsstelle and of the insurance cards.
        for good in ["756.9217.0769.85", "7569217076985", "756.1234.5678.97"] {
            assert_eq!(verdict(ahv, good), Verdict::Valid, "{good}");
        }
        for bad in ["756.9217.0769.84", "757.9217.0769.85", "756.9217.0769"] {
            assert_eq!(verdict(ahv, bad), Verdict::Invalid, "{bad}");
        }
    }
}
