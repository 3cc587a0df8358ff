//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::ImportError;

/// Creates `dir` and its parents where they are missing.
pub(super) fn create_dir(dir: &Path) -> Result<(), ImportError> {
    fs::create_dir_all(dir).map_err(|source| ImportError::Write { path: dir.to_path_buf(), source })
}

/// Writes `bytes` to a temporary file beside `path` and renames it, so that a server that loads models meanwhile, or a
/// crash, never sees half a model.
pub(super) fn atomically(path: &Path, bytes: &[u8]) -> Result<(), ImportError> {
    // The process id keeps two imports at once from writing into one temporary file.
    let temporary = path.with_extension(format!("onnx.{}.tmp", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        // The first error is the one to tell; a leftover file is only clutter.
        let _ = fs::remove_file(&temporary);
        ImportError::Write { path: path.to_path_buf(), source }
    })
}
