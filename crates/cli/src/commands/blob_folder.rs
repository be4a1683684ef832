//! A folder with what the blobs of a database hold: each content once, in a file that has its BLAKE3 hash as the name.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bucketdb::{Blob, Database};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::blob::copy;
use super::output_file::OutputFile;
use crate::failure::Failure;

/// So many blobs of one document are on their way at the same time.
const COPIES: usize = 4;

/// So many hashes are remembered, some 50 MB. What is behind that is looked at again in the folder.
const MOST_REMEMBERED: usize = 1_000_000;

/// Where an export puts what blobs hold.
#[derive(Debug)]
pub(super) struct BlobFolder {
    path: PathBuf,
    written: HashSet<[u8; 32]>,
}

impl BlobFolder {
    /// Makes the folder if it is not there.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(path).map_err(|error| Failure::of_io("write", &path.display().to_string(), &error))?;
        Ok(Self { path: path.to_owned(), written: HashSet::new() })
    }

    /// Sees to it that what these blobs hold is in the folder.
    pub(super) async fn save(&mut self, db: &Database, blobs: &[Blob]) -> Result<(), Failure> {
        let wanted: BTreeMap<[u8; 32], &Blob> = blobs.iter().map(|blob| (blob.hash(), blob)).collect();
        let wanted: Vec<&Blob> = wanted.into_values().filter(|blob| !self.written.contains(&blob.hash())).collect();
        let path = &self.path;
        let copies = stream::iter(&wanted).map(|blob| async move {
            let file = path.join(file_name(blob));
            if is_there(&file, blob).map_err(|error| Failure::of_io("read", &file.display().to_string(), &error))? {
                return Ok(());
            }
            let target = OutputFile::create(&file)?;
            copy(&db.blobs().open(blob)?, &target.file, &file.display().to_string()).await?;
            target.finish()
        });
        copies.buffer_unordered(COPIES).try_collect::<()>().await?;
        let room = MOST_REMEMBERED.saturating_sub(self.written.len());
        self.written.extend(wanted.into_iter().take(room).map(Blob::hash));
        Ok(())
    }
}

/// What an export says of a blob beside the document that refers to it.
pub(super) fn describe(blob: &Blob) -> Value {
    let name = file_name(blob);
    json!({"blob": blob, "hash": name, "length": blob.len(), "file": name})
}

/// The hash in hexadecimal digits.
pub(super) fn file_name(blob: &Blob) -> String {
    blob.hash().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the file is there with the content of the blob.
fn is_there(file: &Path, blob: &Blob) -> io::Result<bool> {
    let mut opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if opened.metadata()?.len() != blob.len() {
        return Ok(false);
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut opened, &mut hasher)?;
    Ok(*hasher.finalize().as_bytes() == blob.hash())
}
