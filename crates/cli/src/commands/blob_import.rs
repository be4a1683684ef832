//! Documents that refer to blobs, on their way from an export into a new database.

use std::fs;
use std::path::{Component, Path, PathBuf};

use bucketdb::{Blob, Database};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Map, Value};

use crate::arguments::Mode;
use crate::failure::Failure;
use crate::import::{ImportOptions, Importer, Row, RowFailure, Way};

/// So many blobs are uploaded at the same time.
const UPLOADS: usize = 4;

/// What so many blobs hold is uploaded before the documents that refer to them are written in one commit, or so many bytes of
/// documents: a sweep of somebody else takes an upload that waits for long to be forgotten.
const WAITING_BLOBS: usize = 32;
const WAITING_BYTES: usize = 4 << 20;

/// What an export says of a blob.
#[derive(Clone, Debug)]
struct Described {
    /// As the document has it.
    text: String,
    hash: [u8; 32],
    length: u64,
    /// The name of a file in the folder, and of nothing outside of it.
    file: PathBuf,
}

/// Uploads what the blobs of documents hold, and writes these documents with the new blobs in the place of the old ones. A bulk
/// load cannot have them.
pub(super) struct BlobImport {
    db: Database,
    table: String,
    folder: PathBuf,
    importer: Importer,
    waiting: Vec<(Row, Vec<Described>)>,
    waiting_blobs: usize,
    waiting_bytes: usize,
}

impl BlobImport {
    pub(super) async fn new(db: &Database, table: &str, folder: &Path) -> Result<Self, Failure> {
        let options = ImportOptions { key: None, mode: Mode::Insert, way: Way::Commits(usize::MAX), resume: None };
        Ok(Self {
            db: db.clone(),
            table: table.to_owned(),
            folder: folder.to_owned(),
            importer: Importer::new(db, table, options).await?,
            waiting: Vec::new(),
            waiting_blobs: 0,
            waiting_bytes: 0,
        })
    }

    /// Takes a document, and what the export says of its blobs.
    pub(super) async fn add(&mut self, row: Row, blobs: &[Value]) -> Result<(), RowFailure> {
        let described: Option<Vec<Described>> = blobs.iter().map(Described::parse).collect();
        let Some(described) = described else {
            let failure = Failure::new("malformed_input", "what it says of blobs is not understood");
            return Err(RowFailure { line: Some(row.line), failure: Box::new(failure) });
        };
        self.waiting_blobs += described.len();
        self.waiting_bytes += row.document.to_string().len();
        self.waiting.push((row, described));
        if self.waiting_blobs >= WAITING_BLOBS || self.waiting_bytes >= WAITING_BYTES {
            self.finish().await?;
        }
        Ok(())
    }

    /// Writes what waits.
    pub(super) async fn finish(&mut self) -> Result<(), RowFailure> {
        let waiting = std::mem::take(&mut self.waiting);
        (self.waiting_blobs, self.waiting_bytes) = (0, 0);
        let jobs =
            waiting.iter().enumerate().flat_map(|(place, (_, blobs))| blobs.iter().map(move |blob| (place, blob)));
        let (db, folder) = (&self.db, &self.folder);
        let uploads = stream::iter(jobs).map(|(place, described)| async move {
            described.upload(db, folder).await.map(|blob| (place, blob)).map_err(|failure| (place, failure))
        });
        let uploaded: Result<Vec<(usize, Blob)>, (usize, Failure)> = uploads.buffered(UPLOADS).try_collect().await;
        let uploaded = uploaded.map_err(|(place, failure)| self.about(waiting.get(place), failure))?;
        let mut uploaded = uploaded.into_iter();
        for (Row { line, mut document }, blobs) in waiting {
            for (described, (_, blob)) in blobs.iter().zip(uploaded.by_ref()) {
                document = replaced(document, &described.text, &blob.to_string());
            }
            self.importer.add(Row { line, document }).await?;
        }
        self.importer.finish().await
    }

    fn about(&self, document: Option<&(Row, Vec<Described>)>, failure: Failure) -> RowFailure {
        let Some((row, _)) = document else { return failure.into() };
        let key: Vec<&Value> = self.importer.key().iter().filter_map(|field| row.document.get(field)).collect();
        let key = match key.as_slice() {
            [key] => key.to_string(),
            keys => Value::from_iter(keys.iter().copied().cloned()).to_string(),
        };
        let failure = failure.about(&format!("table {}, document {key}", self.table));
        let failure = failure.with("table", self.table.as_str()).with("key", key);
        RowFailure { line: Some(row.line), failure: Box::new(failure) }
    }
}

impl Described {
    fn parse(described: &Value) -> Option<Self> {
        let text = |name: &str| described.get(name)?.as_str();
        let (blob, hash) = (text("blob")?, text("hash")?);
        blob.parse::<Blob>().ok()?;
        let file = PathBuf::from(text("file")?);
        let mut parts = file.components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else { return None };
        let digits: Option<Vec<u8>> =
            (0..64).step_by(2).map(|at| u8::from_str_radix(hash.get(at..at + 2)?, 16).ok()).collect();
        let hash = digits?.try_into().ok().filter(|_| hash.len() == 64)?;
        Some(Self { text: blob.to_owned(), hash, length: described.get("length")?.as_u64()?, file })
    }

    async fn upload(&self, db: &Database, folder: &Path) -> Result<Blob, Failure> {
        let path = folder.join(&self.file);
        let shown = path.display().to_string();
        let with_file = |failure: Failure| failure.with("file_of_blob", shown.as_str());
        let found = fs::metadata(&path).map_err(|error| with_file(Failure::of_io("read", &shown, &error)))?;
        let wrong = |reason: &str| with_file(Failure::new("malformed_input", format!("{shown} {reason}")));
        if found.len() != self.length {
            return Err(wrong(&format!("has {} bytes, and the blob had {}", found.len(), self.length)));
        }
        let blob = db.blobs().upload_file(&path).await?;
        // What was sent is what counts, whatever happens to the file.
        if (blob.hash(), blob.len()) != (self.hash, self.length) {
            return Err(wrong("is not what the blob held: its hash is another one"));
        }
        Ok(blob)
    }
}

/// The document with another text in the place of one, wherever that is.
fn replaced(value: Value, old: &str, new: &str) -> Value {
    match value {
        Value::String(text) if text.contains(old) => text.replace(old, new).into(),
        Value::Array(elements) => elements.into_iter().map(|element| replaced(element, old, new)).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name.replace(old, new), replaced(value, old, new)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_files_of_the_folder_are_named() {
        let blob = format!("blob:{}", "A".repeat(96));
        let of = |file: &str, hash: &str| json!({"blob": blob, "hash": hash, "length": 1, "file": file});
        let hash = "0f".repeat(32);
        assert_eq!(Described::parse(&of("0f", &hash)).map(|described| described.hash), Some([15; 32]));
        for (file, hash) in [
            ("../x", &*hash),
            ("/etc/passwd", &hash),
            ("a/b", &hash),
            ("..", &hash),
            (".", &hash),
            ("", &hash),
            ("x", "0f"),
            ("x", &"é".repeat(32)),
            ("x", &"0".repeat(65)),
        ] {
            assert!(Described::parse(&of(file, hash)).is_none(), "{file} {hash}");
        }
        assert!(Described::parse(&json!({"blob": "blob:A", "hash": hash, "length": 1, "file": "x"})).is_none());
    }

    #[test]
    fn a_text_is_replaced_wherever_it_is() {
        let document = json!({"a": "x", "b": ["see x.", {"x": [1, "xx"]}], "c": null});
        let expected = json!({"a": "yy", "b": ["see yy.", {"yy": [1, "yyyy"]}], "c": null});
        assert_eq!(replaced(document, "x", "yy"), expected);
    }
}
