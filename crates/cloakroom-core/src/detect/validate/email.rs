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
    // What is refused as a whole is not tried again from its second letter on.
    let whole = !candidate.before().last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    Verdict::plausible(whole && dots && hyphens && !file && !is_version(domain) && !is_remote(candidate, local))
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
        _ => candidate.before().ends_with(b"ssh://") || tool && candidate.before().ends_with(b"-T "),
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
            "rsync [root@host.example.com]:/srv",
            "[a..b@example.com]",
            "[a.@example.com]",
            "[a@-example.com]",
            "g[it@example.com]",
        ] {
            assert_eq!(verdict(bad), Verdict::Invalid, "{bad}");
        }
    }
}
