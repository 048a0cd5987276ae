//! Portugal.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("pt_nif", nif)];

/// Número de identificação fiscal: nine digits, the last one 11 minus the weighted sum modulo 11, 10 and 11 as 0
/// (Decreto-Lei 14/2013; no number begins with 0 or 4, but 45 for people who do not live there).
fn nif(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 9 || digits[0] == 0 || digits[0] == 4 && digits[1] != 5 || digits.all_same() {
        return Verdict::Invalid;
    }
    let rest = 11 - weighted_sum(&digits, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    Verdict::checksum(rest % 11 % 10 == u32::from(digits[8]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // NIPC that their owners publish (python-stdnum's example, CTT), and the example of the Finanças.
        for good in ["501 964 843", "PT500077568", "123456789"] {
            assert_eq!(verdict(nif, good), Verdict::Valid, "{good}");
        }
        for bad in ["501964842", "001964843", "411964843", "50196484"] {
            assert_eq!(verdict(nif, bad), Verdict::Invalid, "{bad}");
        }
    }
}
