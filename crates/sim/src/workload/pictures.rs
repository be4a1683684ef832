use bucketdb::{Error, Freshness, Table};

use crate::workload::client::{Client, put};
use crate::workload::documents::{Marked, Picture};
use crate::workload::{Outcome, Read, Seen, Write};

/// The table of documents that refer to blobs.
const PICTURES: &str = "pictures";

/// What the image of a picture holds that an operation wrote.
fn image(token: u64) -> String {
    format!("the image of #{token}")
}

impl Client {
    /// Writes a document with a blob, removes one, reads one with its blob, or tries to write another one's blob.
    pub(super) async fn picture(&mut self) {
        match self.random.below(10) {
            0..4 => self.put_picture().await,
            4 => self.delete_picture().await,
            5 => self.copy_picture().await,
            _ => self.read_picture().await,
        }
    }

    async fn pictures(&mut self) -> Option<Table<Picture>> {
        self.opened("pictures").await
    }

    async fn put_picture(&mut self) {
        let Some(pictures) = self.pictures().await else { return };
        let (key, db) = (self.key(), self.tables.db.clone());
        let token = self.begin(Freshness::Local, format!("put pictures/{key}"), vec![put(PICTURES, &key)]);
        let write = async {
            let image = db.blobs().upload(image(token)).await?;
            pictures.put(&Picture { key, token, image }).await
        };
        let written = write.await.map(|commit| Some(commit.seq));
        self.end_refusable(token, PICTURES, "", written).await;
    }

    async fn delete_picture(&mut self) {
        let Some(pictures) = self.pictures().await else { return };
        let key = self.key();
        let write = Write { table: PICTURES, key: key.clone(), delete: true };
        let token = self.begin(Freshness::Local, format!("delete pictures/{key}"), vec![write]);
        let deleted = pictures.delete(&key).await.map(|commit| Some(commit.seq));
        self.end_refusable(token, PICTURES, "", deleted).await;
    }

    /// A blob of one document is refused in another, whoever has it now (H15).
    async fn copy_picture(&mut self) {
        let Some(pictures) = self.pictures().await else { return };
        let (from, to) = (self.key(), format!("copy of {}", self.key()));
        let token = self.begin(Freshness::Local, format!("copy pictures/{from}"), vec![put(PICTURES, &to)]);
        let copy = async {
            let Some(found) = pictures.get(&from).await? else { return Ok(None) };
            pictures.put(&Picture { key: to, token, image: found.image }).await.map(Some)
        };
        let outcome = match copy.await {
            Ok(None) | Err(Error::BlobTaken { .. }) => Outcome::Failed("there is nothing to copy".to_owned()),
            Ok(Some(commit)) => Outcome::Broken(format!("the blob of {from} is in two documents since {}", commit.seq)),
            // It would have been refused, so nothing can have been sent.
            Err(error @ Error::CommitOutcomeUnknown { .. }) => Outcome::Broken(format!("a copy of {from}: {error}")),
            Err(error) => Outcome::of_error(&error),
        };
        self.recorder.end(token, Vec::new(), outcome);
    }

    async fn read_picture(&mut self) {
        let Some(pictures) = self.pictures().await else { return };
        let (key, freshness) = (self.key(), self.freshness());
        let db = self.tables.db.clone();
        let token = self.begin(freshness, format!("get pictures/{key} {freshness:?}"), Vec::new());
        let read = async {
            let Some(found) = pictures.clone().with_freshness(freshness).get(&key).await? else {
                return Ok((Seen::Absent, None));
            };
            let broken = match db.blobs().open(&found.image)?.bytes().await {
                Ok(content) if content == image(found.token) => None,
                Ok(content) => Some(format!("the image of pictures/{key} is {content:?}")),
                // The document was given up too for so long that this is an answer, or else it is still there.
                Err(error @ Error::BlobGone { .. }) => {
                    let now = pictures.clone().with_freshness(Freshness::Strict).get(&key).await?;
                    let is_there = now.is_some_and(|now| now.token == found.token);
                    is_there.then(|| format!("pictures/{key} has no image: {error}"))
                }
                Err(error @ Error::BlobDamaged { .. }) => Some(error.to_string()),
                Err(error) => return Err(error),
            };
            Ok::<_, Error>((Seen::Token(found.token()), broken))
        };
        match read.await {
            Ok((_, Some(broken))) => self.recorder.end(token, Vec::new(), Outcome::Broken(broken)),
            Ok((seen, None)) => {
                self.recorder.end(token, vec![Read { table: PICTURES, key, seen }], Outcome::Ok(None));
            }
            Err(error) => {
                let outcome = self.settled(&error).await;
                self.recorder.end(token, Vec::new(), outcome);
            }
        }
    }
}
