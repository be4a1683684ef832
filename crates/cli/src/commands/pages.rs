use bucketdb::{PageCursor, Query as DatabaseQuery};
use serde_json::{Value, json};

use crate::arguments::QueryFormat;
use crate::failure::Failure;
use crate::output::{DocumentFormat, DocumentWriter, Output, csv_columns, document_table};

/// Shows a page, and the cursor of the next one: behind a table, in JSON beside the documents, on standard error where the
/// output holds nothing but documents.
pub(super) async fn show(
    query: DatabaseQuery<Value>,
    after: Option<PageCursor>,
    format: QueryFormat,
    first: &[String],
    output: &mut Output,
) -> Result<(), Failure> {
    let page = query.page(after).await?;
    let (documents, next) = (page.documents, page.next.map(|next| next.to_string()));
    let format = match format {
        QueryFormat::Table => {
            if documents.is_empty() {
                output.line("no documents")?;
            } else {
                output.line(document_table(&documents, first, output.width()))?;
            }
            if let Some(next) = next {
                output.line(format_args!("next page: --after {next}"))?;
            }
            return Ok(());
        }
        QueryFormat::Json => return Ok(output.value(&json!({"documents": documents, "next": next}))?),
        QueryFormat::Ndjson => DocumentFormat::Ndjson,
        QueryFormat::Csv => DocumentFormat::Csv { columns: csv_columns(&documents, first) },
    };
    let mut writer = DocumentWriter::new(format, output)?;
    for document in &documents {
        writer.write(document)?;
    }
    let (_, output) = writer.finish()?;
    output.flush()?;
    if let Some(next) = next {
        eprintln!("next page: --after {next}");
    }
    Ok(())
}
