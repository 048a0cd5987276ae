//! What all files of this sink have in common: names, locks, folders.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

/// Times that a file is opened which others bring to its place meanwhile.
const TRIES: usize = 10;

/// A path with one more ending.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// New names beside a file are on disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder(path))?.sync_all()?;
    }
    Ok(())
}

/// Opens a file for reading and writing, and makes it where there is none; what it holds stays.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Keeps a file to ourselves as long as it is open. `shown` is what two runs would write.
pub(super) fn lock(file: &File, shown: &Path) -> Result<(), ConnectorError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => is_taken(shown),
        TryLockError::Error(error) => ConnectorError::io(shown.display(), &error),
    })
}

/// Opens a file to be written from its beginning, by nobody else as long as it is open.
pub(super) fn open_alone(path: &Path, shown: &Path) -> Result<File, ConnectorError> {
    let io_error = |error: io::Error| ConnectorError::io(path.display(), &error);
    for _ in 0..TRIES {
        let file = open(path).map_err(io_error)?;
        lock(&file, shown)?;
        // Before we had the lock, the one who had it may have brought the file to its place: then it is not ours to empty.
        if is_at(&file, path).map_err(io_error)? {
            file.set_len(0).map_err(io_error)?;
            return Ok(file);
        }
    }
    Err(is_taken(shown))
}

fn is_taken(shown: &Path) -> ConnectorError {
    ConnectorError::new(ErrorKind::Conflict, format!("{}: another run is writing it", shown.display()))
}

/// True when an open file still has this name.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(named) => Ok(is_same(&named, &file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Nothing tells files apart here; that there is one with this name must do.
#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

/// Writes behind so many bytes, in the place of whatever a write that failed has left there.
pub(super) fn write_at(file: &mut File, length: u64, bytes: &[u8]) -> io::Result<()> {
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_brought_to_its_place_is_not_emptied() {
        let room = tempfile::tempdir().unwrap();
        let (partial, whole) = (room.path().join("x.partial"), room.path().join("x"));
        let mut first = open_alone(&partial, &whole).unwrap();
        // The second one has opened it, and waits for nothing but the lock.
        let late = open(&partial).unwrap();
        assert_eq!(lock(&late, &whole).unwrap_err().kind, ErrorKind::Conflict);
        write_at(&mut first, 0, b"complete").unwrap();
        fs::rename(&partial, &whole).unwrap();
        drop(first);
        lock(&late, &whole).unwrap();
        assert!(!is_at(&late, &partial).unwrap() && is_at(&late, &whole).unwrap());
        // Also when there is another file of that name by now.
        open_alone(&partial, &whole).unwrap();
        assert!(!is_at(&late, &partial).unwrap());
        assert_eq!(fs::read(&whole).unwrap(), b"complete");
    }
}
