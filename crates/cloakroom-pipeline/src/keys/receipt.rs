//! The receipt of an erasure: what was destroyed and when, signed, for whoever asks years later.

use cloakroom_crypto::audit::{fixed, push_text};
use cloakroom_crypto::{AuditKey, AuditPublicKey};
use serde::{Deserialize, Serialize};

use super::table::{Erasure, Owner};

/// A receipt. It names the person as the key table did, by a keyed hash: whoever has the key ring can tell whether it is about a
/// certain person, nobody else can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// What it is: `cloakroom erasure`.
    pub receipt: String,
    /// When, RFC 3339.
    pub time: String,
    /// The person, 32 hexadecimal characters.
    pub owner: String,
    /// How many keys of theirs were destroyed.
    pub keys_destroyed: u64,
    /// The shard.
    pub shard: u16,
    /// The version of the shard's key that was destroyed: copies of the key table that name it open nothing.
    pub shard_key_destroyed: u32,
    /// The version that replaced it.
    pub shard_key_made: u32,
    /// How many keys of others were wrapped anew.
    pub others_rewrapped: u64,
    /// The key version that signed it.
    pub kid: String,
    /// The key that checks the signature; compare it with one that you have from elsewhere.
    pub public_key: String,
    /// Ed25519 (RFC 8032) of [`Receipt::message`], base64url.
    pub signature: String,
}

/// What every receipt says it is.
const KIND: &str = "cloakroom erasure";

impl Receipt {
    /// Makes and signs a receipt.
    #[must_use]
    pub fn sign(key: &AuditKey, time: &str, erasure: &Erasure) -> Self {
        let mut receipt = Self {
            receipt: KIND.to_owned(),
            time: time.to_owned(),
            owner: hex(&erasure.owner),
            keys_destroyed: erasure.destroyed,
            shard: erasure.shard,
            shard_key_destroyed: erasure.from,
            shard_key_made: erasure.to,
            others_rewrapped: erasure.rewrapped,
            kid: key.kid().to_string(),
            public_key: key.public_key().to_string(),
            signature: String::new(),
        };
        let signature = key.sign(receipt.message().as_bytes());
        push_text(&mut receipt.signature, &signature);
        receipt
    }

    /// What is signed: ten lines, each with a line end: `ck1/erasure/receipt`, key, time, owner, then the numbers in the order of
    /// the receipt, and the public key.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { time, owner, keys_destroyed, shard, shard_key_destroyed, shard_key_made, others_rewrapped, .. } =
            self;
        let Self { kid, public_key, .. } = self;
        format!(
            "ck1/erasure/receipt\n{kid}\n{time}\n{owner}\n{keys_destroyed}\n{shard}\n{shard_key_destroyed}\n{shard_key_made}\n\
             {others_rewrapped}\n{public_key}\n"
        )
    }

    /// Whether the receipt is as it was signed, by the key that it names; whether that is yours, you must know.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        // A line end inside a text could move the border between two of them.
        let plain = |text: &str| !text.contains(char::is_control);
        self.receipt == KIND
            && [&self.time, &self.owner, &self.kid, &self.public_key].into_iter().all(|text| plain(text))
            && AuditPublicKey::parse(&self.public_key).is_ok_and(|key| {
                fixed(&self.signature)
                    .is_some_and(|signature| key.verify(self.message().as_bytes(), &signature).is_ok())
            })
    }

    /// Whether it is about this person.
    #[must_use]
    pub fn is_of(&self, owner: &Owner) -> bool {
        self.owner == hex(owner)
    }
}

fn hex(owner: &Owner) -> String {
    use std::fmt::Write as _;
    owner.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use cloakroom_crypto::{KeyRing, RootKey};

    use super::*;

    #[test]
    fn nothing_in_a_receipt_can_be_changed() {
        let ring = KeyRing::new(vec![RootKey::generate("").unwrap()]).unwrap();
        let erasure = Erasure { owner: [7; 16], destroyed: 2, rewrapped: 244, shard: 112, from: 3, to: 4 };
        let receipt = Receipt::sign(&ring.audit_key().unwrap(), "2026-01-31T12:00:00Z", &erasure);
        assert!(receipt.is_genuine() && receipt.is_of(&[7; 16]) && !receipt.is_of(&[8; 16]));
        let json = serde_json::to_value(&receipt).unwrap();
        for (name, value) in json.as_object().unwrap() {
            let mut changed = json.clone();
            changed[name] = match value {
                serde_json::Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
                text => {
                    let text = text.as_str().unwrap();
                    let first = if text.starts_with('a') { 'b' } else { 'a' };
                    format!("{first}{}", &text[1..]).into()
                }
            };
            assert_ne!(changed[name], *value, "{name}");
            let changed: Receipt = serde_json::from_value(changed).unwrap();
            assert!(!changed.is_genuine(), "{name}");
        }
        // Another key signs another receipt.
        let other = KeyRing::new(vec![RootKey::generate("").unwrap()]).unwrap().audit_key().unwrap();
        let mut forged = receipt.clone();
        forged.public_key = other.public_key().to_string();
        assert!(!forged.is_genuine());
    }
}
