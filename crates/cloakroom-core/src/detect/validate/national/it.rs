//! Italy.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::luhn::luhn;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("it_fiscal_code", fiscal_code), ("it_vat_code", vat_code)];

/// What a character at an odd place (1st, 3rd, ...) counts, 0 and A first.
const ODD: [u32; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

/// Letters that stand for the digits 0 to 9 where two people would have the same code (omocodia).
const OMOCODIA: &[u8; 10] = b"LMNPQRSTUV";

/// The digit at a place of digits, written as itself or as its letter.
fn digit(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        _ => OMOCODIA.iter().position(|letter| *letter == byte).and_then(|digit| u32::try_from(digit).ok()),
    }
}

/// Codice fiscale of a person: name, year, month letter, day (40 more for women), municipality and a check letter
/// (D.M. 23 December 1976, n. 13813).
fn fiscal_code(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    // `testNormalReturn`: no two people share so much that all seven digits are letters.
    if text.len() != 16 || !text.iter().any(u8::is_ascii_digit) {
        return Verdict::Invalid;
    }
    let month = b"ABCDEHLMPRST".iter().zip(1..).find(|(letter, _)| **letter == text[8]).map(|(_, month)| month);
    let (Some(month), Some(tens), Some(ones)) = (month, digit(text[9]), digit(text[10])) else {
        return Verdict::Invalid;
    };
    let day = tens * 10 + ones;
    let birthday = day_exists(month, if day > 40 { day - 40 } else { day });
    let place = [6, 7, 12, 13, 14].iter().all(|place| digit(text[*place]).is_some()) && text[11].is_ascii_uppercase();
    let sum: u32 = text[..15]
        .iter()
        .enumerate()
        .map(|(index, &byte)| {
            let worth = if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' };
            if index % 2 == 0 { ODD[usize::from(worth)] } else { u32::from(worth) }
        })
        .sum();
    Verdict::checksum(birthday && place && u32::from(text[15]) == u32::from(b'A') + sum % 26)
}

/// Partita IVA: eleven digits with a Luhn digit (Agenzia delle Entrate).
fn vat_code(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::checksum(digits.len() == 11 && digits.number(0..7) > 0 && !digits.all_same() && luhn(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The examples of the Agenzia delle Entrate and of python-stdnum.
        for good in ["RSSMRA85T10A562S", "RCCMNL83S18D969H", "VRD GPP 13R10 B293P", "rccmnl83s18d969h"] {
            assert_eq!(verdict(fiscal_code, good), Verdict::Valid, "{good}");
        }
        for bad in ["RCCMNL83S18D969", "RCCMNL83S18D967H", "RCCMNL83S32D969H", "RCCMNL83X18D969H", "RCCMNLA3S18D969H"] {
            assert_eq!(verdict(fiscal_code, bad), Verdict::Invalid, "{bad}");
        }
        for good in ["00743110157", "IT 00743110157"] {
            assert_eq!(verdict(vat_code, good), Verdict::Valid, "{good}");
        }
        for bad in ["00743110158", "00000000000", "0074311015"] {
            assert_eq!(verdict(vat_code, bad), Verdict::Invalid, "{bad}");
        }
    }
}
