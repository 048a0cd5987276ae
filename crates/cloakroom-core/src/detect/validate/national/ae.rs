//! United Arab Emirates.

use crate::detect::validate::luhn::luhn;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("ae_emirates_id", emirates_id)];

/// Emirates ID: 784 (the country in ISO 3166-1), a year, seven digits, and Luhn's check digit (Federal Authority for
/// Identity, Citizenship, Customs and Port Security).
fn emirates_id(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let possible = digits.len() == 15 && digits.number(0..3) == 784 && (1880..2050).contains(&digits.number(3..7));
    Verdict::checksum(possible && luhn(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(emirates_id, Verdict::Valid, &["784-1987-1234567-1", "784197912345671"]);
        let bad = ["784-1987-1234567-2", "784-1587-1234567-1", "785-1987-1234567-9", "78419871234567", ""];
        verdicts(emirates_id, Verdict::Invalid, &bad);
    }
}
