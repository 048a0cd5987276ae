//! International bank account numbers (ISO 13616-1; SWIFT, "IBAN Registry", release 99) and business identifier codes
//! (ISO 9362).

use super::iso7064::mod_97_10;
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("iban", iban), ("bic", bic)];

/// Countries and lengths of their numbers, as the registry lists them; behind the blank line those that use the form
/// without being in it.
#[rustfmt::skip]
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24), (b"AE", 23), (b"AL", 28), (b"AT", 20), (b"AZ", 28), (b"BA", 20), (b"BE", 16), (b"BG", 22), (b"BH", 22),
    (b"BI", 27), (b"BR", 29), (b"BY", 28), (b"CH", 21), (b"CR", 22), (b"CY", 28), (b"CZ", 24), (b"DE", 22), (b"DJ", 27),
    (b"DK", 18), (b"DO", 28), (b"EE", 20), (b"EG", 29), (b"ES", 24), (b"FI", 18), (b"FK", 18), (b"FO", 18), (b"FR", 27),
    (b"GB", 22), (b"GE", 22), (b"GI", 23), (b"GL", 18), (b"GR", 27), (b"GT", 28), (b"HN", 28), (b"HR", 21), (b"HU", 28),
    (b"IE", 22), (b"IL", 23), (b"IQ", 23), (b"IS", 26), (b"IT", 27), (b"JO", 30), (b"KW", 30), (b"KZ", 20), (b"LB", 28),
    (b"LC", 32), (b"LI", 21), (b"LT", 20), (b"LU", 20), (b"LV", 21), (b"LY", 25), (b"MC", 27), (b"MD", 24), (b"ME", 22),
    (b"MK", 19), (b"MN", 20), (b"MR", 27), (b"MT", 31), (b"MU", 30), (b"NI", 28), (b"NL", 18), (b"NO", 15), (b"OM", 23),
    (b"PK", 24), (b"PL", 28), (b"PS", 29), (b"PT", 25), (b"QA", 29), (b"RO", 24), (b"RS", 22), (b"RU", 33), (b"SA", 24),
    (b"SC", 31), (b"SD", 18), (b"SE", 24), (b"SI", 19), (b"SK", 24), (b"SM", 27), (b"SO", 23), (b"ST", 25), (b"SV", 28),
    (b"TL", 23), (b"TN", 24), (b"TR", 26), (b"UA", 29), (b"VA", 22), (b"VG", 24), (b"XK", 20), (b"YE", 30),

    (b"AO", 25), (b"BF", 28), (b"BJ", 28), (b"CF", 27), (b"CG", 27), (b"CI", 28), (b"CM", 27), (b"CV", 25), (b"DZ", 26),
    (b"GA", 27), (b"GQ", 27), (b"GW", 25), (b"IR", 26), (b"KM", 27), (b"MA", 28), (b"MG", 27), (b"ML", 28), (b"MZ", 25),
    (b"NE", 28), (b"SN", 28), (b"TD", 27), (b"TG", 28),
];

/// Right country, length, check digits; letters of one case, groups parted by one sign.
fn iban(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let compact = candidate.alphanumeric();
    let length = compact.get(..2).and_then(|country| LENGTHS.iter().find(|(known, _)| known.as_slice() == country));
    if length.is_none_or(|(_, length)| *length != compact.len()) {
        return Verdict::Invalid;
    }
    // Small letters that are all digits of base 16: a slice of random bytes, one in 97 of which has the right remainder.
    let letters = value.iter().skip(4).filter(|byte| byte.is_ascii_lowercase());
    let bytes = value.first().is_some_and(u8::is_ascii_hexdigit)
        && value.get(1).is_some_and(u8::is_ascii_hexdigit)
        && letters.clone().count() > 1
        && letters.clone().all(u8::is_ascii_hexdigit);
    let mixed_case = bytes || value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase);
    let mut signs = value.iter().filter(|byte| !byte.is_ascii_alphanumeric());
    let first = signs.next();
    if mixed_case || !signs.all(|sign| Some(sign) == first) {
        return Verdict::Invalid;
    }
    let mut moved = [0_u8; 34];
    let (Some(moved), Some((head, rest))) = (moved.get_mut(..compact.len()), compact.split_at_checked(4)) else {
        return Verdict::Invalid;
    };
    let (front, back) = moved.split_at_mut(rest.len());
    front.copy_from_slice(rest);
    back.copy_from_slice(head);
    // Two check digits are 02 to 98; an account of zeros is a placeholder.
    let placeholder = rest.iter().all(|byte| *byte == b'0');
    Verdict::checksum(
        !placeholder && !matches!(head, [_, _, b'0', b'0' | b'1'] | [_, _, b'9', b'9']) && mod_97_10(moved),
    )
}

/// ISO 3166-1 alpha-2 and Kosovo, which SWIFT writes XK.
const COUNTRIES: &[u8] = b"\
ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCY\
CZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISIT\
JEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNI\
NLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTK\
TLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

/// Four letters of the institution, a country that exists, a location; ISO 9362 has no check character.
fn bic(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let country = value.get(4..6).unwrap_or_default();
    let known = COUNTRIES.chunks_exact(2).any(|known| known == country);
    // The second character of the location is never O; the branch is `XXX` or does not begin with X.
    let branch = value.get(8..).unwrap_or_default();
    let branch_fits = branch.is_empty() || branch == b"XXX" || branch.first() != Some(&b'X');
    Verdict::plausible(!in_capitals(candidate) && known && value.get(7) != Some(&b'O') && branch_fits)
}

/// A word of a heading: all of it are capital letters, and so are those of the word in front, which is none that names a code.
fn in_capitals(candidate: &Candidate<'_>) -> bool {
    const NAMES: [&[u8]; 14] = [
        b"BIC", b"SWIFT", b"CODE", b"IBAN", b"BANK", b"NO", b"NR", b"ID", b"IS", b"IST", b"EST", b"DER", b"THE", b"VIA",
    ];
    let Some((b' ', before)) = candidate.before().split_last() else { return false };
    let length = before.iter().rev().take(32).take_while(|byte| byte.is_ascii_uppercase()).count();
    let word = before.get(before.len() - length..).unwrap_or_default();
    length > 1 && candidate.value().iter().all(u8::is_ascii_uppercase) && !NAMES.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(validator: Validator, text: &str) -> Verdict {
        validator(&Candidate::new(text.as_bytes(), 0..text.len()).expect("in the text"))
    }

    #[test]
    fn examples_of_the_registry() {
        for good in [
            "AD1200012030200359100100",
            "AE070331234567890123456",
            "AT611904300234573201",
            "BE68539007547034",
            "BR1800360305000010009795493C1",
            "CH9300762011623852957",
            "DE89370400440532013000",
            "ES9121000418450200051332",
            "FR1420041010050500013M02606",
            "GB29NWBK60161331926819",
            "IE29AIBK93115212345678",
            "IT60X0542811101000000123456",
            "LC55HEMM000100010012001200023015",
            "MT84MALT011000012345MTLCAST001S",
            "NL91ABNA0417164300",
            "NO9386011117947",
            "PL61109010140000071219812874",
            "SA0380000000608010167519",
            "SE4550000000058398257466",
            "TR330006100519786457841326",
            "UA213223130000026007233566001",
            "XK051212012345678906",
            "gb29nwbk60161331926819",
            "DE89 3704 0044 0532 0130 00",
        ] {
            assert_eq!(verdict(iban, good), Verdict::Valid, "{good}");
        }
        for bad in [
            "DE89370400440532013001",
            "DE8937040044053201300",
            "ZZ89370400440532013000",
            "DE89 3704-0044 0532 0130 00",
            "Gb29NWBK60161331926819",
            "",
        ] {
            assert_eq!(verdict(iban, bad), Verdict::Invalid, "{bad}");
        }
    }

    #[test]
    fn identifier_codes() {
        // Deutsche Bank, its Munich branch, and SWIFT's own.
        for good in ["DEUTDEFF", "DEUTDEFF500", "SWHQBEBBXXX"] {
            assert_eq!(verdict(bic, good), Verdict::Plausible, "{good}");
        }
        for bad in ["DEUTZZFF", "DEUTDEFFXAB", "PASSWORD"] {
            assert_eq!(verdict(bic, bad), Verdict::Invalid, "{bad}");
        }
    }
}
