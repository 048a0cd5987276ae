//! Messages: what people write in a team's chat.

use super::draw::{Draw, push_date_time, push_padded, push_str, push_template};
use super::words;

/// 2024-05-06T08:00:00Z, a Monday morning.
const FIRST_SENT: u64 = 1_714_982_400;
/// A message follows the one before it after 40 seconds, give or take: `sent_at` never falls.
const SECONDS_BETWEEN: u64 = 40;
/// After so many messages the calendar starts again, long before the years get a fifth digit.
const CALENDAR: u64 = 100_000_000;

pub(super) fn write(draw: &mut Draw, index: u64, out: &mut Vec<u8>) {
    push_str(out, "{\"id\": \"m-");
    push_padded(out, index.saturating_add(1), 6);
    push_str(out, "\", \"channel\": \"");
    push_str(out, draw.pick(&words::CHANNELS));
    push_str(out, "\", \"author\": \"");
    push_str(out, draw.pick(&words::FIRST_NAMES));
    out.push(b' ');
    push_str(out, draw.pick(&words::LAST_NAMES));
    push_str(out, "\", \"sent_at\": \"");
    let offset = index % CALENDAR * SECONDS_BETWEEN + u64::from(draw.below(SECONDS_BETWEEN as u32));
    push_date_time(out, FIRST_SENT + offset);
    push_str(out, "Z\", \"text\": \"");
    let template = match draw.below(100) {
        0..=13 => draw.pick(&words::MESSAGES_WITH_EMAIL),
        14..=25 => draw.pick(&words::MESSAGES_WITH_CARD),
        26..=32 => draw.pick(&words::MESSAGES_WITH_BOTH),
        33..=49 => draw.pick(&words::MESSAGES_WITH_HARMLESS_NUMBERS),
        50..=64 => draw.pick(&words::MESSAGES_IN_OTHER_SCRIPTS),
        _ => draw.pick(&words::MESSAGES_WITH_NOTHING),
    };
    push_template(draw, out, template);
    push_str(out, "\"}");
}
