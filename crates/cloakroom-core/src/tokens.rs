//! Where random tokens and the values they stand for are kept. The core asks through this joint, as for
//! [keys](crate::keys), and stores nothing itself.

use std::fmt::Debug;

use cloakroom_crypto::CryptoError;
use cloakroom_crypto::envelope::ValueType;
use compact_str::CompactString;

use crate::keys::PersistError;
use crate::value::Value;

/// A vault of random tokens: one token for each value of a domain.
pub trait TokenVault: Debug + Send + Sync {
    /// The token of a value: the one it has, else one that `draw` makes. It may leave the program only after
    /// [`TokenVault::persist`].
    ///
    /// # Errors
    /// When the vault cannot be asked, or finds no free token.
    fn token(&self, original: &Original<'_>, draw: &Draw<'_>) -> Result<CompactString, VaultError>;

    /// Whether a text is a token of this domain.
    ///
    /// # Errors
    /// When the vault cannot be asked.
    fn is_token(&self, domain: &str, token: &str) -> Result<bool, VaultError>;

    /// The value that a token of this domain stands for, with its type; `None` when the domain has no such token, or no longer.
    ///
    /// # Errors
    /// When the vault cannot be asked, or what it holds was changed.
    fn original(&self, domain: &str, token: &str) -> Result<Option<Value>, VaultError>;

    /// Before the first token of a batch of records.
    fn begin(&self) -> TokenBatch;

    /// Makes sure that the tokens of a batch are stored.
    ///
    /// # Errors
    /// When they are not: then nothing of the batch may leave the program.
    fn persist(&self, batch: TokenBatch) -> Result<(), PersistError>;
}

/// A value that is to have a token. No `Debug`: it is what the token hides.
#[derive(Clone, Copy)]
pub struct Original<'a> {
    /// Tokens of one domain are equal for equal values, those of two domains have nothing to do with each other.
    pub domain: &'a str,
    /// The value's keyed hash, under a key of the domain.
    pub lookup: &'a Lookup,
    /// Its type, so that it comes back as what it was.
    pub value_type: ValueType,
    /// Its text.
    pub text: &'a str,
    /// Whose data it is.
    pub tenant: &'a str,
    /// The person whose record it stands in; empty for nobody in particular.
    pub subject: &'a str,
}

/// What a value is found by.
pub type Lookup = [u8; 16];

/// How a new token is made.
pub struct Draw<'a> {
    /// Makes one, at random.
    pub one: &'a dyn Fn() -> Result<CompactString, CryptoError>,
    /// True when there are so few that one may be drawn that is taken already.
    pub few: bool,
}

/// When a batch was begun, for its vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenBatch(pub u64);

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The vault cannot be read or opened; the log says why.
    #[error("the token vault could not be read or written; see the error before this one")]
    Failed,
    /// Nearly all tokens of this length are taken.
    #[error(
        "nearly all tokens of this length are taken in this domain; take longer values, another domain or `token: random`"
    )]
    Full,
    /// A key refuses, or there is no randomness.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
