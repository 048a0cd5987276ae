//! Nigeria.

use crate::detect::validate::verhoeff::verhoeff;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("ng_nin", nin)];

/// National identification number: eleven digits. The commission publishes no checksum; where the last is a Verhoeff
/// digit, as some implementations have it, that speaks for it.
fn nin(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    match digits.len() == 11 && !digits.all_same() {
        true if verhoeff(&digits) => Verdict::Valid,
        may_be => Verdict::plausible(may_be),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn numbers() {
        assert_eq!(verdict(nin, "00000000005"), Verdict::Valid);
        assert_eq!(verdict(nin, "12345678901"), Verdict::Plausible);
        for bad in ["11111111111", "1234567890"] {
            assert_eq!(verdict(nin, bad), Verdict::Invalid, "{bad}");
        }
    }
}
