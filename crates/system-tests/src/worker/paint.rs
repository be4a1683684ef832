use std::error::Error;

use bucketdb::{Database, Error as DatabaseError, Table};
use bucketdb_system_tests::{Line, PICTURES, Picture, image_of};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::toil::until_too_late;
use crate::{Arguments, say};

/// So many uploads are under way at the same time.
const AT_ONCE: usize = 8;

/// Uploads images and writes the pictures that they belong to, each twice with different ones, and deletes earlier ones.
pub(crate) async fn paint(arguments: &Arguments, first: u64) -> Result<(), Box<dyn Error>> {
    let work = async {
        let db = arguments.open().await?;
        let pictures = db.table::<Picture>().await?;
        let operations = stream::iter(first..).map(|number| {
            let (db, pictures) = (&db, &pictures);
            async move {
                say(&Line::Doing(number))?;
                for version in 0..2 {
                    put(db, pictures, number, version).await?;
                }
                if let Some(earlier) = number.checked_sub(PICTURES) {
                    pictures.delete(earlier).await?;
                }
                say(&Line::Done(number))?;
                Ok::<_, Box<dyn Error>>(())
            }
        });
        operations.buffer_unordered(AT_ONCE).try_collect::<()>().await
    };
    until_too_late(work).await
}

async fn put(db: &Database, pictures: &Table<Picture>, id: u64, version: u64) -> bucketdb::Result<()> {
    loop {
        let content = image_of(id, version);
        let image = if id.is_multiple_of(2) {
            db.blobs().upload(content).await?
        } else {
            let pieces: Vec<_> = content.chunks(100_000).map(|piece| Ok::<_, String>(piece.to_vec().into())).collect();
            db.blobs().upload_stream(stream::iter(pieces)).await?
        };
        match pictures.put(&Picture { id, version, image }).await {
            // There was a sweep in between.
            Err(DatabaseError::BlobExpired { .. }) => {}
            outcome => return outcome.map(drop),
        }
    }
}
