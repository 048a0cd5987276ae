//! India.

use crate::detect::validate::luhn::luhn;
use crate::detect::validate::verhoeff::verhoeff;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] =
    &[("in_aadhaar", aadhaar), ("in_gstin", gstin), ("in_voter", voter), ("in_vehicle", vehicle), ("in_pan", pan)];

/// Aadhaar: twelve digits, the last a Verhoeff digit; it begins with 2 to 9 and is no palindrome (UIDAI).
fn aadhaar(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let begins = matches!(digits.first(), Some(2..=9));
    let palindrome = digits.iter().eq(digits.iter().rev());
    Verdict::checksum(digits.len() == 12 && begins && !palindrome && verhoeff(&digits))
}

/// Permanent account number: the fourth letter says who holds it; serials begin with 0001. Its check letter is not
/// published.
fn pan(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let holder = text.get(3).is_some_and(|letter| b"ABCFGHJLPTEK".contains(letter));
    Verdict::plausible(text.len() == 10 && holder && candidate.digits().number(0..4) != 0)
}

/// GST identification number: state, PAN, number of the registration, Z, and a check character by weights 1 and 2 in
/// base 36.
fn gstin(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    if text.len() != 15 {
        return Verdict::Invalid;
    }
    let value = |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 });
    let sum: u32 = (1..=2)
        .cycle()
        .zip(&text[..14])
        .map(|(factor, byte)| {
            let product = value(*byte) * factor;
            product / 36 + product % 36
        })
        .sum();
    let state = value(text[0]) * 10 + value(text[1]);
    Verdict::checksum(matches!(state, 1..=38 | 96 | 97 | 99) && (36 - sum % 36) % 36 == value(text[14]))
}

/// Number of a voter's card (EPIC): three letters and seven digits. On newer cards the last is a Luhn digit; older ones
/// have none.
fn voter(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    match digits.len() == 7 && !digits.all_same() {
        true if luhn(&digits) => Verdict::Valid,
        may_be => Verdict::plausible(may_be),
    }
}

/// Codes of states and union territories on number plates, old ones and TR (Tripura), OD (Odisha) among them.
const STATES: [&[u8; 2]; 40] = [
    b"AN", b"AP", b"AR", b"AS", b"BR", b"CG", b"CH", b"DD", b"DL", b"DN", b"GA", b"GJ", b"HP", b"HR", b"JH", b"JK",
    b"KA", b"KL", b"LA", b"LD", b"MH", b"ML", b"MN", b"MP", b"MZ", b"NL", b"OD", b"OR", b"PB", b"PY", b"RJ", b"SK",
    b"TG", b"TN", b"TR", b"TS", b"UA", b"UK", b"UP", b"WB",
];

/// Number plate: begins with a state's code, or is of the BH series (`22 BH 1234 AA`).
fn vehicle(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let [first, second, third, fourth, ..] = *text else { return Verdict::Invalid };
    let bharat = first.is_ascii_digit() && [third, fourth] == *b"BH";
    let digits = candidate.digits();
    let serial = digits.len() >= 5 && (bharat || digits.number(digits.len() - 4..digits.len()) != 0);
    Verdict::plausible(serial && (bharat || STATES.contains(&&[first, second])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // UIDAI's test number; GSTN's sample; the Election Commission's scheme as python-stdnum tests it.
        for good in ["9999 4105 7058", "234123412346"] {
            assert_eq!(verdict(aadhaar, good), Verdict::Valid, "{good}");
        }
        for bad in ["9999 4105 7057", "1234 1234 1234", "222222222222", "234123412347", "2341"] {
            assert_eq!(verdict(aadhaar, bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict(gstin, "27AAPFU0939F1ZV"), Verdict::Valid);
        for bad in ["27AAPFU0939F1ZW", "77AAPFU0939F1ZV", "27AAPFU0939F"] {
            assert_eq!(verdict(gstin, bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict(voter, "WKH1186253"), Verdict::Valid);
        assert_eq!(verdict(voter, "WKH1186254"), Verdict::Plausible);
        assert_eq!(verdict(voter, "WKH1111111"), Verdict::Invalid);
    }

    #[test]
    fn structures() {
        assert_eq!(verdict(pan, "ABCPX1234K"), Verdict::Plausible);
        for bad in ["ABCXX1234K", "ABCPX0000K"] {
            assert_eq!(verdict(pan, bad), Verdict::Invalid, "{bad}");
        }
        for good in ["MH 12 AB 1234", "DL3CAB1234", "22 BH 1234 AA"] {
            assert_eq!(verdict(vehicle, good), Verdict::Plausible, "{good}");
        }
        for bad in ["XX 12 AB 1234", "MH 12 AB 0000", "MH12"] {
            assert_eq!(verdict(vehicle, bad), Verdict::Invalid, "{bad}");
        }
    }
}
