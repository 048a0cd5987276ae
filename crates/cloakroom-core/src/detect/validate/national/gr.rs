//! Greece.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("gr_afm", afm)];

/// Αριθμός Φορολογικού Μητρώου: nine digits, weights 256 to 2, modulo 11, 10 as 0 (ΑΑΔΕ; European Commission, VIES
/// algorithms).
fn afm(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 9 || digits.all_same() {
        return Verdict::Invalid;
    }
    Verdict::checksum(weighted_sum(&digits, &[256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10 == u32::from(digits[8]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // python-stdnum's example (a company's), and made-up ones.
        for good in ["094259216", "EL 094259216", "043960011"] {
            assert_eq!(verdict(afm, good), Verdict::Valid, "{good}");
        }
        for bad in ["123456781", "000000000", "09425921"] {
            assert_eq!(verdict(afm, bad), Verdict::Invalid, "{bad}");
        }
    }
}
