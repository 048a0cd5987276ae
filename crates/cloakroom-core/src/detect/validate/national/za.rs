//! South Africa.

use crate::detect::validate::calendar::day_exists;
use crate::detect::validate::luhn::luhn;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("za_id", id_number), ("za_not_millis", not_milliseconds), ("za_millis", milliseconds)];

/// Identity number: birthday, four digits for sex and serial, 0 to 2 for citizenship, 8 or 9, and a Luhn digit
/// (Department of Home Affairs).
fn id_number(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let birthday = day_exists(digits.number(2..4), digits.number(4..6));
    let status = matches!(digits.get(10..12), Some([0..=2, 8 | 9]));
    Verdict::checksum(digits.len() == 13 && birthday && status && luhn(&digits))
}

/// Bare digits that could not be a time of these years in milliseconds.
fn not_milliseconds(candidate: &Candidate<'_>) -> Verdict {
    Verdict::plausible(!could_be_milliseconds(candidate))
}

/// Bare digits that could: of people born from 2014 to 2019, whose numbers therefore need a context word.
fn milliseconds(candidate: &Candidate<'_>) -> Verdict {
    Verdict::plausible(could_be_milliseconds(candidate))
}

fn could_be_milliseconds(candidate: &Candidate<'_>) -> bool {
    matches!(candidate.digits().number(0..2), 14..=19)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // The specimens of the Department of Home Affairs and of python-stdnum.
        for good in ["8001015009087", "750330 5044 08 9"] {
            assert_eq!(verdict(id_number, good), Verdict::Valid, "{good}");
        }
        for bad in ["8001015009088", "8013015009087", "8002305009087", "8001015009387", "800101500908"] {
            assert_eq!(verdict(id_number, bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict(milliseconds, "1704067200000"), Verdict::Plausible);
        assert_eq!(verdict(not_milliseconds, "8001015009087"), Verdict::Plausible);
    }
}
