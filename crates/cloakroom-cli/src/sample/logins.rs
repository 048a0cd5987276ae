//! Logins: the messages of the login ETL.

use super::draw::{Draw, ipv4, push_ipv4, push_number, push_padded, push_str};
use super::{Sample, words};

/// How far back a repeated device or address is looked for. Near enough that a small sample
/// already shows repeats.
const REPEAT_WINDOW: u64 = 1_000;

/// What a login draws first, and what another login may have to draw again to repeat it.
struct Identity {
    user: u128,
    device: u32,
    address: [u8; 4],
}

impl Identity {
    fn new(draw: &mut Draw) -> Self {
        Self {
            user: u128::from(draw.u64()) << 64 | u128::from(draw.u64()),
            // Nine digits, the first of which is not 0.
            device: draw.between(100_000_000, 999_999_999),
            address: ipv4(draw),
        }
    }
}

pub(super) fn write(sample: &Sample, index: u64, out: &mut Vec<u8>) {
    let draw = &mut sample.draw(index);
    let Identity { user, mut device, mut address } = Identity::new(draw);
    if let Some(earlier) = repeated(draw, index) {
        device = Identity::new(&mut sample.draw(earlier)).device;
    }
    if let Some(earlier) = repeated(draw, index) {
        address = Identity::new(&mut sample.draw(earlier)).address;
    }

    push_str(out, "{\"user_id\": \"");
    push_uuid(out, user);
    push_str(out, "\", \"app_version\": \"");
    push_number(out, u64::from(draw.below(5)));
    out.push(b'.');
    push_number(out, u64::from(draw.below(10)));
    out.push(b'.');
    push_number(out, u64::from(draw.below(11)));
    push_str(out, "\", \"device_type\": \"");
    push_str(out, draw.pick(&["android", "ios"]));
    push_str(out, "\", \"ip\": \"");
    push_ipv4(out, address);
    push_str(out, "\", \"locale\": ");
    if draw.chance(9, 100) {
        push_str(out, "null");
    } else {
        out.push(b'"');
        push_str(out, draw.pick(&words::LOCALES));
        out.push(b'"');
    }
    push_str(out, ", \"device_id\": \"");
    push_padded(out, u64::from(device / 1_000_000), 3);
    out.push(b'-');
    push_padded(out, u64::from(device / 10_000 % 100), 2);
    out.push(b'-');
    push_padded(out, u64::from(device % 10_000), 4);
    push_str(out, "\"}");
}

/// A message that is no login.
pub(super) fn write_wrong_shape(out: &mut Vec<u8>) {
    push_str(out, r#"{"foo": "oops_wrong_msg_type", "bar": "123"}"#);
}

/// One time in fifty, the index of an earlier login.
fn repeated(draw: &mut Draw, index: u64) -> Option<u64> {
    let repeats = draw.chance(1, 50);
    let window = index.min(REPEAT_WINDOW) as u32;
    (repeats && window > 0).then(|| index - u64::from(draw.between(1, window)))
}

/// A random UUID (version 4, variant 1) from 128 random bits.
fn push_uuid(out: &mut Vec<u8>, random: u128) {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    let uuid = random & !VERSION & !VARIANT | 0x4 << 76 | 0b10 << 62;
    for (position, byte) in uuid.to_be_bytes().into_iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(hex(byte >> 4));
        out.push(hex(byte & 0xf));
    }
}

const fn hex(half: u8) -> u8 {
    match half {
        0..=9 => b'0' + half,
        _ => b'a' + half - 10,
    }
}
