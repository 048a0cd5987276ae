//! Customers: the benchmark's rows, about 320 bytes each.

use super::draw::{
    CARDS_OF_16, Draw, push_card, push_date, push_email, push_hundredths, push_number, push_padded, push_ssn, push_str,
    push_template,
};
use super::words;

/// 2024-01-01 in days since 1970-01-01.
const SIGNED_UP_FROM: u64 = 19_723;

pub(super) fn write(draw: &mut Draw, index: u64, out: &mut Vec<u8>) {
    let number = index.saturating_add(1);
    let first = draw.pick(&words::FIRST_NAMES);
    let last = draw.pick(&words::LAST_NAMES);

    push_str(out, "{\"id\": ");
    push_number(out, number);
    push_str(out, ", \"name\": \"");
    push_str(out, first);
    out.push(b' ');
    push_str(out, last);
    push_str(out, "\", \"email\": \"");
    push_email(out, first, last, Some(number), "example.com");
    push_str(out, "\", \"ssn\": \"");
    push_ssn(draw, out);
    push_str(out, "\", \"card\": \"");
    let card = draw.pick(&CARDS_OF_16);
    push_card(draw, out, card, Some(b'-'), true);
    // 555-0100 to 555-0199 are kept for fiction in every area.
    push_str(out, "\", \"phone\": \"+1-");
    push_number(out, u64::from(draw.between(201, 989)));
    push_str(out, "-555-");
    push_padded(out, u64::from(draw.between(100, 199)), 4);
    push_str(out, "\", \"city\": \"");
    push_str(out, draw.pick(&words::CITIES));
    push_str(out, "\", \"signup\": \"");
    push_date(out, SIGNED_UP_FROM + u64::from(draw.below(366)));
    push_str(out, "\", \"amount\": ");
    push_hundredths(out, u64::from(draw.between(100, 249_999)));
    push_str(out, ", \"active\": ");
    push_str(out, if draw.chance(4, 5) { "true" } else { "false" });
    push_str(out, ", \"note\": \"");
    let opening = match draw.below(100) {
        0..=4 => draw.pick(&words::NOTES_WITH_SSN),
        5..=9 => draw.pick(&words::NOTES_WITH_EMAIL),
        _ => draw.pick(&words::NOTES),
    };
    push_template(draw, out, opening);
    out.push(b' ');
    push_str(out, draw.pick(&words::NOTE_ENDINGS));
    push_str(out, "\"}");
}
