//! Brazil: Receita Federal's registers of persons and companies.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("br_cpf", cpf), ("br_cnpj", cnpj)];

/// Weights of the first check digit; the second has one more in front.
const CPF: [u32; 10] = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2];
const CNPJ: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];

/// The check digit that a weighted sum asks for.
fn check_digit(sum: u32) -> u8 {
    match sum % 11 {
        0 | 1 => 0,
        rest => (11 - rest) as u8,
    }
}

/// CPF: nine digits and two check digits modulo 11 (Receita Federal, Instrução Normativa 1548/2015).
fn cpf(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let right = digits.len() == 11
        && digits[9] == check_digit(weighted_sum(&digits[..9], &CPF[1..]))
        && digits[10] == check_digit(weighted_sum(&digits[..10], &CPF));
    Verdict::checksum(right && !digits.all_same())
}

/// CNPJ: twelve digits, or from July 2026 digits and letters, each worth its ASCII code less 48, and two check digits
/// modulo 11 (Receita Federal, Instrução Normativa 2229/2024, annex XV).
fn cnpj(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let mut values = [0; 14];
    if text.len() != values.len() {
        return Verdict::Invalid;
    }
    for (value, byte) in values.iter_mut().zip(text.iter()) {
        *value = byte.saturating_sub(b'0');
    }
    let right = values[12] == check_digit(weighted_sum(&values[..12], &CNPJ[1..]))
        && values[13] == check_digit(weighted_sum(&values[..13], &CNPJ));
    Verdict::checksum(right && values[..8].windows(2).any(|pair| pair[0] != pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(cpf, Verdict::Valid, &["529.982.247-25", "11144477735", "390.533.447-05"]);
        verdicts(cpf, Verdict::Invalid, &["529.982.247-24", "111.111.111-11", "231.002.999-01", "1114447773", ""]);
        // Of the alphanumeric ones: Receita Federal's worked example 12ABC34501DE35.
        verdicts(cnpj, Verdict::Valid, &["11.222.333/0001-81", "16727230000197", "12.ABC.345/01DE-35"]);
        verdicts(
            cnpj,
            Verdict::Invalid,
            &["11.222.333/0001-82", "12ABC34501DE36", "00000000000000", "1122233300018", ""],
        );
    }
}
