//! E-mail addresses (RFC 5321, section 4.1.2) and what only looks like one: a picture's `logo@2x.png`, a package's `name@1.2.3`,
//! the account of a repository.

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("email", email)];

/// Endings of files and of systemd's units that are no top level domain.
#[rustfmt::skip]
const ENDINGS: &[&str] = &[
    "apk", "automount", "avif", "bak", "bin", "bmp", "cfg", "class", "conf", "cpp", "css", "csv", "dat", "deb",
    "device", "dll", "dmg", "doc", "docx", "dylib", "eot", "exe", "final", "gif", "gradle", "gz", "heic", "hpp", "htm", "html",
    "icns", "ico", "img", "ini", "ipa", "iso", "jar", "java", "jpeg", "jpg", "js", "json", "jsonl", "jsx", "less", "lock",
    "log", "lst", "map", "mjs", "mount", "mp", "node", "otf", "patch", "pdf", "pem", "php", "png", "ppt", "pptx", "rb",
    "rpm", "rpl", "scala", "scope", "scss", "service", "slice", "snap", "socket", "sql", "svg", "swap", "swift", "tar", "target", "tgz",
    "tif", "tiff", "timer", "toml", "ts", "tsx", "ttf", "txt", "vue", "war", "wasm", "wav", "webm", "webp", "whl", "woff", "xls",
    "xlsx", "xml", "xz", "yaml", "yml",
];

fn email(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let Some(at) = memchr::memrchr(b'@', value) else { return Verdict::Invalid };
    let (local, domain) = (value.get(..at).unwrap_or_default(), value.get(at + 1..).unwrap_or_default());
    let dots = !local.ends_with(b".") && !local.windows(2).any(|pair| pair == b"..");
    let labels = || domain.split(|byte| *byte == b'.');
    let hyphens = labels().all(|label| !label.starts_with(b"-") && !label.ends_with(b"-"));
    let ending = labels().next_back().unwrap_or_default();
    let file = ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known.as_bytes()));
    // What is refused as a whole is not tried again from its second letter on, unless the first ones belong to an escape.
    let joined = match *candidate.before() {
        [.., near] if near.is_ascii_alphanumeric() || near == b'_' => true,
        [.., far, b'.'] => far.is_ascii_alphanumeric(),
        _ => false,
    };
    let whole = if joined { behind_escape(candidate.before()) } else { !begins_in_escape(candidate) };
    let fits = whole && dots && hyphens && !file && !is_version(domain);
    Verdict::plausible(fits && !is_remote(candidate, local) && !is_message_id(local))
}

/// A backslash that no other one stands for: `\n`, not `\\n`.
fn backslash(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The `n` of `"first line\nalice@example.com"`, the `fI` of `\fIalice@example.com\fR`: no letters of the address.
fn begins_in_escape(candidate: &Candidate<'_>) -> bool {
    let escape = matches!(candidate.value(), [b'n' | b't' | b'r', ..] | [b'f', b'B' | b'I' | b'R' | b'P' | b'5', ..]);
    escape && backslash(candidate.before())
}

fn behind_escape(before: &[u8]) -> bool {
    match before {
        [rest @ .., b'n' | b't' | b'r'] if backslash(rest) => true,
        [rest @ .., b'f', b'B' | b'I' | b'R' | b'P' | b'5'] => backslash(rest),
        _ => false,
    }
}

/// `20240713144407.GA27334`, `5186720A.4090101`, `1334571250.5056.52.camel`: what programs put before the `@` of a message's id.
fn is_message_id(local: &[u8]) -> bool {
    let mut pieces = local.split(|byte| *byte == b'.');
    let (first, second) = (pieces.next().unwrap_or_default(), pieces.next().unwrap_or_default());
    let digits = |piece: &[u8]| piece.iter().all(u8::is_ascii_digit);
    let moment = digits(first) && first.len() >= 12 && !second.is_empty();
    let counted = first.len() == 8 && second.len() >= 5 && first.iter().all(u8::is_ascii_hexdigit) && digits(second);
    moment || counted || local.ends_with(b".camel") || local.ends_with(b".fsf")
}

/// `1.7.0.Final`, `v0.0.1-rc.linux`: the first two labels are numbers.
fn is_version(domain: &[u8]) -> bool {
    let domain = domain.strip_prefix(b"v").unwrap_or(domain);
    let mut labels = domain.split(|byte| *byte == b'.');
    let mut number = || labels.next().is_some_and(|label| !label.is_empty() && label.iter().all(u8::is_ascii_digit));
    number() && number()
}

/// `git@host:team/repository`, `ssh://git@host/`, `root@host:/path`: who logs in where.
fn is_remote(candidate: &Candidate<'_>, local: &[u8]) -> bool {
    let tool = [b"git".as_slice(), b"hg", b"svn", b"gitlab", b"gitea"].contains(&local);
    match candidate.after() {
        [b':', b'/' | b'~', ..] => true,
        [b':', near, ..] if near.is_ascii_alphanumeric() || matches!(near, b'_' | b'-' | b'.') => tool,
        _ => {
            let before = candidate.before();
            // `https://alice@example.com/shop.git`: whom a server asks for a password.
            let schemes = [b"http://".as_slice(), b"https://", b"ftp://", b"ssh://", b"git://"];
            schemes.iter().any(|scheme| before.ends_with(scheme)) || tool && before.ends_with(b"-T ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(marked: &str) -> Verdict {
        let (start, end) = (marked.find('[').expect("["), marked.rfind(']').expect("]"));
        let text = format!("{}{}{}", &marked[..start], &marked[start + 1..end], &marked[end + 1..]);
        email(&Candidate::new(text.as_bytes(), start..end - 1).expect("in the text"))
    }

    #[test]
    fn addresses() {
        for good in [
            "[alice@example.com]",
            "mail [a.b+c@mail.example.co.uk]: thanks",
            "[root@host.example.com]: text",
            "[x@7.example.com]",
            "[git@example.com]",
            "[bob@example.services]",
            r"first\n[alice@example.com]",
            r"\fI[alice@example.com]\fR",
            r"CORP\\[nancy@example.com]",
            "[12345678.9@example.com]",
        ] {
            assert_eq!(verdict(good), Verdict::Plausible, "{good}");
        }
        for bad in [
            "[logo@2x.png]",
            "[wildfly@1.7.0.Final]",
            "[tool@v0.0.1-rc.linux]",
            "[getty@tty1.service]",
            "[git@github.com]:team/repository.git",
            "ssh://[git@example.org]/team",
            "git+https://[alice@example.org]/team",
            "rsync [root@host.example.com]:/srv",
            "[a..b@example.com]",
            "[a.@example.com]",
            "[a@-example.com]",
            "g[it@example.com]",
            r"first\[nalice@example.com]",
            r"\[fIalice@example.com]\fR",
            "[20240713144407.GA27334@example.com]",
            "[5186720A.4090101@example.com]",
            "[1334571250.5056.52.camel@example.com]",
        ] {
            assert_eq!(verdict(bad), Verdict::Invalid, "{bad}");
        }
    }
}
