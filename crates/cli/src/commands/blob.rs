use std::io::{self, Write};
use std::path::Path as FilePath;
use std::pin::pin;

use bucketdb::{Blob, BlobReader, Database, Error, Path, Point};
use futures::stream::{self, TryStreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::output_file::OutputFile;
use super::table::existing_table;
use super::update;
use crate::arguments::{Blob as Action, BlobField, Global};
use crate::failure::Failure;
use crate::output::{Output, bytes};
use crate::session::{self, Access};

/// How much of standard input is read at a time.
const PIECE_BYTES: usize = 1 << 20;

pub(super) async fn run(global: &Global, action: &Action, output: &mut Output) -> Result<(), Failure> {
    match action {
        Action::Put { field, file } => put(global, field, file, output).await,
        Action::Get { field, output: file, at } => get(global, field, file.as_deref(), at.clone(), output).await,
        Action::Url { field, expires } => {
            let (db, _) = session::open(global, Access::Read).await?;
            let blob = find(&db, field, None).await?;
            let url = db.blobs().url(&blob, *expires).await?;
            db.close().await?;
            if output.is_json() {
                return Ok(output.value(&json!({"url": url, "expires_in_seconds": expires.as_secs()}))?);
            }
            Ok(output.line(url)?)
        }
    }
}

async fn put(global: &Global, field: &BlobField, file: &FilePath, output: &mut Output) -> Result<(), Failure> {
    let path = parse_path(field)?;
    if !update::put(&mut json!({}), &path, Value::Null) {
        return Err(Failure::usage(format!("{path}: a list changes as a whole, name a field in an object")));
    }
    let (db, _) = session::open(global, Access::Change).await?;
    let BlobField { table, key, field: name } = field;
    let (collection, _) = existing_table(&db, table).await?;
    // Nothing is uploaded for a document that is not there.
    if collection.get_by_text(key).await?.is_none() {
        return Err(Error::NotFound { table: table.clone(), key: key.clone() }.into());
    }
    let blob = if file.as_os_str() == "-" {
        let pieces = stream::try_unfold(tokio::io::stdin(), |mut input| async move {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            input.read_buf(&mut piece).await?;
            Ok::<_, io::Error>((!piece.is_empty()).then(|| (piece.into(), input)))
        });
        db.blobs().upload_stream(pieces).await?
    } else {
        db.blobs().upload_file(file).await?
    };
    let mut patch = json!({});
    update::put(&mut patch, &path, json!(blob));
    collection.patch_by_text(key, &patch).await?;
    db.close().await?;
    if output.is_json() {
        let value = json!({"table": table, "key": key, "field": name, "blob": blob, "bytes": blob.len()});
        return Ok(output.value(&value)?);
    }
    Ok(output.line(format_args!("put {} into {name} of {key} in {table}", bytes(blob.len())))?)
}

async fn get(
    global: &Global,
    field: &BlobField,
    file: Option<&FilePath>,
    at: Option<Point>,
    output: &mut Output,
) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Read).await?;
    let blob = find(&db, field, at).await?;
    let reader = db.blobs().open(&blob)?;
    let Some(file) = file else {
        copy(&reader, io::stdout().lock(), "standard output").await?;
        return Ok(db.close().await?);
    };
    let shown = file.display().to_string();
    let target = OutputFile::create(file)?;
    copy(&reader, &target.file, &shown).await?;
    target.finish()?;
    db.close().await?;
    if output.is_json() {
        return Ok(output.value(&json!({"blob": blob, "bytes": blob.len(), "file": shown}))?);
    }
    Ok(output.line(format_args!("wrote {} to {shown}", bytes(blob.len())))?)
}

/// Writes what a blob holds.
pub(super) async fn copy(reader: &BlobReader, mut to: impl Write, name: &str) -> Result<(), Failure> {
    let mut parts = pin!(reader.stream());
    while let Some(part) = parts.try_next().await? {
        to.write_all(&part).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => error.into(),
            _ => Failure::of_io("write", name, &error),
        })?;
    }
    to.flush().map_err(Failure::from)
}

/// The blob to which the field of a document refers.
async fn find(db: &Database, field: &BlobField, at: Option<Point>) -> Result<Blob, Failure> {
    let path = parse_path(field)?;
    let BlobField { table, key, field: name } = field;
    let (collection, _) = existing_table(db, table).await?;
    let document = match at {
        Some(point) => db.at(point).await?.collection(table).get_by_text(key).await?,
        None => collection.get_by_text(key).await?,
    };
    let document = document.ok_or_else(|| Error::NotFound { table: table.clone(), key: key.clone() })?;
    let blob = path.get(&document).find_map(|value| value.as_str()?.parse().ok());
    blob.ok_or_else(|| Failure::new("no_blob", format!("{name} of {key} in {table} holds no blob")))
}

fn parse_path(field: &BlobField) -> Result<Path, Failure> {
    field.field.parse().map_err(|error| Failure::parse("FIELD", &error))
}
