//! A data key as the key table keeps it: 128 bytes.
//!
//! ```text
//! owner 16 · kid 8 · version of the shard's key 4 · made at 8 · wrapped key 60 · commitment 32
//! ```
//!
//! Numbers are big-endian; the time is in seconds since 1970.

use cloakroom_crypto::{KeyId, WRAPPED_LEN, WrappedKey};

use super::shards::ShardVersion;

/// A person of a tenant, as the key table knows them.
pub type Owner = [u8; 16];

/// Bytes of an entry.
pub(super) const ENTRY_LEN: usize = 16 + KeyId::LEN + 4 + 8 + WRAPPED_LEN + 32;

/// The shard of a person.
#[must_use]
pub fn shard_of(owner: &Owner) -> u16 {
    u16::from_be_bytes([owner[0], owner[1]]) >> 4
}

/// A data key, wrapped.
#[derive(Clone)]
pub struct StoredKey {
    /// Whose it is.
    pub owner: Owner,
    /// Its version.
    pub kid: KeyId,
    /// The version of the shard's key.
    pub shard_version: ShardVersion,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The key.
    pub wrapped: WrappedKey,
    /// Of the data key: checked before its first use.
    pub commitment: [u8; 32],
}

impl StoredKey {
    pub(super) fn to_bytes(&self) -> [u8; ENTRY_LEN] {
        let mut entry = [0; ENTRY_LEN];
        let mut rest = entry.as_mut_slice();
        for part in [
            self.owner.as_slice(),
            self.kid.as_str().as_bytes(),
            &self.shard_version.to_be_bytes(),
            &self.created.to_be_bytes(),
            &self.wrapped,
            &self.commitment,
        ] {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        entry
    }

    /// `None` when there is no kid where it should be.
    fn from_bytes(entry: &[u8; ENTRY_LEN]) -> Option<Self> {
        let (owner, rest) = entry.split_first_chunk()?;
        let (kid, rest) = rest.split_first_chunk::<{ KeyId::LEN }>()?;
        let (shard_version, rest) = rest.split_first_chunk()?;
        let (created, rest) = rest.split_first_chunk()?;
        let (wrapped, commitment) = rest.split_first_chunk()?;
        Some(Self {
            owner: *owner,
            kid: KeyId::parse(std::str::from_utf8(kid).ok()?).ok()?,
            shard_version: u32::from_be_bytes(*shard_version),
            created: u64::from_be_bytes(*created),
            wrapped: *wrapped,
            commitment: *commitment.first_chunk()?,
        })
    }
}

/// All entries, one behind the other.
pub(super) fn to_bytes(keys: &[StoredKey]) -> Vec<u8> {
    keys.iter().flat_map(StoredKey::to_bytes).collect()
}

/// The keys in entries that stand one behind the other, `None` in the place of a damaged one.
pub(super) fn from_bytes(entries: &[u8]) -> impl Iterator<Item = Option<StoredKey>> {
    entries.chunks(ENTRY_LEN).map(|entry| StoredKey::from_bytes(entry.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_and_nothing_else_is_one() {
        let key = StoredKey {
            owner: std::array::from_fn(|n| n as u8),
            kid: KeyId::parse("abcd2345").unwrap(),
            shard_version: 0x0102_0304,
            created: 1_700_000_000,
            wrapped: [7; WRAPPED_LEN],
            commitment: [9; 32],
        };
        let bytes = to_bytes(&[key.clone(), key]);
        assert_eq!((bytes.len(), ENTRY_LEN), (256, 128));
        let back: Option<Vec<StoredKey>> = from_bytes(&bytes).collect();
        assert_eq!(to_bytes(&back.unwrap()), bytes);
        assert!(from_bytes(&bytes[1..]).any(|key| key.is_none()));
        let mut broken = bytes;
        broken[16] = b'!';
        assert!(from_bytes(&broken).next().unwrap().is_none());
    }
}
