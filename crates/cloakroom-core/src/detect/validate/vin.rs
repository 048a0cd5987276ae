//! Vehicle identification numbers (ISO 3779; the check digit of 49 CFR 565.15 (c), which ISO 3779 leaves to
//! countries).

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("vin", vin), ("vin_in_shape", vin_in_shape)];

const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];

fn worth(sign: u8) -> Option<u32> {
    Some(match sign {
        b'0'..=b'9' => u32::from(sign - b'0'),
        b'A'..=b'H' => u32::from(sign - b'A') + 1,
        b'J'..=b'N' => u32::from(sign - b'J') + 1,
        b'P' => 7,
        b'R' => 9,
        b'S'..=b'Z' => u32::from(sign - b'S') + 2,
        _ => return None,
    })
}

/// True when the ninth sign is the check digit: the weighted sum modulo 11, X for 10.
#[must_use]
pub(crate) fn check_digit(number: &[u8]) -> bool {
    let mut sum = 0;
    for (sign, weight) in number.iter().zip(WEIGHTS) {
        let Some(worth) = worth(*sign) else { return false };
        sum += worth * weight;
    }
    let check = match sum % 11 {
        10 => b'X',
        digit => b'0' + digit as u8,
    };
    number.len() == 17 && number.get(8) == Some(&check)
}

fn vin(candidate: &Candidate<'_>) -> Verdict {
    let number = candidate.alphanumeric();
    let varied = number.iter().any(|sign| Some(sign) != number.first());
    let value = candidate.value();
    let mixed_case = value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase);
    Verdict::checksum(varied && !mixed_case && check_digit(&number))
}

/// Also letters and digits where manufacturers of cars have them: a year's sign, four digits at the end.
fn vin_in_shape(candidate: &Candidate<'_>) -> Verdict {
    let number = candidate.alphanumeric();
    let year = number.get(9).is_some_and(|sign| !matches!(sign, b'U' | b'Z' | b'0'));
    let serial = number.get(13..).is_some_and(|serial| serial.iter().all(u8::is_ascii_digit));
    let maker = number.get(..8).is_some_and(|maker| maker.iter().filter(|sign| sign.is_ascii_alphabetic()).count() > 1);
    let capitals = !candidate.value().iter().any(u8::is_ascii_lowercase);
    if year && serial && maker && capitals { vin(candidate) } else { Verdict::Invalid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers() {
        // Wikipedia, "Vehicle identification number"; NHTSA's vPIC samples.
        for good in ["1M8GDM9AXKP042788", "11111111111111111", "1HGCM82633A004352"] {
            assert!(check_digit(good.as_bytes()), "{good}");
        }
        for bad in ["1M8GDM9A1KP042788", "1M8GDM9AXKP04278", "1M8GDM9AXKP04278I", ""] {
            assert!(!check_digit(bad.as_bytes()), "{bad}");
        }
    }
}
