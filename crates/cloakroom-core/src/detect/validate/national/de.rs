//! Germany.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::iso7064::mod_11_10;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[
    ("de_tax_id", tax_id),
    ("de_tax_number_federal", tax_number_federal),
    ("de_tax_number_regional", tax_number_regional),
    ("de_vat_id", vat_id),
    ("de_social_security", social_security),
    ("de_document", document),
    ("de_health_insurance", health_insurance),
    ("de_licence", licence),
    ("de_bsnr", bsnr),
    ("de_lanr", lanr),
    ("de_plz", plz),
];

/// Steuerliche Identifikationsnummer: no leading 0; of the first ten digits one stands there twice or three times,
/// the others at most once; ISO 7064 mod 11,10 (Bayerisches Landesamt für Steuern, "Prüfung der Steuer- und
/// Steueridentifikationsnummer").
fn tax_id(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let mut counts = [0_u8; 10];
    for digit in digits.iter().take(10) {
        counts[usize::from(*digit % 10)] += 1;
    }
    let mut repeated = counts.iter().filter(|count| **count > 1);
    let shape = matches!((repeated.next(), repeated.next()), (Some(2 | 3), None));
    Verdict::checksum(digits.len() == 11 && digits[0] != 0 && shape && mod_11_10(&digits))
}

/// Steuernummer in the ELSTER form: four digits of the tax office, whose first ones say the Land, a 0, and eight
/// more. The check digit is each Land's own; it is not looked at.
fn tax_number_federal(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let land = matches!(digits.number(0..2), 10 | 11 | 21..=24 | 26..=28 | 30..=32 | 40 | 41 | 50..=59 | 91..=92);
    Verdict::plausible(digits.len() == 13 && land && digits[4] == 0 && !digits[5..].iter().all(|digit| *digit == 0))
}

/// Steuernummer as tax offices write it. The check digit is each Land's own; it is not looked at.
fn tax_number_regional(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::plausible(matches!(digits.len(), 10 | 11) && !digits.all_same() && digits.number(0..3) > 0)
}

/// Umsatzsteuer-Identifikationsnummer: nine digits, mod 11,10 (European Commission, VIES algorithms).
fn vat_id(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::checksum(digits.len() == 9 && digits[0] != 0 && !digits.all_same() && mod_11_10(&digits))
}

/// The sum of the digits of the products, as in Luhn's method but with weights of its own.
fn cross_sum(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(&digit, &weight)| u32::from(digit) * weight).map(|n| n / 10 + n % 10).sum()
}

/// The digits of a text with one letter in it, the letter as two digits (A is 01).
fn with_letter(text: &[u8]) -> Digits {
    let mut spread = [0; 24];
    let mut len = 0;
    for byte in text {
        let (first, second) = match byte {
            b'A'..=b'Z' => (Some((byte - b'A' + 1) / 10), (byte - b'A' + 1) % 10),
            _ => (None, byte.wrapping_sub(b'0')),
        };
        for digit in first.into_iter().chain([second]) {
            if let Some(place) = spread.get_mut(len) {
                *place = digit.wrapping_add(b'0');
                len += 1;
            }
        }
    }
    Digits::of(&spread[..len])
}

/// Versicherungsnummer of the pension insurance: area, birthday, initial, serial, check digit (VKVV § 2 and § 4).
fn social_security(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let digits = with_letter(&text);
    if text.len() != 12 || digits.len() != 13 {
        return Verdict::Invalid;
    }
    let area = matches!(digits.number(0..2), 2..=29 | 38..=89);
    let birthday = day_exists(digits.number(4..6), digits.number(2..4));
    let sum = cross_sum(&digits[..12], &[2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1]);
    Verdict::checksum(area && birthday && sum % 10 == u32::from(digits[12]))
}

/// Serial number of an identity card or passport: nine characters, proven where the check digit of ICAO Doc 9303
/// (weights 7, 3, 1) stands behind them.
fn document(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let Some((serial, check)) = text.split_at_checked(9) else { return Verdict::Invalid };
    let Some(check) = check.first() else {
        return Verdict::plausible(serial.windows(2).any(|pair| pair[0] != pair[1]));
    };
    let worth = |byte: &u8| if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 };
    let mut worths = [0; 9];
    for (place, byte) in worths.iter_mut().zip(serial) {
        *place = worth(byte);
    }
    Verdict::checksum(weighted_sum(&worths, &[7, 3, 1, 7, 3, 1, 7, 3, 1]) % 10 == u32::from(worth(check)))
}

/// Krankenversichertennummer: a letter, eight digits and a check digit (GKV-Spitzenverband, § 290 SGB V).
fn health_insurance(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let digits = with_letter(&text);
    if text.len() != 10 || digits.len() != 11 {
        return Verdict::Invalid;
    }
    let sum = cross_sum(&digits[..10], &[1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
    Verdict::checksum(sum % 10 == u32::from(digits[10]))
}

/// Führerscheinnummer: nine characters, a check character modulo 11 (weights 9 to 1, letters from 10) and the number
/// of the copy. Not all authorities follow it, so a wrong one is still plausible.
fn licence(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    if text.len() != 11 || text.iter().filter(|byte| byte.is_ascii_digit()).count() < 3 {
        return Verdict::Invalid;
    }
    let worth = |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 });
    let sum: u32 = text.iter().zip((1..=9).rev()).map(|(&byte, weight)| worth(byte) * weight).sum();
    let right = match text[9] {
        b'X' => sum % 11 == 10,
        check => sum % 11 == worth(check),
    };
    if right { Verdict::Valid } else { Verdict::Plausible }
}

/// Betriebsstättennummer: nine digits that begin with the Kassenärztliche Vereinigung (01 to 99).
fn bsnr(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::plausible(digits.len() == 9 && digits.number(0..2) > 0 && !digits.all_same())
}

/// Lebenslange Arztnummer: six digits, a check digit (weights 4 and 9), two digits of the specialty (KBV,
/// "Arztnummern").
fn lanr(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 9 || digits.number(0..6) == 0 {
        return Verdict::Invalid;
    }
    let sum = weighted_sum(&digits[..6], &[4, 9, 4, 9, 4, 9]);
    Verdict::checksum((10 - sum % 10) % 10 == u32::from(digits[6]))
}

/// Post codes run from 01067 to 99998.
fn plz(candidate: &Candidate<'_>) -> Verdict {
    Verdict::plausible((1_001..=99_998).contains(&candidate.digits().number(0..5)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // BZSt and ELSTER: test numbers. VIES: worked example. DRV, gematik, BMI, KBV: specimens.
        let published: [(Validator, &[&str], &[&str]); 6] = [
            (tax_id, &["86 095 742 719", "36574261809"], &["36574261890", "36554266806", "06095742719", "86095742718"]),
            (vat_id, &["DE136695976"], &["DE136695978", "DE036695976"]),
            (social_security, &["15 070649 C 103", "65170839J003"], &["15070649C104", "15071349C103", "01070649C103"]),
            (document, &["T220001293", "L01X00T471", "C01X00T478D"], &["T220001294", "T2200"]),
            (health_insurance, &["A123456780", "T020555888"], &["A123456781", "A12345678"]),
            (lanr, &["123456601", "999999900"], &["123456701", "000000001"]),
        ];
        for (validator, good, bad) in published {
            for text in good {
                assert_eq!(verdict(validator, text), Verdict::Valid, "{text}");
            }
            for text in bad {
                assert_eq!(verdict(validator, text), Verdict::Invalid, "{text}");
            }
        }
        // The licence on the Bundesdruckerei's specimen.
        assert_eq!(verdict(licence, "B072RRE2I55"), Verdict::Valid);
        assert_eq!(verdict(licence, "B072RRE2I45"), Verdict::Plausible);
        assert_eq!(verdict(document, "L01X00T47"), Verdict::Plausible);
        assert_eq!(verdict(tax_number_federal, "2893081508152"), Verdict::Plausible);
        assert_eq!(verdict(tax_number_federal, "1732100000000"), Verdict::Invalid);
        assert_eq!(verdict(tax_number_regional, "93/815/08152"), Verdict::Plausible);
    }
}
