//! Snapshots, branches, blobs and backups of the past.

use bucketdb::{Blob, Document};
use serde::{Deserialize, Serialize};

use crate::environment::mixed;
use crate::person::{PEOPLE, Person};
use crate::world::{Row, World, row};

const BLOB_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "photos")]
struct Photo {
    #[document(key)]
    id: u64,
    image: Blob,
}

pub(crate) fn rows(base: &World) -> Vec<Row> {
    let mut rows = snapshots(base);
    rows.extend(branches(base));
    rows.extend(blobs(base));
    rows
}

fn snapshots(base: &World) -> Vec<Row> {
    base.copy().run(async |process| {
        let (db, people) = process.people().await;
        let (snapshot, named) = process.cost(db.create_snapshot("before")).await;
        snapshot.unwrap();
        people.put(&Person::richer(PEOPLE)).await.unwrap();
        let read = async {
            let before = db.at("before").await.unwrap();
            assert_eq!(before.get::<Person>(PEOPLE).await.unwrap(), Some(Person::new(PEOPLE)));
        };
        let ((), read) = process.cost(read).await;
        let (dropped, dropping) = process.cost(db.drop_snapshot("before")).await;
        dropped.unwrap();
        vec![
            row("create a snapshot with a name", named),
            row("a document as it was at a snapshot, cold", read),
            row("drop a snapshot", dropping),
        ]
    })
}

fn branches(base: &World) -> Vec<Row> {
    base.copy().run(async |process| {
        let (db, _) = process.people().await;
        let (branch, created) = process.cost(db.create_branch("staging")).await;
        branch.unwrap();
        let other = process.another();
        let staging = other.builder().branch("staging").open().await.unwrap();
        let people = staging.table::<Person>().await.unwrap();
        let (put, first) = other.cost(people.put(&Person::richer(PEOPLE))).await;
        put.unwrap();
        staging.close().await.unwrap();
        let (report, dropping) = process.cost(db.drop_branch("staging")).await;
        report.unwrap();
        vec![
            row("create a branch", created),
            row("put one document in a branch", first),
            row("drop a branch", dropping),
        ]
    })
}

fn blobs(base: &World) -> Vec<Row> {
    let content: Vec<u8> = (0..BLOB_BYTES / 8).flat_map(|number| mixed(number).to_le_bytes()).collect();
    base.copy().run(async |process| {
        let db = process.open().await;
        let photos = db.table::<Photo>().await.unwrap();
        let (image, uploaded) = process.cost(db.blobs().upload(content.clone())).await;
        let image = image.unwrap();
        let photo = Photo { id: 1, image };
        let (inserted, referred) = process.cost(photos.put(&photo)).await;
        inserted.unwrap();
        let reader = db.blobs().open(&image).unwrap();
        let (bytes, whole) = process.cost(reader.bytes()).await;
        assert!(bytes.unwrap() == content, "another content");
        let (bytes, part) = process.cost(reader.range(1_000..2_000)).await;
        assert_eq!(bytes.unwrap(), content[1_000..2_000]);
        vec![
            row("upload a blob of 1 MiB", uploaded),
            row("put the document that refers to it", referred),
            row("read a blob of 1 MiB", whole),
            row("read 1,000 bytes in the middle of a blob", part),
        ]
    })
}
