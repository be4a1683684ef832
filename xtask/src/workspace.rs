//! Where this workspace is, and its cargo.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::process::Tool;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo says where the package is now; where it was compiled may be another place.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    let package = PathBuf::from(package);
    package.parent().map_or_else(|| package.clone(), PathBuf::from)
}

/// The folder of everything that can be made again.
pub(crate) fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target")))
}

/// The cargo that runs this program, in the folder of the workspace.
pub(crate) fn cargo() -> Tool {
    Tool::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))).in_folder(&root())
}
