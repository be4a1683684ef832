use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use bucketdb::{KeyType, Schema};
use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;

use super::columns::ColumnKind;
use super::csv::{self, Columns, CsvReader};
use super::json::JsonReader;
use super::lines::LinesReader;
use super::rows::{ReadError, RowReader};
use crate::arguments::{CsvTypes, InputFormat};
use crate::failure::Failure;

/// How much of an input that can be read only once is looked at to learn the kinds of its columns.
const SAMPLE_BYTES: u64 = 8 << 20;

#[derive(Clone, Debug)]
enum Place {
    Stdin,
    File(PathBuf),
    /// Part of the program.
    Embedded(&'static [u8]),
}

/// What an import reads.
pub(crate) struct Source {
    /// For messages.
    pub(crate) name: String,
    place: Place,
    format: InputFormat,
    csv_types: CsvTypes,
    /// Its size on the disk, if it is a file that can be read twice.
    pub(crate) size_bytes: Option<u64>,
}

impl Source {
    /// A file, or standard input if the path is `-`.
    pub(crate) fn of(path: &Path, format: Option<InputFormat>, csv_types: CsvTypes) -> Result<Self, Failure> {
        let is_stdin = path.as_os_str() == "-";
        let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
        let format = format.or_else(|| format_of(path)).ok_or_else(|| {
            Failure::usage(format!("{name} does not tell what it holds: give --input-format json, ndjson, csv or tsv"))
        })?;
        let mut size_bytes = None;
        if !is_stdin {
            let of_io = |error| Failure::of_io("read", &name, &error);
            let found = File::open(path).and_then(|file| file.metadata()).map_err(of_io)?;
            if found.is_dir() {
                return Err(Failure::new("io", format!("cannot read {name}: it is a folder")));
            }
            size_bytes = found.is_file().then_some(found.len());
        }
        let place = if is_stdin { Place::Stdin } else { Place::File(path.to_owned()) };
        Ok(Self { name, place, format, csv_types, size_bytes })
    }

    /// A CSV file that is part of the program.
    pub(crate) fn embedded(name: &str, bytes: &'static [u8]) -> Self {
        let (name, size_bytes) = (name.to_owned(), Some(bytes.len() as u64));
        let (format, csv_types) = (InputFormat::Csv, CsvTypes::Infer);
        Self { name, place: Place::Embedded(bytes), format, csv_types, size_bytes }
    }

    /// What tells this file in this state from others: where it is, how long, when it was written last, and how it begins.
    /// `None` for what can be read only once.
    ///
    /// The hash may be another one in another version of the program.
    pub(crate) fn identity(&self) -> io::Result<Option<u64>> {
        let (Place::File(path), Some(size_bytes)) = (&self.place, self.size_bytes) else { return Ok(None) };
        let file = File::open(path)?;
        let written = file.metadata()?.modified().ok();
        let mut beginning = Vec::new();
        file.take(1 << 16).read_to_end(&mut beginning)?;
        let mut hasher = DefaultHasher::new();
        (path.canonicalize()?, size_bytes, written, beginning).hash(&mut hasher);
        (self.format as u8, self.csv_types as u8).hash(&mut hasher);
        Ok(Some(hasher.finish()))
    }

    /// Its documents. Where a table exists, `schema` says what the key holds; otherwise `key` names its fields.
    pub(crate) fn read(
        &self,
        schema: Option<&Schema>,
        key: &[String],
        progress: &ProgressBar,
    ) -> Result<Box<dyn RowReader>, ReadError> {
        let delimiter = match self.format {
            InputFormat::Json => return Ok(Box::new(JsonReader::new(self.open(progress)?))),
            InputFormat::Ndjson => return Ok(Box::new(LinesReader::new(self.open(progress)?))),
            InputFormat::Csv => b',',
            InputFormat::Tsv => b'\t',
        };
        let (mut columns, input): (Columns, Box<dyn Read>) = match (self.csv_types, self.size_bytes) {
            (CsvTypes::Text, _) => (Columns::default(), Box::new(self.open(progress)?)),
            (CsvTypes::Infer, Some(_)) => {
                let columns = csv::learn(self.open(&ProgressBar::hidden())?, delimiter, "all other cells")?;
                (columns, Box::new(self.open(progress)?))
            }
            (CsvTypes::Infer, None) => {
                let mut input = self.open(progress)?;
                let mut sample = Vec::new();
                (&mut input).take(SAMPLE_BYTES).read_to_end(&mut sample)?;
                let is_whole = (sample.len() as u64) < SAMPLE_BYTES;
                // The last line of a sample may be cut in two.
                let lines =
                    if is_whole { sample.len() } else { sample.iter().rposition(|byte| *byte == b'\n').unwrap_or(0) };
                let learnt = (&sample[..]).take(lines as u64);
                let columns = csv::learn(learnt, delimiter, "the cells in the first 8 MiB")?;
                (columns, Box::new(Cursor::new(sample).chain(input)))
            }
        };
        fit_key(&mut columns, schema, key);
        Ok(Box::new(CsvReader::new(input, delimiter, columns)?))
    }

    fn open(&self, progress: &ProgressBar) -> io::Result<Box<dyn BufRead>> {
        let raw: Box<dyn Read> = match &self.place {
            Place::File(path) => Box::new(File::open(path)?),
            Place::Stdin => Box::new(io::stdin()),
            Place::Embedded(bytes) => Box::new(*bytes),
        };
        let mut raw = BufReader::with_capacity(1 << 16, progress.wrap_read(raw));
        // Two bytes tell gzip from every text.
        let is_compressed = raw.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        Ok(if is_compressed {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        })
    }
}

/// What a file's name says about its content; `.gz` at the end is passed over.
fn format_of(path: &Path) -> Option<InputFormat> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "json" => Some(InputFormat::Json),
        "ndjson" | "jsonl" => Some(InputFormat::Ndjson),
        "csv" => Some(InputFormat::Csv),
        "tsv" => Some(InputFormat::Tsv),
        _ => None,
    }
}

/// A key keeps the type that the table has, and in a new table is text unless all its cells are whole numbers. Fields whose
/// texts stand for something are texts: decimal numbers keep their digits.
fn fit_key(columns: &mut Columns, schema: Option<&Schema>, key: &[String]) {
    let is_text = |name: &String, kind: ColumnKind| match schema {
        Some(schema) => {
            let is_text = |of: KeyType| of == KeyType::Text || of.text_type().is_some();
            schema.key().iter().any(|field| field.name == *name && is_text(field.key_type))
                || schema.fields().iter().any(|field| field.name == *name && field.field_type.text_type().is_some())
        }
        None => key.contains(name) && kind == ColumnKind::Number,
    };
    for (name, kind) in columns.names.iter().zip(&mut columns.kinds) {
        if is_text(name, *kind) {
            *kind = ColumnKind::Text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats() {
        for (name, format) in [
            ("a.json", Some(InputFormat::Json)),
            ("a/b.JSONL.gz", Some(InputFormat::Ndjson)),
            ("a.csv.gz", Some(InputFormat::Csv)),
            ("a.gz", None),
            ("csv", None),
            ("-", None),
        ] {
            assert_eq!(format_of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn keys_keep_the_type_of_their_table() {
        let columns = |kind| Columns { names: vec!["id".to_owned()], kinds: vec![kind], sample: "" };
        let key = ["id".to_owned()];
        for (schema, kind, expected) in [
            (None, ColumnKind::Integer, ColumnKind::Integer),
            (None, ColumnKind::Number, ColumnKind::Text),
            (Some(Schema::open("t", "id", KeyType::Text)), ColumnKind::Integer, ColumnKind::Text),
            (Some(Schema::open("t", "id", KeyType::Integer)), ColumnKind::Integer, ColumnKind::Integer),
            (Some(Schema::open("t", "id", KeyType::Uuid)), ColumnKind::Integer, ColumnKind::Text),
        ] {
            let mut found = columns(kind);
            fit_key(&mut found, schema.as_ref(), &key);
            assert_eq!(found.kinds, [expected]);
        }
    }
}
