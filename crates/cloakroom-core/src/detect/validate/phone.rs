//! Telephone numbers (ITU-T E.164). Which numbers exist is asked of Google's libphonenumber in Rust; it is asked
//! last, since it
//! takes microseconds and 4 ms to load.
//!
//! Numbers of films and samples (555-0123, Ofcom's and ACMA's ranges for drama) are taken for real ones: people try
//! with them.

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber};

use super::calendar::day_exists;
use super::{Candidate, Digits, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[
    ("phone_international", international),
    ("phone_nanp", |c| Verdict::plausible(nanp(&digits(c)) && alone(c))),
    ("phone_nanp_1", |c| Verdict::plausible(nanp(without_zeros(&digits(c))) && alone(c))),
    ("phone_national", |c| {
        let fits = in_any_country(&digits(c)) && alone(c) && !is_date(c.value()) && !is_other_number(c);
        Verdict::plausible(fits && !beside_user_agent(c))
    }),
    ("phone_bare", |c| Verdict::plausible(bare(&c.digits()) && !is_constant(c) && !beside_user_agent(c))),
    ("phone_not_beside_agent", |c| Verdict::plausible(!beside_user_agent(c))),
    ("phone_au", |c| national(c, 61)),
    ("phone_be", |c| national(c, 32)),
    ("phone_br", |c| national(c, 55)),
    ("phone_ch", |c| national(c, 41)),
    ("phone_cn", |c| national(c, 86)),
    ("phone_de", |c| national(c, 49)),
    ("phone_fr", |c| national(c, 33)),
    ("phone_gb", |c| national(c, 44)),
    ("phone_in", |c| national(c, 91)),
    ("phone_it", |c| national(c, 39)),
    ("phone_jp", |c| national(c, 81)),
    ("phone_kr", |c| national(c, 82)),
    ("phone_nl", |c| national(c, 31)),
    ("phone_se", |c| national(c, 46)),
];

/// Calling codes whose national numbers keep a leading zero.
const KEEP_ZERO: [u16; 5] = [39, 225, 241, 242, 378];

/// The digits without the extension.
fn digits(candidate: &Candidate<'_>) -> Digits {
    let value = candidate.value();
    let end =
        value.iter().position(|byte| matches!(byte.to_ascii_lowercase(), b'x' | b'e' | b'#')).unwrap_or(value.len());
    Digits::of(value.get(..end).unwrap_or_default())
}

/// The library's form of a national number.
fn number(code: u16, national: &[u8]) -> PhoneNumber {
    let zeros = national.iter().take_while(|digit| **digit == 0).count();
    PhoneNumber {
        country_code: i32::from(code),
        national_number: national.iter().fold(0, |sum, digit| sum * 10 + u64::from(*digit)),
        italian_leading_zero: (zeros > 0).then_some(true),
        number_of_leading_zeros: (zeros > 1).then_some(zeros as i32),
        ..PhoneNumber::default()
    }
}

/// True for a length that the country's numbers have.
fn possible(code: u16, national: &[u8]) -> bool {
    national.len() <= 15
        && PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number(code, national)) == Ok(NumberLengthType::IsPossible)
}

/// Removes the digit that is only dialled inside the country.
fn without_trunk(code: u16, national: &[u8]) -> &[u8] {
    match national {
        [0, rest @ ..] if !KEEP_ZERO.contains(&code) => rest,
        _ => national,
    }
}

/// `+` or `00`, a country that exists, a length that it has.
fn international(candidate: &Candidate<'_>) -> Verdict {
    let digits = digits(candidate);
    let digits = if candidate.value().starts_with(b"00") { digits.get(2..).unwrap_or_default() } else { &digits };
    let fits = (8..=16).contains(&digits.len()) && varied(digits) && !is_place_on_earth(candidate.value()) && {
        // No calling code begins another one.
        let split = (1..=3).find_map(|length| {
            let (code, national) = digits.split_at_checked(length)?;
            let code = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(*digit));
            PHONE_NUMBER_UTIL.get_region_for_country_code(i32::from(code)).is_some().then_some((code, national))
        });
        match split {
            Some((1, national)) => nanp(national),
            Some((code, national)) => {
                let dialled = without_trunk(code, national);
                // `0046 0041 0058`: two zeros begin no number; only small countries, with codes of three digits, have short ones.
                let zeros = dialled.first() == Some(&0) && !KEEP_ZERO.contains(&code);
                possible(code, dialled) && national.len() > if code < 100 { 6 } else { 5 } && !zeros
            }
            None => false,
        }
    };
    Verdict::plausible(fits)
}

/// `+4339-07923`, `+394421-1045903`: latitude and longitude (ISO 6709).
fn is_place_on_earth(value: &[u8]) -> bool {
    let [b'+', rest @ ..] = value else { return false };
    let Some(sign) = rest.iter().position(|byte| *byte == b'-') else { return false };
    let (latitude, longitude) = (rest.get(..sign).unwrap_or_default(), rest.get(sign + 1..).unwrap_or_default());
    matches!((latitude.len(), longitude.len()), (4, 5) | (6, 7))
        && matches!(longitude.first(), Some(b'0' | b'1'))
        && latitude.iter().chain(longitude).all(u8::is_ascii_digit)
}

fn varied(digits: &[u8]) -> bool {
    digits.iter().skip(1).any(|digit| Some(digit) != digits.get(1))
}

/// North America: area and exchange begin with 2 to 9 (NANPA, "About the NANP"). Fictional and unassigned ones as
/// well.
fn nanp(digits: &[u8]) -> bool {
    let digits = match digits {
        [1, rest @ ..] if rest.len() == 10 => rest,
        _ => digits,
    };
    digits.len() == 10 && matches!(digits, [2..=9, _, _, 2..=9, ..]) && varied(digits)
}

/// `001` is how others dial North America.
fn without_zeros(digits: &[u8]) -> &[u8] {
    if let [0, 0, rest @ ..] = digits { rest } else { digits }
}

/// A number of one country, in the form that people there use.
fn national(candidate: &Candidate<'_>, code: u16) -> Verdict {
    let digits = digits(candidate);
    let national = without_trunk(code, &digits);
    let fits = (8..=12).contains(&digits.len())
        && varied(national)
        && alone(candidate)
        && !is_date(candidate.value())
        && !is_row_of_bytes(candidate);
    let exists = || PHONE_NUMBER_UTIL.is_valid_number(&number(code, national));
    Verdict::plausible(fits && possible(code, national) && (fictional(code, national) || exists()))
}

/// Reserved for drama and never given: Ofcom, "Telephone numbers for drama"; ACMA, "Phone numbers for use in TV
/// shows";
/// ARCEP, decision 2018-0881; Bundesnetzagentur, "Drama numbers".
fn fictional(code: u16, national: &[u8]) -> bool {
    let ranges: &[&[u8]] = match code {
        44 => &[
            &[7, 7, 0, 0, 9, 0, 0],
            &[2, 0, 7, 9, 4, 6, 0],
            &[2, 9, 2, 0, 1, 8, 0],
            &[2, 8, 9, 6, 4, 9, 6],
            &[1, 6, 3, 2, 9, 6, 0],
            &[8, 0, 8, 1, 5, 7, 0],
            &[3, 0, 6, 9, 9, 9, 0],
        ],
        61 => &[
            &[4, 9, 1, 5, 7, 0],
            &[2, 5, 5, 5, 0],
            &[2, 7, 0, 1, 0],
            &[3, 5, 5, 5, 0],
            &[3, 7, 0, 1, 0],
            &[7, 5, 5, 5, 0],
            &[8, 5, 5, 5, 0],
        ],
        33 => &[
            &[1, 9, 9, 0, 0],
            &[2, 6, 1, 9, 1],
            &[3, 5, 3, 0, 1],
            &[4, 6, 5, 7, 1],
            &[5, 3, 6, 4, 9],
            &[6, 3, 9, 9, 8],
        ],
        49 => &[&[3, 0, 2, 3, 1, 2, 5], &[6, 9, 9, 0, 0, 0, 9], &[4, 0, 6, 6, 9, 6, 9], &[8, 9, 9, 9, 9, 9, 8]],
        _ => return false,
    };
    ranges.iter().any(|range| national.starts_with(range))
        || code == 44 && matches!(national, [1, _, _, 4, 9, 6, 0, ..])
}

/// Whether no further group of digits stands before or behind: a row of numbers is no telephone number.
fn alone(candidate: &Candidate<'_>) -> bool {
    let before = match *candidate.before() {
        [.., third, far, near] if matches!(near, b' ' | b'-' | b'.' | b':') && far.is_ascii_digit() => {
            // The end of a time or of a date in front is none of its groups.
            let line = candidate.before();
            let group = line.iter().rev().skip(1).take(5).take_while(|byte| byte.is_ascii_digit()).count();
            let joined = line.get(..line.len() - 1 - group).and_then(<[u8]>::last);
            near == b' '
                && (matches!(joined, Some(b'-' | b'.' | b':' | b'/' | b',' | b'=' | b'_')) || group == 1 || group > 4)
                && third != b'+'
        }
        _ => true,
    };
    let after = match *candidate.after() {
        [b' ', a, b, c, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
            c.is_ascii_alphanumeric() && !c.is_ascii_digit()
        }
        [b' ', a, b] => !(a.is_ascii_digit() && b.is_ascii_digit()),
        [b':', a, ..] => !a.is_ascii_digit(),
        _ => true,
    };
    before && after
}

/// Pairs of digits among pairs of hexadecimal digits, or most of which begin with a zero: `06 08 2b 06 01 05 05 07  03 01`.
fn is_row_of_bytes(candidate: &Candidate<'_>) -> bool {
    let pairs = candidate.value().split(|byte| *byte == b' ');
    if !pairs.clone().all(|pair| pair.len() == 2) {
        return false;
    }
    let spaces = |bytes: &[u8]| bytes.iter().take(2).filter(|byte| **byte == b' ').count();
    let pair_before = match *candidate.before() {
        [.., edge, a, b, b' ', b' '] | [.., edge, a, b, b' '] => {
            !edge.is_ascii_alphanumeric() && a.is_ascii_hexdigit() && b.is_ascii_hexdigit()
        }
        _ => false,
    };
    let after = candidate.after();
    let pair_after = match after.get(spaces(after)..) {
        Some([a, b, rest @ ..]) => {
            spaces(after) > 0
                && a.is_ascii_hexdigit()
                && b.is_ascii_hexdigit()
                && rest.first().is_none_or(|edge| !edge.is_ascii_alphanumeric())
        }
        _ => false,
    };
    pair_before || pair_after || pairs.filter(|pair| pair.starts_with(b"0")).count() > 3
}

/// Groups of digits that are an address, a sum of money, a span of years, the status and the size of a web server's answer, or
/// a number of another kind: `529.982.247-25` is a Brazilian, `219-09-9999` an American one.
fn is_other_number(candidate: &Candidate<'_>) -> bool {
    let value = candidate.value();
    let mut lengths = [0_usize; 8];
    let mut signs = [0_u8; 8];
    let mut count = 0;
    for group in value.split(|byte| !byte.is_ascii_digit()) {
        let Some(place) = lengths.get_mut(count) else { return false };
        *place = group.len();
        count += 1;
    }
    for (place, sign) in signs.iter_mut().zip(value.iter().filter(|byte| !byte.is_ascii_digit())) {
        *place = *sign;
    }
    let (lengths, signs) =
        (lengths.get(..count).unwrap_or_default(), signs.get(..count.max(1) - 1).unwrap_or_default());
    let dots = signs.iter().all(|sign| *sign == b'.');
    let short = lengths.iter().all(|length| *length <= 3);
    let year = |group: Option<&[u8]>| group.is_some_and(|group| group.starts_with(b"19") || group.starts_with(b"20"));
    match (lengths, signs) {
        ([3, 3, 3, 2], [b'.', b'.', b'-']) | ([3, 2, 4], [b'-' | b' ', _]) => true,
        // `1647.0020.0002`: a sort key.
        ([4, 4, 4], [b'.', b'.']) => true,
        ([4, 4], [b'-']) if year(Some(value)) && year(value.get(5..)) => true,
        // `2136-2138`: lines or pages, from and to.
        ([4, 4], [b'-']) => {
            let digits = Digits::of(value);
            let (from, to) = (digits.number(0..4), digits.number(4..8));
            from < to && to - from < 100 || candidate.before().ends_with(b".html#")
        }
        ([3, _], [b' ']) if matches!(value.first(), Some(b'1'..=b'5')) => {
            matches!(candidate.before(), [.., b'"' | b'0' | b'1', b' '])
        }
        ([_, _, _, _, ..], _) if dots && short => true,
        // `1.234.567,89`, `841.821.713`, and decimals: `92.78 1197.61`.
        ([1..=3, 3, 3], _) if dots => matches!(candidate.after(), [b',', digit, ..] if digit.is_ascii_digit()),
        _ => signs.contains(&b'.') && signs.contains(&b' '),
    }
}

/// `5321234567 "Mozilla/5.0 (iPhone; …`: the telephone that a browser runs on says nothing of the number beside its name, unless
/// that has a name of its own.
fn beside_user_agent(candidate: &Candidate<'_>) -> bool {
    let (before, after) = (candidate.before(), candidate.after());
    let near = after.get(..after.len().min(48)).unwrap_or_default();
    let far = before.get(before.len().saturating_sub(64)..).unwrap_or_default();
    let has = |text: &[u8], word: &[u8]| memchr::memmem::find(text, word).is_some();
    let named = matches!(before, [.., b'=' | b':'] | [.., b'=' | b':', b'"' | b' '] | [.., b':', b' ', b'"']);
    !named && (has(near, b"Mozilla/") || has(far, b"Mozilla/") || has(far, b"like Gecko"))
}

/// `SMS_ATTENTION: u32 = 536916225;`: a number of a type that is for counting.
fn is_constant(candidate: &Candidate<'_>) -> bool {
    const TYPES: [&[u8]; 9] = [b"u32", b"i32", b"u64", b"i64", b"usize", b"isize", b"c_int", b"c_uint", b"c_ulong"];
    let before = candidate.before().strip_suffix(b" = ");
    before.is_some_and(|before| TYPES.iter().any(|kind| before.ends_with(kind)))
}

/// `02-11-2024`, `02-11-2024 12`, `2024-11-02`: a date, maybe with an hour.
fn is_date(value: &[u8]) -> bool {
    let year = |text: &[u8]| matches!(text, [b'1', b'9', a, b, ..] | [b'2', b'0', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit());
    match value {
        [_, _, _, _, b'-' | b'/' | b'.', a, b, b'-' | b'/' | b'.', c, d, ..] => {
            year(value) && [a, b, c, d].iter().all(|byte| byte.is_ascii_digit())
        }
        [a, b, b'-' | b'/' | b'.' | b' ', c, d, b'-' | b'/' | b'.' | b' ', rest @ ..] => {
            [a, b, c, d].iter().all(|byte| byte.is_ascii_digit())
                && year(rest)
                && rest.get(4).is_none_or(|byte| !byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// Any country's number in groups, told only by its length; a rule takes this with a context word.
fn in_any_country(digits: &[u8]) -> bool {
    (8..=12).contains(&digits.len()) && varied(digits) && !matches!(digits, [0, 0, ..])
}

/// Digits without any sign: no moment in seconds or milliseconds, no day, no row of one digit.
fn bare(digits: &Digits) -> bool {
    let moment = matches!((digits.len(), digits.first_chunk()), (10 | 13, Some([1, 4..=9])));
    let day = digits.len() == 8
        && (1900..2100).contains(&digits.number(0..4))
        && day_exists(digits.number(4..6), digits.number(6..8));
    let fits = match digits.len() {
        // A calling code and a number of that country, or a number of North America, China, …
        12 | 13 => digits.first() != Some(&0) && country_and_number(digits),
        11 => true,
        8..=10 => digits.first() != Some(&0) || digits.get(1) != Some(&0),
        _ => false,
    };
    fits && !moment && !day && varied(digits)
}

fn country_and_number(digits: &[u8]) -> bool {
    (1..=3).any(|length| {
        digits.split_at_checked(length).is_some_and(|(code, national)| {
            let code = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(*digit));
            PHONE_NUMBER_UTIL.get_region_for_country_code(i32::from(code)).is_some() && possible(code, national)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, text: &str) -> Verdict {
        let (_, validator) = VALIDATORS.iter().find(|(known, _)| *known == name).expect("a validator");
        validator(&Candidate::new(text.as_bytes(), 0..text.len()).expect("in the text"))
    }

    #[test]
    fn international_numbers() {
        // ITU-T E.123's forms; numbers reserved for drama.
        for good in [
            "+1 (212) 555-0123",
            "+12125550123",
            "+1-212-555-0123 x42",
            "+44 20 7946 0958",
            "+44 (0)20 7946 0958",
            "+49 30 23125 123",
            "+33 1 99 00 12 34",
            "+39 06 1234 5678",
            "+61 491 570 006",
            "+353 1 234 5678",
            "+65 6123 4567",
            "+47 22 12 34 56",
            "0044 20 7946 0958",
        ] {
            assert_eq!(verdict("phone_international", good), Verdict::Plausible, "{good}");
        }
        for bad in [
            "+1 112 555 0123",
            "+44 20 7946",
            "+999 123 456 789",
            "+0123456789",
            "+1",
            "+",
            "+11111111111",
            "+4339-07923",
            "+394421-1045903",
            "0046 0041 0058",
            "0031-11-1129",
        ] {
            assert_eq!(verdict("phone_international", bad), Verdict::Invalid, "{bad}");
        }
    }

    #[test]
    fn national_numbers() {
        for (name, good) in [
            ("phone_nanp", "(212) 555-0123"),
            ("phone_nanp", "1-800-555-0199"),
            ("phone_gb", "020 7946 0958"),
            ("phone_gb", "07700 900123"),
            ("phone_de", "030 23125123"),
            ("phone_de", "0151 23456789"),
            ("phone_fr", "01 99 00 12 34"),
            ("phone_fr", "06.12.34.56.78"),
            ("phone_au", "0491 570 006"),
            ("phone_br", "(11) 98765-4321"),
            ("phone_jp", "03-1234-5678"),
            ("phone_it", "06 1234 5678"),
            ("phone_ch", "044 668 18 00"),
        ] {
            assert_eq!(verdict(name, good), Verdict::Plausible, "{good}");
        }
        for (name, bad) in [
            ("phone_nanp", "(112) 555-0123"),
            ("phone_nanp", "(212) 155-0123"),
            ("phone_gb", "0644 100 1000"),
            ("phone_jp", "02-11-2024"),
            ("phone_de", "02-11-2024 12"),
            ("phone_fr", "00 00 00 00 00"),
            ("phone_fr", "05 00 01 00 06"),
            ("phone_national", "529.982.247-26"),
            ("phone_national", "666-12-3456"),
            ("phone_national", "2017-2022"),
            ("phone_national", "2136-2138"),
            ("phone_national", "739.52.12.21"),
            ("phone_national", "92.78 1197.61"),
        ] {
            assert_eq!(verdict(name, bad), Verdict::Invalid, "{bad}");
        }
    }

    #[test]
    fn numbers_among_others() {
        let verdict = |name: &str, marked: &str| {
            let (_, validator) = VALIDATORS.iter().find(|(known, _)| *known == name).expect("a validator");
            let (start, end) = (marked.find("[[").expect("[["), marked.rfind("]]").expect("]]"));
            let text = format!("{}{}{}", &marked[..start], &marked[start + 2..end], &marked[end + 2..]);
            validator(&Candidate::new(text.as_bytes(), start..end - 2).expect("in the text"))
        };
        for (name, good) in [
            ("phone_fr", "tel [[01 99 00 12 34]] ou"),
            ("phone_national", "tel [[6123 4567]]"),
            ("phone_bare", "\"phone\":\"[[2125550123]]\",\"agent\":\"Mozilla/5.0\""),
        ] {
            assert_eq!(verdict(name, good), Verdict::Plausible, "{good}");
        }
        for (name, bad) in [
            ("phone_fr", "2b [[06 01 05 05 17]]  03 01"),
            ("phone_fr", "00 1b [[06 11 15 15 17]]"),
            ("phone_national", "HTTP/1.1\" [[200 148670]] \"-\""),
            ("phone_national", "[[841.821.713]],44"),
            ("phone_bare", "12 [[2125550123]] \"Mozilla/5.0 (iPhone; CPU"),
            ("phone_bare", "SMS_DONE: u32 = [[536936225]];"),
        ] {
            assert_eq!(verdict(name, bad), Verdict::Invalid, "{bad}");
        }
    }

    #[test]
    fn bare_numbers() {
        for good in ["2125550123", "07700900123", "4915123456789", "13812345678"] {
            assert_eq!(verdict("phone_bare", good), Verdict::Plausible, "{good}");
        }
        for bad in ["1732187741", "1732187741123", "20041013", "0000000000", "1111111111", "0012345678"] {
            assert_eq!(verdict("phone_bare", bad), Verdict::Invalid, "{bad}");
        }
    }
}
