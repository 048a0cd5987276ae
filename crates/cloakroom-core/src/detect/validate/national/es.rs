//! Spain.

use crate::detect::validate::iso7064::remainder;
use crate::detect::validate::luhn::luhn;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("es_nif", nif), ("es_nie", nie), ("es_cif", cif), ("es_nif_any", nif_any), ("es_ssn", social_security)];

const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// True when the letter belongs to the number before it, modulo 23.
fn lettered(digits: &[u8], letter: u8) -> bool {
    LETTERS[remainder(digits, 23) as usize] == letter
}

/// DNI number and letter: seven or eight digits, or K, L or M and seven digits (Ministerio del Interior, "Cálculo del
/// dígito de control del NIF/NIE").
fn nif(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let digits = Digits::of(&text);
    let Some(letter) = text.last() else { return Verdict::Invalid };
    let shape = match digits.len() {
        8 => text.len() == 9,
        7 => text.len() == 8 || text.len() == 9 && matches!(text[0], b'K' | b'L' | b'M'),
        _ => false,
    };
    Verdict::checksum(shape && digits.number(0..digits.len()) > 0 && lettered(&digits, *letter))
}

/// X, Y or Z (counted as 0, 1, 2), seven digits and the same letter.
fn nie(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let [kind @ b'X'..=b'Z', .., letter] = *text else { return Verdict::Invalid };
    let digits = Digits::of(&text);
    let mut number = [0; 8];
    number[0] = kind - b'X';
    for (place, digit) in number[1..].iter_mut().zip(digits.iter()) {
        *place = *digit;
    }
    Verdict::checksum(text.len() == 9 && digits.len() == 7 && lettered(&number, letter))
}

/// NIF of a legal person: its kind, two digits of the province, five more, and a Luhn digit or the letter for it (Orden
/// EHA/451/2008).
fn cif(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let [kind @ (b'A'..=b'H' | b'J' | b'N'..=b'S' | b'U'..=b'W'), number @ .., check] = &*text else {
        return Verdict::Invalid;
    };
    let digits = Digits::of(number);
    if text.len() != 9 || digits.len() != 7 || *kind == b'O' || digits.number(0..7) == 0 {
        return Verdict::Invalid;
    }
    let mut whole = [0; 8];
    whole[..7].copy_from_slice(&digits);
    whole[7] = match check {
        b'0'..=b'9' => check - b'0',
        b'J' => 0,
        b'A'..=b'I' => check - b'A' + 1,
        _ => return Verdict::Invalid,
    };
    Verdict::checksum(luhn(&whole))
}

/// Any of the three behind the `ES` of a VAT number.
fn nif_any(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let Some(number) = Candidate::new(&text, 2..text.len()) else { return Verdict::Invalid };
    Verdict::checksum([nif, nie, cif].iter().any(|validator| validator(&number) == Verdict::Valid))
}

/// Número de la Seguridad Social: two digits of the province, eight more, and the remainder of them by 97, where the
/// eight count as seven when they begin with 0 (Tesorería General de la Seguridad Social).
fn social_security(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 12 || !matches!(digits.number(0..2), 1..=53 | 66) {
        return Verdict::Invalid;
    }
    let rest = if digits[2] == 0 {
        let mut short = [0; 9];
        short[..2].copy_from_slice(&digits[..2]);
        short[2..].copy_from_slice(&digits[3..10]);
        remainder(&short, 97)
    } else {
        remainder(&digits[..10], 97)
    };
    Verdict::checksum(rest == digits.number(10..12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The specimens of the Ministerio del Interior (99999999R), of the AEAT and of python-stdnum.
        let published: [(Validator, &[&str], &[&str]); 5] = [
            (
                nif,
                &["12345678Z", "99999999R", "54362315-K", "12.345.678-Z", "00000001R", "1234567L"],
                &["12345678A", "54362315Z", "00000000T", "X2482300W"],
            ),
            (nie, &["X2482300W", "Y-1234567-X", "z8044493h"], &["X2482300A", "A2482300W", "X482300W"]),
            (
                cif,
                &["J99216582", "A58818501", "P2807900B", "B-58378431"],
                &["J99216583", "J992165831", "M-1234567-L", "I58818501"],
            ),
            (nif_any, &["ESA58818501", "ES54362315K", "ES-X2482300W"], &["ESA58818502", "ES54362315Z", "ES"]),
            (social_security, &["281234567840", "28/12345678/40", "080123456774"], &["281234567841", "551234567840"]),
        ];
        for (validator, good, bad) in published {
            for text in good {
                assert_eq!(verdict(validator, text), Verdict::Valid, "{text}");
            }
            for text in bad {
                assert_eq!(verdict(validator, text), Verdict::Invalid, "{text}");
            }
        }
    }
}
