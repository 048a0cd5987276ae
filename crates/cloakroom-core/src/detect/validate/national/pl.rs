//! Poland.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("pl_pesel", pesel), ("pl_nip", nip), ("pl_regon", regon)];

/// PESEL: birthday, the month 80 more for the 19th and 20 more for the 21st century; serial; a check digit with
/// weights 1, 3, 7, 9 (Ministerstwo Cyfryzacji).
fn pesel(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let month = match digits.number(2..4) {
        month @ 1..=12 => month,
        month @ 21..=32 => month - 20,
        month @ 81..=92 => month - 80,
        _ => return Verdict::Invalid,
    };
    let sum = weighted_sum(&digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    Verdict::checksum(digits.len() == 11 && day_exists(month, digits.number(4..6)) && sum.is_multiple_of(10))
}

/// NIP: ten digits, the last one the weighted sum modulo 11, never 10 (Rozporządzenie Ministra Finansów).
fn nip(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 10 || digits.number(0..3) == 0 || digits.all_same() {
        return Verdict::Invalid;
    }
    Verdict::checksum(weighted_sum(&digits, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == u32::from(digits[9]))
}

/// REGON: nine digits, or fourteen of a local unit that begin with the nine (Główny Urząd Statystyczny).
fn regon(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let right = |weights: &[u32]| {
        digits.get(weights.len()).is_some_and(|check| weighted_sum(&digits, weights) % 11 % 10 == u32::from(*check))
    };
    let nine = digits.number(0..9) > 0 && !digits.all_same() && right(&[8, 9, 2, 3, 4, 5, 6, 7]);
    Verdict::checksum(match digits.len() {
        9 => nine,
        14 => nine && right(&[2, 4, 8, 5, 0, 9, 7, 3, 6, 1, 2, 4, 8]),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The examples of gov.pl and of python-stdnum.
        let published: [(Validator, &[&str], &[&str]); 3] = [
            (
                pesel,
                &["44051401359", "02070803628", "02211307589"],
                &["44051401358", "02381307589", "44053201359", "4405140135"],
            ),
            (nip, &["768-000-24-66", "8567346215"], &["8567346216", "0000000000", "856734621"]),
            (regon, &["192598184", "12345678512347"], &["192598183", "12345678612342", "12345678512348", "000000000"]),
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
