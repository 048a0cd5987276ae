//! Users: the items of the shop's HTTP API.

use super::draw::{
    CARDS_OF_ALL_LENGTHS, Draw, ipv4, push_card, push_date_time, push_ipv4, push_number, push_padded, push_str,
};
use super::words;

/// 2021-01-01T00:00:00Z, the day the shop's first user may have joined.
const JOINED_FROM: u64 = 1_609_459_200;
/// 1970-01-01T00:00:00Z: dates are counted from there, and nobody here is older.
const BORN_FROM: u64 = 0;
const YEAR: u64 = 31_557_600;

pub(super) fn write(draw: &mut Draw, index: u64, out: &mut Vec<u8>) {
    let number = index.saturating_add(1);

    push_str(out, "{\"fec_alta\": \"");
    if index == 0 {
        // The one date in another format: a pipeline that expects RFC 3339 meets it at once.
        push_str(out, "11/01/2022");
    } else {
        push_moment(draw, out, JOINED_FROM, YEAR);
    }
    push_str(out, "\", \"user_name\": \"");
    push_str(out, draw.pick(&words::FIRST_NAMES));
    // The number makes the name unique: keys are derived from it.
    push_number(out, number);
    push_str(out, "\", \"codigo_zip\": \"");
    push_padded(out, u64::from(draw.below(100_000)), 5);
    push_str(out, "\", \"credit_card_num\": \"");
    let card = draw.pick(&CARDS_OF_ALL_LENGTHS);
    let separator = draw.pick(&[Some(b'-'), None]);
    push_card(draw, out, card, separator, true);
    push_str(out, "\", \"credit_card_ccv\": \"");
    push_padded(out, u64::from(draw.below(1_000)), 3);
    push_str(out, "\", \"cuenta_numero\": \"");
    let shortest = draw.pick(&[10_000_000, 100_000_000, 1_000_000_000]);
    // Twice the smallest number of that length at most: ten digits stay within 32 bits.
    push_number(out, u64::from(draw.between(shortest, shortest * 2)));
    push_str(out, "\", \"direccion\": \"");
    push_number(out, u64::from(draw.between(1, 240)));
    out.push(b' ');
    push_str(out, draw.pick(&words::STREETS));
    push_str(out, "\", \"geo_latitud\": \"");
    push_degrees(draw, out, 90);
    push_str(out, "\", \"geo_longitud\": \"");
    push_degrees(draw, out, 180);
    push_str(out, "\", \"color_favorito\": \"");
    push_str(out, draw.pick(&words::COLOURS));
    push_str(out, "\", \"foto_dni\": \"https://images.example/dni/640x480\", \"ip\": \"");
    push_ipv4(out, ipv4(draw));
    push_str(out, "\", \"auto\": \"");
    let (make, model) = (draw.pick(&words::CAR_MAKES), draw.pick(&words::CAR_MODELS));
    push_str(out, make);
    out.push(b' ');
    push_str(out, model);
    push_str(out, "\", \"auto_modelo\": \"");
    push_str(out, model);
    push_str(out, "\", \"auto_tipo\": \"");
    push_str(out, draw.pick(&words::CAR_TYPES));
    push_str(out, "\", \"auto_color\": \"");
    push_str(out, draw.pick(&words::COLOURS));
    push_str(out, "\", \"cantidad_compras_realizadas\": ");
    push_number(out, u64::from(draw.below(100_000)));
    push_str(out, ", \"avatar\": \"https://avatars.example/");
    push_number(out, number);
    push_str(out, "_128.jpg\", \"fec_birthday\": \"");
    push_moment(draw, out, BORN_FROM, 35 * YEAR);
    push_str(out, "\", \"id\": \"");
    push_number(out, number);
    push_str(out, "\"}");
}

/// `2021-07-31T00:11:06.741Z`, somewhere in the `seconds` after `start`.
fn push_moment(draw: &mut Draw, out: &mut Vec<u8>, start: u64, seconds: u64) {
    let span = u32::try_from(seconds).unwrap_or(u32::MAX);
    push_date_time(out, start + u64::from(draw.below(span)));
    out.push(b'.');
    push_padded(out, u64::from(draw.below(1_000)), 3);
    out.push(b'Z');
}

/// Degrees between `-limit` and `limit` with four decimal places.
fn push_degrees(draw: &mut Draw, out: &mut Vec<u8>, limit: u32) {
    let parts = draw.between(0, limit * 10_000);
    if draw.chance(1, 2) && parts > 0 {
        out.push(b'-');
    }
    push_number(out, u64::from(parts / 10_000));
    out.push(b'.');
    push_padded(out, u64::from(parts % 10_000), 4);
}
