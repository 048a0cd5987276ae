//! What stands where a secret would stand and is none: `your_api_key_here`, `${TOKEN}`, `xxxxxxxx`, `null`.

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("not_placeholder", not_placeholder)];

/// Refuses placeholders and sequences such as `1234567890abcdef`.
fn not_placeholder(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    Verdict::plausible(!is_placeholder(value) && !is_sequence(value))
}

/// Values that are words for a value, or for there being none. In lower case, without separators.
const WORDS: &[&str] = &[
    "any",
    "apikey",
    "arg",
    "bool",
    "boolean",
    "bytes",
    "changeit",
    "char",
    "contrasena",
    "credential",
    "credentials",
    "default",
    "define",
    "disabled",
    "email",
    "empty",
    "enabled",
    "false",
    "fixme",
    "foo",
    "foobar",
    "haslo",
    "hidden",
    "input",
    "int",
    "integer",
    "kennwort",
    "key",
    "login",
    "masked",
    "motdepasse",
    "mypass",
    "mypassword",
    "mysecret",
    "mytoken",
    "name",
    "newpassword",
    "nil",
    "no",
    "none",
    "null",
    "number",
    "object",
    "oldpassword",
    "optional",
    "parola",
    "pass",
    "passphrase",
    "passwd",
    "passwort",
    "password",
    "passwords",
    "prompt",
    "pwd",
    "redacted",
    "removed",
    "required",
    "salasana",
    "scrubbed",
    "secret",
    "secretstr",
    "secretstring",
    "securestring",
    "self",
    "senha",
    "somepassword",
    "str",
    "string",
    "tbd",
    "text",
    "textfield",
    "this",
    "todo",
    "token",
    "true",
    "undefined",
    "unknown",
    "unset",
    "user",
    "username",
    "value",
    "varchar",
    "void",
    "wachtwoord",
    "yes",
];

/// Pieces that only placeholders have.
const PIECES: &[&str] = &[
    "your_",
    "your-",
    "yourpass",
    "yourtoken",
    "yoursecret",
    "yourapi",
    "yourkey",
    "example",
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "redacted",
    "dummy",
    "replace_me",
    "replace-me",
    "replaceme",
    "insert_",
    "insert-",
    "_here",
    "-here",
    "xxxxx",
    "*****",
    ".....",
    "filtered",
    "not_a_real",
    "notareal",
    "os.environ",
    "os.getenv",
    "process.env",
    "system.getenv",
    "secretkeyref",
    "-goes-",
];

/// How references to a value elsewhere begin.
const REFERENCES: &[&str] = &[
    "env(",
    "env[",
    "env.",
    "enc[",
    "vault:",
    "arn:",
    "ssm:",
    "op://",
    "vault://",
    "secret://",
    "file:",
    "/run/secrets/",
    "!ref",
    "!sub",
    "!vault",
    "data.",
    "var.",
    "local.",
    "module.",
    "secrets.",
    "config.",
    "settings.",
    "params.",
    "self.",
    "this.",
    "args.",
    "opts.",
    "options.",
    "request.",
    "req.",
    "http://",
    "https://",
    "keyring:",
    "projects/",
    "kms:",
    "{cipher}",
];

/// True for placeholders, references to variables and words for nothing.
#[must_use]
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    if is_template(value) {
        return true;
    }
    let lower: Vec<u8> = value.iter().take(4096).map(u8::to_ascii_lowercase).collect();
    let bare: Vec<u8> = lower.iter().copied().filter(|byte| byte.is_ascii_alphanumeric()).collect();
    WORDS.iter().any(|word| word.as_bytes() == bare)
        || PIECES.iter().any(|piece| memchr::memmem::find(&lower, piece.as_bytes()).is_some())
        || REFERENCES.iter().any(|reference| lower.starts_with(reference.as_bytes()))
}

/// True for what a template or a mask leaves: `${VAR}`, `$VAR`, `{{ x }}`, `<password>`, `[PASSWORD]`, `%s`, `****`, `xxxx`.
#[must_use]
pub(crate) fn is_template(value: &[u8]) -> bool {
    let has = |piece: &[u8]| memchr::memmem::find(value, piece).is_some();
    let within = |open: u8, close: u8| value.first() == Some(&open) && value.last() == Some(&close);
    let name = |text: &[u8]| !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    let opened: [&[u8]; 9] = [b"${", b"$(", b"{{", b"<%", b"%(", b"%{", b"#{", b"@{", b"$[["];
    if opened.iter().any(|open| has(open))
        || within(b'<', b'>')
        || within(b'{', b'}')
        || within(b'[', b']')
        || within(b'%', b'%')
    {
        return true;
    }
    let one_case = !(value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase));
    if matches!(value, [b'$', b'$', rest @ ..] | [b'$', rest @ ..] if name(rest))
        || matches!(value, [b'&' | b'@' | b':', rest @ ..] if one_case && name(rest))
        || matches!(value, [b'%', _] | [b'{', b'}'])
    {
        return true;
    }
    // One sign repeated, with separators: `****`, `xxxx-xxxx`, `...`.
    let mut signs = value.iter().filter(|byte| !matches!(byte, b'-' | b'_' | b' '));
    let first = signs.next();
    first.is_none_or(|first| signs.all(|byte| byte == first)) && (value.len() > 2 || first.is_none())
}

/// True when most characters are the successors of those before them: `1234567890abcdef`, `abcdefghij`.
#[must_use]
pub(crate) fn is_sequence(value: &[u8]) -> bool {
    let follows = |pair: &&[u8]| {
        let (a, b) = (pair[0].to_ascii_lowercase(), pair[1].to_ascii_lowercase());
        b == a.wrapping_add(1)
            || matches!((a, b), (b'9', b'0' | b'a') | (b'0', b'a') | (b'f' | b'z', b'0' | b'1' | b'a'))
    };
    value.len() >= 8 && value.windows(2).filter(follows).count() * 4 >= (value.len() - 1) * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        for text in [
            "your_api_key_here",
            "xxxxxxxx",
            "XXXX-XXXX",
            "changeme",
            "<password>",
            "${VAR}",
            "{{ var }}",
            "%s",
            "****",
            "example",
            "null",
            "true",
            "os.environ['X']",
            "process.env.KEY",
            "$PASSWORD",
            "%PASSWORD%",
            "PASSWORD",
            "[REDACTED]",
            "vault:secret/data/x",
            "",
            "___",
        ] {
            assert!(is_placeholder(text.as_bytes()), "{text}");
        }
        for text in [
            "hunter2xyz",
            "Sup3rS3cret!",
            "P@ssw0rd123",
            "correcthorse",
            "password1",
            "$ecr3t!",
            "Tr0ub4dor&3",
            "%9kLm2p",
        ] {
            assert!(!is_placeholder(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn sequences() {
        for text in
            ["1234567890abcdef", "abcdefghij", "0123456789abcdef0123456789abcdef", "abcdefghijklmnopqrstuvwxyz123456"]
        {
            assert!(is_sequence(text.as_bytes()), "{text}");
        }
        for text in ["hunter2xyz", "9f86d081884c7d65", "abc"] {
            assert!(!is_sequence(text.as_bytes()), "{text}");
        }
    }
}
