//! Brings a whole database back from what `export` wrote of one.

use std::path::Path;

use bucketdb::{Database, Environment, Freshness, Schema};
use serde_json::{Value, json};

use super::blob_import::BlobImport;
use super::export_database::{FORM, FORM_WITH_BLOBS};
use super::import::explain;
use crate::arguments::{CsvTypes, Global, Import, InputFormat, Mode};
use crate::failure::Failure;
use crate::import::{ImportOptions, Importer, Row, RowReader, Source, Way};
use crate::output::{Output, byte_progress, duration, plural, requests_text};
use crate::session::{self, Access};

/// What follows the documents of a table.
struct Ending {
    table: String,
    indexes: Vec<(String, bool)>,
    ttl: Option<String>,
}

pub(super) async fn run(global: &Global, options: &Import, file: &Path, output: &mut Output) -> Result<(), Failure> {
    let format = options.input_format.unwrap_or(InputFormat::Ndjson);
    if format != InputFormat::Ndjson || options.key.is_some() || !options.indexes.is_empty() {
        return Err(Failure::usage(
            "--database takes what `export` wrote of a whole database, and nothing is said of it",
        ));
    }
    let source = Source::of(file, Some(format), CsvTypes::Text)?;
    if let Some(folder) = options.blobs.as_deref().filter(|folder| !folder.is_dir()) {
        return Err(Failure::new("io", format!("{} is no folder", folder.display())));
    }
    let (db, store) = session::open(global, Access::Create).await?;
    db.refresh(Freshness::Strict).await?;
    if let Some(table) = db.stats()?.tables.first() {
        let message =
            format!("a whole database is imported into an empty one, and this one has a table {}", table.name);
        return Err(Failure::new("already_exists", message));
    }
    let (started, before) = (store.env.monotonic(), store.meter.usage());
    let progress = byte_progress(source.size_bytes);
    let outcome = match source.read(None, &[], &progress) {
        Ok(mut reader) => Restoring::new(&db, &source.name, options.blobs.as_deref()).run(&mut *reader).await,
        Err(error) => Err(explain(error, &source.name)),
    };
    progress.finish_and_clear();
    let (tables, documents) = outcome.map_err(|failure| match db.stats() {
        Ok(stats) if stats.tables.is_empty() => failure,
        _ => failure.and("drop the database before you try again: a part of it is there"),
    })?;
    db.close().await?;
    let (took, used) = (store.env.monotonic().saturating_sub(started), store.used_since(&before));
    if output.is_json() {
        return Ok(output.value(&json!({
            "tables": tables,
            "documents": documents,
            "seconds": took.as_secs_f64(),
            "requests": used.total_requests(),
        }))?);
    }
    let (tables, documents) = (plural(tables.len() as u64, "table"), plural(documents, "document"));
    Ok(output.line(format_args!(
        "imported {tables} with {documents} in {}, {}",
        duration(took),
        requests_text(&used)
    ))?)
}

struct Restoring<'a> {
    db: &'a Database,
    /// For messages.
    name: &'a str,
    /// Those that the first line names.
    expected: Vec<String>,
    endings: Vec<Ending>,
    importer: Option<Importer>,
    /// Where it is what blobs hold.
    folder: Option<&'a Path>,
    /// For what comes of a table from the first document on that refers to blobs.
    with_blobs: Option<BlobImport>,
    documents: u64,
}

impl<'a> Restoring<'a> {
    fn new(db: &'a Database, name: &'a str, folder: Option<&'a Path>) -> Self {
        let (expected, endings) = (Vec::new(), Vec::new());
        Self { db, name, expected, endings, importer: None, folder, with_blobs: None, documents: 0 }
    }

    /// Tells the tables, and how many documents they have.
    async fn run(mut self, reader: &mut dyn RowReader) -> Result<(Vec<String>, u64), Failure> {
        let first = self.next(reader)?.ok_or_else(|| self.malformed(1, "it is empty"))?;
        match first.document.get("bucketdb_export").and_then(Value::as_u64) {
            Some(FORM) => {}
            Some(FORM_WITH_BLOBS) if self.folder.is_some() => {}
            Some(FORM_WITH_BLOBS) => {
                let reason = "it was exported with --blobs: name the folder with what blobs hold, with --blobs FOLDER";
                return Err(self.malformed(first.line, reason));
            }
            Some(_) => return Err(self.malformed(first.line, "it was written by a newer version of this program")),
            None => return Err(self.malformed(first.line, "it is not what `export` writes of a whole database")),
        }
        let tables = first.document.get("tables").and_then(Value::as_array).cloned().unwrap_or_default();
        self.expected = tables.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let mut is_complete = false;
        while let Some(row) = self.next(reader)? {
            if is_complete {
                return Err(self.malformed(row.line, "it goes on behind its end"));
            }
            is_complete = self.take(row).await?;
        }
        if !is_complete {
            return Err(Failure::new(
                "malformed_input",
                format!("{} ends too early: its last line is missing", self.name),
            ));
        }
        for Ending { table, indexes, ttl } in &self.endings {
            for (fields, is_unique) in indexes {
                match is_unique {
                    true => self.db.create_unique_index(table, fields).await?,
                    false => self.db.create_index(table, fields).await?,
                }
            }
            if ttl.is_some() {
                self.db.set_ttl(table, ttl.as_deref()).await?;
            }
        }
        if self.endings.iter().any(|ending| !ending.indexes.is_empty()) {
            self.db.build_indexes().await?;
        }
        Ok((self.expected, self.documents))
    }

    fn next(&self, reader: &mut dyn RowReader) -> Result<Option<Row>, Failure> {
        reader.next_row().map_err(|error| explain(error, self.name))
    }

    /// Takes in a line; tells whether it is the last.
    async fn take(&mut self, row: Row) -> Result<bool, Failure> {
        let Row { line, document: mut entry } = row;
        if let Some(documents) = entry.get("documents").and_then(Value::as_u64) {
            self.finish_table().await?;
            let found: Vec<&str> = self.endings.iter().map(|ending| ending.table.as_str()).collect();
            if documents != self.documents || found != self.expected {
                return Err(self.malformed(line, "tables or documents are missing before it"));
            }
            return Ok(true);
        }
        let table = entry.get("table").and_then(Value::as_str).map(str::to_owned);
        let table = table.ok_or_else(|| self.malformed(line, "it names no table"))?;
        if entry.get("schema").is_some() {
            self.begin_table(line, table, &mut entry).await?;
            return Ok(false);
        }
        let is_current = self.endings.last().is_some_and(|ending| ending.table == table);
        let document = entry.get_mut("document").map(Value::take);
        let Some(document) = document.filter(|_| is_current) else {
            return Err(self.malformed(line, "it is neither a table nor a document of the table before it"));
        };
        let row = Row { line, document };
        let blobs = entry.get("blobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if !blobs.is_empty() {
            // What is written beside a bulk load would make it fail: from here on, the table goes on in commits.
            self.finish_importer().await?;
        }
        let added = match (&mut self.importer, &mut self.with_blobs) {
            (Some(importer), _) => importer.add(row).await,
            (None, Some(with_blobs)) => with_blobs.add(row, blobs).await,
            (None, None) => {
                return Err(self.malformed(line, "it has blobs, and the first line says that there are none"));
            }
        };
        added.map_err(|failed| self.at(failed.line, *failed.failure))?;
        self.documents += 1;
        Ok(false)
    }

    async fn begin_table(&mut self, line: u64, table: String, entry: &mut Value) -> Result<(), Failure> {
        self.finish_table().await?;
        let newest = entry.get_mut("schema").map(Value::take).unwrap_or_default();
        let mut versions = match entry.get_mut("earlier").map(Value::take) {
            None => Vec::new(),
            Some(Value::Array(earlier)) => earlier,
            Some(_) => return Err(self.malformed(line, "the earlier versions of its schema are not understood")),
        };
        versions.push(newest);
        let versions: Result<Vec<Schema>, _> = versions.into_iter().map(serde_json::from_value).collect();
        let versions = versions.map_err(|error| self.malformed(line, &format!("its schema: {error}")))?;
        if versions.iter().any(|schema| schema.table() != table) {
            return Err(self.malformed(line, "its schema is of another table"));
        }
        let accepts = entry.get("accepts").and_then(Value::as_u64).unwrap_or_default();
        let index = |index: &Value| Some((index.get("fields")?.as_str()?.to_owned(), index.get("unique")?.as_bool()?));
        let indexes = entry.get("indexes").and_then(Value::as_array).into_iter().flatten();
        let indexes: Option<Vec<(String, bool)>> = indexes.map(index).collect();
        let indexes = indexes.ok_or_else(|| self.malformed(line, "its indexes are not understood"))?;
        let ttl = entry.get("ttl").and_then(Value::as_str).map(str::to_owned);
        for schema in versions {
            // There is no document yet, so that the migration to a version ends at once.
            let is_accepted = schema.version() > 0 && u64::from(schema.version()) == accepts;
            let created = async {
                self.db.create_collection(schema).await?;
                if is_accepted {
                    self.db.finish_migration(&table, |_| {}).await?;
                }
                Ok::<_, bucketdb::Error>(())
            };
            created.await.map_err(|error| self.at(Some(line), Failure::from(error).of_data()))?;
        }
        let options = ImportOptions { key: None, mode: Mode::Insert, way: Way::Fitting, resume: None };
        self.importer = Some(Importer::new(self.db, &table, options).await?);
        if let Some(folder) = self.folder {
            self.with_blobs = Some(BlobImport::new(self.db, &table, folder).await?);
        }
        self.endings.push(Ending { table, indexes, ttl });
        Ok(())
    }

    async fn finish_table(&mut self) -> Result<(), Failure> {
        self.finish_importer().await?;
        if let Some(mut with_blobs) = self.with_blobs.take() {
            with_blobs.finish().await.map_err(|failed| self.at(failed.line, *failed.failure))?;
        }
        Ok(())
    }

    async fn finish_importer(&mut self) -> Result<(), Failure> {
        if let Some(mut importer) = self.importer.take() {
            importer.finish().await.map_err(|failed| self.at(failed.line, *failed.failure))?;
        }
        Ok(())
    }

    fn at(&self, line: Option<u64>, failure: Failure) -> Failure {
        match line {
            Some(line) => {
                failure.about(&format!("{}, line {line}", self.name)).with("file", self.name).with("line", line)
            }
            None => failure,
        }
    }

    fn malformed(&self, line: u64, reason: &str) -> Failure {
        self.at(Some(line), Failure::new("malformed_input", reason))
    }
}

#[cfg(test)]
mod tests {
    use bucketdb::{KeyType, MemoryDriver};

    use super::*;
    use crate::commands::blob_folder::BlobFolder;
    use crate::commands::export_database::DatabaseExport;

    #[tokio::test]
    async fn blobs_come_back_from_one_store_in_memory_to_another() {
        let open = async || Database::builder().driver(MemoryDriver::new()).open().await.unwrap();
        let (from, to) = (open().await, open().await);
        let photos = from.create_collection(Schema::open("photos", "id", KeyType::Integer)).await.unwrap();
        for id in 0..100_u32 {
            let blob = from.blobs().upload(format!("photo {}", id / 2)).await.unwrap();
            photos.insert(&json!({"id": id, "image": blob})).await.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let (stream, files) = (folder.path().join("all.ndjson"), folder.path().join("files"));
        let mut blobs = BlobFolder::create(&files).unwrap();
        let export = DatabaseExport::new(&from).await.unwrap();
        let (_, written) = export.write(Vec::new(), Some(&mut blobs)).await.unwrap();
        std::fs::write(&stream, written).unwrap();
        assert_eq!(std::fs::read_dir(&files).unwrap().count(), 50);
        from.drop_database(&from.name()).await.unwrap();

        let source = Source::of(&stream, Some(InputFormat::Ndjson), CsvTypes::Text).unwrap();
        let progress = byte_progress(source.size_bytes);
        let mut reader = source.read(None, &[], &progress).ok().unwrap();
        let imported = Restoring::new(&to, "all.ndjson", Some(&files)).run(&mut *reader).await.unwrap();
        assert_eq!(imported, (vec!["photos".to_owned()], 100));
        let found = to.collection("photos").query().fetch().await.unwrap();
        assert_eq!(found.len(), 100);
        for (id, document) in found.iter().enumerate() {
            let [blob] = to.blobs().find_in(&document.to_string())[..] else { panic!("{document}") };
            assert_eq!(to.blobs().open(&blob).unwrap().bytes().await.unwrap(), format!("photo {}", id / 2));
        }
        assert!(to.verify(|_| {}).await.unwrap().is_clean());
    }
}
