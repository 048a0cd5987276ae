//! Hard negatives: what looks like a sensitive value and is none.

use super::plain::{ean, epoch_ms, timestamp};
use crate::make::checks::{base64, luhn};
use crate::make::everywhere::{card_body, iban, in_fours, vin, vin_check};
use crate::make::national::{cpf, nif, ssn};
use crate::make::{Kind, kind, shaped, until};
use crate::rng::{BASE62, Rng, UPPER, UPPER_DIGITS};

/// A digit other than the right one.
fn wrong_digit(rng: &mut Rng, right: u64) -> u64 {
    (right + rng.range(1, 9)) % 10
}

fn card_bad_luhn(rng: &mut Rng) -> String {
    let body = card_body(rng);
    let text = format!("{body}{}", wrong_digit(rng, luhn(&body)));
    if rng.one_in(2) { in_fours(&text) } else { text }
}

fn ssn_impossible(rng: &mut Rng) -> String {
    let text = ssn(rng);
    match rng.range(0, 3) {
        0 => format!("000{}", &text[3..]),
        1 => format!("666{}", &text[3..]),
        2 => format!("{}-00-{}", &text[..3], &text[7..]),
        _ => format!("{}-0000", &text[..6]),
    }
}

fn iban_bad_checksum(rng: &mut Rng) -> String {
    let text = iban(rng);
    let check: u64 = text[2..4].parse().unwrap_or(0);
    let wrong = 2 + (check - 2 + rng.range(1, 96)) % 97;
    let text = format!("{}{wrong:02}{}", &text[..2], &text[4..]);
    if rng.one_in(2) { in_fours(&text) } else { text }
}

fn cpf_bad_check(rng: &mut Rng) -> String {
    let text = cpf(rng);
    let last = wrong_digit(rng, text[10..].parse().unwrap_or(0));
    shaped("###.###.###-##", &format!("{}{last}", &text[..10]))
}

fn vin_bad_check(rng: &mut Rng) -> String {
    let text = vin(rng);
    let right = vin_check(&text[..8], &text[9..]);
    let wrong = until(rng, |rng| rng.chars("0123456789X", 1).chars().next().filter(|c| *c != right));
    format!("{}{wrong}{}", &text[..8], &text[9..])
}

fn number_range(rng: &mut Rng) -> String {
    match rng.range(0, 3) {
        0 => format!("{}-{}", rng.range(100, 900), rng.range(1000, 9999)),
        1 => format!("{}-{}", rng.range(1990, 2010), rng.range(2011, 2024)),
        2 => format!("{}..{}", rng.number(6), rng.number(7)),
        _ => format!("{}-{}-{}-{}", rng.range(1, 9), rng.range(10, 99), rng.range(10, 99), rng.range(1, 9)),
    }
}

fn date(rng: &mut Rng) -> String {
    let time = timestamp(rng);
    match rng.range(0, 3) {
        0 => time[..10].to_owned(),
        1 => time[..10].replace('-', ""),
        2 => format!("{}.{}.{}", &time[8..10], &time[5..7], &time[..4]),
        _ => time[..19].replace(['-', ':', 'T'], ""),
    }
}

fn tracking(rng: &mut Rng) -> String {
    match rng.range(0, 2) {
        0 => format!("1Z{}{}", rng.chars(UPPER_DIGITS, 6), rng.digits(10)),
        1 => format!("{}{}DE", rng.pick(&["RR", "CX", "LX"]), rng.digits(9)),
        _ => format!("JJD{}", rng.digits(18)),
    }
}

fn mac_wrong_shape(rng: &mut Rng) -> String {
    let pairs: Vec<String> = (0..8).map(|_| rng.hex(2).to_uppercase()).collect();
    match rng.range(0, 2) {
        0 => pairs[..5].join(":"),
        1 => pairs[..7].join(":"),
        _ => format!("{}:{}", pairs[..5].join(":"), "G7"),
    }
}

fn ipv4_impossible(rng: &mut Rng) -> String {
    match rng.range(0, 1) {
        0 => format!("{}.{}.{}.{}", rng.range(256, 999), rng.range(0, 255), rng.range(0, 255), rng.range(0, 255)),
        _ => format!(
            "{}.{}.{}.{}.{}",
            rng.range(1, 20),
            rng.range(0, 99),
            rng.range(0, 99),
            rng.range(0, 99),
            rng.range(0, 99)
        ),
    }
}

fn not_an_email(rng: &mut Rng) -> String {
    let name = rng.pick(&["logo", "icon-cart", "banner", "core", "utils"]);
    match rng.range(0, 3) {
        0 => format!("{name}@2x.png"),
        1 => format!("@acme/{name}@{}.{}.{}", rng.range(0, 9), rng.range(0, 20), rng.range(0, 20)),
        2 => format!("{name}@localhost"),
        _ => format!("{name}@{}", rng.hex(12)),
    }
}

fn placeholder(rng: &mut Rng) -> String {
    rng.pick(&[
        "********",
        "xxxxxxxxxxxxxxxx",
        "<YOUR_API_KEY>",
        "${DB_PASSWORD}",
        "{{ api_key }}",
        "changeme",
        "null",
        "REDACTED",
        "$(cat /run/secrets/db)",
        "os.environ['SECRET']",
        "process.env.API_KEY",
        "your-token-here",
        "[FILTERED]",
        "example",
        "%env(DATABASE_PASSWORD)%",
        "vault:secret/data/db#password",
    ])
    .to_owned()
}

/// Keys and labels are the surroundings; the first list gives names that invite a finding.
pub fn kinds() -> Vec<Kind> {
    vec![
        kind!("card_bad_luhn", "", ["card_number", "pan", "cc"], ["card number", "credit card"], true, card_bad_luhn),
        kind!("ssn_impossible", "", ["ssn", "social_security_number"], ["SSN"], true, ssn_impossible),
        kind!("iban_bad_checksum", "", ["iban", "bank_account"], ["IBAN"], true, iban_bad_checksum),
        kind!("nif_bad_letter", "", ["nif", "dni"], ["NIF", "DNI"], true, |rng| nif(rng, true)),
        kind!("cpf_bad_check", "", ["cpf"], ["CPF"], true, cpf_bad_check),
        kind!("vin_bad_check", "", ["part", "batch"], ["part", "batch"], true, vin_bad_check),
        kind!("id_13_digits", "", ["id", "message_id", "offset"], ["id", "message"], true, |rng| rng.number(13)),
        kind!("id_9_to_12_digits", "", ["id", "customer_id", "seq"], ["id", "sequence"], true, |rng| {
            let count = rng.range(9, 12) as usize;
            rng.number(count)
        }),
        kind!("id_16_digits", "", ["id", "event_id"], ["event"], true, |rng| rng.chars("189", 1) + &rng.digits(15)),
        kind!("epoch_ms", "", ["ts", "created", "timestamp"], ["timestamp", "at"], true, |rng| epoch_ms(rng)
            .to_string()),
        kind!("epoch_ns", "", ["ts", "time_unix_nano"], ["timestamp"], true, |rng| format!(
            "{}{}",
            epoch_ms(rng),
            rng.digits(6)
        )),
        kind!("uuid", "", ["id", "request_id", "correlationId"], ["request", "correlation id"], true, |rng| rng.uuid()),
        kind!("commit", "", ["commit", "sha", "revision"], ["commit", "revision"], true, |rng| rng.hex(40)),
        kind!("sha256", "", ["digest", "checksum", "sha256"], ["checksum", "digest"], true, |rng| rng.hex(64)),
        kind!("md5", "", ["etag", "md5"], ["md5"], true, |rng| rng.hex(32)),
        kind!("version", "", ["version", "app_version", "chrome"], ["version", "release"], true, |rng| {
            format!("{}.{}.{}.{}", rng.range(90, 130), rng.range(0, 9), rng.range(256, 6999), rng.range(0, 199))
        }),
        kind!("order_number", "", ["order", "order_no", "invoice"], ["order", "invoice number"], true, |rng| {
            if rng.one_in(2) {
                format!("{}-{}-{}", rng.digits(3), rng.number(7), rng.number(7))
            } else {
                format!("ORD-2024-{}", rng.number(8))
            }
        }),
        kind!("number_range", "", ["range", "pages", "rows"], ["pages", "rows", "range"], true, number_range),
        kind!("date", "", ["date", "created", "valid_from"], ["date", "valid from", "release"], true, date),
        kind!("base64_blob", "", ["payload", "body", "blob"], ["payload"], true, |rng| {
            let bytes: Vec<u8> = (0..rng.range(30, 90)).map(|_| rng.next() as u8).collect();
            base64(&bytes, false)
        }),
        kind!("isbn_ean", "", ["ean", "isbn", "gtin"], ["EAN", "ISBN"], true, ean),
        kind!("tracking_number", "", ["tracking", "parcel"], ["tracking number", "parcel"], true, tracking),
        kind!("colour_code", "", ["color", "background"], ["colour"], true, |rng| format!("#{}", rng.hex(6))),
        kind!("mac_wrong_shape", "", ["mac", "hwaddr"], ["MAC"], true, mac_wrong_shape),
        kind!("ipv4_impossible", "", ["oid", "build"], ["build", "OID"], true, ipv4_impossible),
        kind!("not_an_email", "", ["image", "package", "ref"], ["package", "image"], true, not_an_email),
        kind!(
            "secret_placeholder",
            "",
            ["password", "api_key", "secret", "token"],
            ["password", "API key"],
            false,
            placeholder
        ),
        kind!("token_cut_short", "", ["note", "prefix"], ["prefix", "key starts with"], true, |rng| {
            let prefix = rng.pick(&["AKIA", "ghp_", "sk_live_", "xoxb-", "AIza", "glpat-"]);
            format!("{prefix}{}", rng.chars(BASE62, 4))
        }),
        kind!("product_code", "", ["sku", "article", "part_number"], ["article", "part number"], true, |rng| {
            format!("{}{}-{}", rng.chars(UPPER, 2), rng.number(6), rng.chars(UPPER, 1))
        }),
        kind!("coordinates_decimal", "", ["value", "ratio", "score"], ["score"], true, |rng| format!(
            "{}.{}",
            rng.range(0, 99),
            rng.digits(12)
        )),
        kind!("duration_clock", "", ["elapsed", "uptime"], ["elapsed"], true, |rng| {
            format!("{:02}:{:02}:{:02}:{:02}", rng.range(0, 99), rng.range(0, 23), rng.range(0, 59), rng.range(0, 59))
        }),
        kind!("money", "", ["total", "balance", "amount"], ["total", "amount"], true, |rng| {
            format!("{}.{}.{},{}", rng.range(1, 999), rng.digits(3), rng.digits(3), rng.digits(2))
        }),
    ]
}
