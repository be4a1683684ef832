use std::io::{BufWriter, Write};
use std::path::Path;
use std::pin::pin;

use bucketdb::{Collection, Database, Freshness};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::StreamExt;
use serde_json::json;

use super::blob_folder::BlobFolder;
use super::export_database::DatabaseExport;
use super::export_sql::SqlExport;
use super::output_file::OutputFile;
use super::query::columns_of;
use super::table::{existing_table, key_names};
use crate::arguments::{self, ExportFormat, Global};
use crate::failure::Failure;
use crate::output::{DocumentFormat, DocumentWriter, Output, plural};
use crate::session::{self, Access};

/// What is exported, and how.
enum Export {
    Documents(Collection, DocumentFormat),
    Sql(SqlExport),
    Database(DatabaseExport),
}

impl Export {
    async fn write<W: Write>(&self, out: W, folder: Option<&mut BlobFolder>) -> Result<(u64, W), Failure> {
        let (collection, format) = match self {
            Self::Sql(export) => return export.write(out, folder).await,
            Self::Database(export) => return export.write(out, folder).await,
            Self::Documents(collection, format) => (collection, format.clone()),
        };
        let mut writer = DocumentWriter::new(format, out)?;
        let mut documents = pin!(collection.query().stream().await?);
        while let Some(document) = documents.next().await {
            writer.write(&document?)?;
        }
        Ok(writer.finish()?)
    }
}

pub(super) async fn run(global: &Global, options: &arguments::Export, output: &mut Output) -> Result<(), Failure> {
    let format =
        options.format.or_else(|| options.output.as_deref().and_then(format_of)).unwrap_or(ExportFormat::Ndjson);
    check(options, format)?;
    let (db, _) = session::open(global, Access::Read).await?;
    let export = match (format, options.dialect, options.tables.as_slice()) {
        (ExportFormat::Sql, Some(dialect), tables) => Export::Sql(SqlExport::new(&db, tables, dialect).await?),
        (_, _, []) => Export::Database(DatabaseExport::new(&db).await?),
        (format, _, tables) => {
            let name = tables.first().map(String::as_str).unwrap_or_default();
            documents(&db, name, format).await?
        }
    };
    let mut folder = options.blobs.as_deref().map(BlobFolder::create).transpose()?;
    let Some(path) = &options.output else {
        export.write(output, folder.as_mut()).await?;
        return Ok(db.close().await?);
    };
    let written = write_file(&export, path, folder.as_mut()).await?;
    db.close().await?;
    let name = path.display();
    if output.is_json() {
        let file = name.to_string();
        output.value(&match (&export, options.tables.first()) {
            (Export::Database(export), _) => json!({"tables": export.names(), "documents": written, "file": file}),
            (Export::Sql(export), _) => json!({"tables": export.names(), "documents": written, "file": file}),
            (Export::Documents(..), table) => json!({"table": table, "documents": written, "file": file}),
        })?;
    } else {
        output.line(format_args!("wrote {} to {name}", plural(written, "document")))?;
    }
    Ok(())
}

/// Refuses what does not go together, before anything is opened.
fn check(options: &arguments::Export, format: ExportFormat) -> Result<(), Failure> {
    if options.blobs.is_some() && format != ExportFormat::Sql && !options.tables.is_empty() {
        return Err(Failure::usage("--blobs goes with a whole database, or with --format sql"));
    }
    let message = match (format, options.dialect, options.tables.len()) {
        (ExportFormat::Sql, None, _) => {
            "SQL differs from program to program: say whose, with --dialect postgresql or sqlite"
        }
        (ExportFormat::Sql, Some(_), _) | (_, None, 1) | (ExportFormat::Ndjson, None, 0) => return Ok(()),
        (_, Some(_), _) => "--dialect goes with --format sql",
        (_, None, 0) => "name the table to export; all tables go together with --format ndjson or sql only",
        (_, None, _) => {
            "one table goes into one file, or all with --format ndjson; several go together with --format sql only"
        }
    };
    Err(Failure::usage(message))
}

async fn documents(db: &Database, name: &str, format: ExportFormat) -> Result<Export, Failure> {
    let (collection, schema) = existing_table(db, name).await?;
    let collection = collection.with_freshness(Freshness::Local);
    let format = match format {
        ExportFormat::Json => DocumentFormat::Json,
        ExportFormat::Ndjson | ExportFormat::Sql => DocumentFormat::Ndjson,
        ExportFormat::Csv => {
            let columns = columns_of(collection.query(), &key_names(&schema)).await?;
            DocumentFormat::Csv { columns }
        }
    };
    Ok(Export::Documents(collection, format))
}

async fn write_file(export: &Export, path: &Path, folder: Option<&mut BlobFolder>) -> Result<u64, Failure> {
    let target = OutputFile::create(path)?;
    let is_compressed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let file = BufWriter::new(&target.file);
    let (written, mut file) = if is_compressed && target.is_file() {
        let (written, encoder) = export.write(GzEncoder::new(file, Compression::default()), folder).await?;
        (written, encoder.finish().map_err(|error| target.failure(&error))?)
    } else {
        export.write(file, folder).await?
    };
    file.flush().map_err(|error| target.failure(&error))?;
    drop(file);
    target.finish()?;
    Ok(written)
}

fn format_of(path: &Path) -> Option<ExportFormat> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    match name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?.1 {
        "json" => Some(ExportFormat::Json),
        "ndjson" | "jsonl" => Some(ExportFormat::Ndjson),
        "csv" => Some(ExportFormat::Csv),
        "sql" => Some(ExportFormat::Sql),
        _ => None,
    }
}
