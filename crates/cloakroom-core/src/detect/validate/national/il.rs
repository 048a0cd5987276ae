//! Israel.

use crate::detect::validate::luhn::luhn;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("il_id", identity_number)];

/// Identity number: nine digits, the last of them Luhn's check digit (Population and Immigration Authority).
fn identity_number(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::checksum(digits.len() == 9 && luhn(&digits) && !digits.all_same())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(identity_number, Verdict::Valid, &["039337423", "123456782", "03933742-3"]);
        verdicts(identity_number, Verdict::Invalid, &["039337424", "000000000", "12345678", ""]);
    }
}
