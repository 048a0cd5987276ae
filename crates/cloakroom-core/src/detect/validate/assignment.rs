//! Values that are secrets because of the name they are given: `DB_PASSWORD=…`, `"apiKey": "…"`, `--password …`.
//!
//! The regex of a rule finds the name; this reads it again from the value backwards, word by word, and tells a value from what
//! source code puts there: types, variables, calls, labels.

use super::placeholder::{is_placeholder, is_sequence};
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[
    ("password_value", password_value),
    ("password_with_digit", password_with_digit),
    ("secret_value", secret_value),
    ("random_value", random_value),
    ("not_an_id", not_an_id),
    ("base64_key", base64_key),
    ("strong_password", strong_password),
    ("random_word", random_word),
];

/// The name that a value has.
struct Named<'t> {
    name: &'t [u8],
    /// Between quotes.
    quoted: bool,
    /// Where the name stands.
    before: &'t [u8],
    /// What stands between the name and the value.
    between: &'t [u8],
}

/// How far back a name is looked for.
const REACH: usize = 160;

/// Reads back over quotes and separators to the name. `name: X`, `value: Y` is X's value; so is `X: str = "Y"`.
fn named<'t>(candidate: &Candidate<'t>) -> Named<'t> {
    let before = candidate.before();
    let text = &before[before.len().saturating_sub(REACH)..];
    let quote = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`');
    let quoted = text.last().is_some_and(quote);
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$') || *byte >= 0x80;
    let mut end = text.len();
    loop {
        let skipped = text[..end].iter().rev().take_while(|byte| !is_name(byte) && **byte != b'\n').count();
        let stop = end - skipped;
        // A line break lies between a name and its value only in `name: X` / `value: Y`.
        let stop = if stop < text.len() && end < text.len() && text[..stop].ends_with(b"\n") {
            stop - text[..stop]
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b','))
                .count()
        } else {
            stop
        };
        let length = text[..stop].iter().rev().take_while(|byte| is_name(byte)).count();
        let name = &text[stop - length..stop];
        let word: Vec<u8> = name.to_ascii_lowercase();
        let stands_for_another = matches!(word.as_slice(), b"value" | b"str" | b"string" | b"static");
        if !stands_for_another || stop == length || length == 0 || end == stop - length {
            return Named { name, quoted, before: &text[..stop - length], between: &text[stop..] };
        }
        end = stop - length;
    }
}

/// The words of a name, in lower case: `dbPassword_2` has `db`, `password`, `2`.
fn words(name: &[u8]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut previous = b'_';
    for (at, &byte) in name.iter().enumerate() {
        let letter = byte.is_ascii_alphanumeric() || byte >= 0x80;
        let begins = !(previous.is_ascii_alphanumeric() || previous >= 0x80)
            || previous.is_ascii_lowercase() && byte.is_ascii_uppercase()
            || previous.is_ascii_uppercase()
                && byte.is_ascii_uppercase()
                && name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        if letter {
            if begins {
                words.push(Vec::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(byte.to_ascii_lowercase());
            }
        }
        previous = byte;
    }
    words
}

fn any(word: &[u8], list: &[&str]) -> bool {
    list.iter().any(|other| other.as_bytes() == word)
}

/// What a name ends with when its value is about a secret and none itself.
const ABOUT: &[&str] = &[
    "age",
    "alg",
    "algorithm",
    "arn",
    "at",
    "attempts",
    "audience",
    "aud",
    "bucket",
    "button",
    "cache",
    "changed",
    "class",
    "column",
    "cost",
    "count",
    "counter",
    "date",
    "description",
    "dir",
    "directory",
    "enabled",
    "encoder",
    "encoding",
    "encryption",
    "endpoint",
    "env",
    "error",
    "exp",
    "expiration",
    "expired",
    "expires",
    "expiry",
    "field",
    "file",
    "filename",
    "fingerprint",
    "form",
    "format",
    "generator",
    "group",
    "handler",
    "hash",
    "hashed",
    "header",
    "help",
    "hint",
    "host",
    "icon",
    "id",
    "identifier",
    "ids",
    "index",
    "input",
    "issuer",
    "kind",
    "label",
    "len",
    "length",
    "level",
    "limit",
    "link",
    "location",
    "manager",
    "mask",
    "max",
    "message",
    "method",
    "min",
    "mode",
    "model",
    "module",
    "msg",
    "name",
    "namespace",
    "page",
    "param",
    "parameter",
    "path",
    "pattern",
    "placeholder",
    "policy",
    "pos",
    "position",
    "prefix",
    "process",
    "prompt",
    "property",
    "provider",
    "ref",
    "reference",
    "refs",
    "regex",
    "region",
    "required",
    "reset",
    "retries",
    "rotation",
    "rounds",
    "rule",
    "rules",
    "salt",
    "scheme",
    "scope",
    "scopes",
    "screen",
    "script",
    "selector",
    "service",
    "shadow",
    "size",
    "source",
    "state",
    "status",
    "store",
    "stores",
    "strategy",
    "strength",
    "style",
    "subject",
    "suffix",
    "tag",
    "template",
    "test",
    "text",
    "time",
    "timeout",
    "timestamp",
    "title",
    "ttl",
    "type",
    "types",
    "ui",
    "updated",
    "uri",
    "url",
    "usage",
    "used",
    "user",
    "username",
    "uuid",
    "validation",
    "validator",
    "var",
    "variable",
    "vault",
    "version",
    "view",
    "visible",
];

/// What it begins with then.
const ABOUT_FIRST: &[&str] = &[
    "can",
    "check",
    "enable",
    "forgot",
    "forgotten",
    "has",
    "hide",
    "is",
    "max",
    "min",
    "no",
    "num",
    "number",
    "show",
    "total",
    "toggle",
    "validate",
];

fn is_about(words: &[Vec<u8>]) -> bool {
    // `password2`, `token_1`: the number counts for nothing.
    let last = words.iter().rev().find(|word| !word.iter().all(u8::is_ascii_digit));
    last.is_none_or(|word| any(word, ABOUT))
        || words.len() > 1 && words.first().is_some_and(|word| any(word, ABOUT_FIRST))
}

const PASSWORD_WORDS: &[&str] = &[
    "pass",
    "passwd",
    "password",
    "passphrase",
    "passcode",
    "passwort",
    "passwords",
    "pw",
    "pwd",
    "pswd",
    "psw",
    "passe",
    "mdp",
    "motdepasse",
    "senha",
    "kennwort",
    "wachtwoord",
    "contrasena",
    "contraseña",
    "contrasenya",
    "parola",
    "haslo",
    "hasło",
    "heslo",
    "salasana",
    "lozinka",
    "sifre",
    "şifre",
    "userpass",
    "dbpass",
    "rootpass",
    "adminpass",
    "smtppass",
    "mailpass",
    "ftppass",
    "sshpass",
    "keypass",
    "storepass",
    "mysqlpass",
    "pgpass",
    "passin",
    "passout",
    "requirepass",
    "masterauth",
    "passwrd",
];

const PASSWORD_ENDS: &[&str] =
    &["password", "passwd", "passphrase", "passwort", "pwd", "password1", "password2", "password3"];

fn is_password_name(words: &[Vec<u8>]) -> bool {
    let says =
        |word: &Vec<u8>| any(word, PASSWORD_WORDS) || PASSWORD_ENDS.iter().any(|end| word.ends_with(end.as_bytes()));
    // `pass_by_value`, `PassThrough`: the short words say it only at the end.
    let short = |word: &Vec<u8>| any(word, &["pass", "pw", "passe", "psw"]);
    let last = words.iter().rev().find(|word| !word.iter().all(u8::is_ascii_digit));
    words.iter().any(|word| says(word) && (!short(word) || Some(word) == last)) && !is_about(words)
}

/// An identifier, or several joined by dots: `user.password`, `Foo::bar`, `db-password`.
fn is_identifier(value: &[u8]) -> bool {
    let fits =
        |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b':' | b'-' | b'>' | b'$' | b'?' | b'!');
    value.iter().all(fits)
}

/// `a.b.c`, `a->b`, `a::b`, each piece an identifier.
fn is_member(value: &[u8]) -> bool {
    let text: Vec<u8> = value.iter().map(|&byte| if matches!(byte, b':' | b'>') { b'.' } else { byte }).collect();
    let mut pieces = 0;
    for piece in text.split(|byte| *byte == b'.') {
        let piece = piece.strip_suffix(b"-").or(piece.strip_suffix(b"?")).or(piece.strip_suffix(b"!")).unwrap_or(piece);
        if piece.is_empty() {
            continue;
        }
        let begins = piece.first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$'));
        let digits = piece.iter().filter(|byte| byte.is_ascii_digit()).count();
        let rest = piece.iter().skip(1).all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        if !begins || !rest || digits * 3 > piece.len() {
            return false;
        }
        pieces += 1;
    }
    pieces > 1
}

/// What source code puts where a value could stand without quotes: a call, a member, an index, a path.
fn is_code(value: &[u8], after: &[u8]) -> bool {
    // `Resolver->find()`, and a type: `ERROR: WIN32_ERROR = 1325`.
    let pointer = value.ends_with(b"-") && after.starts_with(b">");
    let typed = matches!(after, [b' ', b'=', b' ', ..])
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let called = matches!(after, [b'(' | b'[' | b'{', ..] | [b'<', ..] | [b':', b':', ..] | [b'!', b'(', ..])
        && !matches!(after, [b'<', b'/', ..] | [b'<', b'b' | b'B', ..]);
    called || pointer || typed || is_member(value)
}

fn is_path(value: &[u8]) -> bool {
    let begins =
        value.starts_with(b"/") || value.starts_with(b"./") || value.starts_with(b"../") || value.starts_with(b"~/");
    begins && value.iter().filter(|byte| **byte == b'/').count() > 1
}

/// Names the same kind of thing as its field does: `token: GetContextTokenFn`, `private_key: ed25519.PrivateKey`.
fn is_name_of_secret(value: &[u8]) -> bool {
    let name = value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    let own = words(value);
    name && own.len() > 2 && own.iter().any(|word| any(word, SECRET_ENDS))
}

fn password_value(candidate: &Candidate<'_>) -> Verdict {
    let (value, after, named) = (candidate.value(), candidate.after(), named(candidate));
    let names = words(named.name);
    if !is_password_name(&names) || is_placeholder(value) || is_path(value) || value.eq_ignore_ascii_case(named.name) {
        return Verdict::Invalid;
    }
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let short = names.last().is_some_and(|word| word.len() < 5);
    if digits == value.len() {
        return Verdict::plausible(digits >= 6 && !short || named.quoted && digits >= 4);
    }
    if letters == 0 && digits == 0 {
        return Verdict::plausible(named.quoted && value.len() >= 6);
    }
    let own: Vec<Vec<u8>> = words(value);
    if digits == 0 && is_identifier(value) {
        // `passwordConfirm`, `db-password`, `new_password`: the name of a field or of a secret elsewhere.
        if own.len() > 1
            && own
                .iter()
                .any(|word| any(word, PASSWORD_WORDS) || any(word, &["secret", "token", "key", "input", "field"]))
        {
            return Verdict::Invalid;
        }
    }
    // `--- PASS: TestVet/1 (0.07s)`, `PWD=/tmp`, `<password>@host`.
    let test = named.before.ends_with(b"--- ") || matches!(named.name, b"PWD" | b"$PWD") && value.starts_with(b"/");
    // `'Test2::Event::Pass' => '1.302103'`, `$as->{pass} ? "PASS" : "FAIL"`, `".passwd.">",'~'.expand(`, vim's `a:2`, `super::x::Type`.
    let module = named.before.ends_with(b"::");
    let choice = named.before.ends_with(b"? \"") || named.before.ends_with(b"? '");
    let joined = matches!(value, [b',' | b'.' | b'+', b'\'' | b'"', ..]);
    let scoped = matches!(value, [b'a'..=b'z', b':', b'0'..=b'9']) || value.starts_with(b"super::");
    // `*all*tokens*updated*`: a pattern.
    let pattern = value.len() > 1 && value.starts_with(b"*") && value.ends_with(b"*");
    if test
        || module
        || choice
        || joined
        || scoped
        || pattern
        || named.between == b">" && value.starts_with(b"@")
        || is_format(value)
    {
        return Verdict::Invalid;
    }
    if named.quoted {
        return Verdict::plausible(!(own.len() == 1 && digits == 0 && value.len() < 4));
    }
    if is_code(value, after) {
        return Verdict::Invalid;
    }
    // `0x30`, and Rust's `*mut`.
    let hexadecimal = value.starts_with(b"0x") && value.iter().skip(2).all(u8::is_ascii_hexdigit);
    if hexadecimal || value.strip_prefix(b"*").is_some_and(|rest| rest.iter().all(u8::is_ascii_alphabetic)) {
        return Verdict::Invalid;
    }
    let identifier = value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    // `u32`, `__u64`, `uint8_t`, `w2`.
    let stem: Vec<u8> = value.iter().copied().filter(u8::is_ascii_alphabetic).collect();
    if identifier
        && (value.len() < 4 || any(&stem, &["u", "i", "f", "int", "uint", "intt", "uintt", "float", "char", "varchar"]))
    {
        return Verdict::Invalid;
    }
    // `passwd: elevated-privileges 2755 root/shadow`: words in a sentence, or in a line of something else.
    if digits == 0 && value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Verdict::plausible(is_configuration(&named, after) || is_jumble(value));
    }
    // `pass: Test_foo1`, `password=password_2`: a variable.
    if identifier
        && own
            .iter()
            .any(|word| any(word, PASSWORD_WORDS) || any(word, &["secret", "string", "varchar", "char", "int"]))
        && own.len() > 1
    {
        return Verdict::Invalid;
    }
    Verdict::Plausible
}

/// Nothing but what `printf` fills in: `%s:%s`, `%d/%d`.
fn is_format(value: &[u8]) -> bool {
    let mut percent = false;
    let rest = value.iter().filter(|byte| {
        let flag = percent && matches!(byte, b'#' | b'+' | b'-' | b'.' | b'*' | b'0'..=b'9');
        let filled = percent;
        percent = **byte == b'%' || flag;
        byte.is_ascii_alphanumeric() && !filled
    });
    rest.count() == 0 && value.contains(&b'%')
}

/// Whether a bare word is a value: `DB_PASSWORD=word`, `?password=word&`, `<password>word</`, or YAML's `password: word` alone on its line.
fn is_configuration(named: &Named<'_>, after: &[u8]) -> bool {
    let capitals = named.name.iter().any(u8::is_ascii_uppercase) && !named.name.iter().any(u8::is_ascii_lowercase);
    let ends = matches!(after, [] | [b'\r' | b'\n' | b'&', ..]) || after.starts_with(b"</");
    match named.between {
        b"=" => {
            capitals && matches!(after, [] | [b'\r' | b'\n' | b' ' | b'&' | b'"' | b';', ..])
                || matches!(named.before.last(), Some(b'&' | b'?' | b';'))
                || ends
        }
        b">" => ends,
        b": " => {
            ends && named
                .before
                .iter()
                .rev()
                .take_while(|byte| **byte != b'\n')
                .all(|byte| matches!(byte, b' ' | b'\t' | b'-'))
        }
        _ => false,
    }
}

/// Letters of both kinds that are no words: `yneLFodIO`.
fn is_jumble(value: &[u8]) -> bool {
    let kinds = value.windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count();
    let (pairs, usual) = usual_pairs(value);
    value.len() >= 8 && kinds >= 2 && value.iter().all(u8::is_ascii_alphabetic) && usual * 2 < pairs
}

/// Without a sign between name and value (`--password X`, `the password is X`): a value has a digit, and more than digits.
fn password_with_digit(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let signs = value
        .iter()
        .filter(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'\'' | b'_' | b'/' | b'.'))
        .count();
    let mixed = digits > 0 && digits < value.len() || signs > 0 && signs < value.len() || is_jumble(value);
    let lower: Vec<u8> = value.to_ascii_lowercase();
    let technical =
        ["base64", "sha", "md5", "utf", "aes", "bcrypt", "argon2", "scrypt", "pbkdf2", "oauth2", "http", "log4", "0x"];
    let technical = technical.iter().any(|word| lower.starts_with(word.as_bytes()));
    Verdict::plausible(
        mixed
            && !technical
            && !has_entity(value)
            && !is_placeholder(value)
            && !is_path(value)
            && !is_code(value, candidate.after()),
    )
}

/// `&quot;` and its like: the text of a page in HTML, of which this is no value.
fn has_entity(value: &[u8]) -> bool {
    [b"&quot".as_slice(), b"&lt", b"&gt", b"&amp", b"&#"]
        .iter()
        .any(|entity| memchr::memmem::find(value, entity).is_some())
}

/// Without any sign that gives the value to the name: letters, digits, and a sign or letters of both cases.
fn strong_password(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let has = |kind: fn(&u8) -> bool| value.iter().any(kind);
    let signs = has(|byte| byte.is_ascii_punctuation() && !matches!(byte, b'-' | b'_' | b'.' | b'/' | b':' | b'='));
    let cases = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let strong = has(u8::is_ascii_alphabetic) && (signs && digits > 0 || cases && digits > 1);
    if strong && !has_entity(value) { password_with_digit(candidate) } else { Verdict::Invalid }
}

/// What key-like names end with.
const SECRET_ENDS: &[&str] = &[
    "secret",
    "secrets",
    "token",
    "tokens",
    "key",
    "keys",
    "credential",
    "credentials",
    "apikey",
    "auth",
    "cred",
    "creds",
];

fn secret_value(candidate: &Candidate<'_>) -> Verdict {
    let (value, named) = (candidate.value(), named(candidate));
    let names = words(named.name);
    let says = |word: &Vec<u8>| SECRET_ENDS.iter().any(|end| word.ends_with(end.as_bytes()));
    let about = is_about(&names)
        || names.iter().any(|word| {
            any(
                word,
                &["public", "publishable", "page", "next", "continuation", "pagination", "cursor", "csrf", "xsrf"],
            )
        });
    // `AWS::IAM::AccessKey` is a type.
    let about = about || named.before.ends_with(b"::");
    if !names.iter().any(says)
        || about
        || !named.quoted && (is_code(value, candidate.after()) || is_name_of_secret(value))
        || is_path(value)
    {
        return Verdict::Invalid;
    }
    Verdict::plausible(is_random(value))
}

fn random_value(candidate: &Candidate<'_>) -> Verdict {
    Verdict::plausible(is_random(candidate.value()))
}

/// The same for a value that nothing but its place gives to a name; a path or a name is none.
fn random_word(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let slashes = value.iter().filter(|byte| **byte == b'/').count();
    let plain = digits > 1 && slashes * 6 <= value.len() && !is_path(value) && !is_name_of_secret(value);
    Verdict::plausible(plain && is_random(value))
}

/// Base64 of random bytes: capitals, small letters and digits, not hexadecimal, not words in `CamelCase`, not a path.
fn base64_key(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let slashes = value.iter().filter(|byte| **byte == b'/').count();
    let all = value.iter().any(u8::is_ascii_lowercase)
        && value.iter().any(u8::is_ascii_uppercase)
        && value.iter().any(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'/'));
    Verdict::plausible(all && slashes * 6 <= value.len() && is_random(value))
}

/// Letters that often follow a letter in words and identifiers, for `a` to `z`: nine of ten pairs in prose and in source
/// code are among them, three of ten in random letters. Counted over this project's own texts.
const FOLLOWERS: [&[u8]; 26] = [
    b"bcdgiklmnprstuy",
    b"aelou",
    b"aehklort",
    b"aeiors",
    b"acdeflmnprstvwxy",
    b"aeior",
    b"eir",
    b"aeio",
    b"acdeglmnoprstvz",
    b"",
    b"eis",
    b"adeilostuy",
    b"aeiopu",
    b"acdefgiknostuy",
    b"acdlmnoprstuw",
    b"aeiloprtu",
    b"",
    b"acdeimnorstuy",
    b"acehiopstu",
    b"acehiorstuy",
    b"bcelmnprst",
    b"ae",
    b"aehinor",
    b"t",
    b"pst",
    b"e",
];

/// How many pairs of letters there are, and how many of them are usual ones.
fn usual_pairs(value: &[u8]) -> (usize, usize) {
    let (mut pairs, mut usual) = (0, 0);
    for pair in value.windows(2) {
        let (first, second) = (pair[0].to_ascii_lowercase(), pair[1].to_ascii_lowercase());
        if first.is_ascii_lowercase() && second.is_ascii_lowercase() {
            pairs += 1;
            let follows = FOLLOWERS.get(usize::from(first - b'a')).is_some_and(|followers| followers.contains(&second));
            usual += usize::from(follows);
        }
    }
    (pairs, usual)
}

/// Whether a value of 16 and more characters looks like drawn at random rather than written by people.
fn is_random(value: &[u8]) -> bool {
    if is_placeholder(value) || is_sequence(value) {
        return false;
    }
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    if letters == 0 {
        return false;
    }
    // A slug, a class name, a version, a date: every piece is a word or a short number.
    let wordly = |piece: &[u8]| {
        let capital_first = piece.iter().skip(1).all(u8::is_ascii_lowercase);
        let capitals = piece.iter().all(u8::is_ascii_uppercase);
        let word = piece.iter().all(u8::is_ascii_alphabetic) && piece.len() <= 14 && (capital_first || capitals);
        word || piece.len() <= 4 && piece.iter().all(u8::is_ascii_digit) || piece.len() <= 3
    };
    if value.split(|byte| !byte.is_ascii_alphanumeric()).all(wordly) {
        return false;
    }
    if digits * 5 >= letters + digits {
        return digits >= 2;
    }
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let changes = value.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    let (pairs, usual) = usual_pairs(value);
    let words = usual * 100 >= pairs * 58 && changes * 100 < (value.len() - 1) * 42;
    !words
}

/// What a name ends with when its value is an identifier or a digest.
const IDENTIFIERS: &[&str] = &[
    "id",
    "ids",
    "uuid",
    "guid",
    "trace",
    "traceid",
    "span",
    "spanid",
    "request",
    "requestid",
    "req",
    "correlation",
    "commit",
    "sha",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "md5",
    "hash",
    "digest",
    "checksum",
    "etag",
    "rev",
    "revision",
    "tree",
    "blob",
    "parent",
    "fingerprint",
    "thumbprint",
    "build",
    "version",
    "tag",
    "image",
    "layer",
    "container",
    "pod",
    "node",
    "crc",
    "index",
    "head",
    "merge",
    "object",
    "integrity",
    "cid",
    "sid",
    "rid",
    "tid",
    "ref",
    "branch",
    "merkle",
    "block",
    "tx",
    "txid",
];

/// Refuses a value whose name says that it identifies or digests something, and placeholders.
fn not_an_id(candidate: &Candidate<'_>) -> Verdict {
    let names = words(named(candidate).name);
    let identifies = names.last().is_some_and(|word| any(word, IDENTIFIERS));
    Verdict::plausible(!identifies && !is_placeholder(candidate.value()) && !is_sequence(candidate.value()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a validator says of the value between `[[ ]]`.
    fn of(validator: Validator, marked: &str) -> Verdict {
        let (start, end) = (marked.find("[[").expect("[["), marked.rfind("]]").expect("]]"));
        let text = format!("{}{}{}", &marked[..start], &marked[start + 2..end], &marked[end + 2..]);
        validator(&Candidate::new(text.as_bytes(), start..end - 2).expect("inside"))
    }

    #[test]
    fn passwords() {
        for text in [
            "password = \"[[hunter2xyz]]\"",
            "DB_PASSWORD=[[secretvalue]]",
            "\"password\": \"[[hunter]]\"",
            "password=[[hunter2xyz]] user=bob",
            "pwd: [[Xk9mP2vL]]",
            "Server=x;Password=[[Ab1!cd]];",
            "?password=[[letmein]]&x=1",
            "spring.datasource.password=[[s3cr3t]]",
            "<password>[[letmein]]</password>",
            "dbPassword: '[[correct-horse]]'",
            "- name: DB_PASSWORD\n  value: [[hunter2xyz]]",
            "password: [[letmein]]\n",
            "PGPASSWORD=[[hunter2]] psql",
            "password=[[rRExYNmd]] ip",
            "password: str = \"[[hunter2xyz]]\"",
        ] {
            assert_eq!(of(password_value, text), Verdict::Plausible, "{text}");
        }
        for text in [
            "password: [[string]]",
            "password: [[String]],",
            "password = [[getPassword]]()",
            "password = [[user.password]]",
            "password=[[password]]",
            "password_hash = \"[[abcdef123]]\"",
            "passwordField: \"[[abc1def]]\"",
            "max_password_length=[[128000]]",
            "compass: [[north1]]",
            "passport: [[X1234567]]",
            "password: \"[[passwordConfirm]]\"",
            "PWD=[[/home/user/x]]",
            "pass: [[1234567]]",
            "password = [[new_password]]",
            "let password = [[input]];",
            "foo(password=[[hunter]])",
            "needless_pass_by_value = \"[[warn]]\"",
            "password: [[*mut]] u8",
            "MATCH_PASS = [[0x04]],",
            "passwd: [[__u32]],",
            "\"password\": \"[[your_password]]\"",
            "password: [[****]]",
            "is_password: [[abc123]]",
            "password=[[args.db_pass1]]",
            "--- PASS: [[TestVet/1]] (0.07s)",
            "ERROR_PASSWORD: [[WIN32_ERROR]] = 1325u32;",
            "ResultPass = [[Resolver-]]>find()",
            "user_pass = '[[%s:%s]]'",
            "pass=[[%#v]], host",
            "\"PWD=[[/tmp]]\"",
            "<password>[[@proxy-host]]",
            "password_encryption = [[scram-sha-256]]",
            "'Test2::Event::Pass' => '[[1.302103]]'",
            "$as->{pass} ? \"PASS\" : \"[[FAIL]]\"",
            "let g:my_passwd = [[a:2]]",
            "pub Password: [[super::Foundation::UNICODE_STRING]],",
            "passwd: [[*all*tokens*updated*]]",
            "d_pwpasswd='[[define]]'",
            "my $pass = [[$m]]",
            "passwd: [[elevated-privileges]] 2755 root/shadow",
            "DUMPING_ETC_PASSWORD_AND_ETC_SHADOW: [[T1003.008]]",
            "PATH=\"`pwd`:[[$$PATH]]\"",
            "\"$PWD\":[[/tmp]]",
        ] {
            assert_eq!(of(password_value, text), Verdict::Invalid, "{text}");
        }
        assert_eq!(of(password_with_digit, "the password is [[hunter2xyz]]"), Verdict::Plausible);
        for text in [
            "password is [[required]]",
            "password is [[base64-encoded]]",
            "password is [[12345]]",
            "Password is [[correct.&quot]]",
        ] {
            assert_eq!(of(password_with_digit, text), Verdict::Invalid, "{text}");
        }
    }

    #[test]
    fn secrets() {
        for text in [
            "api_key = \"[[f3Kq9ZtR7mXw2LpV]]\"",
            "client_secret: [[q8Rz-Lk2mNp_4Tv7Yx]]",
            "TOKEN=[[9f86d081884c7d659a2feaa0c55ad015]]",
            "secretKey: '[[GhTbNqWzLpRkXvMdQs]]'",
            "export const API_KEY: string = \"[[f3Kq9ZtR7mXw2LpV]]\"",
        ] {
            assert_eq!(of(secret_value, text), Verdict::Plausible, "{text}");
        }
        for text in [
            "token = \"[[AccessTokenProvider]]\"",
            "secret_name: [[projects-db-credentials]]",
            "token_type=[[f3Kq9ZtR7mXw2LpV]]",
            "apiKey: [[config.services.apiKey1]]",
            "api_key=[[your_api_key_here]]",
            "token: [[1234567890abcdef]]",
            "next_page_token=[[f3Kq9ZtR7mXw2LpV]]",
            "api_key_id: [[f3Kq9ZtR7mXw2LpV]]",
            "secret = [[generateSecretKey64]](",
            "token: [[release-2024-11-20-0815]]",
            "\"AWS::IAM::AccessKey\": \"[[72c2d9dd90025459]]\"",
            "GetContextToken: [[SpGetContextTokenFn]],",
            "generate_private_key: [[x25519_generate_private_key]],",
        ] {
            assert_eq!(of(secret_value, text), Verdict::Invalid, "{text}");
        }
    }

    #[test]
    fn identifiers() {
        for text in [
            "datadog trace_id=[[9f86d081884c7d659a2feaa0c55ad015]]",
            "\"commit\": \"[[x9]]\"",
            "requestId: [[x9]]",
            "sha256:[[x9]]",
        ] {
            assert_eq!(of(not_an_id, text), Verdict::Invalid, "{text}");
        }
        assert_eq!(of(not_an_id, "DD_API_KEY=[[9f86d081884c7d659a2feaa0c55ad015]]"), Verdict::Plausible);
        assert_eq!(of(not_an_id, "[[9f86d081884c7d659a2feaa0c55ad015]]"), Verdict::Plausible);
    }
}
