//! Uruguay.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("uy_ci", ci)];

/// Cédula de identidad: six or seven digits and a check digit modulo 10 (Dirección Nacional de Identificación Civil).
fn ci(candidate: &Candidate<'_>) -> Verdict {
    const WEIGHTS: [u32; 7] = [2, 9, 8, 7, 6, 3, 4];
    let digits = candidate.digits();
    let Some((check, number)) = digits.split_last() else { return Verdict::Invalid };
    let sum = match number.len() {
        6 => weighted_sum(number, &WEIGHTS[1..]),
        7 => weighted_sum(number, &WEIGHTS),
        _ => return Verdict::Invalid,
    };
    Verdict::checksum(u32::from(*check) == (10 - sum % 10) % 10 && !digits.all_same())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(ci, Verdict::Valid, &["1.234.567-2", "12345672", "987.654-9"]);
        verdicts(ci, Verdict::Invalid, &["1.234.567-3", "0000000-0", "12-3", ""]);
    }
}
