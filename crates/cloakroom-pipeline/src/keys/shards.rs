//! The shard file: the keys under which the keys of people are wrapped, apart from the key table.
//!
//! People are spread over 4,096 shards. Erasing a person replaces the key of their shard here and wraps what remains in the shard
//! anew; the old shard key is overwritten. An older copy of the key table then opens nothing of that person, because what opened
//! it was never in the table. So this file and the key table must not be kept in one backup, and old copies of this file must not
//! be kept at all.
//!
//! ```text
//! header   "ckshard1" · id of the root key that wraps everything · wrapped lookup key · zeros up to 128 bytes
//! shard n  two slots of 64 bytes: version, 4 bytes big-endian (0: empty) · wrapped key
//! ```
//!
//! Two slots, so that a replacement that is interrupted has both: the key table says which one is in use.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_crypto::{
    CryptoError, KeyId, KeyRing, PseudonymKey, SecretKey, WRAPPED_LEN, WrappedKey, WrappingKey, Zeroizing,
};

use crate::error::{ConnectorError, ErrorKind};
use crate::private;

/// Shards.
pub const SHARDS: u16 = 4096;

const MAGIC: &[u8; 8] = b"ckshard1";
const HEADER: usize = 128;
const SLOT: usize = 4 + WRAPPED_LEN;
const LENGTH: usize = HEADER + SHARDS as usize * 2 * SLOT;
/// What the root wraps shard keys for.
const PURPOSE: &str = "shards";
const LOOKUP: &[u8] = b"lookup";

/// The shard file of a key table.
pub struct ShardFile {
    path: PathBuf,
    ring: Arc<KeyRing>,
}

/// A version of a shard's key; counts from 1.
pub type ShardVersion = u32;

impl ShardFile {
    /// Opens the file; makes it where there is none and `create` says so.
    ///
    /// # Errors
    /// When it cannot be made, others than its owner can read it, it is damaged, or the ring does not have its root key.
    pub fn open(path: &Path, ring: Arc<KeyRing>, create: bool) -> Result<Self, ConnectorError> {
        let shards = Self { path: path.to_owned(), ring };
        let exists = path.try_exists().map_err(|error| shards.io(&error))?;
        if !exists && create {
            let _lock = shards.lock()?;
            if !path.try_exists().map_err(|error| shards.io(&error))? {
                let root = shards.ring.wrapping_key(PURPOSE)?;
                let mut bytes = vec![0; LENGTH];
                bytes[..8].copy_from_slice(MAGIC);
                bytes[8..16].copy_from_slice(shards.ring.active_kid().as_str().as_bytes());
                bytes[16..16 + WRAPPED_LEN].copy_from_slice(&root.wrap(&SecretKey::generate()?, &[LOOKUP])?);
                // All of them now: one by one, each would wait for the disk.
                for shard in 0..SHARDS {
                    let at = usize::try_from(place(shard, 0)).unwrap_or(usize::MAX);
                    bytes[at..at + SLOT].copy_from_slice(&new_slot(&root, shard, 1)?);
                }
                shards.replace(&bytes)?;
            }
        }
        private::check(path, &fs::metadata(path).map_err(|error| shards.io(&error))?, "shard file")?;
        shards.root(&shards.header()?)?;
        Ok(shards)
    }

    /// The key by which people are found in the key table. It stays when the root key changes.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn lookup_key(&self) -> Result<PseudonymKey, ConnectorError> {
        let header = self.header()?;
        let mut wrapped = [0; WRAPPED_LEN];
        wrapped.copy_from_slice(&header[16..16 + WRAPPED_LEN]);
        let secret = self.root(&header)?.unwrap(&wrapped, &[LOOKUP]).map_err(|error| self.crypto(&error))?;
        Ok(PseudonymKey::from_raw(KeyId::of(&secret), secret.expose())?)
    }

    /// The root key that wraps the file.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn root_kid(&self) -> Result<KeyId, ConnectorError> {
        self.kid_in(&self.header()?)
    }

    /// The key of a shard; `None` when it has no such version, or no longer.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn key(&self, shard: u16, version: ShardVersion) -> Result<Option<WrappingKey>, ConnectorError> {
        // Another process may be writing the slot, or replacing the file, at this moment.
        match self.read_key(shard, version) {
            Err(error) if error.kind == ErrorKind::Corrupt => self.read_key(shard, version),
            result => result,
        }
    }

    fn read_key(&self, shard: u16, version: ShardVersion) -> Result<Option<WrappingKey>, ConnectorError> {
        let mut file = File::open(&self.path).map_err(|error| self.io(&error))?;
        let mut header = [0; HEADER];
        let mut slots = [0; 2 * SLOT];
        let read = file
            .read_exact(&mut header)
            .and_then(|()| file.seek(SeekFrom::Start(place(shard, 0))))
            .and_then(|_| file.read_exact(&mut slots));
        read.map_err(|error| self.io(&error))?;
        let Some(wrapped) = slots.as_chunks::<SLOT>().0.iter().find(|slot| version_in(slot) == version) else {
            return Ok(None);
        };
        let secret = self.unwrap(&self.root(&header)?, shard, wrapped)?;
        Ok(Some(WrappingKey::from_secret(&secret)?))
    }

    /// Makes a key of this version for a shard, beside the one it has. Does nothing when it is there.
    ///
    /// # Errors
    /// When the file cannot be written, or both places are taken by other versions.
    pub fn make(&self, shard: u16, version: ShardVersion) -> Result<(), ConnectorError> {
        let _lock = self.lock()?;
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(|error| self.io(&error))?;
        let versions = self.versions_in(&mut file, shard)?;
        if versions.contains(&version) {
            return Ok(());
        }
        let Some(slot) = versions.iter().position(|version| *version == 0) else {
            let text = format!("shard file {}: shard {shard} has no free place", self.path.display());
            return Err(ConnectorError::new(ErrorKind::Conflict, text));
        };
        let root = self.root(&self.header()?)?;
        self.write(&mut file, place(shard, slot), &new_slot(&root, shard, version)?)
    }

    /// Overwrites the keys of a shard that `goes` names by their versions.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn destroy(&self, shard: u16, goes: impl Fn(ShardVersion) -> bool) -> Result<(), ConnectorError> {
        let _lock = self.lock()?;
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(|error| self.io(&error))?;
        let versions = self.versions_in(&mut file, shard)?;
        for (slot, version) in versions.into_iter().enumerate() {
            if version != 0 && goes(version) {
                // Random bytes first, for media that do not write zeros.
                let mut noise = Zeroizing::new([0_u8; SLOT]);
                noise[4..4 + SecretKey::LEN].copy_from_slice(SecretKey::generate()?.expose());
                self.write(&mut file, place(shard, slot), noise.as_slice())?;
                self.write(&mut file, place(shard, slot), &[0; SLOT])?;
            }
        }
        Ok(())
    }

    /// Wraps everything under the active root key of another ring.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is damaged; then it is as it was.
    pub fn rewrap(&self, ring: &KeyRing) -> Result<u32, ConnectorError> {
        let _lock = self.lock()?;
        let mut bytes = fs::read(&self.path).map_err(|error| self.io(&error))?;
        if bytes.len() != LENGTH {
            return Err(self.damaged());
        }
        let old = self.root(&bytes[..HEADER])?;
        let new = ring.wrapping_key(PURPOSE)?;
        let mut wrapped = [0; WRAPPED_LEN];
        wrapped.copy_from_slice(&bytes[16..16 + WRAPPED_LEN]);
        let lookup = old.unwrap(&wrapped, &[LOOKUP]).map_err(|error| self.crypto(&error))?;
        bytes[8..16].copy_from_slice(ring.active_kid().as_str().as_bytes());
        bytes[16..16 + WRAPPED_LEN].copy_from_slice(&new.wrap(&lookup, &[LOOKUP])?);
        let mut count = 0;
        for (number, slot) in bytes[HEADER..].as_chunks_mut::<SLOT>().0.iter_mut().enumerate() {
            let version = version_in(slot);
            if version != 0 {
                let shard = u16::try_from(number / 2).unwrap_or(u16::MAX);
                let secret = self.unwrap(&old, shard, slot)?;
                let wrapped = new.wrap(&secret, &[b"shard", &shard.to_be_bytes(), &version.to_be_bytes()])?;
                slot[4..].copy_from_slice(&wrapped);
                count += 1;
            }
        }
        self.replace(&bytes)?;
        Ok(count)
    }

    fn unwrap(&self, root: &WrappingKey, shard: u16, slot: &[u8; SLOT]) -> Result<SecretKey, ConnectorError> {
        let mut wrapped: WrappedKey = [0; WRAPPED_LEN];
        wrapped.copy_from_slice(&slot[4..]);
        root.unwrap(&wrapped, &[b"shard", &shard.to_be_bytes(), &slot[..4]]).map_err(|error| self.crypto(&error))
    }

    fn versions_in(&self, file: &mut File, shard: u16) -> Result<[ShardVersion; 2], ConnectorError> {
        let mut slots = [0; 2 * SLOT];
        let read = file.seek(SeekFrom::Start(place(shard, 0))).and_then(|_| file.read_exact(&mut slots));
        read.map_err(|error| self.io(&error))?;
        let mut versions = [0; 2];
        for (version, slot) in versions.iter_mut().zip(slots.as_chunks::<SLOT>().0) {
            *version = version_in(slot);
        }
        Ok(versions)
    }

    fn header(&self) -> Result<[u8; HEADER], ConnectorError> {
        let mut header = [0; HEADER];
        let mut file = File::open(&self.path).map_err(|error| self.io(&error))?;
        let length = file.metadata().map_err(|error| self.io(&error))?.len();
        file.read_exact(&mut header).map_err(|error| self.io(&error))?;
        if length != LENGTH as u64 || &header[..8] != MAGIC {
            return Err(self.damaged());
        }
        Ok(header)
    }

    fn kid_in(&self, header: &[u8]) -> Result<KeyId, ConnectorError> {
        std::str::from_utf8(&header[8..16]).ok().and_then(|kid| KeyId::parse(kid).ok()).ok_or_else(|| self.damaged())
    }

    fn root(&self, header: &[u8]) -> Result<WrappingKey, ConnectorError> {
        let kid = self.kid_in(header)?;
        self.ring.wrapping_key_for(&kid, PURPOSE).map_err(|error| self.crypto(&error))
    }

    fn write(&self, file: &mut File, at: u64, bytes: &[u8]) -> Result<(), ConnectorError> {
        let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes)).and_then(|()| file.sync_all());
        written.map_err(|error| self.io(&error))
    }

    /// Puts a new file in the place of the old one, whole or not at all.
    fn replace(&self, bytes: &[u8]) -> Result<(), ConnectorError> {
        let replaced = private::replace(&self.path, bytes).and_then(|()| private::sync_folder(&self.path));
        replaced.map_err(|error| self.io(&error))
    }

    /// One writer at a time, of all processes. Released when the file is closed.
    fn lock(&self) -> Result<File, ConnectorError> {
        let path = private::with_suffix(&self.path, ".lock");
        private::file(&path, true).map_err(|error| self.io(&error))?;
        let file = OpenOptions::new().write(true).open(&path).map_err(|error| self.io(&error))?;
        file.lock().map_err(|error| self.io(&error))?;
        Ok(file)
    }

    fn io(&self, error: &std::io::Error) -> ConnectorError {
        ConnectorError::io(format!("shard file {}", self.path.display()), error)
    }

    fn damaged(&self) -> ConnectorError {
        let text = format!("shard file {}: not a shard file, or cut short", self.path.display());
        ConnectorError::new(ErrorKind::Corrupt, text)
    }

    fn crypto(&self, error: &CryptoError) -> ConnectorError {
        ConnectorError::new(ErrorKind::Corrupt, format!("shard file {}: {error}", self.path.display()))
    }
}

/// A new key for a shard.
fn new_slot(root: &WrappingKey, shard: u16, version: ShardVersion) -> Result<[u8; SLOT], CryptoError> {
    let mut slot = [0; SLOT];
    slot[..4].copy_from_slice(&version.to_be_bytes());
    let place: [&[u8]; 3] = [b"shard", &shard.to_be_bytes(), &version.to_be_bytes()];
    slot[4..].copy_from_slice(&root.wrap(&SecretKey::generate()?, &place)?);
    Ok(slot)
}

fn place(shard: u16, slot: usize) -> u64 {
    (HEADER + (usize::from(shard) * 2 + slot) * SLOT) as u64
}

fn version_in(slot: &[u8; SLOT]) -> ShardVersion {
    let [a, b, c, d, ..] = *slot;
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use cloakroom_crypto::{KeyState, RootKey};

    use super::*;

    fn ring() -> Arc<KeyRing> {
        Arc::new(KeyRing::new(vec![RootKey::generate("").unwrap()]).unwrap())
    }

    #[test]
    fn versions_are_made_used_and_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shards");
        let ring = ring();
        assert!(ShardFile::open(&path, Arc::clone(&ring), false).is_err());
        let shards = ShardFile::open(&path, Arc::clone(&ring), true).unwrap();
        assert!(shards.key(7, 2).unwrap().is_none() && shards.key(SHARDS - 1, 1).unwrap().is_some());
        shards.make(7, 1).unwrap();
        let first = *shards.key(7, 1).unwrap().unwrap().kid();
        shards.make(7, 2).unwrap();
        assert_eq!(shards.make(7, 3).unwrap_err().kind, ErrorKind::Conflict);
        assert_ne!(first, *shards.key(7, 2).unwrap().unwrap().kid());
        shards.destroy(7, |version| version != 2).unwrap();
        assert!(shards.key(7, 1).unwrap().is_none() && shards.key(7, 2).unwrap().is_some());
        let again = ShardFile::open(&path, ring, false).unwrap();
        assert_eq!(again.lookup_key().unwrap().tag(b"x"), shards.lookup_key().unwrap().tag(b"x"));
        assert!(again.key(7, 2).unwrap().is_some() && again.key(8, 2).unwrap().is_none());
        // No key is in the file as it is, and a slot opens only where it stands.
        let mut bytes = fs::read(&path).unwrap();
        let at = place(7, 0) as usize;
        let (mine, other) = (bytes[at..at + 2 * SLOT].to_vec(), place(9, 0) as usize);
        assert!(again.key(9, 1).unwrap().is_some());
        bytes[other..other + 2 * SLOT].copy_from_slice(&mine);
        fs::write(&path, bytes).unwrap();
        assert_eq!(again.key(9, 2).unwrap_err().kind, ErrorKind::Corrupt);
    }

    #[test]
    fn a_new_root_wraps_everything_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shards");
        let old = Arc::new(KeyRing::new(vec![RootKey::generate("").unwrap()]).unwrap());
        let copies = old.roots().map(|key| SecretKey::from_bytes(*key.expose()));
        let copies: Vec<_> = copies.map(|key| RootKey::new(key, "", KeyState::Active).unwrap()).collect();
        let shards = ShardFile::open(&path, Arc::clone(&old), true).unwrap();
        shards.make(9, 2).unwrap();
        let kid = *shards.key(9, 1).unwrap().unwrap().kid();
        let tag = shards.lookup_key().unwrap().tag(b"x");
        let new = KeyRing::new(copies).unwrap().rotated(RootKey::generate("").unwrap()).unwrap();
        assert_eq!(shards.rewrap(&new).unwrap(), u32::from(SHARDS) + 1);
        let new = Arc::new(new);
        let shards = ShardFile::open(&path, Arc::clone(&new), false).unwrap();
        assert_eq!(shards.root_kid().unwrap(), *new.active_kid());
        assert_eq!((kid, tag), (*shards.key(9, 1).unwrap().unwrap().kid(), shards.lookup_key().unwrap().tag(b"x")));
        // The old root alone opens nothing any more.
        assert!(ShardFile::open(&path, old, false).is_err());
    }

    #[test]
    fn damaged_and_readable_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shards");
        let ring = ring();
        ShardFile::open(&path, Arc::clone(&ring), true).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..LENGTH - 1]).unwrap();
        assert_eq!(ShardFile::open(&path, Arc::clone(&ring), false).err().unwrap().kind, ErrorKind::Corrupt);
        fs::write(&path, &whole).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert_eq!(ShardFile::open(&path, ring, false).err().unwrap().kind, ErrorKind::Denied);
        }
    }
}
