//! Programs of others: whether they are installed, and where.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where Debian puts what only administrators have in their path.
const ADMINISTRATORS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Where a program of this name lies, if one is installed.
pub fn find(name: &str) -> Option<PathBuf> {
    find_in(&places(), name)
}

/// The directories of `PATH`, and those of administrators.
pub fn places() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(ADMINISTRATORS.map(PathBuf::from)).collect()
}

/// The first file of this name in one of these directories that may be run.
pub fn find_in(places: &[PathBuf], name: &str) -> Option<PathBuf> {
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    places.iter().map(|place| place.join(name)).find(|path| runs(path))
}
