//! Internet addresses (RFC 791, RFC 4291, RFC 4007) and what only looks like one: versions, object identifiers, names
//! of C++.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[
    ("ipv4", |c| Verdict::plausible(ipv4(c).is_some_and(|address| !special_v4(c, address)) && !whole_text(c))),
    ("ipv4_whole_text", |c| {
        Verdict::plausible(ipv4(c).is_some_and(|address| !special_v4(c, address)) && whole_text(c))
    }),
    ("ipv4_special", |c| Verdict::plausible(ipv4(c).is_some_and(|address| special_v4(c, address)))),
    ("ipv6", |c| Verdict::plausible(ipv6(c).is_some_and(|address| !special_v6(address)))),
    ("ipv6_special", |c| Verdict::plausible(ipv6(c).is_some_and(special_v6))),
];

/// The value is all there is: a field of a record, whose name may say that it is a version.
fn whole_text(candidate: &Candidate<'_>) -> bool {
    candidate.before().is_empty() && candidate.after().is_empty()
}

/// An address of version 4 that is no piece of something else.
fn ipv4(candidate: &Candidate<'_>) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = std::str::from_utf8(candidate.value()).ok()?.parse().ok()?;
    let (before, after) = (candidate.before(), candidate.after());
    let begins = match before {
        [.., far, b'.' | b'+' | b'~' | b'_'] => !far.is_ascii_alphanumeric(),
        [.., far, b'-'] => !far.is_ascii_alphanumeric() || range_of_addresses(before),
        // `Chrome/124.0.6367.60`, but `http://10.1.2.3` and `node/10.1.2.3:8020`.
        [.., far, b'/'] => !(far.is_ascii_alphanumeric() || matches!(far, b')' | b'}')) || port(after),
        _ => true,
    };
    let ends = match after {
        [b'.' | b'+' | b'~' | b'_', far, ..] => !far.is_ascii_alphanumeric(),
        [b'-', far, ..] => !far.is_ascii_alphanumeric() || ipv4_at_start(after.get(1..).unwrap_or_default()),
        _ => true,
    };
    (begins && ends && !behind_a_version_word(before)).then_some(address)
}

/// `10.0.0.1-` before a second address.
fn range_of_addresses(before: &[u8]) -> bool {
    let before = before.get(..before.len().saturating_sub(1)).unwrap_or_default();
    let length = before.iter().rev().take(16).take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    before.get(before.len() - length..).is_some_and(is_ipv4)
}

fn ipv4_at_start(text: &[u8]) -> bool {
    let length = text.iter().take(16).take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    text.get(..length).is_some_and(is_ipv4)
}

fn is_ipv4(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok())
}

fn port(after: &[u8]) -> bool {
    matches!(after, [b':', digit, ..] if digit.is_ascii_digit())
}

/// `version 1.2.3.4`, `"appVersion": "1.2.3.4"`, `section 3.1.2.4`.
fn behind_a_version_word(before: &[u8]) -> bool {
    const WORDS: [&[u8]; 30] = [
        b"rv",
        b"v",
        b"ver",
        b"vers",
        b"version",
        b"versions",
        b"release",
        b"rel",
        b"build",
        b"rev",
        b"revision",
        b"firmware",
        b"fw",
        b"patch",
        b"sdk",
        b"kernel",
        b"runtime",
        b"driver",
        b"oid",
        b"section",
        b"sec",
        b"chapter",
        b"clause",
        b"article",
        b"figure",
        b"table",
        b"appendix",
        b"paragraph",
        b"step",
        b"upgrade",
    ];
    let signs = |byte: &&u8| matches!(byte, b' ' | b':' | b'=' | b'"' | b'\'' | b'(' | b'\\' | b'#' | b'<' | b'>');
    let gap = before.iter().rev().take(6).take_while(signs).count();
    let before = before.get(..before.len() - gap).unwrap_or_default();
    let length = before.iter().rev().take(40).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let word = before.get(before.len() - length..).unwrap_or_default();
    if gap == 0 || word.is_empty() {
        return false;
    }
    let lower = word.to_ascii_lowercase();
    lower.ends_with(b"version") || WORDS.contains(&lower.as_slice())
}

/// Addresses that name nobody, and versions: `127.0.0.1`, `0.1.2.3`, a netmask, `124.0.0.0`, the roots of object
/// identifiers.
fn special_v4(candidate: &Candidate<'_>, address: Ipv4Addr) -> bool {
    let in_prefix = matches!(candidate.after(), [b'/', digit, ..] if digit.is_ascii_digit());
    match address.octets() {
        [0 | 255, ..] | [127, 0, 0 | 1, _] => true,
        [_, 0, 0, 0] => !in_prefix,
        // Curves of RFC 8410 among the identifiers.
        [1, 3, 6, 1] | [1, 3, 101, 110..=113] | [2, 5, 4 | 29, _] | [1 | 2, 0..=9, 0..=9, 0..=9] => true,
        // Public name servers.
        [8, 8, 8 | 4, 8 | 4] | [9, 9, 9, _] | [4, 2, 2, _] => false,
        // More likely the number of a chapter: `27.4.2.5`.
        [3..=9 | 11..=99, 0..=9, 0..=9, 0..=9] => true,
        [1..=9 | 11..=30, rest @ ..]
            if rest.iter().all(|part| *part <= 30) && rest.iter().filter(|part| **part < 10).count() == 2 =>
        {
            true
        }
        [1..=19, ..] => upgraded(candidate.before()) || released(candidate) || among_decimals(candidate),
        _ => among_decimals(candidate),
    }
}

/// `upgrade V8 to 4.1.0.25`, `bumped it from 4.2.77.18`.
fn upgraded(before: &[u8]) -> bool {
    let near: Vec<u8> =
        before.iter().rev().take(40).take_while(|byte| **byte != b'\n').map(u8::to_ascii_lowercase).collect();
    // Read backwards.
    let to = near.starts_with(b" ot ") || near.starts_with(b" morf ");
    let engine = near.starts_with(b" ta si 8v");
    engine
        || to
            && ["edargpu", "edargnwod", "etadpu", "pmub", "hctap", "noisrev", " llor"]
                .iter()
                .any(|word| memchr::memmem::find(&near, word.as_bytes()).is_some())
}

/// `dpkg (1.15.8.10) unstable; urgency=low`: the head of an entry in a changelog.
fn released(candidate: &Candidate<'_>) -> bool {
    let after = candidate.after().get(..candidate.after().len().min(48)).unwrap_or_default();
    candidate.before().ends_with(b" (")
        && after.starts_with(b") ")
        && memchr::memmem::find(after, b"; urgency=").is_some()
}

/// Decimals on both sides, as in the path of a drawing: `-2.12 3.51.98.32 2.03.5`.
fn among_decimals(candidate: &Candidate<'_>) -> bool {
    let part = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let gap = |byte: Option<&u8>| matches!(byte, Some(b' ' | b','));
    let (before, after) = (candidate.before(), candidate.after());
    if !gap(before.last()) || !gap(after.first()) {
        return false;
    }
    let decimal = |text: &mut dyn Iterator<Item = &u8>| {
        let (mut dots, mut digits) = (0, 0);
        text.take(12).take_while(part).for_each(|byte| if *byte == b'.' { dots += 1 } else { digits += 1 });
        dots > 0 && dots != 3 && digits > 0
    };
    decimal(&mut before.iter().rev().skip(1)) && decimal(&mut after.iter().skip(1))
}

/// An address of version 6 that is no piece of something else. The zone behind `%` belongs to it.
fn ipv6(candidate: &Candidate<'_>) -> Option<Ipv6Addr> {
    let value = candidate.value();
    let zone = value.iter().position(|byte| *byte == b'%').unwrap_or(value.len());
    let text = value.get(..zone)?;
    let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    let (before, after) = (candidate.before(), candidate.after());
    let begins = match before {
        [.., b':', b':'] => false,
        // Another group in front makes it longer than an address; a word (`addr:2001:db8::1`) does not.
        [.., b':'] => {
            let before = before.get(..before.len() - 1).unwrap_or_default();
            let word = before.iter().rev().take(5).take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let word = before.get(before.len() - word..).unwrap_or_default();
            let groups = text.split(|byte| *byte == b':');
            let numbers = text.ends_with(b"::")
                && groups.clone().all(|group| group.len() < 4 && group.iter().all(u8::is_ascii_digit));
            // `user:x:100:102::/home` is a line of a table.
            !numbers && (word.is_empty() || word.len() > 4 || !word.iter().all(u8::is_ascii_hexdigit))
        }
        [.., near] if near.is_ascii_alphanumeric() || *near == b'_' => false,
        [.., far, b'.' | b'-'] => !far.is_ascii_alphanumeric(),
        _ => true,
    };
    let ends = match after {
        [b':', far, ..] => !(far.is_ascii_alphanumeric() || *far == b':'),
        [near, ..] if near.is_ascii_alphanumeric() || *near == b'_' => false,
        [b'.' | b'-', far, ..] => !far.is_ascii_alphanumeric(),
        [b'<' | b'(', ..] => !text.ends_with(b"::"),
        _ => true,
    };
    (begins && ends && looks_like_an_address(text, address)).then_some(address)
}

/// Refuses hardware addresses of eight bytes, and names such as `a::b` and `dead::beef`.
fn looks_like_an_address(text: &[u8], address: Ipv6Addr) -> bool {
    let groups = || text.split(|byte| *byte == b':').filter(|group| !group.is_empty());
    let count = groups().count();
    if !text.windows(2).any(|pair| pair == b"::") {
        // Eight pairs are bytes; eight groups of digits are more likely times.
        return !groups().all(|group| group.len() == 2);
    }
    if count == 0 || text.contains(&b'.') {
        return true;
    }
    let digit = text.iter().any(u8::is_ascii_digit);
    let first = address.segments()[0];
    let known =
        matches!(first, 0x2000..=0x3FFF | 0xFC00..=0xFDFF | 0xFE80..=0xFEBF | 0xFF00..=0xFF0F | 0x64 | 0x100 | 0);
    digit && (count >= 4 || known)
}

fn special_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let inner = address.to_ipv4_mapped();
    address.is_loopback()
        || address.is_unspecified()
        || segments.iter().skip(1).all(|segment| *segment == 0)
        || inner.is_some_and(|inner| inner.is_loopback() || inner.is_unspecified())
        || inner.is_none() && segments.iter().take(7).all(|segment| *segment == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, text: &str) -> Verdict {
        let (_, validator) = VALIDATORS.iter().find(|(known, _)| *known == name).expect("a validator");
        let (start, end) = (text.find('[').expect("["), text.rfind(']').expect("]"));
        let plain = format!("{}{}{}", &text[..start], &text[start + 1..end], &text[end + 1..]);
        validator(&Candidate::new(plain.as_bytes(), start..end - 1).expect("in the text"))
    }

    #[test]
    fn version_4() {
        for good in [
            "from [192.0.2.33].",
            "[192.0.2.33]:8080",
            "x=[192.0.2.33]/24",
            "http://[192.0.2.33]/a",
            "a/[192.0.2.33]:80",
            "server [192.0.2.33]",
            "[192.0.2.33]-192.0.2.40",
            "192.0.2.33-[192.0.2.40]",
            "[10.0.0.0]/8",
            "me@[192.0.2.33]",
        ] {
            assert_eq!(verdict("ipv4", good), Verdict::Plausible, "{good}");
        }
        for bad in [
            "Chrome/[124.0.6367.60]",
            "version [4.7.1.12]",
            "\"appVersion\": \"[14.7.1.12]\"",
            "lib-[4.7.1.12].jar",
            "[192.0.2.300]x",
            "1.[192.0.2.30]",
            "[192.0.2.30].5",
            "Edge [124.0.0.0]",
            "[192.0.2.033]",
            "on [127.0.0.1]",
            "patch V8 to [10.9.194.6] (",
            "ObjectIdentifier(\"[1.3.101.112]\")",
            "Roll V8 back to [3.9.24.31]",
            "V8 is at [5.0.71.47] now",
            "shop ([1.15.48.10]) unstable; urgency=low",
        ] {
            assert_eq!(verdict("ipv4", bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict("ipv4_special", "on [127.0.0.1]"), Verdict::Plausible);
        assert_eq!(verdict("ipv4_whole_text", "[192.0.2.33]"), Verdict::Plausible);
    }

    #[test]
    fn version_6() {
        // RFC 4291 section 2.2, RFC 5952, RFC 4007.
        for good in [
            "[ABCD:EF01:2345:6789:ABCD:EF01:2345:6789]",
            "[2001:DB8:0:0:8:800:200C:417A],",
            "at [2001:db8::8:800:200c:417a].",
            "[FF01::101]",
            "\"[::ffff:129.144.52.38]\"",
            "[fe80::1234%eth0]",
            "ip:[2001:db8::1]",
            "[2001:db8::1]/64",
        ] {
            assert_eq!(verdict("ipv6", good), Verdict::Plausible, "{good}");
        }
        for bad in [
            "[dead::beef]",
            "[a::b]",
            "std::[fe::ab]",
            "[00:11:22:33:44:55:66:77]",
            "ab:[cd:ef:01:23:45:67:89:10]",
            "[1:2:3:4:5:6:7:8]:9",
            "[::1]",
            "[2001:db8::1]x",
        ] {
            assert_eq!(verdict("ipv6", bad), Verdict::Invalid, "{bad}");
        }
        assert_eq!(verdict("ipv6_special", "on [::1]"), Verdict::Plausible);
    }
}
