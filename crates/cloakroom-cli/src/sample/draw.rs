//! Random draws and the small formats made from them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::words;

/// The random numbers of one record.
///
/// ChaCha takes a key and a stream number; the record's index is the stream number, so every
/// record has numbers of its own and none must be made before it. Ranges are cut here rather than
/// with `rand`'s distributions, whose results may change between its releases.
pub(super) struct Draw {
    rng: ChaCha8Rng,
}

impl Draw {
    pub(super) fn new(seed: u64, tag: u8, index: u64) -> Self {
        let mut key = *b"________ cloakroom sample data 1";
        let (seed_part, rest) = key.split_at_mut(8);
        seed_part.copy_from_slice(&seed.to_le_bytes());
        rest[0] = tag;
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(index);
        Self { rng }
    }

    pub(super) fn u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number from 0 to `bound - 1`. Multiply-and-shift makes some numbers likelier by one draw in
    /// 2^32, which sample data may be.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.rng.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// Both ends included.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True `parts` times in `whole`.
    pub(super) fn chance(&mut self, parts: u32, whole: u32) -> bool {
        self.below(whole) < parts
    }

    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u32) as usize]
    }
}

pub(super) fn push_str(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    push_padded(out, number, 1);
}

/// At least `width` digits, filled with zeros from the left.
pub(super) fn push_padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let start = start.min(digits.len() - width.min(digits.len()));
    out.extend_from_slice(&digits[start..]);
}

fn push_lower(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
}

/// `first.last@domain`, with a number behind the name when one is given.
pub(super) fn push_email(out: &mut Vec<u8>, first: &str, last: &str, number: Option<u64>, domain: &str) {
    push_lower(out, first);
    out.push(b'.');
    push_lower(out, last);
    if let Some(number) = number {
        push_number(out, number);
    }
    out.push(b'@');
    push_str(out, domain);
}

/// A number the rules of 2011 allow: the area is neither 000, 666 nor 9xx, the group is not 00
/// and the serial is not 0000.
pub(super) fn push_ssn(draw: &mut Draw, out: &mut Vec<u8>) {
    let area = draw.between(1, 898);
    push_padded(out, u64::from(if area < 666 { area } else { area + 1 }), 3);
    out.push(b'-');
    push_padded(out, u64::from(draw.between(1, 99)), 2);
    out.push(b'-');
    push_padded(out, u64::from(draw.between(1, 9999)), 4);
}

/// An IPv4 address that looks public. First octets whose network holds a private or reserved
/// range are stepped over as a whole: simpler than the exact ranges, and as good here.
pub(super) fn ipv4(draw: &mut Draw) -> [u8; 4] {
    let first = match draw.between(1, 223) as u8 {
        reserved @ (10 | 100 | 127 | 169 | 172 | 192 | 198 | 203) => reserved + 1,
        public => public,
    };
    let middle = draw.below(1 << 16);
    let last = draw.between(1, 254) as u8;
    [first, (middle >> 8) as u8, middle as u8, last]
}

pub(super) fn push_ipv4(out: &mut Vec<u8>, address: [u8; 4]) {
    for (position, octet) in address.into_iter().enumerate() {
        if position > 0 {
            out.push(b'.');
        }
        push_number(out, u64::from(octet));
    }
}

/// One kind of card: its test prefix and how its digits are grouped in print. The groups' sum is
/// the card's length.
#[derive(Clone, Copy)]
pub(super) struct Card {
    prefix: &'static [u8],
    groups: &'static [u8],
}

const fn card(prefix: &'static [u8], groups: &'static [u8]) -> Card {
    Card { prefix, groups }
}

/// Cards of 16 digits.
pub(super) const CARDS_OF_16: [Card; 4] = [
    card(b"411111", &[4, 4, 4, 4]),
    card(b"400000", &[4, 4, 4, 4]),
    card(b"555555", &[4, 4, 4, 4]),
    card(b"601111", &[4, 4, 4, 4]),
];

/// Cards as people write them in messages: mostly 16 digits, some 15.
pub(super) const CARDS_IN_TEXT: [Card; 5] =
    [CARDS_OF_16[0], CARDS_OF_16[1], CARDS_OF_16[2], CARDS_OF_16[3], card(b"378282", &[4, 6, 5])];

/// Every length from 13 to 19 digits; 16 is the most frequent, as in life.
pub(super) const CARDS_OF_ALL_LENGTHS: [Card; 10] = [
    CARDS_OF_16[0],
    CARDS_OF_16[1],
    CARDS_OF_16[2],
    CARDS_OF_16[3],
    card(b"422222", &[4, 4, 5]),
    card(b"305693", &[4, 6, 4]),
    card(b"378282", &[4, 6, 5]),
    card(b"675964", &[4, 4, 4, 5]),
    card(b"675964", &[4, 4, 4, 6]),
    card(b"400000", &[4, 4, 4, 4, 3]),
];

/// A card number whose last digit is the Luhn check digit, or any other one when `valid` is
/// false: such a number looks like a card and is none.
pub(super) fn push_card(draw: &mut Draw, out: &mut Vec<u8>, card: Card, separator: Option<u8>, valid: bool) {
    let mut digits = [0_u8; 19];
    let length = card.groups.iter().map(|&group| usize::from(group)).sum();
    let digits = &mut digits[..length];
    for (position, digit) in digits.iter_mut().enumerate() {
        *digit = match card.prefix.get(position) {
            Some(character) => character - b'0',
            None => draw.below(10) as u8,
        };
    }
    let last = digits.len() - 1;
    digits[last] = luhn_check_digit(&digits[..last]);
    if !valid {
        digits[last] = (digits[last] + draw.between(1, 9) as u8) % 10;
    }
    let mut start = 0;
    for &group in card.groups {
        if start > 0 {
            out.extend(separator);
        }
        let end = start + usize::from(group);
        out.extend(digits[start..end].iter().map(|digit| b'0' + digit));
        start = end;
    }
}

/// The digit that makes `digits` followed by it pass the Luhn check.
fn luhn_check_digit(digits: &[u8]) -> u8 {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| match u32::from(digit) {
            // Counted from the check digit, every second digit doubles, the first one included.
            digit if place % 2 == 0 => (digit * 2) / 10 + (digit * 2) % 10,
            digit => digit,
        })
        .sum();
    ((10 - sum % 10) % 10) as u8
}

/// `2024-03-17` for a number of days since 1970-01-01.
pub(super) fn push_date(out: &mut Vec<u8>, days: u64) {
    // The calendar from March on, so that the leap day is a year's last day (Hinnant's algorithm).
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    push_padded(out, year, 4);
    out.push(b'-');
    push_padded(out, month, 2);
    out.push(b'-');
    push_padded(out, day, 2);
}

/// `2024-03-17T09:26:53` for a number of seconds since 1970-01-01, without a time zone.
pub(super) fn push_date_time(out: &mut Vec<u8>, seconds: u64) {
    push_date(out, seconds / 86_400);
    for (separator, part) in [(b'T', seconds / 3_600 % 24), (b':', seconds / 60 % 60), (b':', seconds % 60)] {
        out.push(separator);
        push_padded(out, part, 2);
    }
}

/// A decimal number with two places, from hundredths.
pub(super) fn push_hundredths(out: &mut Vec<u8>, hundredths: u64) {
    push_number(out, hundredths / 100);
    out.push(b'.');
    push_padded(out, hundredths % 100, 2);
}

/// Appends `template` with its `{placeholders}` filled in. One this function does not know is
/// left out; a test sees to it that none is written.
pub(super) fn push_template(draw: &mut Draw, out: &mut Vec<u8>, template: &str) {
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        push_str(out, before);
        let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
        push_placeholder(draw, out, name);
        rest = behind;
    }
    push_str(out, rest);
}

fn push_placeholder(draw: &mut Draw, out: &mut Vec<u8>, name: &str) {
    match name {
        "first" => push_str(out, draw.pick(&words::FIRST_NAMES)),
        "city" => push_str(out, draw.pick(&words::CITIES)),
        "email" => {
            let first = draw.pick(&words::FIRST_NAMES);
            let last = draw.pick(&words::LAST_NAMES);
            let number = draw.chance(1, 3).then(|| u64::from(draw.between(1, 99)));
            let domain = draw.pick(&words::MAIL_DOMAINS);
            push_email(out, first, last, number, domain);
        }
        "ssn" => push_ssn(draw, out),
        "card" | "no card" => {
            let card = draw.pick(&CARDS_IN_TEXT);
            let separator = draw.pick(b" -");
            push_card(draw, out, card, Some(separator), name == "card");
        }
        "order" => push_padded(out, u64::from(draw.below(100_000_000)), 8),
        "ticket" => push_number(out, u64::from(draw.between(1_000, 99_999))),
        "count" => push_number(out, u64::from(draw.between(2, 90))),
        "amount" => push_hundredths(out, u64::from(draw.between(150, 90_000))),
        _ => {}
    }
}
