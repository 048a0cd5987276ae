use std::fs;

use cloakroom_crypto::{RootKey, SecretString};
use serde_json::{Value, json};

use super::passphrase::{Passphrase, with_new_passphrase};
use super::*;
use crate::error::ErrorKind;

const CREATED: &str = "2026-01-01T00:00:00Z";
const RIGHT: &str = "correct horse battery staple";

/// Access with a passphrase in a text, as a pipeline file gives it.
fn access(passphrase: &str) -> Access {
    let mut access = Access::new(&[&Passphrase]);
    access.passphrase.text = Some(Template::literal(passphrase));
    access
}

/// In clear: no provider is needed.
async fn read_clear(path: &Path) -> Result<KeyRing, ConnectorError> {
    read(path, &Access::new(&[])).await.map(|(ring, _)| ring)
}

async fn protected(path: &Path) -> KeyRing {
    let protector = with_new_passphrase(|| Ok(SecretString::from(RIGHT))).await.unwrap();
    init(path, CREATED, Some(&*protector)).await.unwrap()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

async fn refused(path: &Path, content: &Value) -> ConnectorError {
    fs::write(path, content.to_string()).unwrap();
    let error = read(path, &access(RIGHT)).await.err().unwrap_or_else(|| panic!("opened: {content}"));
    for secret in ["correct", "horse", content["keys"][0]["wrapped"].as_str().unwrap()] {
        assert!(!error.message.contains(secret), "{}", error.message);
    }
    error
}

#[tokio::test]
async fn a_key_file_is_private_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inner/keys.json");
    let ring = init(&path, CREATED, None).await.unwrap();
    assert_eq!(read_clear(&path).await.unwrap().active_kid(), ring.active_kid());
    assert!(init(&path, CREATED, None).await.unwrap_err().message.contains("is there already"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_clear(&path).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.message.contains("chmod 600"));
    }
}

#[tokio::test]
async fn damaged_key_files_are_refused_without_their_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    init(&path, CREATED, None).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"key\"", "\"kee\"")).unwrap();
    let error = read_clear(&path).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Corrupt);
    let secret = text.split('"').max_by_key(|part| part.len()).unwrap();
    assert!(!error.message.contains(secret));
}

#[tokio::test]
async fn a_passphrase_opens_what_it_wrapped_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let ring = protected(&path).await;
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"version\": 2") && !text.contains("\"key\""), "{text}");

    let (opened, file) = read(&path, &access(RIGHT)).await.unwrap();
    assert_eq!(opened.active_kid(), ring.active_kid());
    for wrong in ["correct horse battery stapl", "Correct horse battery staple", "correct horse battery staple "] {
        let error = read(&path, &access(wrong)).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Denied, "{}", error.message);
        assert!(error.message.contains("the passphrase does not open") && !error.message.contains(wrong));
    }
    let error = read(&path, &Access::new(&[])).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Configuration, "a provider that this program does not have: {}", error.message);

    // A second key: the first one is not wrapped again.
    let rotated = opened.rotated(RootKey::generate(CREATED).unwrap()).unwrap();
    file.replace(&rotated).await.unwrap();
    let (before, after): (Value, _) = (serde_json::from_str(&text).unwrap(), json_of(&path));
    assert_eq!(after["keys"][1]["wrapped"], before["keys"][0]["wrapped"]);
    assert_eq!(after["protected_by"], before["protected_by"]);
    let (again, file) = read(&path, &access(RIGHT)).await.unwrap();
    assert!(again.kids().eq(rotated.kids()) && again.pseudonym_kid() == ring.active_kid());

    // To clear, and to another passphrase: another salt, other texts, the same keys.
    file.protect(&again, None).await.unwrap();
    assert_eq!(json_of(&path)["version"], 1);
    assert!(read_clear(&path).await.unwrap().kids().eq(rotated.kids()));
    let other = with_new_passphrase(|| Ok(SecretString::from("quite another one"))).await.unwrap();
    file.protect(&again, Some(&*other)).await.unwrap();
    assert_ne!(json_of(&path)["protected_by"], after["protected_by"]);
    assert_ne!(json_of(&path)["keys"][1]["wrapped"], after["keys"][1]["wrapped"]);
    assert!(read(&path, &access(RIGHT)).await.is_err());
    let (last, _) = read(&path, &access("quite another one")).await.unwrap();
    assert!(last.kids().eq(rotated.kids()));
}

#[tokio::test]
async fn whatever_is_changed_in_a_protected_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let ring = protected(&path).await;
    let (opened, file) = read(&path, &access(RIGHT)).await.unwrap();
    file.replace(&opened.rotated(RootKey::generate(CREATED).unwrap()).unwrap()).await.unwrap();
    let good = json_of(&path);

    let settings = &good["protected_by"]["passphrase"];
    let salt = settings["salt"].as_str().unwrap();
    let other_salt = if salt.starts_with('A') { salt.replacen('A', "B", 1) } else { format!("A{}", &salt[1..]) };
    for (name, value, kind) in [
        ("n", json!(65_536), ErrorKind::Denied),
        ("salt", json!(other_salt), ErrorKind::Denied),
        ("n", json!(1 << 30), ErrorKind::Corrupt),
        ("n", json!(1024), ErrorKind::Corrupt),
        ("r", json!(1024), ErrorKind::Corrupt),
        ("p", json!(1024), ErrorKind::Corrupt),
        ("kdf", json!("none"), ErrorKind::Corrupt),
    ] {
        let mut bad = good.clone();
        bad["protected_by"]["passphrase"][name] = value;
        assert_eq!(refused(&path, &bad).await.kind, kind, "{name}");
    }

    // Texts in each other's place; a name in the place of the other.
    let mut swapped = good.clone();
    let (first, second) = (good["keys"][0].clone(), good["keys"][1].clone());
    swapped["keys"][0]["wrapped"] = second["wrapped"].clone();
    swapped["keys"][1]["wrapped"] = first["wrapped"].clone();
    assert_eq!(refused(&path, &swapped).await.kind, ErrorKind::Denied);
    let mut renamed = good.clone();
    renamed["keys"][0]["kid"] = json!("aaaaaaaa");
    assert_eq!(refused(&path, &renamed).await.kind, ErrorKind::Denied);
    let mut empty = good.clone();
    empty["keys"][0]["wrapped"] = json!("");
    fs::write(&path, empty.to_string()).unwrap();
    assert_eq!(read(&path, &access(RIGHT)).await.err().unwrap().kind, ErrorKind::Denied);

    fs::write(&path, good.to_string()).unwrap();
    assert_eq!(read(&path, &access(RIGHT)).await.unwrap().0.pseudonym_kid(), ring.active_kid());
}

#[test]
fn a_new_passphrase_is_long_and_its_line_end_is_not_part_of_it() {
    use cloakroom_crypto::ExposeSecret;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passphrase");
    let source = |text: &str| {
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        protect::PassphraseSource { file: Some(path.clone()), text: None, variable: "CLOAKROOM_NOT_SET", ask: None }
    };
    for text in ["twelve chars", "twelve chars\n", "twelve chars\r\n"] {
        assert_eq!(source(text).get_new().unwrap().expose_secret(), "twelve chars");
    }
    assert_eq!(source(" spaces  stay \n").get().unwrap().expose_secret(), " spaces  stay ");
    assert!(source("eleven char").get_new().unwrap_err().message.contains("too short"));
    assert!(source("\n").get().unwrap_err().message.contains("empty"));
    let nothing = protect::PassphraseSource { file: None, text: None, variable: "CLOAKROOM_NOT_SET", ask: None };
    let error = nothing.get().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Configuration);
    assert!(error.message.contains("CLOAKROOM_NOT_SET"));
    #[cfg(unix)]
    {
        let source = source("twelve chars");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(source.get().unwrap_err().kind, ErrorKind::Denied);
    }
}
