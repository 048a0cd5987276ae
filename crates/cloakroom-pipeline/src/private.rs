//! Files that only their owner can read: keys, state, the audit log, databases.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{ConnectorError, ErrorKind};

/// Makes a folder that only its owner can look into, when it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn folder(folder: &Path) -> Result<(), ConnectorError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| ConnectorError::io(format!("folder {}", folder.display()), &error))
}

/// The same for the folder of a file.
pub(crate) fn folder_of(file: &Path) -> Result<(), ConnectorError> {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), folder)
}

/// Makes a file that only its owner can read, when it is not there and `create` says so. For databases:
/// made before SQLite does it, it is never readable by others, not even for a moment, and SQLite gives its
/// log the same permissions.
///
/// # Errors
/// When it cannot be made, or is not there and shall not be made.
pub fn file(path: &Path, create: bool) -> io::Result<()> {
    owned(OpenOptions::new().write(true).create(create).truncate(false)).open(path).map(drop)
}

/// Puts bytes in the place of a file, whole or not at all: after a crash there is the old one or the new one. Only
/// [`sync_folder`] makes sure that it is the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let next = with_suffix(path, ".next");
    let mut file = owned(OpenOptions::new().write(true).create(true).truncate(true)).open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&next, path)
}

/// What these options make can be read by its owner only.
pub(crate) fn owned(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Refuses a file that others can read or write. `what` names it in messages.
pub(crate) fn check(path: &Path, metadata: &Metadata, what: &str) -> Result<(), ConnectorError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let name = path.display();
            return Err(ConnectorError::new(
                ErrorKind::Denied,
                format!("{what} {name}: others can read it (mode {mode:04o}); run `chmod 600 {name}`"),
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = (path, metadata, what);
    Ok(())
}

/// After a power cut, a new file has its name only when its folder was written.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A name beside a file's.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
