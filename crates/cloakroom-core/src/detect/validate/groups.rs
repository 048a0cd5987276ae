//! Whether a number written in groups is whole: `5555 5555 5555` is no 12-digit number in `5555 5555 5555 4444`.
//!
//! `edges` cannot say this: a space usually parts a value from what has nothing to do with it.

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("whole_groups", whole_groups)];

/// The longest group of digits in any common way of writing a number.
const LONGEST_GROUP: usize = 5;

/// Refuses a value that one space parts from more groups of digits. A group of 2 to 5 digits in front (`DE89 3704 …`,
/// `+1 415 …`), or of 3 to 5 behind; what belongs to a date, a time or a decimal is no group.
fn whole_groups(candidate: &Candidate<'_>) -> Verdict {
    Verdict::plausible(!group_before(candidate.before()) && !group_after(candidate.after()))
}

fn group_before(before: &[u8]) -> bool {
    let Some((b' ', before)) = before.split_last() else { return false };
    let digits = before.iter().rev().take(LONGEST_GROUP + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let joined = before.get(..before.len() - digits).and_then(<[u8]>::last);
    match digits {
        1 => joined == Some(&b'+'),
        2..=LONGEST_GROUP => !matches!(joined, Some(b'-' | b'.' | b':' | b'/' | b',' | b'_' | b'=')),
        _ => false,
    }
}

fn group_after(after: &[u8]) -> bool {
    let Some((b' ', after)) = after.split_first() else { return false };
    let digits = after.iter().take(LONGEST_GROUP + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let joined = match after.get(digits..) {
        Some([near, far, ..]) => {
            near.is_ascii_alphanumeric()
                || matches!(near, b'-' | b'.' | b':' | b'/' | b',') && far.is_ascii_alphanumeric()
        }
        Some([near]) => near.is_ascii_alphanumeric(),
        _ => false,
    };
    (3..=LONGEST_GROUP).contains(&digits) && !joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(before: &str, after: &str) -> bool {
        let text = format!("{before}123 456{after}");
        let candidate = Candidate::new(text.as_bytes(), before.len()..before.len() + 7).expect("in the text");
        whole_groups(&candidate) == Verdict::Plausible
    }

    #[test]
    fn pieces_of_longer_numbers() {
        for (before, after) in [("4111 ", ""), ("", " 789"), ("", " 7890."), ("DE89 ", " 00"), ("+1 ", "")] {
            assert!(!whole(before, after), "{before}_{after}");
        }
        for (before, after) in [
            ("", ""),
            ("sin ", " paid"),
            ("2024-05-01 ", " 2024-05-01"),
            ("12:30:00 ", " 12:30"),
            ("1 ", " 2"),
            ("1700000000 ", " 9876543210"),
            ("n=12 ", " 100kg"),
        ] {
            assert!(whole(before, after), "{before}_{after}");
        }
    }
}
