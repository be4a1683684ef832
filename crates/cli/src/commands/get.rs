use bucketdb::{Error, Point};

use super::table::existing_table;
use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{self, Access};

pub(super) async fn run(
    global: &Global,
    table: &str,
    key: &str,
    at: Option<Point>,
    output: &mut Output,
) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Read).await?;
    let (collection, _) = existing_table(&db, table).await?;
    let found = match at {
        Some(point) => db.at(point).await?.collection(table).get_by_text(key).await?,
        None => collection.get_by_text(key).await?,
    };
    // What was read goes into the cache on disk.
    db.close().await?;
    match found {
        Some(document) => Ok(output.value(&document)?),
        None => Err(Error::NotFound { table: table.to_owned(), key: key.to_owned() }.into()),
    }
}
