//! Checkpoints: the end of the chain at some moment, signed.

use std::fmt::Write as _;

use cloakroom_crypto::audit::{ChainMac, fixed, push_text};
use cloakroom_crypto::{AuditKey, AuditPublicKey};
use serde::{Deserialize, Serialize};

/// What a checkpoint's line holds beside its name of the log, its time and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The last line that it covers.
    pub seq: u64,
    /// How many lines it covers: those after the checkpoint before it.
    pub count: u64,
    /// The MAC of line `seq`.
    pub mac: String,
    /// The key that checks the signature.
    pub public_key: String,
    /// Ed25519, base64url.
    pub signature: String,
}

/// A checkpoint as it is kept elsewhere. Whoever has its public key can check it, without any secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The random name of the log.
    pub log: String,
    /// The last line that it covers.
    pub seq: u64,
    /// How many lines it covers: `seq - count` is where the checkpoint before it stands.
    pub count: u64,
    /// When it was made, RFC 3339.
    pub time: String,
    /// The MAC of line `seq`, which stands for all lines up to it.
    pub mac: String,
    /// The key version that signed it.
    pub kid: String,
    /// The key that checks the signature; compare it with one that you have from elsewhere.
    pub public_key: String,
    /// Ed25519 (RFC 8032) of [`Checkpoint::message`], base64url.
    pub signature: String,
}

impl Checkpoint {
    pub(super) fn sign(key: &AuditKey, log: &str, seq: u64, count: u64, time: &str, mac: &ChainMac) -> Self {
        let mut text = String::new();
        push_text(&mut text, mac);
        let mut checkpoint = Self {
            log: log.to_owned(),
            seq,
            count,
            time: time.to_owned(),
            mac: text,
            kid: key.kid().to_string(),
            public_key: key.public_key().to_string(),
            signature: String::new(),
        };
        let signature = key.sign(checkpoint.message().as_bytes());
        push_text(&mut checkpoint.signature, &signature);
        checkpoint
    }

    /// What is signed: seven lines, each with a line end: `ck1/audit/checkpoint`, key, log, sequence number,
    /// count, time, MAC.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { log, seq, count, time, mac, kid, .. } = self;
        let mut message = String::with_capacity(160);
        // Writing into a string does not fail.
        let _ = write!(message, "ck1/audit/checkpoint\n{kid}\n{log}\n{seq}\n{count}\n{time}\n{mac}\n");
        message
    }

    /// Whether one of these keys signed it.
    #[must_use]
    pub fn is_signed_by(&self, keys: &[AuditPublicKey]) -> bool {
        // A line end inside a text could move the border between two of them.
        let plain = |text: &str| !text.contains(char::is_control);
        let texts = [&self.log, &self.time, &self.mac, &self.kid];
        let Some(signature) = fixed::<64>(&self.signature) else { return false };
        let message = self.message();
        texts.iter().all(|text| plain(text))
            && keys.iter().any(|key| key.verify(message.as_bytes(), &signature).is_ok())
    }

    pub(super) fn signed(&self) -> Signed {
        Signed {
            seq: self.seq,
            count: self.count,
            mac: self.mac.clone(),
            public_key: self.public_key.clone(),
            signature: self.signature.clone(),
        }
    }

    /// Puts a checkpoint's line and what its log says together.
    #[must_use]
    pub fn from_line(signed: Signed, log: &str, time: &str, kid: &str) -> Self {
        let Signed { seq, count, mac, public_key, signature } = signed;
        Self { log: log.to_owned(), seq, count, time: time.to_owned(), mac, kid: kid.to_owned(), public_key, signature }
    }
}
