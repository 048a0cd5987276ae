//! Dates that can be, in the orders that people write: year first, day first, month first, with the month's name.

use super::calendar::day_exists;
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("date", date), ("date_of_birth", date_of_birth)];

/// Years of people alive and of records about them. There is no clock in the core.
const YEARS: std::ops::RangeInclusive<u32> = 1900..=2099;
/// The last year in which somebody was born, as far as this program cares.
const BORN: std::ops::RangeInclusive<u32> = 1900..=2035;

fn date(candidate: &Candidate<'_>) -> Verdict {
    Verdict::plausible(year(candidate.value()).is_some_and(|year| YEARS.contains(&year)))
}

fn date_of_birth(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let fits = year(value).is_some_and(|year| BORN.contains(&year));
    Verdict::plausible(fits && !has_fraction(candidate) && !named_otherwise(candidate.before()))
}

/// A moment to the millisecond is when something was written, not when somebody was born.
fn has_fraction(candidate: &Candidate<'_>) -> bool {
    // The value may be the beginning of the moment only.
    let text: Vec<u8> = candidate.value().iter().chain(candidate.after()).take(40).copied().collect();
    let day = text.iter().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'/' | b'.')).count();
    let Some([b'T' | b' ', time @ ..]) = text.get(day..) else { return false };
    let clock = time.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b':').count();
    let (clock, rest) = time.split_at(clock);
    let Some(b'.' | b',') = rest.first() else { return false };
    clock.contains(&b':') && rest.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).any(|byte| *byte != b'0')
}

/// `"created":"2024-06-09"`: a name right in front that says another thing, whatever stands further away.
fn named_otherwise(before: &[u8]) -> bool {
    const NAMES: [&[u8]; 14] = [
        b"created",
        b"updated",
        b"modified",
        b"changed",
        b"expires",
        b"expiry",
        b"expired",
        b"issued",
        b"registered",
        b"joined",
        b"timestamp",
        b"lastlogin",
        b"lastseen",
        b"signup",
    ];
    let signs = |byte: &&u8| matches!(byte, b'"' | b'\'' | b'\\' | b':' | b'=' | b' ' | b'>');
    let gap = before.iter().rev().take(8).take_while(signs).count();
    let before = before.get(..before.len() - gap).unwrap_or_default();
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let length = before.iter().rev().take(24).take_while(is_name).count();
    let name = before.get(before.len() - length..).unwrap_or_default();
    let name: Vec<u8> = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    gap > 0 && NAMES.iter().any(|known| name.starts_with(known))
}

/// The year of a day that exists. A time behind it is not looked at; two digits of a year stand for 1900 to 1999.
fn year(value: &[u8]) -> Option<u32> {
    let mut groups = [(0_u32, 0_usize); 3];
    let mut count = 0;
    for group in value.split(|byte| !byte.is_ascii_digit()).filter(|group| !group.is_empty()) {
        let Some(place) = groups.get_mut(count) else { break };
        let number = group.iter().take(9).fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        *place = (number, group.len());
        count += 1;
    }
    let either = |a, b| day_exists(a, b) || day_exists(b, a);
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count() > 2;
    match (groups, letters) {
        // 12 March 1985, March 12th, 1985; 1985 March 12.
        ([(day, 1 | 2), (year, 4), _] | [(year, 4), (day, 1 | 2), _], true) => (1..=31).contains(&day).then_some(year),
        ([(year, 4), (month, _), (day, _)], _) => day_exists(month, day).then_some(year),
        ([(a, 1 | 2), (b, 1 | 2), (year, 4)], _) => either(a, b).then_some(year),
        ([(a, 1 | 2), (b, 1 | 2), (c, 2)], _) => (either(a, b) || day_exists(b, c)).then_some(1900 + c),
        ([(number, 8), ..], _) if count == 1 => {
            let (high, low) = (number / 10_000, number % 10_000);
            let (upper, lower) = (high / 100, high % 100);
            if (1900..=2099).contains(&high) && day_exists(low / 100, low % 100) {
                Some(high)
            } else {
                either(upper, lower).then_some(low)
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_of_dates() {
        for (text, expected) in [
            ("1985-03-12", Some(1985)),
            ("1985-03-12T00:00:00Z", Some(1985)),
            ("31/12/1999", Some(1999)),
            ("12/31/1999", Some(1999)),
            ("31.12.85", Some(1985)),
            ("12 March 1985", Some(1985)),
            ("March 12th, 1985", Some(1985)),
            ("19850312", Some(1985)),
            ("12031985", Some(1985)),
            ("1985-13-12", None),
            ("1985-02-30", None),
            ("32/12/1999", None),
            ("40 March 1985", None),
            ("", None),
            ("99999999", None),
        ] {
            assert_eq!(year(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn moments_are_no_birthdays() {
        let verdict =
            |text: &str, end: usize| date_of_birth(&Candidate::new(text.as_bytes(), 0..end).expect("in the text"));
        for (text, end) in
            [("1985-03-12 10:20:15.547", 23), ("1985-03-12 10:20:15,547", 10), ("1985-03-12T10:20:15.5Z", 19)]
        {
            assert_eq!(verdict(text, end), Verdict::Invalid, "{text}");
        }
        for (text, end) in [("1985-03-12 00:00:00.000", 23), ("1985-03-12, 10 points", 10), ("1985-03-12 4.5", 10)] {
            assert_eq!(verdict(text, end), Verdict::Plausible, "{text}");
        }
    }
}
