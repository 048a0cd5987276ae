//! Ecuador.

use crate::detect::validate::luhn::luhn;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("ec_cedula", cedula)];

/// Cédula: province (01 to 24; 30 and 50 for those abroad), a digit of 0 to 6 for natural persons, six digits, and a check
/// digit modulo 10 that is Luhn's (Registro Civil).
fn cedula(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let possible = digits.len() == 10 && matches!(digits.number(0..2), 1..=24 | 30 | 50) && digits[2] <= 6;
    Verdict::checksum(possible && luhn(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(cedula, Verdict::Valid, &["1714307103", "171430710-3"]);
        verdicts(cedula, Verdict::Invalid, &["1714307104", "2514307103", "1784307103", "0000000000", "171430710", ""]);
    }
}
