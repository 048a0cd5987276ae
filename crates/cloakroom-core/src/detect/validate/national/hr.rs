//! Croatia.

use crate::detect::validate::iso7064::mod_11_10;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("hr_oib", oib)];

/// Osobni identifikacijski broj: eleven digits, ISO 7064 mod 11,10 (Porezna uprava; NN 60/2008).
fn oib(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::checksum(digits.len() == 11 && !digits.all_same() && mod_11_10(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The tax office's own number, and VIES's example.
        for good in ["18683136487", "HR33392005961"] {
            assert_eq!(verdict(oib, good), Verdict::Valid, "{good}");
        }
        for bad in ["18683136488", "33392005962", "1868313648"] {
            assert_eq!(verdict(oib, bad), Verdict::Invalid, "{bad}");
        }
    }
}
