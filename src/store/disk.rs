//! Files as the store wants them: no links followed, whole or absent, durable in their directory.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::open_error::{OpenError, io_error};

/// Opens a regular file without following a link at its end.
pub(super) fn plain_file(path: &Path, options: &mut OpenOptions) -> Result<(File, Metadata), OpenError> {
    let not_ours = |why: &str| OpenError::NotOurs { path: path.to_owned(), why: why.to_owned() };
    let opened = options.custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path);
    let file = opened.map_err(|error| match error.kind() {
        ErrorKind::NotFound => OpenError::Missing { path: path.to_owned() },
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            not_ours("is a symbolic link: name the file itself")
        }
        _ => io_error("open", path)(error),
    })?;
    let found = file.metadata().map_err(io_error("look at", path))?;
    if !found.is_file() {
        return Err(not_ours("is not a regular file"));
    }
    Ok((file, found))
}

/// A [`plain_file`] that is ours alone: our user's, no second name, closed to others.
pub(super) fn vetted(path: &Path, options: &mut OpenOptions) -> Result<(File, Metadata), OpenError> {
    let (file, found) = plain_file(path, options)?;
    let not_ours = |why: String| Err(OpenError::NotOurs { path: path.to_owned(), why });
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us {
        return not_ours(format!("belongs to user {}, and we are user {us}: chown it", found.uid()));
    }
    if found.nlink() != 1 {
        return not_ours(format!("has {} names (hard links): remove the others", found.nlink()));
    }
    if found.mode() & 0o027 != 0 {
        return not_ours(format!("is open to others (mode {:o}): chmod 600 it", found.mode() & 0o777));
    }
    if found.len() == 0 {
        return not_ours("is empty: move it away to start anew, or restore the last backup".to_owned());
    }
    Ok((file, found))
}

/// A new file of our own; an error where one is already.
pub(super) fn new_file(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options.open(path).map_err(io_error("create", path))
}

/// The whole file or none of it, at once and for good.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(parent(path))?.sync_all()
}

pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file that may be there.
pub(super) fn remove(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes names in the directory of `path` durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), OpenError> {
    let directory = parent(path);
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io_error("sync", directory))
}
