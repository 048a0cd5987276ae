//! The vault, from the first token to erasure.

use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom_crypto::{KeyFile, RootKey};

use super::*;

struct Room {
    folder: tempfile::TempDir,
    ring: Arc<KeyRing>,
}

impl Room {
    fn new() -> Self {
        let ring = Arc::new(KeyRing::new(vec![RootKey::generate("").unwrap()]).unwrap());
        Self { folder: tempfile::tempdir().unwrap(), ring }
    }

    fn file(&self) -> PathBuf {
        beside(&self.folder.path().join("keys.json"))
    }

    /// Another process.
    fn vault(&self) -> Vault {
        Vault::new(Arc::clone(&self.ring), self.file())
    }
}

/// A text of the domain `d`.
struct One<'a> {
    text: &'a str,
    subject: &'a str,
}

/// Counts in place of chance.
static DRAWN: AtomicUsize = AtomicUsize::new(0);

fn drawn() -> Result<CompactString, cloakroom_crypto::CryptoError> {
    Ok(format!("t{}", DRAWN.fetch_add(1, Ordering::SeqCst)).into())
}

fn lookup(text: &str) -> Lookup {
    let mut lookup = [0; 16];
    for (to, from) in lookup.iter_mut().zip(text.bytes()) {
        *to = !from;
    }
    lookup
}

fn ask(vault: &Vault, One { text, subject }: One<'_>) -> CompactString {
    let lookup = lookup(text);
    let value_type = ValueType::String;
    let original = Original { domain: "d", lookup: &lookup, value_type, text, tenant: "t", subject };
    vault.token(&original, &Draw { one: &drawn, few: false }).unwrap()
}

fn token(vault: &Vault, text: &str) -> CompactString {
    ask(vault, One { text, subject: "" })
}

/// A batch of one value.
fn kept(vault: &Vault, one: One<'_>) -> CompactString {
    let batch = vault.begin();
    let token = ask(vault, one);
    vault.persist(batch).unwrap();
    token
}

fn text(vault: &Vault, token: &str) -> Option<String> {
    vault.detokenise("d", token).unwrap().map(|value| value.as_str().unwrap().to_owned())
}

#[test]
fn a_token_stays_and_gives_the_value_back() {
    let room = Room::new();
    let vault = room.vault();
    assert!(vault.counts().unwrap().is_empty() && text(&vault, "t").is_none() && !room.file().exists());
    let (ada, bob) = (kept(&vault, One { text: "ada", subject: "" }), kept(&vault, One { text: "bob", subject: "" }));
    assert_ne!(ada, bob);
    for vault in [&vault, &room.vault()] {
        assert_eq!(token(vault, "ada"), ada);
        assert_eq!(text(vault, &ada).as_deref(), Some("ada"));
        assert_eq!(text(vault, &bob).as_deref(), Some("bob"));
        assert!(vault.detokenise("other", &ada).unwrap().is_none() && text(vault, "made up").is_none());
        assert!(vault.is_token("d", &ada).unwrap() && !vault.is_token("other", &ada).unwrap());
        assert_eq!(vault.counts().unwrap(), [("d".to_owned(), 2)]);
    }
    // Nothing of a value stands in the file, and a sealed one opens only as what its own token stands for.
    locked(&vault.opened().unwrap().writer).run_for_test("PRAGMA wal_checkpoint(TRUNCATE)");
    let bytes = std::fs::read(room.file()).unwrap();
    assert!(!bytes.windows(3).any(|three| three == b"ada"));
    let swap =
        format!("UPDATE tokens SET sealed = (SELECT sealed FROM tokens WHERE token = '{bob}') WHERE token = '{ada}'");
    locked(&vault.opened().unwrap().writer).run_for_test(&swap);
    assert_eq!(vault.detokenise("d", &ada).err().unwrap().kind, ErrorKind::Corrupt);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(room.file()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn values_come_back_with_their_type() {
    let room = Room::new();
    let vault = room.vault();
    let batch = vault.begin();
    let values = [
        (ValueType::String, "7", Value::string("7")),
        (ValueType::Number, "7", Value::Number(Number::parse("7").unwrap())),
        (ValueType::Number, "0.10", Value::Number(Number::parse("0.10").unwrap())),
        (ValueType::Boolean, "true", Value::Bool(true)),
        (ValueType::Boolean, "false", Value::Bool(false)),
        (ValueType::String, "", Value::string("")),
    ];
    let tokens: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(at, (value_type, text, _))| {
            let (lookup, value_type) = ([at as u8; 16], *value_type);
            let original = Original { domain: "d", lookup: &lookup, value_type, text, tenant: "t", subject: "" };
            vault.token(&original, &Draw { one: &drawn, few: false }).unwrap()
        })
        .collect();
    vault.persist(batch).unwrap();
    for (token, (_, _, expected)) in tokens.iter().zip(values) {
        assert!(room.vault().detokenise("d", token).unwrap().unwrap() == expected);
    }
}

#[test]
fn two_that_draw_for_one_value_end_with_one_token() {
    let room = Room::new();
    let (one, other) = (room.vault(), room.vault());
    // The files are open before either draws.
    kept(&one, One { text: "x", subject: "" });
    token(&other, "x");
    let (first, second) = (one.begin(), other.begin());
    let (mine, theirs) = (token(&one, "ada"), token(&other, "ada"));
    token(&other, "only theirs");
    assert_ne!(mine, theirs);
    one.persist(first).unwrap();
    assert_eq!(other.persist(second), Err(PersistError::Again));
    let again = other.begin();
    assert_eq!(token(&other, "ada"), mine);
    other.persist(again).unwrap();
    assert!(text(&one, &theirs).is_none() && text(&one, &token(&other, "only theirs")).is_some());
    // What another batch had got of it must not leave either.
    assert_eq!(other.persist(second), Err(PersistError::Again));
}

#[test]
fn many_at_once_agree() {
    let room = Room::new();
    let tokens: Vec<HashMap<String, CompactString>> = std::thread::scope(|scope| {
        let work = |first: usize| {
            let vault = room.vault();
            move || {
                let mut known = HashMap::new();
                for round in 0..40 {
                    let texts: Vec<String> = (0..25).map(|at| format!("v{}", (first + round * 7 + at) % 300)).collect();
                    loop {
                        let batch = vault.begin();
                        let tokens: Vec<_> = texts.iter().map(|text| token(&vault, text)).collect();
                        match vault.persist(batch) {
                            Ok(()) => {
                                known.extend(texts.iter().cloned().zip(tokens));
                                break;
                            }
                            Err(error) => assert_eq!(error, PersistError::Again),
                        }
                    }
                }
                known
            }
        };
        let threads: Vec<_> = [0, 3, 150].map(|first| scope.spawn(work(first))).into();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let vault = room.vault();
    for known in tokens {
        for (value, token) in known {
            assert_eq!(text(&vault, &token), Some(value));
        }
    }
}

#[test]
fn a_token_that_is_taken_is_drawn_again() {
    let room = Room::new();
    let vault = room.vault();
    let few = |text: &str, tokens: &[&'static str]| {
        let at = AtomicUsize::new(0);
        let one = || Ok(tokens[at.fetch_add(1, Ordering::SeqCst) % tokens.len()].into());
        let lookup = lookup(text);
        let value_type = ValueType::String;
        let original = Original { domain: "d", lookup: &lookup, value_type, text, tenant: "t", subject: "" };
        vault.token(&original, &Draw { one: &one, few: true })
    };
    let batch = vault.begin();
    assert_eq!(few("a", &["1"]).unwrap(), "1");
    vault.persist(batch).unwrap();
    let batch = vault.begin();
    assert_eq!(few("b", &["1", "1", "2"]).unwrap(), "2");
    assert_eq!(few("c", &["1"]), Err(VaultError::Full));
    // Two of one batch draw the same: found when they are stored, and drawn anew.
    assert_eq!(few("d", &["2"]).unwrap(), "2");
    assert_eq!(vault.persist(batch), Err(PersistError::Again));
    let batch = vault.begin();
    let (b, d) = (few("b", &["2", "3"]).unwrap(), few("d", &["2", "3"]).unwrap());
    assert!(vault.persist(batch).is_ok() && b != d);
}

#[test]
fn a_new_root_key_changes_no_token() {
    let room = Room::new();
    let ada = kept(&room.vault(), One { text: "ada", subject: "" });
    let old = room.vault();
    let KeyFile::Clear(rotated) = KeyFile::parse(&KeyFile::to_json(&room.ring).unwrap()).unwrap() else {
        panic!("in clear")
    };
    let ring = Arc::new(rotated.rotated(RootKey::generate("").unwrap()).unwrap());
    assert_eq!(room.vault().root_kid().unwrap(), Some(*room.ring.active_kid()));
    let new = Vault::new(Arc::clone(&ring), room.file());
    // The retired key still opens; afterwards it is not needed.
    assert_eq!(text(&new, &ada).as_deref(), Some("ada"));
    assert_eq!(new.rewrap().unwrap(), 2);
    assert_eq!(new.root_kid().unwrap(), Some(*ring.active_kid()));
    let again = Vault::new(ring, room.file());
    assert_eq!((text(&again, &ada).as_deref(), token(&again, "ada")), (Some("ada"), ada));
    let error = old.detokenise("d", "t").err().unwrap();
    assert_eq!(error.kind, ErrorKind::Corrupt);
}

#[test]
fn erasing_a_person_deletes_what_was_theirs_alone() {
    let room = Room::new();
    let vault = room.vault();
    let of = |text, subject| kept(&vault, One { text, subject });
    let (ada, both, nobody, bob) = (of("ada", "ada"), of("both", "ada"), of("nobody", "ada"), of("bob", "bob"));
    // Another person has it, too; and a policy without people.
    let other = room.vault();
    assert_eq!(kept(&other, One { text: "both", subject: "bob" }), both);
    assert_eq!(kept(&other, One { text: "nobody", subject: "" }), nobody);
    assert_eq!(token(&other, "ada"), ada, "asked for, and never stored");
    let batch = vault.begin();
    assert_eq!(ask(&vault, One { text: "ada", subject: "ada" }), ada);
    assert_eq!(room.vault().erase("t", "ada").unwrap(), 1);
    // Whoever had it in memory notices before it leaves.
    assert_eq!(vault.persist(batch), Err(PersistError::Again));
    assert_ne!(of("ada", "ada"), ada);
    assert!(text(&vault, &ada).is_none());
    assert!([&both, &nobody, &bob].iter().all(|token| text(&vault, token).is_some()));
    assert_eq!((vault.erase("t", "eve").unwrap(), vault.erase("t", "").unwrap()), (0, 0));
    assert_eq!((vault.erase("t", "ada").unwrap(), vault.erase("u", "bob").unwrap()), (1, 0));
}

#[test]
fn within_one_batch_a_value_of_two_people_is_nobodys() {
    let room = Room::new();
    let vault = room.vault();
    let batch = vault.begin();
    let one = ask(&vault, One { text: "both", subject: "ada" });
    assert_eq!(ask(&vault, One { text: "both", subject: "bob" }), one);
    assert_eq!(ask(&vault, One { text: "both", subject: "ada" }), one);
    vault.persist(batch).unwrap();
    assert_eq!(room.vault().erase("t", "ada").unwrap() + room.vault().erase("t", "bob").unwrap(), 0);
}

#[test]
fn what_cannot_be_stored_does_not_leave() {
    let room = Room::new();
    let vault = room.vault();
    kept(&vault, One { text: "x", subject: "" });
    let batch = vault.begin();
    let lost = token(&vault, "ada");
    locked(&vault.opened().unwrap().writer).run_for_test("PRAGMA query_only = ON");
    assert!(matches!(vault.persist(batch), Err(PersistError::Failed(_))));
    locked(&vault.opened().unwrap().writer).run_for_test("PRAGMA query_only = OFF");
    assert_eq!(vault.persist(batch), Err(PersistError::Again));
    assert_ne!(kept(&vault, One { text: "ada", subject: "" }), lost);
    // A file that cannot be opened.
    let broken = Vault::new(Arc::clone(&room.ring), room.folder.path().join("broken.db"));
    std::fs::write(broken.path(), b"no database, and long enough to look like one").unwrap();
    let original =
        Original { domain: "d", lookup: &[0; 16], value_type: ValueType::String, text: "", tenant: "", subject: "" };
    assert_eq!(broken.token(&original, &Draw { one: &drawn, few: false }), Err(VaultError::Failed));
    assert!(matches!(broken.persist(TokenBatch::default()), Err(PersistError::Failed(_))));
}
