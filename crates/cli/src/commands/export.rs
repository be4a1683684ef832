use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;

use bucketdb::{Collection, Freshness};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::StreamExt;
use serde_json::json;

use super::query::columns_of;
use super::table::{existing_table, key_names};
use crate::arguments::{Export, ExportFormat, Global};
use crate::failure::Failure;
use crate::output::{DocumentFormat, DocumentWriter, Output, plural};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, options: &Export, output: &mut Output) -> Result<(), Failure> {
    let format = options.format.or_else(|| options.output.as_deref().and_then(format_of));
    let (db, _) = session::open(global, Access::Read).await?;
    let (collection, schema) = existing_table(&db, &options.table).await?;
    let collection = collection.with_freshness(Freshness::Local);
    let format = match format.unwrap_or(ExportFormat::Ndjson) {
        ExportFormat::Json => DocumentFormat::Json,
        ExportFormat::Ndjson => DocumentFormat::Ndjson,
        ExportFormat::Csv => {
            let columns = columns_of(collection.query(), &key_names(&schema)).await?;
            DocumentFormat::Csv { columns }
        }
    };
    let Some(path) = &options.output else {
        write_all(&collection, format, output).await?;
        return Ok(db.close().await?);
    };
    let written = write_file(&collection, format, path).await?;
    db.close().await?;
    let name = path.display();
    if output.is_json() {
        output.value(&json!({"table": options.table, "documents": written, "file": name.to_string()}))?;
    } else {
        output.line(format_args!("wrote {} to {name}", plural(written, "document")))?;
    }
    Ok(())
}

async fn write_all<W: Write>(collection: &Collection, format: DocumentFormat, out: W) -> Result<(u64, W), Failure> {
    let mut writer = DocumentWriter::new(format, out)?;
    let mut documents = pin!(collection.query().stream().await?);
    while let Some(document) = documents.next().await {
        writer.write(&document?)?;
    }
    Ok(writer.finish()?)
}

/// Writes a file under another name first, so that a file with the final name is complete.
async fn write_file(collection: &Collection, format: DocumentFormat, path: &Path) -> Result<u64, Failure> {
    let of_io = |error: &io::Error| Failure::of_io("write", &path.display().to_string(), error);
    // A link stays one: the file that it leads to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let existing = fs::metadata(&target).ok();
    if existing.as_ref().is_some_and(|existing| !existing.is_file()) {
        // A pipe or a device is written to. Renaming a file over it would destroy it.
        let file = File::options().write(true).open(&target).map_err(|error| of_io(&error))?;
        let (written, mut file) = write_all(collection, format, BufWriter::new(file)).await?;
        file.flush().map_err(|error| of_io(&error))?;
        return Ok(written);
    }
    let temporary = Temporary::beside(&target)?;
    let file = File::create_new(&temporary.path).map_err(|error| of_io(&error))?;
    if let Some(existing) = existing {
        file.set_permissions(existing.permissions()).map_err(|error| of_io(&error))?;
    }
    let file = BufWriter::new(file);
    let is_compressed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let (written, file) = if is_compressed {
        let (written, encoder) = write_all(collection, format, GzEncoder::new(file, Compression::default())).await?;
        (written, encoder.finish().map_err(|error| of_io(&error))?)
    } else {
        write_all(collection, format, file).await?
    };
    let finish = || {
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&temporary.path, &target)
    };
    finish().map_err(|error| of_io(&error))?;
    Ok(written)
}

/// A file that is removed if it is still there in the end.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn beside(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", path.display())))?;
        let name = format!(".{}.{}.part", name.to_string_lossy(), std::process::id());
        Ok(Self { path: path.with_file_name(name) })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Once renamed it is gone, and that it cannot be removed otherwise is not what the user must hear about.
        let _ = fs::remove_file(&self.path);
    }
}

fn format_of(path: &Path) -> Option<ExportFormat> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    match name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?.1 {
        "json" => Some(ExportFormat::Json),
        "ndjson" | "jsonl" => Some(ExportFormat::Ndjson),
        "csv" => Some(ExportFormat::Csv),
        _ => None,
    }
}
