//! National identifiers, by country. Check digits after the issuers' descriptions.

use super::checks::{cross, luhn, mod_11_10, mod_97, values, verhoeff, weighted, with_luhn};
use super::{Kind, birthday, kind, shaped, until};
use crate::rng::{Rng, UPPER, UPPER_DIGITS};

/// A body and its check digit; `None` draws again.
fn checked(rng: &mut Rng, body: impl Fn(&mut Rng) -> String, check: impl Fn(&str) -> Option<u64>) -> String {
    until(rng, |rng| {
        let body = body(rng);
        check(&body).filter(|digit| *digit < 10).map(|digit| format!("{body}{digit}"))
    })
}

/// The date of birth as `YYMMDD` and as `DDMMYY`.
fn yymmdd(rng: &mut Rng) -> String {
    let (year, month, day) = birthday(rng);
    format!("{:02}{month:02}{day:02}", year % 100)
}

fn ddmmyy(rng: &mut Rng) -> String {
    let (year, month, day) = birthday(rng);
    format!("{day:02}{month:02}{:02}", year % 100)
}

fn yyyymmdd(rng: &mut Rng) -> String {
    let (year, month, day) = birthday(rng);
    format!("{year}{month:02}{day:02}")
}

pub fn ssn(rng: &mut Rng) -> String {
    let area = until(rng, |rng| Some(rng.range(1, 899)).filter(|area| *area != 666));
    format!("{area:03}-{:02}-{:04}", rng.range(1, 99), rng.range(1, 9999))
}

fn dea(rng: &mut Rng) -> String {
    let digits = checked(
        rng,
        |rng| rng.digits(6),
        |body| {
            let d = values(body);
            Some((d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10)
        },
    );
    format!("{}{}{digits}", rng.chars("ABFGMPR", 1), rng.chars(UPPER, 1))
}

fn mbi(rng: &mut Rng) -> String {
    let letters = "ACDEFGHJKMNPQRTUVWXY";
    let both = "0123456789ACDEFGHJKMNPQRTUVWXY";
    let mut text = rng.chars("123456789", 1);
    for class in
        [letters, both, "0123456789", letters, both, "0123456789", letters, letters, "0123456789", "0123456789"]
    {
        text += &rng.chars(class, 1);
    }
    if rng.one_in(2) { shaped("####-###-####", &text) } else { text }
}

fn uk_driving(rng: &mut Rng) -> String {
    let (year, month, day) = birthday(rng);
    let name = rng.pick(&["SMITH", "JONES", "TAYLO", "BROWN", "WILLI", "WALK9", "LEE99", "EVANS", "PATEL"]);
    let month = if rng.one_in(2) { month + 50 } else { month };
    format!("{name}{}{month:02}{day:02}{}{}9{}", year / 10 % 10, year % 10, rng.chars(UPPER, 2), rng.chars(UPPER, 2))
}

fn pps(rng: &mut Rng) -> String {
    let digits = rng.digits(7);
    // A is 1, H is 8; other second letters are rare.
    let second = if rng.one_in(2) { Some(if rng.one_in(2) { 1 } else { 8 }) } else { None };
    let sum = weighted(&digits, &[8, 7, 6, 5, 4, 3, 2]) + second.unwrap_or(0) * 9;
    let check = char::from(b"WABCDEFGHIJKLMNOPQRSTUV"[(sum % 23) as usize]);
    let tail = second.map_or(String::new(), |value| char::from(b'@' + value as u8).to_string());
    format!("{digits}{check}{tail}")
}

fn de_tax_id(rng: &mut Rng) -> String {
    // Of the first ten digits one stands twice, one not at all, and the first is not 0.
    let body = until(rng, |rng| {
        let mut digits: Vec<char> = "0123456789".chars().collect();
        rng.shuffle(&mut digits);
        let (from, to) = (rng.index(10), rng.index(10));
        digits[to] = digits[from];
        (from != to && digits[0] != '0').then(|| digits.iter().collect::<String>())
    });
    format!("{body}{}", mod_11_10(&body))
}

fn rvnr(rng: &mut Rng) -> String {
    let area = rng.pick(&["13", "15", "24", "50", "53", "65", "10", "12", "21"]);
    let (date, letter, serial) = (ddmmyy(rng), rng.chars(UPPER, 1), rng.digits(2));
    let number = letter.bytes().next().map_or(0, |byte| byte - b'A' + 1);
    let digits = values(&format!("{area}{date}{number:02}{serial}"));
    let sum: u64 =
        digits.iter().zip([2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1]).map(|(digit, weight)| cross(digit * weight)).sum();
    format!("{area}{date}{letter}{serial}{}", sum % 10)
}

fn kvnr(rng: &mut Rng) -> String {
    let (letter, body) = (rng.chars(UPPER, 1), rng.digits(8));
    let number = letter.bytes().next().map_or(0, |byte| byte - b'A' + 1);
    let digits = values(&format!("{number:02}{body}"));
    let sum: u64 = digits.iter().enumerate().map(|(at, digit)| cross(digit * (1 + at as u64 % 2))).sum();
    format!("{letter}{body}{}", sum % 10)
}

fn lanr(rng: &mut Rng) -> String {
    let body = rng.number(6);
    let sum = weighted(&body, &[4, 9, 4, 9, 4, 9]);
    format!("{body}{}{}", (10 - sum % 10) % 10, rng.pick(&["01", "03", "10", "34", "50"]))
}

/// Serial of a German card or passport with the check digit of its machine-readable zone.
fn icao(rng: &mut Rng, first: &str) -> String {
    let serial = rng.chars(first, 1) + &rng.chars("0123456789CFGHJKLMNPRTVWXYZ", 8);
    let check = weighted(&serial, &[7, 3, 1, 7, 3, 1, 7, 3, 1]) % 10;
    format!("{serial}{check}")
}

fn nir(rng: &mut Rng) -> String {
    let (year, month, _) = birthday(rng);
    let department = until(rng, |rng| Some(rng.range(1, 95)).filter(|number| *number != 20));
    let body = format!(
        "{}{:02}{month:02}{department:02}{:03}{:03}",
        rng.range(1, 2),
        year % 100,
        rng.range(1, 600),
        rng.range(1, 999)
    );
    format!("{body}{:02}", 97 - mod_97(&body))
}

const NIF: &[u8] = b"TRWAGMYFPDXBNJZSQVHLCKE";

pub fn nif(rng: &mut Rng, wrong: bool) -> String {
    let number = rng.range(1_000_000, 99_999_999);
    let at = number + if wrong { rng.range(1, 22) } else { 0 };
    format!("{number:08}{}", char::from(NIF[(at % 23) as usize]))
}

fn nie(rng: &mut Rng) -> String {
    let (letter, digits) = (rng.range(0, 2), rng.digits(7));
    let number: u64 = format!("{letter}{digits}").parse().unwrap_or(0);
    format!("{}{digits}{}", char::from(b"XYZ"[letter as usize]), char::from(NIF[(number % 23) as usize]))
}

fn es_ssn(rng: &mut Rng) -> String {
    let (province, serial) = (rng.range(1, 52), rng.range(10_000_000, 99_999_999));
    let check = (province * 100_000_000 + serial) % 97;
    match rng.range(0, 1) {
        0 => format!("{province:02}{serial}{check:02}"),
        _ => format!("{province:02}/{serial}/{check:02}"),
    }
}

fn it_fiscal(rng: &mut Rng) -> String {
    let (year, month, day) = birthday(rng);
    let consonants = "BCDFGLMNPRSTVZ";
    let day = if rng.one_in(2) { day + 40 } else { day };
    let body = format!(
        "{}{:02}{}{day:02}{}{}",
        rng.chars(consonants, 6),
        year % 100,
        char::from(b"ABCDEHLMPRST"[month as usize - 1]),
        rng.pick(&["H501", "F205", "L219", "D612", "A944", "F839", "Z404"]),
        ""
    );
    const ODD: [u64; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let sum: u64 = body
        .bytes()
        .enumerate()
        .map(|(at, byte)| {
            let value = if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' };
            if at % 2 == 0 { ODD[usize::from(value)] } else { u64::from(value) }
        })
        .sum();
    format!("{body}{}", char::from(b'A' + (sum % 26) as u8))
}

fn it_vat(rng: &mut Rng) -> String {
    let body = format!("{}{:03}", rng.digits(7), rng.range(1, 100));
    with_luhn(&body)
}

/// Weights, then 11 minus the remainder, where 10 and 11 become 0: Portugal, Brazil's CPF and many more.
fn eleven(body: &str, weights: &[u64]) -> u64 {
    match 11 - weighted(body, weights) % 11 {
        10 | 11 => 0,
        digit => digit,
    }
}

/// The same where a check digit of 10 is not issued.
fn eleven_strict(body: &str, weights: &[u64]) -> Option<u64> {
    match (11 - weighted(body, weights) % 11) % 11 {
        10 => None,
        digit => Some(digit),
    }
}

fn hetu(rng: &mut Rng) -> String {
    let (date, number) = (ddmmyy(rng), format!("{:03}", rng.range(2, 899)));
    let rest = format!("{date}{number}").parse::<u64>().unwrap_or(0) % 31;
    format!("{date}-{number}{}", char::from(b"0123456789ABCDEFHJKLMNPRSTUVWXY"[rest as usize]))
}

fn fodselsnummer(rng: &mut Rng) -> String {
    let first = checked(
        rng,
        |rng| ddmmyy(rng) + &format!("{:03}", rng.range(0, 499)),
        |body| {
            let first = eleven_strict(body, &[3, 7, 6, 1, 8, 9, 4, 5, 2])?;
            eleven_strict(&format!("{body}{first}"), &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2])?;
            Some(first)
        },
    );
    format!("{first}{}", eleven_strict(&first, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]).unwrap_or(0))
}

fn svnr(rng: &mut Rng) -> String {
    until(rng, |rng| {
        let (serial, date) = (rng.number(3), ddmmyy(rng));
        let sum = weighted(&format!("{serial}{date}"), &[3, 7, 9, 5, 8, 4, 2, 1, 6]);
        (sum % 11 < 10).then(|| format!("{serial}{} {date}", sum % 11))
    })
}

fn ahv(rng: &mut Rng) -> String {
    let body = format!("756{}", rng.digits(9));
    let sum = weighted(&body, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]);
    shaped("###.####.####.##", &format!("{body}{}", (10 - sum % 10) % 10))
}

fn rodne_cislo(rng: &mut Rng) -> String {
    let text = checked(
        rng,
        |rng| {
            let (year, month, day) = birthday(rng);
            let month = if rng.one_in(2) { month + 50 } else { month };
            format!("{:02}{month:02}{day:02}{:03}", year.max(1954) % 100, rng.range(0, 999))
        },
        // The whole number is divisible by 11.
        |body| Some(body.parse::<u64>().ok()? * 10 % 11).map(|rest| (11 - rest) % 11),
    );
    shaped("######/####", &text)
}

fn cnp(rng: &mut Rng) -> String {
    let body = format!("{}{}{:02}{:03}", rng.range(1, 2), yymmdd(rng), rng.range(1, 46), rng.range(1, 999));
    let rest = weighted(&body, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    format!("{body}{}", if rest == 10 { 1 } else { rest })
}

fn baltic(rng: &mut Rng) -> String {
    let body = format!("{}{}{:03}", rng.range(3, 4), yymmdd(rng), rng.range(1, 999));
    let first = weighted(&body, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(&body, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    format!("{body}{}", if first < 10 { first } else { second % 10 })
}

fn tckn(rng: &mut Rng) -> String {
    let body = rng.number(9);
    let d = values(&body);
    let odd: u64 = d.iter().step_by(2).sum();
    let even: u64 = d.iter().skip(1).step_by(2).sum();
    let tenth = (odd * 7 + 1000 - even) % 10;
    format!("{body}{tenth}{}", (odd + even + tenth) % 10)
}

pub fn cpf(rng: &mut Rng) -> String {
    let body = rng.digits(9);
    let first = eleven(&body, &[10, 9, 8, 7, 6, 5, 4, 3, 2]);
    let ten = format!("{body}{first}");
    format!("{ten}{}", eleven(&ten, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]))
}

fn cnpj(rng: &mut Rng) -> String {
    let body = format!("{}0001", rng.digits(8));
    let weights = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    let first = eleven(&body, &weights[1..]);
    let thirteen = format!("{body}{first}");
    format!("{thirteen}{}", eleven(&thirteen, &weights))
}

fn cuit(rng: &mut Rng) -> String {
    let text = checked(
        rng,
        |rng| format!("{}{}", rng.pick(&["20", "23", "24", "27", "30", "33"]), rng.digits(8)),
        |body| eleven_strict(body, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]),
    );
    shaped("##-########-#", &text)
}

fn curp(rng: &mut Rng) -> String {
    let consonants = "BCDFGHJKLMNPQRSTVWXYZ";
    let body = format!(
        "{}{}{}{}{}{}{}{}",
        rng.chars("ABCDGHLMPRSTV", 1),
        rng.chars("AEIOU", 1),
        rng.chars("CGHLMRT", 2),
        yymmdd(rng),
        rng.pick(&["H", "M"]),
        rng.pick(&["DF", "JC", "NL", "MC", "VZ", "PL", "GT", "OC"]),
        rng.chars(consonants, 3),
        rng.digits(1)
    );
    let alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ";
    let value = |c: char| alphabet.chars().position(|known| known == c).unwrap_or(0) as u64;
    let sum: u64 = body.chars().zip((2..=18).rev()).map(|(c, weight)| value(c) * weight).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn rfc(rng: &mut Rng) -> String {
    let name = rng.chars("BCDGHLMPRSTV", 1) + &rng.chars("AEIOU", 1) + &rng.chars("CGHLMRT", 2);
    let body = format!("{name}{}{}", yymmdd(rng), rng.chars("ABCDEFGHIJKLMNPQRSTUVWXYZ123456789", 2));
    let alphabet = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ";
    let sum: u64 =
        body.chars().zip((2..=13).rev()).map(|(c, weight)| alphabet.find(c).unwrap_or(0) as u64 * weight).sum();
    let check = match 11 - sum % 11 {
        11 => '0',
        10 => 'A',
        digit => char::from(b'0' + digit as u8),
    };
    format!("{body}{check}")
}

fn clabe(rng: &mut Rng) -> String {
    let body = format!(
        "{}{}{}",
        rng.pick(&["002", "012", "014", "021", "072"]),
        rng.pick(&["180", "010", "320", "580"]),
        rng.digits(11)
    );
    let sum: u64 = values(&body).iter().zip([3, 7, 1].iter().cycle()).map(|(digit, weight)| digit * weight % 10).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn rut(rng: &mut Rng) -> String {
    let body = rng.range(5_000_000, 25_999_999).to_string();
    let sum: u64 =
        values(&body).iter().rev().zip([2, 3, 4, 5, 6, 7].iter().cycle()).map(|(digit, weight)| digit * weight).sum();
    let check = match 11 - sum % 11 {
        11 => '0',
        10 => 'K',
        digit => char::from(b'0' + digit as u8),
    };
    let dotted = if body.len() == 8 { shaped("##.###.###", &body) } else { shaped("#.###.###", &body) };
    if rng.one_in(2) { format!("{dotted}-{check}") } else { format!("{body}-{check}") }
}

fn nit(rng: &mut Rng) -> String {
    let body = format!("{}{}", rng.pick(&["800", "830", "860", "890", "900", "901"]), rng.digits(6));
    let sum: u64 =
        values(&body).iter().rev().zip([3, 7, 13, 17, 19, 23, 29, 37, 41]).map(|(digit, weight)| digit * weight).sum();
    let check = if sum % 11 < 2 { sum % 11 } else { 11 - sum % 11 };
    if rng.one_in(2) { format!("{}-{check}", shaped("###.###.###", &body)) } else { format!("{body}-{check}") }
}

fn ruc(rng: &mut Rng) -> String {
    let body = format!("{}{}", rng.pick(&["10", "20"]), rng.digits(8));
    let check = (11 - weighted(&body, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    format!("{body}{check}")
}

fn cedula(rng: &mut Rng) -> String {
    let body = format!("{:02}{}{}", rng.range(1, 24), rng.range(0, 5), rng.digits(6));
    with_luhn(&body)
}

fn uy_ci(rng: &mut Rng) -> String {
    let body = rng.number(7);
    let check = (10 - weighted(&body, &[2, 9, 8, 7, 6, 3, 4]) % 10) % 10;
    shaped("#.###.###-#", &format!("{body}{check}"))
}

fn pan(rng: &mut Rng) -> String {
    format!(
        "{}{}{}{}{}",
        rng.chars(UPPER, 3),
        rng.chars("PPPCHFATBLJG", 1),
        rng.chars(UPPER, 1),
        rng.digits(4),
        rng.chars(UPPER, 1)
    )
}

fn gstin(rng: &mut Rng) -> String {
    let body = format!("{}{}{}Z", rng.pick(&["07", "27", "29", "33", "06", "24", "09"]), pan(rng), rng.range(1, 9));
    let sum: u64 = values(&body)
        .iter()
        .enumerate()
        .map(|(at, value)| {
            let product = value * (1 + at as u64 % 2);
            product / 36 + product % 36
        })
        .sum();
    format!("{body}{}", char::from(UPPER_DIGITS.as_bytes()[((36 - sum % 36) % 36) as usize]))
}

fn nric(rng: &mut Rng) -> String {
    let (first, digits) = (rng.pick(&["S", "T", "F", "G"]), rng.digits(7));
    let offset = if matches!(first, "T" | "G") { 4 } else { 0 };
    let sum = weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]) + offset;
    let letters = if matches!(first, "S" | "T") { b"JZIHGFEDCBA" } else { b"XWUTRQPNMLK" };
    format!("{first}{digits}{}", char::from(letters[(sum % 11) as usize]))
}

fn uen(rng: &mut Rng) -> String {
    if rng.one_in(2) {
        let body = rng.digits(8);
        let sum = weighted(&body, &[10, 4, 9, 3, 8, 2, 7, 1]);
        return format!("{body}{}", char::from(b"XMKECAWLJDB"[(sum % 11) as usize]));
    }
    let body = format!("{}{}", rng.range(1990, 2023), rng.digits(5));
    let sum = weighted(&body, &[10, 8, 6, 4, 9, 7, 5, 3, 1]);
    format!("{body}{}", char::from(b"ZKCMDNERGWH"[(sum % 11) as usize]))
}

fn abn(rng: &mut Rng) -> String {
    let tail = rng.digits(9);
    let sum = weighted(&tail, &[3, 5, 7, 9, 11, 13, 15, 17, 19]);
    // The first two digits make the sum, with 1 taken from the first digit, divisible by 89.
    let head = (11..=99).find(|head| ((head / 10 - 1) * 10 + head % 10 + sum).is_multiple_of(89)).unwrap_or(99);
    shaped("## ### ### ###", &format!("{head}{tail}"))
}

fn medicare(rng: &mut Rng) -> String {
    let body = rng.chars("23456", 1) + &rng.digits(7);
    let check = weighted(&body, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10;
    shaped("#### ##### #", &format!("{body}{check}{}", rng.range(1, 9)))
}

fn nhi(rng: &mut Rng) -> String {
    let letters = "ABCDEFGHJKLMNPQRSTUVWXYZ";
    until(rng, |rng| {
        let (text, digits) = (rng.chars(letters, 3), rng.digits(3));
        let number = |c: char| letters.find(c).map_or(u64::from(c) - 48, |at| at as u64 + 1);
        let sum: u64 =
            text.chars().chain(digits.chars()).zip((2..=7).rev()).map(|(c, weight)| number(c) * weight).sum();
        match sum % 11 {
            0 => None,
            rest => Some(format!("{text}{digits}{}", (11 - rest) % 10)),
        }
    })
}

fn za_id(rng: &mut Rng) -> String {
    let body = format!("{}{}{}8", yymmdd(rng), rng.digits(4), rng.range(0, 1));
    with_luhn(&body)
}

fn rrn(rng: &mut Rng, foreign: bool) -> String {
    let sex = if foreign { rng.range(5, 6) } else { rng.range(1, 2) };
    let body = format!("{}{sex}{:02}{}", yymmdd(rng), rng.range(0, 90), rng.digits(3));
    let sum = weighted(&body, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
    let check = (if foreign { 13 } else { 11 } - sum % 11) % 10;
    shaped("######-#######", &format!("{body}{check}"))
}

fn brn(rng: &mut Rng) -> String {
    let body = format!("{}{}{}", rng.range(101, 999), rng.range(10, 89), rng.digits(4));
    let sum = weighted(&body, &[1, 3, 7, 1, 3, 7, 1, 3, 5]) + values(&body)[8] * 5 / 10;
    shaped("###-##-#####", &format!("{body}{}", (10 - sum % 10) % 10))
}

fn my_number(rng: &mut Rng) -> String {
    let body = rng.digits(11);
    let rest = weighted(&body, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let text = format!("{body}{}", if rest < 2 { 0 } else { 11 - rest });
    if rng.one_in(2) { shaped("#### #### ####", &text) } else { text }
}

fn jp_corporate(rng: &mut Rng) -> String {
    let body = rng.digits(12);
    let sum = weighted(&body, &[2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1]);
    format!("{}{body}", 9 - sum % 9)
}

fn resident_id(rng: &mut Rng) -> String {
    let area = rng.pick(&["110101", "310104"]);
    let body = format!("{area}{}{}", yyyymmdd(rng), rng.digits(3));
    let sum = weighted(&body, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    format!("{body}{}", char::from(b"10X98765432"[(sum % 11) as usize]))
}

fn tw_id(rng: &mut Rng) -> String {
    let letter = rng.chars("ABCDEFGHJKLMNPQRSTUVXYWZIO", 1);
    // Their codes from 10 in this order.
    let code = 10 + "ABCDEFGHJKLMNPQRSTUVXYWZIO".find(&letter).unwrap_or(0) as u64;
    let body = format!("{}{}", rng.range(1, 2), rng.digits(7));
    let sum = code / 10 + code % 10 * 9 + weighted(&body, &[8, 7, 6, 5, 4, 3, 2, 1]);
    format!("{letter}{body}{}", (10 - sum % 10) % 10)
}

fn hkid(rng: &mut Rng) -> String {
    let (letter, digits) = (rng.chars("ABCDEGHKPRVYZ", 1), rng.digits(6));
    let sum = 36 * 9 + values(&letter)[0] * 8 + weighted(&digits, &[7, 6, 5, 4, 3, 2]);
    let check = match 11 - sum % 11 {
        11 => '0',
        10 => 'A',
        digit => char::from(b'0' + digit as u8),
    };
    format!("{letter}{digits}({check})")
}

fn thai(rng: &mut Rng) -> String {
    let body = format!("{}{}", rng.range(1, 8), rng.digits(11));
    let check = (11 - weighted(&body, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    let text = format!("{body}{check}");
    if rng.one_in(2) { shaped("#-####-#####-##-#", &text) } else { text }
}

fn nik(rng: &mut Rng) -> String {
    let (year, month, day) = birthday(rng);
    let day = if rng.one_in(2) { day + 40 } else { day };
    let area = rng.pick(&["317101", "327301", "357801", "337401", "517101", "127101"]);
    format!("{area}{day:02}{month:02}{:02}{:04}", year % 100, rng.range(1, 999))
}

fn nhs(rng: &mut Rng) -> String {
    let text = checked(
        rng,
        |rng| rng.chars("4679", 1) + &rng.digits(8),
        |body| eleven_strict(body, &[10, 9, 8, 7, 6, 5, 4, 3, 2]),
    );
    if rng.one_in(2) { shaped("### ### ####", &text) } else { text }
}

fn nino(rng: &mut Rng) -> String {
    let prefix = until(rng, |rng| {
        let prefix = rng.chars("ABCEGHJKLMNOPRSTWXYZ", 1) + &rng.chars("ABCEGHJKLMNPRSTWXYZ", 1);
        (!matches!(prefix.as_str(), "BG" | "GB" | "NK" | "KN" | "TN" | "NT" | "ZZ")).then_some(prefix)
    });
    let text = format!("{prefix}{}{}", rng.digits(6), rng.chars("ABCD", 1));
    if rng.one_in(2) { shaped("## ## ## ## #", &text) } else { text }
}

fn utr(rng: &mut Rng) -> String {
    let body = rng.digits(9);
    let rest = weighted(&body, &[6, 7, 8, 9, 10, 5, 4, 3, 2]) % 11;
    format!("{}{body}", char::from(b"21987654321"[rest as usize]))
}

pub fn kinds() -> Vec<Kind> {
    vec![
        // North America.
        kind!(
            "ABA_ROUTING_NUMBER",
            "",
            ["routing_number", "aba_routing", "routingNumber"],
            ["routing number", "ABA"],
            false,
            |rng| {
                let body = format!("{:02}{}", rng.range(1, 12), rng.digits(6));
                let sum = weighted(&body, &[3, 7, 1, 3, 7, 1, 3, 7]);
                format!("{body}{}", (10 - sum % 10) % 10)
            }
        ),
        kind!("MEDICAL_LICENSE", "", ["dea_number", "dea"], ["DEA number", "DEA"], false, dea),
        kind!("US_ITIN", "", ["itin", "tax_itin"], ["ITIN", "taxpayer identification number"], false, |rng| {
            format!("9{}-{}-{}", rng.digits(2), rng.range(70, 88), rng.digits(4))
        }),
        kind!("US_EIN", "", ["ein", "employer_id"], ["EIN", "employer identification number"], false, |rng| {
            format!(
                "{}-{}",
                rng.pick(&["12", "20", "26", "36", "45", "52", "61", "75", "83", "94", "95"]),
                rng.digits(7)
            )
        }),
        kind!("US_MBI", "", ["mbi", "medicare_id"], ["MBI", "Medicare number"], false, mbi),
        kind!("US_NPI", "", ["npi", "provider_npi"], ["NPI", "national provider identifier"], false, |rng| {
            let body = format!("{}{}", rng.range(1, 2), rng.digits(8));
            format!("{body}{}", luhn(&format!("80840{body}")))
        }),
        kind!("US_SSN", "dashes", ["ssn", "social_security_number"], ["SSN", "social security number"], true, ssn),
        kind!("US_SSN", "bare", ["ssn", "social_security_number"], ["SSN", "social security number"], false, |rng| {
            ssn(rng).replace('-', "")
        }),
        kind!("CA_SIN", "", ["sin", "social_insurance_number"], ["SIN", "social insurance number"], false, |rng| {
            let body = rng.chars("1234567", 1) + &rng.digits(7);
            let text = with_luhn(&body);
            if rng.one_in(2) { shaped("### ### ###", &text) } else { text }
        }),
        // British Isles.
        kind!("UK_NHS", "", ["nhs_number", "nhs"], ["NHS number"], false, nhs),
        kind!(
            "UK_NINO",
            "",
            ["nino", "national_insurance_number"],
            ["national insurance number", "NI number", "NINO"],
            false,
            nino
        ),
        kind!("UK_DRIVING_LICENCE", "", ["driving_licence", "licence_number"], ["driving licence"], false, uk_driving),
        kind!("UK_UTR", "", ["utr", "tax_reference"], ["UTR", "unique taxpayer reference"], false, utr),
        kind!("IE_PPS", "", ["pps", "ppsn"], ["PPS number", "PPSN"], false, pps),
        // Germany, Austria, Switzerland.
        kind!(
            "DE_TAX_ID",
            "",
            ["steuer_id", "tax_id", "steuerId"],
            ["Steuer-ID", "Steueridentifikationsnummer", "IdNr"],
            false,
            de_tax_id
        ),
        kind!("DE_TAX_NUMBER", "", ["steuernummer"], ["Steuernummer", "St.-Nr."], false, |rng| shaped(
            "##/###/#####",
            &rng.number(10)
        )),
        kind!("DE_VAT_ID", "", ["ust_id", "vat_id"], ["USt-IdNr", "Umsatzsteuer-ID", "VAT ID"], false, |rng| {
            let body = rng.number(8);
            format!("DE{body}{}", mod_11_10(&body))
        }),
        kind!(
            "DE_SOCIAL_SECURITY",
            "",
            ["sv_nummer", "rvnr"],
            ["Sozialversicherungsnummer", "Rentenversicherungsnummer"],
            false,
            rvnr
        ),
        kind!(
            "DE_HEALTH_INSURANCE",
            "",
            ["kvnr", "versichertennummer"],
            ["Krankenversichertennummer", "KVNR", "Versichertennummer"],
            false,
            kvnr
        ),
        kind!(
            "DE_ID_CARD",
            "",
            ["personalausweis", "ausweisnummer"],
            ["Personalausweis", "Personalausweisnummer"],
            false,
            |rng| icao(rng, "LMNPRTVWXY")
        ),
        kind!(
            "DE_PASSPORT",
            "",
            ["reisepass", "passnummer"],
            ["Reisepass", "Passnummer", "Reisepassnummer"],
            false,
            |rng| icao(rng, "CFGHJK")
        ),
        kind!(
            "DE_HANDELSREGISTER",
            "",
            ["handelsregister", "hrb"],
            ["Handelsregister", "Amtsgericht München"],
            false,
            |rng| { format!("{} {}", rng.pick(&["HRB", "HRA"]), rng.range(1000, 199_999)) }
        ),
        kind!("DE_LANR", "", ["lanr", "arztnummer"], ["LANR", "lebenslange Arztnummer"], false, lanr),
        kind!("DE_BSNR", "", ["bsnr", "betriebsstaettennummer"], ["BSNR", "Betriebsstättennummer"], false, |rng| {
            format!("{}{}00", rng.pick(&["72", "38", "17", "93", "62"]), rng.digits(5))
        }),
        kind!(
            "AT_SVNR",
            "",
            ["svnr", "sozialversicherungsnummer"],
            ["SVNR", "Sozialversicherungsnummer", "SV-Nummer"],
            false,
            svnr
        ),
        kind!("CH_AHV", "", ["ahv", "ahv_nummer"], ["AHV-Nummer", "AVS"], true, ahv),
        // France, Iberia, Italy.
        kind!(
            "FR_NIR",
            "",
            ["nir", "numero_securite_sociale"],
            ["numéro de sécurité sociale", "NIR"],
            false,
            |rng| {
                let text = nir(rng);
                if rng.one_in(2) { shaped("# ## ## ## ### ### ##", &text) } else { text }
            }
        ),
        kind!("FR_SIREN", "", ["siren"], ["SIREN"], false, |rng| {
            let body = rng.number(8);
            with_luhn(&body)
        }),
        kind!("FR_SIRET", "", ["siret"], ["SIRET"], false, |rng| {
            let siren = rng.number(8);
            let body =
                format!("{}000{}", with_luhn(&siren), rng.range(10, 99).to_string().chars().next().unwrap_or('1'));
            with_luhn(&body)
        }),
        kind!("ES_NIF", "", ["nif", "dni"], ["NIF", "DNI"], false, |rng| nif(rng, false)),
        kind!("ES_NIE", "", ["nie"], ["NIE"], false, nie),
        kind!(
            "ES_SSN",
            "",
            ["numero_seguridad_social", "naf"],
            ["número de la seguridad social", "seguridad social"],
            false,
            es_ssn
        ),
        kind!("PT_NIF", "", ["nif", "contribuinte"], ["NIF", "contribuinte"], false, |rng| {
            let body = rng.chars("1235", 1) + &rng.digits(7);
            format!("{body}{}", eleven(&body, &[9, 8, 7, 6, 5, 4, 3, 2]))
        }),
        kind!("IT_FISCAL_CODE", "", ["codice_fiscale", "cf"], ["codice fiscale"], true, it_fiscal),
        kind!("IT_VAT_CODE", "", ["partita_iva", "p_iva"], ["partita IVA", "P.IVA"], false, it_vat),
        kind!("IT_IDENTITY_CARD", "", ["carta_identita"], ["carta d'identità", "carta identità"], false, |rng| {
            format!("C{}{}{}", rng.chars(UPPER, 1), rng.digits(5), rng.chars(UPPER, 2))
        }),
        kind!("IT_DRIVER_LICENSE", "", ["patente", "numero_patente"], ["patente", "patente di guida"], false, |rng| {
            if rng.one_in(2) {
                format!("U1{}{}", rng.chars("BCDFGHJKLMNPRSTUVWXYZ0123456789", 7), rng.chars(UPPER, 1))
            } else {
                format!("{}{}{}", rng.pick(&["MI", "RM", "TO", "NA"]), rng.digits(7), rng.chars(UPPER, 1))
            }
        }),
        // Benelux, Poland, the north.
        kind!("NL_BSN", "", ["bsn", "burgerservicenummer"], ["BSN", "burgerservicenummer"], false, |rng| {
            checked(rng, |rng| rng.number(8), |body| Some(weighted(body, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11))
        }),
        kind!("BE_NRN", "", ["rijksregisternummer", "nrn"], ["rijksregisternummer", "numéro national"], false, |rng| {
            let body = format!("{}{:03}", yymmdd(rng), rng.range(1, 997));
            let rest = body.parse::<u64>().unwrap_or(0) % 97;
            let text = format!("{body}{:02}", 97 - rest);
            if rng.one_in(2) { shaped("##.##.##-###.##", &text) } else { text }
        }),
        kind!("PL_PESEL", "", ["pesel"], ["PESEL"], false, |rng| {
            let body = format!("{}{}", yymmdd(rng), rng.digits(4));
            format!("{body}{}", (10 - weighted(&body, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10)
        }),
        kind!("PL_NIP", "", ["nip"], ["NIP"], false, |rng| {
            let text = checked(
                rng,
                |rng| rng.chars("123456789", 3) + &rng.digits(6),
                |body| Some(weighted(body, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11),
            );
            if rng.one_in(2) { shaped("###-###-##-##", &text) } else { text }
        }),
        kind!("PL_REGON", "", ["regon"], ["REGON"], false, |rng| {
            let body = rng.digits(8);
            format!("{body}{}", weighted(&body, &[8, 9, 2, 3, 4, 5, 6, 7]) % 11 % 10)
        }),
        kind!("SE_PERSONNUMMER", "", ["personnummer"], ["personnummer"], false, |rng| {
            let body = format!("{}{:03}", yymmdd(rng), rng.range(1, 999));
            shaped("######-####", &with_luhn(&body))
        }),
        kind!(
            "SE_ORGANISATIONSNUMMER",
            "",
            ["organisationsnummer", "orgnr"],
            ["organisationsnummer", "org.nr"],
            false,
            |rng| {
                let body = format!("55{}{}", rng.range(2, 9), rng.digits(6));
                shaped("######-####", &with_luhn(&body))
            }
        ),
        kind!("FI_PERSONAL_IDENTITY_CODE", "", ["henkilotunnus", "hetu"], ["henkilötunnus", "hetu"], false, hetu),
        kind!(
            "NO_FODSELSNUMMER",
            "",
            ["fodselsnummer", "personnummer"],
            ["fødselsnummer", "personnummer"],
            false,
            fodselsnummer
        ),
        kind!("DK_CPR", "", ["cpr", "cpr_nummer"], ["CPR-nummer", "CPR"], false, |rng| {
            let text = checked(
                rng,
                |rng| format!("{}{}{}", ddmmyy(rng), rng.range(0, 3), rng.digits(2)),
                |body| eleven_strict(body, &[4, 3, 2, 7, 6, 5, 4, 3, 2]),
            );
            shaped("######-####", &text)
        }),
        // The east and south-east of Europe.
        kind!("CZ_RODNE_CISLO", "", ["rodne_cislo"], ["rodné číslo", "r.č."], false, rodne_cislo),
        kind!("RO_CNP", "", ["cnp"], ["CNP", "cod numeric personal"], false, cnp),
        kind!("BG_EGN", "", ["egn"], ["ЕГН", "EGN"], false, |rng| {
            let body = format!("{}{:03}", yymmdd(rng), rng.range(0, 999));
            format!("{body}{}", weighted(&body, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10)
        }),
        kind!("HR_OIB", "", ["oib"], ["OIB"], false, |rng| {
            let body = rng.digits(10);
            format!("{body}{}", mod_11_10(&body))
        }),
        kind!("EE_ISIKUKOOD", "", ["isikukood"], ["isikukood"], false, baltic),
        kind!("LT_ASMENS_KODAS", "", ["asmens_kodas"], ["asmens kodas"], false, baltic),
        kind!("GR_AFM", "", ["afm"], ["ΑΦΜ", "AFM"], false, |rng| {
            let body = rng.digits(8);
            format!("{body}{}", weighted(&body, &[256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10)
        }),
        kind!("HU_TAJ", "", ["taj_szam", "taj"], ["TAJ szám", "TAJ"], false, |rng| {
            let body = rng.digits(8);
            let text = format!("{body}{}", weighted(&body, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10);
            if rng.one_in(2) { shaped("### ### ###", &text) } else { text }
        }),
        kind!("TR_NATIONAL_ID", "", ["tc_kimlik_no", "tckn"], ["TC Kimlik No", "T.C. kimlik numarası"], false, tckn),
        kind!("TR_PHONE_NUMBER", "", ["telefon", "cep_telefonu"], ["telefon", "cep telefonu", "GSM"], false, |rng| {
            let text = format!("05{}{}{}", rng.pick(&["32", "33", "42", "44", "05"]), rng.range(2, 9), rng.digits(6));
            shaped("#### ### ## ##", &text)
        }),
        // Latin America.
        kind!("BR_CPF", "formatted", ["cpf"], ["CPF"], true, |rng| shaped("###.###.###-##", &cpf(rng))),
        kind!("BR_CPF", "bare", ["cpf"], ["CPF"], false, cpf),
        kind!("BR_CNPJ", "formatted", ["cnpj"], ["CNPJ"], true, |rng| shaped("##.###.###/####-##", &cnpj(rng))),
        kind!("BR_CNPJ", "bare", ["cnpj"], ["CNPJ"], false, cnpj),
        kind!("AR_CUIT", "", ["cuit", "cuil"], ["CUIT", "CUIL"], false, cuit),
        kind!("MX_CURP", "", ["curp"], ["CURP"], true, curp),
        kind!("MX_RFC", "", ["rfc"], ["RFC"], false, rfc),
        kind!("MX_CLABE", "", ["clabe"], ["CLABE"], false, clabe),
        kind!("CL_RUT", "", ["rut"], ["RUT"], false, rut),
        kind!("CO_NIT", "", ["nit"], ["NIT"], false, nit),
        kind!("PE_RUC", "", ["ruc"], ["RUC"], false, ruc),
        kind!("EC_CEDULA", "", ["cedula"], ["cédula", "cédula de identidad"], false, cedula),
        kind!("UY_CI", "", ["cedula", "ci"], ["cédula de identidad", "CI"], false, uy_ci),
        // Asia, Oceania, Africa.
        kind!("IN_AADHAAR", "", ["aadhaar", "aadhaar_number"], ["Aadhaar", "Aadhaar number"], false, |rng| {
            let body = rng.chars("23456789", 1) + &rng.digits(10);
            let text = format!("{body}{}", verhoeff(&body));
            if rng.one_in(2) { shaped("#### #### ####", &text) } else { text }
        }),
        kind!("IN_PAN", "", ["pan", "pan_number"], ["PAN", "PAN card"], false, pan),
        kind!("IN_GSTIN", "", ["gstin"], ["GSTIN"], false, gstin),
        kind!("IN_VOTER", "", ["voter_id", "epic"], ["voter ID", "EPIC number"], false, |rng| format!(
            "{}{}",
            rng.chars(UPPER, 3),
            with_luhn(&rng.digits(6))
        )),
        kind!(
            "IN_VEHICLE_REGISTRATION",
            "",
            ["vehicle_number", "registration_number"],
            ["vehicle number", "registration number"],
            false,
            |rng| {
                let (state, letters) =
                    (rng.pick(&["KA", "MH", "DL", "TN", "UP"]), rng.chars("ABCDEFGHJKLMNPQRSTUVWXYZ", 2));
                format!("{state}{:02}{letters}{:04}", rng.range(1, 30), rng.range(1, 9999))
            }
        ),
        kind!("SG_NRIC_FIN", "", ["nric", "fin"], ["NRIC", "FIN"], false, nric),
        kind!("SG_UEN", "", ["uen"], ["UEN"], false, uen),
        kind!("AU_ABN", "", ["abn"], ["ABN"], false, abn),
        kind!("AU_ACN", "", ["acn"], ["ACN"], false, |rng| {
            let body = rng.digits(8);
            shaped("### ### ###", &format!("{body}{}", (10 - weighted(&body, &[8, 7, 6, 5, 4, 3, 2, 1]) % 10) % 10))
        }),
        kind!("AU_TFN", "", ["tfn", "tax_file_number"], ["TFN", "tax file number"], false, |rng| {
            let text = checked(
                rng,
                |rng| rng.number(8),
                |body| {
                    // 10 is -1 by 11, so the last digit is the sum itself.
                    Some(weighted(body, &[1, 4, 3, 7, 5, 8, 6, 9]) % 11)
                },
            );
            if rng.one_in(2) { shaped("### ### ###", &text) } else { text }
        }),
        kind!("AU_MEDICARE", "", ["medicare", "medicare_number"], ["Medicare", "Medicare number"], false, medicare),
        kind!("NZ_IRD", "", ["ird", "ird_number"], ["IRD number", "IRD"], false, |rng| {
            let text = checked(
                rng,
                |rng| rng.range(1_000_000, 13_000_000).to_string(),
                |body| eleven_strict(&format!("{body:0>8}"), &[3, 2, 7, 6, 5, 4, 3, 2]),
            );
            if text.len() == 9 { shaped("###-###-###", &text) } else { shaped("##-###-###", &text) }
        }),
        kind!("NZ_NHI", "", ["nhi", "nhi_number"], ["NHI", "NHI number"], false, nhi),
        kind!("ZA_ID_NUMBER", "", ["id_number", "sa_id"], ["South African ID number", "SA ID", "RSA ID"], false, za_id),
        kind!("KR_RRN", "", ["rrn", "jumin"], ["주민등록번호", "resident registration number"], false, |rng| rrn(
            rng, false
        )),
        kind!(
            "KR_FRN",
            "",
            ["frn", "foreigner_registration"],
            ["외국인등록번호", "foreigner registration number"],
            false,
            |rng| rrn(rng, true)
        ),
        kind!(
            "KR_BRN",
            "",
            ["brn", "business_registration_number"],
            ["사업자등록번호", "business registration number"],
            false,
            brn
        ),
        kind!(
            "KR_PASSPORT",
            "",
            ["passport", "passport_number"],
            ["여권번호", "Korean passport"],
            false,
            |rng| format!("M{}", rng.number(8))
        ),
        kind!("KR_DRIVER_LICENSE", "", ["driver_license"], ["운전면허번호", "driver license"], false, |rng| {
            format!("{}-{}-{}-{}", rng.range(11, 26), rng.digits(2), rng.digits(6), rng.digits(2))
        }),
        kind!(
            "JP_MY_NUMBER",
            "",
            ["my_number", "kojin_bango"],
            ["マイナンバー", "個人番号", "My Number"],
            false,
            my_number
        ),
        kind!(
            "JP_CORPORATE_NUMBER",
            "",
            ["corporate_number", "hojin_bango"],
            ["法人番号", "corporate number"],
            false,
            jp_corporate
        ),
        kind!(
            "CN_RESIDENT_ID",
            "",
            ["id_card", "resident_id"],
            ["身份证号", "身份证", "resident ID"],
            false,
            resident_id
        ),
        kind!("TW_NATIONAL_ID", "", ["national_id", "tw_id"], ["身分證字號", "national ID"], false, tw_id),
        kind!("HK_ID", "", ["hkid"], ["HKID", "香港身份證"], false, hkid),
        kind!("TH_TNIN", "", ["thai_id", "citizen_id"], ["เลขประจำตัวประชาชน", "Thai national ID"], false, thai),
        kind!("PH_TIN", "", ["tin", "tax_identification_number"], ["TIN", "tax identification number"], false, |rng| {
            shaped("###-###-###-000", &rng.number(9))
        }),
        kind!("PH_MOBILE_NUMBER", "", ["mobile", "mobile_number"], ["mobile", "cellphone"], false, |rng| {
            let text = format!("09{}{}", rng.pick(&["17", "18", "20", "27", "35"]), rng.digits(7));
            if rng.one_in(2) { shaped("#### ### ####", &text) } else { text }
        }),
        kind!("MY_NRIC", "", ["mykad", "nric", "ic_number"], ["MyKad", "IC number", "NRIC"], false, |rng| {
            format!("{}-{:02}-{}", yymmdd(rng), rng.range(1, 16), rng.digits(4))
        }),
        kind!("ID_NIK", "", ["nik", "no_ktp"], ["NIK", "nomor KTP"], false, nik),
        kind!(
            "IL_ID",
            "",
            ["teudat_zehut", "id_number"],
            ["תעודת זהות", "Israeli ID", "teudat zehut"],
            false,
            |rng| {
                let body = rng.digits(8);
                with_luhn(&body)
            }
        ),
        kind!("AE_EMIRATES_ID", "", ["emirates_id"], ["Emirates ID", "رقم الهوية"], true, |rng| {
            let body = format!("784{}{}", birthday(rng).0, rng.digits(7));
            shaped("###-####-#######-#", &with_luhn(&body))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Specimens that authorities publish, by the same functions.
    #[test]
    fn published_examples() {
        assert_eq!(eleven("529982247", &[10, 9, 8, 7, 6, 5, 4, 3, 2]), 2);
        assert_eq!(eleven_strict("943476591", &[10, 9, 8, 7, 6, 5, 4, 3, 2]), Some(9));
        assert_eq!(char::from(NIF[12_345_678 % 23]), 'Z');
        assert_eq!(97 - mod_97("2550814168025"), 38);
        assert_eq!(luhn("80840123456789"), 3);
    }
}
