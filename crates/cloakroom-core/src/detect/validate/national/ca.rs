//! Canada.

use crate::detect::validate::luhn::luhn;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("ca_sin", sin)];

/// Social insurance number: nine digits with a Luhn digit; 8 begins business numbers only. (0 begins the tax numbers
/// that the Canada Revenue Agency gives to people without one, and the specimens of the government.)
fn sin(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::checksum(digits.len() == 9 && digits[0] != 8 && !digits.all_same() && luhn(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn specimens() {
        // 046 454 286 is the number of published specimens.
        assert_eq!(verdict(sin, "046 454 286"), Verdict::Valid);
        for bad in ["046 454 287", "000 000 000", "846 454 286", "146"] {
            assert_eq!(verdict(sin, bad), Verdict::Invalid, "{bad}");
        }
    }
}
