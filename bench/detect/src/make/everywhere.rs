//! Values that are the same in all countries: cards, accounts, addresses, devices.

use sha3::{Digest, Keccak256};

use super::checks::{base58_check, bech32, mod_97, weighted, with_luhn};
use super::{Kind, birthday, kind, shaped, until};
use crate::rng::{Rng, UPPER, UPPER_DIGITS};

pub fn card_body(rng: &mut Rng) -> String {
    let prefix = match rng.range(0, 6) {
        0..=2 => "4".to_owned(),
        3 => rng.range(51, 55).to_string(),
        4 => rng.range(2221, 2720).to_string(),
        5 => rng.pick(&["6011", "65", "644", "3528", "3570", "3589"]).to_owned(),
        _ => rng.pick(&["6200", "6210", "6225", "5018", "6304", "6759"]).to_owned(),
    };
    let rest = rng.digits(15 - prefix.len());
    prefix + &rest
}

fn card(rng: &mut Rng) -> String {
    let body = card_body(rng);
    with_luhn(&body)
}

/// Country, and its account number as letters for digits (`n`), capitals (`a`), both (`c`), from the SWIFT registry.
const IBANS: &[(&str, &str)] = &[
    ("DE", "n18"),
    ("GB", "a4n14"),
    ("FR", "n10c11n2"),
    ("ES", "n20"),
    ("IT", "a1n10c12"),
    ("NL", "a4n10"),
    ("BE", "n12"),
    ("AT", "n16"),
    ("CH", "n5c12"),
    ("PT", "n21"),
    ("PL", "n24"),
    ("SE", "n20"),
    ("DK", "n14"),
    ("NO", "n11"),
    ("FI", "n14"),
    ("IE", "a4n14"),
    ("LU", "n3c13"),
    ("CZ", "n20"),
    ("SK", "n20"),
    ("HU", "n24"),
    ("RO", "a4c16"),
    ("BG", "a4n6c8"),
    ("HR", "n17"),
    ("GR", "n7c16"),
    ("CY", "n8c16"),
    ("MT", "a4n5c18"),
    ("TR", "n6c16"),
    ("SA", "n2c18"),
    ("AE", "n19"),
    ("IL", "n19"),
    ("BR", "n23a1c1"),
    ("LT", "n16"),
    ("EE", "n16"),
    ("LV", "a4c13"),
    ("SI", "n15"),
];

pub fn iban(rng: &mut Rng) -> String {
    let (country, shape) = IBANS[rng.index(IBANS.len())];
    let mut account = String::new();
    // `n10c11n2`: a letter, then how many of it.
    let mut rest = shape;
    while let Some(class) = rest.chars().next() {
        let end = rest[1..].find(char::is_alphabetic).map_or(rest.len(), |at| at + 1);
        let count: usize = rest[1..end].parse().unwrap_or(0);
        account += &match class {
            'n' => rng.digits(count),
            'a' => rng.chars(UPPER, count),
            _ if rng.one_in(2) => rng.digits(count),
            _ => rng.chars(UPPER_DIGITS, count),
        };
        rest = &rest[end..];
    }
    // Where the account number has check digits of its own, and a strict reader would refuse others.
    match country {
        "ES" => {
            let weights = [1, 2, 4, 8, 5, 10, 9, 7, 3, 6];
            let digit = |text: &str| match 11 - weighted(text, &weights) % 11 {
                10 => 1,
                11 => 0,
                digit => digit,
            };
            let (first, second) = (digit(&format!("00{}", &account[..8])), digit(&account[10..]));
            account.replace_range(8..10, &format!("{first}{second}"));
        }
        "BE" => {
            let rest = match mod_97(&account[..10]) {
                0 => 97,
                rest => rest,
            };
            account.replace_range(10..12, &format!("{rest:02}"));
        }
        _ => {}
    }
    let check = 98 - mod_97(&format!("{account}{country}00"));
    format!("{country}{check:02}{account}")
}

pub fn in_fours(text: &str) -> String {
    let groups: Vec<String> =
        text.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    groups.join(" ")
}

const FIRST: &[&str] = &[
    "anna", "ben", "carla", "dmitri", "elif", "farah", "goran", "hana", "ivan", "joao", "karl", "lena", "mehmet",
    "nora", "olu", "priya", "quentin", "rosa", "sven", "tomas", "ulla", "vera", "wei", "ximena", "yusuf", "zoe",
];
const LAST: &[&str] = &[
    "adler", "bianchi", "costa", "dupont", "eriksen", "fischer", "garcia", "horvat", "ito", "jansen", "kowalski",
    "larsen", "moreau", "novak", "okafor", "patel", "rossi", "silva", "tanaka", "ueda", "varga", "weber", "yilmaz",
    "zhang",
];

fn email(rng: &mut Rng) -> String {
    let (first, last) = (rng.pick(FIRST), rng.pick(LAST));
    let user = match rng.range(0, 5) {
        0 => format!("{first}.{last}"),
        1 => format!("{first}{}", rng.range(1, 2010)),
        2 => format!("{}{last}", &first[..1]),
        3 => format!("{first}_{last}"),
        4 => format!("{first}+{}", rng.pick(&["shop", "news", "test1", "2024"])),
        _ => format!("{first}-{last}"),
    };
    let host =
        rng.pick(&["example", "mail", "posteo", "corp", "uni-bonn", "acme", "kunde", "my-shop", "web4", "fastpost"]);
    let sub = if rng.one_in(6) { rng.pick(&["mail.", "eu.", "alumni.", "x1."]) } else { "" };
    let top = rng
        .pick(&["com", "org", "net", "de", "fr", "co.uk", "io", "com.br", "es", "it", "pl", "app", "museum", "online"]);
    format!("{user}@{sub}{host}.{top}")
}

/// Telephone numbers by country: `#` any digit, `N` 2 to 9.
fn dial(rng: &mut Rng, pattern: &str) -> String {
    pattern
        .chars()
        .map(|c| match c {
            '#' => rng.digits(1),
            'N' => rng.chars("23456789", 1),
            c => c.to_string(),
        })
        .collect()
}

fn phone_international(rng: &mut Rng) -> String {
    let pattern = rng.pick(&[
        "+1 415 N## ####",
        "+1-212-N##-####",
        "+1 (312) N##-####",
        "+1617N######",
        "+44 7400 ######",
        "+447700######",
        "+44 20 7946 0###",
        "+49 151 2#######",
        "+491702######",
        "+49 30 2#######",
        "+33 6 12 ## ## ##",
        "+33612######",
        "+34 612 ### ###",
        "+39 347 #######",
        "+31 6 1#######",
        "+55 11 98###-####",
        "+91 98### #####",
        "+61 412 ### ###",
        "+81 90-1###-####",
        "+41 79 2## ## ##",
        "+48 601 ### ###",
        "+46 70 1## ## ##",
        "+90 532 2## ## ##",
        "+52 55 5### ####",
        "+65 9### ####",
        "+82 10-2###-####",
    ]);
    // Area codes of numbers above exist; a UK 7700 900 number would be for films, the rest is any.
    dial(rng, pattern)
}

fn phone_us(rng: &mut Rng) -> String {
    let area = rng.pick(&["212", "305", "312", "404", "415", "512", "617", "702", "808", "206", "303", "713"]);
    let rest = until(rng, |rng| {
        let rest = dial(rng, "N######");
        // N11 is a service, 555 is for films.
        (&rest[1..3] != "11" && !rest.starts_with("555")).then_some(rest)
    });
    let pattern = rng.pick(&["(###) ###-####", "###-###-####", "###.###.####", "(###)###-####"]);
    shaped(pattern, &format!("{area}{rest}"))
}

fn phone_national(rng: &mut Rng) -> String {
    let pattern =
        rng.pick(&["0151 2#######", "06 12 ## ## ##", "07400 ######", "020 7946 0###", "0170/2######", "030 2#######"]);
    dial(rng, pattern)
}

fn ipv4(rng: &mut Rng) -> String {
    let first = until(rng, |rng| Some(rng.range(5, 223)).filter(|first| *first != 127));
    format!("{first}.{}.{}.{}", rng.range(0, 255), rng.range(0, 255), rng.range(1, 254))
}

fn ipv6(rng: &mut Rng) -> String {
    let mut group = || {
        let count = rng.range(1, 4) as usize;
        rng.chars("123456789abcdef", 1) + &rng.hex(count - 1)
    };
    let groups: Vec<String> = (0..7).map(|_| group()).collect();
    match rng.range(0, 2) {
        0 => format!("2001:{}", groups.join(":")),
        1 => format!("2a02:{}::{}", groups[..2].join(":"), groups[2]),
        _ => format!("fe80::{}", groups[..4].join(":")),
    }
}

fn mac(rng: &mut Rng) -> String {
    let separator = rng.pick(&[":", "-"]);
    let upper = rng.one_in(2);
    let pairs: Vec<String> = (0..6).map(|_| rng.hex(2)).collect();
    let text = pairs.join(separator);
    if upper { text.to_uppercase() } else { text }
}

fn imei(rng: &mut Rng) -> String {
    let tac = rng.pick(&["35", "86", "01", "99"]);
    let body = format!("{tac}{}", rng.digits(12));
    with_luhn(&body)
}

pub fn vin(rng: &mut Rng) -> String {
    let alphabet = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789";
    // North American makers: the check digit is obligatory there.
    let head =
        format!("{}{}", rng.pick(&["1HG", "1FT", "2HK", "3VW", "4T1", "5YJ", "1G1", "JHM"]), rng.chars(alphabet, 5));
    let tail = format!("{}{}{}", rng.chars("ABCDEFGHJKLMNPRSTVWXY123456789", 1), rng.chars(alphabet, 1), rng.digits(6));
    format!("{head}{}{tail}", vin_check(&head, &tail))
}

pub fn vin_check(head: &str, tail: &str) -> char {
    let number = |c: char| match c {
        '0'..='9' => u64::from(c) - u64::from('0'),
        'A'..='H' => u64::from(c) - u64::from('A') + 1,
        'J'..='R' => u64::from(c) - u64::from('J') + 1,
        _ => u64::from(c) - u64::from('S') + 2,
    };
    let weights = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let sum: u64 =
        head.chars().chain(['0']).chain(tail.chars()).zip(weights).map(|(c, weight)| number(c) * weight).sum();
    b"0123456789X"[(sum % 11) as usize].into()
}

fn bytes(rng: &mut Rng, count: usize) -> Vec<u8> {
    (0..count).map(|_| rng.next() as u8).collect()
}

fn bitcoin(rng: &mut Rng) -> String {
    match rng.range(0, 3) {
        0 => base58_check(&[vec![0], bytes(rng, 20)].concat()),
        1 => base58_check(&[vec![5], bytes(rng, 20)].concat()),
        2 => bech32(0, &bytes(rng, 20)),
        _ => bech32(1, &bytes(rng, 32)),
    }
}

fn ethereum(rng: &mut Rng) -> String {
    let plain = rng.hex(40);
    let hash = Keccak256::digest(plain.as_bytes());
    let nibble = |at: usize| hash[at / 2] >> (4 * (1 - at % 2)) & 15;
    let mixed = plain.chars().enumerate().map(|(at, c)| if nibble(at) >= 8 { c.to_ascii_uppercase() } else { c });
    "0x".chars().chain(mixed).collect()
}

fn date_of_birth(rng: &mut Rng) -> String {
    let (year, month, day) = birthday(rng);
    match rng.range(0, 3) {
        0 => format!("{year}-{month:02}-{day:02}"),
        1 => format!("{day:02}.{month:02}.{year}"),
        2 => format!("{month:02}/{day:02}/{year}"),
        _ => format!("{day:02}/{month:02}/{year}"),
    }
}

fn swift(rng: &mut Rng) -> String {
    let bank = rng.pick(&["DEUT", "COBA", "BNPA", "CHAS", "HSBC", "UNCR", "INGB", "NDEA", "BARC", "CITI"]);
    let country = rng.pick(&["DE", "FR", "US", "GB", "IT", "NL", "FI", "ES", "AT", "CH"]);
    let place = rng.pick(&["FF", "PP", "33", "2L", "MM", "2A", "HH"]);
    let branch = if rng.one_in(2) { rng.pick(&["XXX", "500", "100", "BER"]) } else { "" };
    format!("{bank}{country}{place}{branch}")
}

pub fn kinds() -> Vec<Kind> {
    vec![
        kind!(
            "CREDIT_CARD",
            "bare",
            ["card_number", "cardNumber", "pan", "cc_number"],
            ["card number", "credit card", "Kreditkarte"],
            true,
            card
        ),
        kind!(
            "CREDIT_CARD",
            "spaces",
            ["card_number", "creditCard"],
            ["card", "credit card number", "tarjeta"],
            true,
            |rng| in_fours(&card(rng))
        ),
        kind!("CREDIT_CARD", "dashes", ["card_number", "cc"], ["card", "credit card"], true, |rng| in_fours(&card(
            rng
        ))
        .replace(' ', "-")),
        kind!("CREDIT_CARD", "amex", ["card_number", "cardNumber"], ["card number", "Amex"], true, |rng| {
            let body = format!("{}{}", rng.pick(&["34", "37"]), rng.digits(12));
            let text = with_luhn(&body);
            if rng.one_in(2) { text } else { shaped("#### ###### #####", &text) }
        }),
        kind!("IBAN_CODE", "compact", ["iban", "account_iban", "bankAccount"], ["IBAN", "account"], true, iban),
        kind!("IBAN_CODE", "groups", ["iban", "IBAN"], ["IBAN", "Konto"], true, |rng| in_fours(&iban(rng))),
        kind!("SWIFT_BIC", "", ["bic", "swift_code", "swiftCode"], ["BIC", "SWIFT code"], false, swift),
        kind!(
            "EMAIL_ADDRESS",
            "",
            ["email", "user_email", "contactEmail", "mail"],
            ["e-mail", "email address", "Mail"],
            true,
            email
        ),
        kind!("EMAIL_ADDRESS", "log", ["user", "from", "recipient", "login"], ["user", "account"], true, email),
        kind!(
            "PHONE_NUMBER",
            "international",
            ["phone", "phone_number", "mobile", "telephone"],
            ["phone", "Telefon", "téléphone", "mobile"],
            true,
            phone_international
        ),
        kind!("PHONE_NUMBER", "us", ["phone", "phoneNumber", "cell"], ["phone", "call me at", "cell"], false, phone_us),
        kind!(
            "PHONE_NUMBER",
            "national",
            ["telefon", "phone", "tel"],
            ["Tel.", "phone", "Telefon"],
            false,
            phone_national
        ),
        kind!("IP_ADDRESS", "4", ["client_ip", "remote_addr", "ip", "sourceIp"], ["IP", "IP address"], true, ipv4),
        kind!("IP_ADDRESS", "6", ["client_ip", "remote_addr", "ip"], ["IP", "IPv6 address"], true, ipv6),
        kind!("MAC_ADDRESS", "", ["mac", "mac_address", "hwaddr"], ["MAC", "MAC address"], true, mac),
        kind!("IMEI", "", ["imei", "device_imei"], ["IMEI"], false, imei),
        kind!("VIN", "", ["vin", "vehicle_vin"], ["VIN", "chassis number"], false, vin),
        kind!(
            "DATE_OF_BIRTH",
            "",
            ["date_of_birth", "dob", "birthDate", "geburtsdatum"],
            ["date of birth", "born on", "Geburtsdatum", "DOB"],
            false,
            date_of_birth
        ),
        kind!("CRYPTO", "bitcoin", ["btc_address", "wallet"], ["bitcoin address", "wallet"], true, bitcoin),
        kind!("CRYPTO", "ethereum", ["eth_address", "wallet"], ["ETH address", "wallet"], true, ethereum),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::checks::values;
    use super::*;

    #[test]
    fn published_examples() {
        assert_eq!(vin_check("1M8GDM9A", "KP042788"), 'X');
        let mut rng = Rng::new(1);
        for _ in 0..200 {
            let text = iban(&mut rng);
            assert_eq!(mod_97(&format!("{}{}", &text[4..], &text[..4])), 1, "{text}");
            assert!(values(&text).len() == text.len() && (15..=31).contains(&text.len()), "{text}");
        }
    }
}
