//! Held: on a disk that is full, a write fails with an error that says so, what was acknowledged can be read, by whoever has
//! the database open and by whoever opens it, and writing goes on when there is room again.
//!
//! Catches: half an object that takes a name; a committer, or maintenance, that never recovers; an acknowledgement of what
//! did not fit.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bucketdb::{Database, Duplicates, Error, ErrorKind, FileDriver, LogError};
use bucketdb_system_tests::{Piece, Toil};

use crate::stores::skip;
use crate::support::{report, runtime};

/// The keys of bulk loads, above those of all batches.
const LOADED_FROM: u64 = 1_000_000_000;

/// An empty file system in memory, until it is dropped.
struct Disk {
    folder: PathBuf,
    _parent: tempfile::TempDir,
}

impl Disk {
    /// `None` where mounting is not allowed.
    fn new(size: &str) -> Option<Self> {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("disk");
        std::fs::create_dir(&folder).unwrap();
        let arguments = ["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"];
        let mounted = Command::new("mount").args(arguments).arg(&folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder, _parent: parent });
        }
        skip("mounting a file system needs root")
    }

    fn resize(&self, size: &str) {
        let mut remount = Command::new("mount");
        assert!(remount.args(["-o", &format!("remount,size={size}")]).arg(&self.folder).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.folder).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            report(format_args!("{} is still mounted", self.folder.display()));
        }
    }
}

async fn open(folder: &Path) -> Database {
    let driver = FileDriver::new(folder).unwrap();
    let builder = Database::builder().shared_driver(Arc::new(driver)).max_memory(8 << 20);
    builder.commit_timeout(Duration::from_secs(20)).open().await.unwrap()
}

#[track_caller]
fn assert_no_space(error: &Error) {
    let Error::Log(LogError::Driver(driver)) = error else { panic!("{error:?}") };
    assert_eq!(driver.kind(), ErrorKind::NoSpace, "{error}");
}

async fn write(db: &Database, number: u64) -> bucketdb::Result<()> {
    let mut batch = db.batch();
    for piece in (Toil { number, is_bulk: false }).written() {
        batch.put(&Piece { id: piece.id + number * 10_000, ..piece })?;
    }
    batch.commit().await.map(drop)
}

async fn count(db: &Database) -> u64 {
    db.table::<Piece>().await.unwrap().query().count().await.unwrap()
}

#[test]
fn a_full_disk_is_an_error_and_writing_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new("4m") else { return };
    runtime().block_on(async {
        let db = open(&disk.folder).await;
        let pieces = db.table::<Piece>().await.unwrap();
        let mut written = 0;
        // Maintenance finds no room either, and must not stand in the way of the error.
        let error = loop {
            match write(&db, written).await {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 10_000, "it never fills up");
        };
        assert_no_space(&error);
        let documents = count(&db).await;
        assert_eq!(documents, written * 40, "what was acknowledged, and nothing else");
        assert_no_space(&bulk_load(&db, LOADED_FROM).await.unwrap_err());
        assert_eq!(count(&db).await, documents, "nothing of a load that failed appears");

        // Another one can open it and read.
        let reader = Database::builder().shared_driver(Arc::new(FileDriver::new(&disk.folder).unwrap()));
        let reader = reader.read_only(true).open().await.unwrap();
        assert_eq!(count(&reader).await, documents);

        disk.resize("64m");
        write(&db, written).await.unwrap();
        bulk_load(&db, LOADED_FROM).await.unwrap();
        assert_eq!(count(&db).await, documents + 40 + 4_000);
        assert_eq!(pieces.get(LOADED_FROM).await.unwrap().map(|piece| piece.operation), Some(1));
        db.compact().await.unwrap();
        let verification = db.verify(|_| {}).await.unwrap();
        assert!(verification.is_clean(), "{verification:#?}");
        db.close().await.unwrap();
        drop((db, pieces, reader));
        let db = open(&disk.folder).await;
        assert_eq!(count(&db).await, documents + 40 + 4_000);
    });
}

async fn bulk_load(db: &Database, from: u64) -> bucketdb::Result<()> {
    let mut load = db.table::<Piece>().await?.bulk_load(Duplicates::Replace).await?;
    for id in from..from + 4_000 {
        load.add(&Piece::new(id, 1)).await?;
    }
    load.finish().await.map(drop)
}
