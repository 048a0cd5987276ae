//! The Verhoeff check digit (J. Verhoeff, "Error Detecting Decimal Codes", Mathematical Centre Tract 29, 1969).

/// Multiplication in the dihedral group D5.
const MULTIPLY: [[u8; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];

/// What becomes of a digit by its place from the right, modulo 8.
const PERMUTE: [[u8; 10]; 8] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
    [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
    [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
    [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
    [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
];

/// True when the last digit is the Verhoeff check digit of those before it. Digits are 0 to 9.
#[must_use]
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    let check = digits.iter().rev().enumerate().fold(0_u8, |check, (place, &digit)| {
        let permuted = PERMUTE[place % 8][usize::from(digit % 10)];
        MULTIPLY[usize::from(check)][usize::from(permuted)]
    });
    digits.len() > 1 && check == 0
}

#[cfg(test)]
mod tests {
    use super::super::Digits;
    use super::*;

    #[test]
    fn published_numbers() {
        // The worked examples of Wikipedia (236 has check digit 3) and Rosetta Code (12345 has 1, 123456789012 has 0).
        for good in ["2363", "123451", "1234567890120"] {
            assert!(verhoeff(&Digits::of(good.as_bytes())), "{good}");
        }
        for bad in ["2369", "123459", "1234567890129", "0", ""] {
            assert!(!verhoeff(&Digits::of(bad.as_bytes())), "{bad}");
        }
    }

    #[test]
    fn every_transposition_of_neighbours_is_noticed() {
        let digits = Digits::of(b"1234567890120");
        for place in 1..digits.len() {
            let mut swapped = digits.to_vec();
            swapped.swap(place - 1, place);
            assert!(!verhoeff(&swapped), "{place}");
        }
    }
}
