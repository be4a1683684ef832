use std::collections::HashSet;
use std::io::{self, Write};

use serde_json::Value;

/// How documents are written one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DocumentFormat {
    /// A list of objects.
    Json,
    /// One object on every line.
    Ndjson,
    /// A line of column names, then one line for every document with these fields. A missing field and a null are empty
    /// cells, lists and objects are written as JSON.
    Csv {
        /// The fields to write.
        columns: Vec<String>,
    },
}

/// Writes documents as they come.
pub(crate) struct DocumentWriter<W: Write> {
    format: DocumentFormat,
    out: W,
    written: u64,
}

impl<W: Write> DocumentWriter<W> {
    /// Begins; a CSV file gets its first line.
    pub(crate) fn new(format: DocumentFormat, mut out: W) -> io::Result<Self> {
        if let DocumentFormat::Csv { columns } = &format {
            write_csv_line(&mut out, columns.iter().cloned())?;
        }
        Ok(Self { format, out, written: 0 })
    }

    pub(crate) fn write(&mut self, document: &Value) -> io::Result<()> {
        match &self.format {
            DocumentFormat::Json => {
                self.out.write_all(if self.written == 0 { b"[\n" } else { b",\n" })?;
                serde_json::to_writer(&mut self.out, document)?;
            }
            DocumentFormat::Ndjson => {
                serde_json::to_writer(&mut self.out, document)?;
                self.out.write_all(b"\n")?;
            }
            DocumentFormat::Csv { columns } => {
                write_csv_line(&mut self.out, columns.iter().map(|name| csv_cell(document.get(name))))?;
            }
        }
        self.written += 1;
        Ok(())
    }

    /// Ends the list; tells how many documents it has, and gives back what they were written to.
    pub(crate) fn finish(mut self) -> io::Result<(u64, W)> {
        if self.format == DocumentFormat::Json {
            self.out.write_all(if self.written == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        self.out.flush()?;
        Ok((self.written, self.out))
    }
}

fn write_csv_line(out: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().buffer_capacity(4096).from_writer(out);
    writer.write_record(cells).map_err(io::Error::from)?;
    writer.flush()
}

fn csv_cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The fields of some documents: `first`, then all others in the order in which they turn up.
pub(crate) fn csv_columns<'a>(documents: impl IntoIterator<Item = &'a Value>, first: &[String]) -> Vec<String> {
    let mut columns = Columns::default();
    let documents: Vec<_> = documents.into_iter().collect();
    for name in first.iter().filter(|name| documents.iter().any(|document| document.get(name.as_str()).is_some())) {
        columns.add(name);
    }
    for document in documents {
        columns.add_all(document);
    }
    columns.names
}

/// Gathers the names of fields, each once.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    known: HashSet<String>,
    pub(crate) names: Vec<String>,
}

impl Columns {
    pub(crate) fn add(&mut self, name: &str) {
        if !self.known.contains(name) {
            self.known.insert(name.to_owned());
            self.names.push(name.to_owned());
        }
    }

    pub(crate) fn add_all(&mut self, document: &Value) {
        for name in document.as_object().into_iter().flat_map(serde_json::Map::keys) {
            self.add(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(format: DocumentFormat, documents: &[Value]) -> String {
        let mut writer = DocumentWriter::new(format, Vec::new()).unwrap();
        for document in documents {
            writer.write(document).unwrap();
        }
        let (count, bytes) = writer.finish().unwrap();
        assert_eq!(count, documents.len() as u64);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_format_is_complete_also_without_documents() {
        let documents = [json!({"id": 1, "t": "a,\"b\"\n"}), json!({"id": 2, "n": {"x": [1.5, null]}, "t": null})];
        let list = written(DocumentFormat::Json, &documents);
        assert_eq!(serde_json::from_str::<Vec<Value>>(&list).unwrap(), documents);
        assert_eq!(written(DocumentFormat::Json, &[]), "[]\n");
        assert_eq!(written(DocumentFormat::Ndjson, &[]), "");
        let columns = csv_columns(&documents, &[]);
        assert_eq!(columns, ["id", "t", "n"]);
        let csv = written(DocumentFormat::Csv { columns }, &documents);
        assert_eq!(csv, "id,t,n\n1,\"a,\"\"b\"\"\n\",\n2,,\"{\"\"x\"\":[1.5,null]}\"\n");
    }
}
