//! What was read of runs, in files: a second level below the cache in memory, which outlives the process.
//!
//! # Files
//! `<folder>/<database id>/<run id>-<start>-<end>.part` holds one answer of the store, the bytes of a run from `start` to
//! `end` (all numbers hexadecimal); [`piece`] has its bytes. A scan's answers are megabytes, so there are few small
//! files. A read is answered by one file, or by several that border on each other, and reads of them only the pages
//! that it needs. Where the database is encrypted, the files are sealed as well, in chunks, and end with `.sealed`: one folder
//! may hold both, and each process reads and judges those of its own form only.
//!
//! # Trust
//! Runs never change, so nothing here gets old. Every page carries a checksum over database id, name of the run and
//! offset: a file that is damaged, cut off or another one's is a miss, and removed. A sealed one is bound to the same, and is
//! a miss as well if it cannot be opened with the keys that are known. Bytes that the store itself gave wrong
//! are found when they are decoded; then everything of that run is forgotten.
//!
//! # Room
//! A file's time of change says when it was last used. After every eighth of the bound that was written, and when it
//! opens, a process looks at all files, and removes the ones that were not used for longest until an eighth of the bound
//! is free. So one process stays within the bound; each further one on the same folder may exceed it by an eighth.
//! Files get their names when they are whole, so any number of processes can use one folder.
//!
//! # Why not a crate
//! `foyer` (0.22) brings tasks and a clock of its own, and is made for one process a folder; `cacache` has no bound. A bounded
//! folder that processes share is most of what is here.

mod form;
mod index;
mod piece;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bucketdb_env::{Environment, Random};
use bucketdb_log::format::Checksums;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::RunName;
pub use form::FileSealer;
use form::Form;
use index::{Index, PieceFile, PieceName};

/// How much may wait to be written, in KiB. What is more than that is not kept.
const WAITING_KIB: u32 = 32 << 10;

/// The share of the bound that is free after files were removed, and that is written before the folder is looked at again.
const FREE_SHARE: u64 = 8;

/// A file under a temporary name that is older than this belongs to a process that died.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// The use of a file is noted when the last note is older than this.
const NOTED_EVERY: Duration = Duration::from_secs(1);

/// Keeps what was read of runs in the files of a folder, up to a number of bytes, for any number of databases and
/// processes. Clones share it.
///
/// Nothing ever fails because of it: without a folder that can be written, or with a full disk, it keeps nothing, and says so
/// once in the log of the program. Without a [`FileSealer`], whoever may read the folder may read what is in the databases.
#[derive(Clone, Debug)]
pub struct DiskCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    env: Arc<dyn Environment>,
    folder: PathBuf,
    max_bytes: u64,
    form: Form,
    /// Where what waits for the disk runs; without a runtime, it runs where it is asked for.
    runtime: Option<Handle>,
    is_off: AtomicBool,
    index: Mutex<Index>,
    /// How often a run was forgotten: what was given before that is not written any more.
    forgotten: AtomicU64,
    queue: Mutex<Queue>,
    waiting: Arc<Semaphore>,
    /// How much may be written before the folder is looked at again. Only the one who writes changes it.
    room_bytes: Mutex<u64>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    is_worked_on: bool,
}

/// A piece that is to be written.
#[derive(Debug)]
struct Job {
    name: PieceName,
    run: RunName,
    checksums: Checksums,
    bytes: Bytes,
    forgotten: u64,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl DiskCache {
    /// A cache of `max_bytes` bytes in the files of `folder`, which is made if it is missing. They are in the clear unless
    /// there is a `sealer`. Completes when it knows all files.
    pub async fn open(
        env: Arc<dyn Environment>,
        folder: impl AsRef<Path>,
        max_bytes: u64,
        sealer: Option<Arc<dyn FileSealer>>,
    ) -> Self {
        let inner = Arc::new(Inner {
            env,
            folder: folder.as_ref().to_owned(),
            max_bytes,
            form: sealer.map_or(Form::Clear, Form::Sealed),
            runtime: Handle::try_current().ok(),
            is_off: AtomicBool::new(false),
            index: Mutex::default(),
            forgotten: AtomicU64::new(0),
            queue: Mutex::default(),
            waiting: Arc::new(Semaphore::new(WAITING_KIB as usize)),
            room_bytes: Mutex::new(0),
        });
        let cache = Self { inner: Arc::clone(&inner) };
        cache.inner.blocking(move || inner.begin()).await;
        cache
    }

    /// Completes when everything that was read before is written.
    pub async fn flush(&self) {
        // Nobody closes the semaphore.
        let _all = self.inner.waiting.acquire_many(WAITING_KIB).await;
    }

    /// The bytes of a run that lie in `range`, if all of them are here.
    pub(crate) async fn get(&self, run: RunName, checksums: &Checksums, range: Range<u64>) -> Option<Bytes> {
        let inner = &self.inner;
        if inner.is_off.load(Ordering::Relaxed) {
            return None;
        }
        let names = inner.index.lock().cover(checksums.database().0, run.id, &range)?;
        let (inner, checksums) = (Arc::clone(inner), checksums.clone());
        let read = move || inner.read(run, &checksums, &names, range);
        self.inner.blocking(read).await.flatten()
    }

    /// Keeps the bytes of a run that begin at `start`. They are written later, if there is time for it.
    pub(crate) fn insert(&self, run: RunName, checksums: &Checksums, start: u64, bytes: &Bytes) {
        let inner = &self.inner;
        let Ok(kib) = u32::try_from(bytes.len() / 1024 + 1) else { return };
        let name = PieceName::new(checksums.database().0, run.id, start, bytes.len() as u64);
        if bytes.is_empty()
            || inner.charged_bytes(name) > inner.max_bytes / FREE_SHARE
            || inner.is_off.load(Ordering::Relaxed)
        {
            return;
        }
        let Ok(permit) = Arc::clone(&inner.waiting).try_acquire_many_owned(kib) else { return };
        let forgotten = inner.forgotten.load(Ordering::Acquire);
        let job = Job { name, run, checksums: checksums.clone(), bytes: bytes.clone(), forgotten, _permit: permit };
        let mut queue = inner.queue.lock();
        queue.jobs.push_back(job);
        if std::mem::replace(&mut queue.is_worked_on, true) {
            return;
        }
        drop(queue);
        match &inner.runtime {
            Some(runtime) => {
                let inner = Arc::clone(inner);
                drop(runtime.spawn_blocking(move || inner.work()));
            }
            None => inner.work(),
        }
    }

    /// Forgets everything of a run: some of it is not what was written.
    pub(crate) fn forget(&self, run: RunName, checksums: &Checksums) {
        self.inner.forgotten.fetch_add(1, Ordering::AcqRel);
        let names = self.inner.index.lock().remove_run(checksums.database().0, run.id);
        for name in names {
            self.inner.remove_file(name);
        }
    }
}

impl Inner {
    /// Runs `job` where it may wait for the disk; `None` if the runtime ends.
    async fn blocking<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn_blocking(job).await.ok(),
            None => Some(job()),
        }
    }

    /// Looks at what is there.
    fn begin(&self) {
        if let Err(error) = std::fs::create_dir_all(&self.folder).and_then(|()| self.sweep()) {
            self.turn_off(&error);
        }
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.env.wall_clock().0)
    }

    fn path(&self, name: PieceName) -> PathBuf {
        self.folder.join(name.path(self.form.is_sealed()))
    }

    /// How much room the file of a piece takes.
    fn charged_bytes(&self, name: PieceName) -> u64 {
        index::charged_bytes(self.form.file_bytes(name))
    }

    fn turn_off(&self, error: &std::io::Error) {
        if !self.is_off.swap(true, Ordering::Relaxed) {
            tracing::warn!(folder = %self.folder.display(), %error, "the cache on disk cannot be used and keeps nothing from now on");
        }
    }

    /// What lies in `range`, from the pieces that cover it.
    fn read(&self, run: RunName, checksums: &Checksums, names: &[PieceName], range: Range<u64>) -> Option<Bytes> {
        let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
        let object = run.to_string();
        for name in names {
            let wanted = range.start + bytes.len() as u64..range.end.min(name.end);
            let read = std::fs::File::open(self.path(*name)).and_then(|mut file| {
                self.form.read(&mut file, *name, checksums, &object, wanted, &mut bytes)?;
                self.note_use(&file);
                Ok(())
            });
            if let Err(error) = read {
                // Another process may have removed it to make room.
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::debug!(piece = %name, %error, "a file of the cache on disk is of no use");
                }
                self.index.lock().remove(*name);
                self.remove_file(*name);
                return None;
            }
        }
        Some(bytes.freeze())
    }

    fn note_use(&self, file: &std::fs::File) {
        let now = self.now();
        let is_noted = file.metadata().and_then(|metadata| metadata.modified());
        if is_noted.is_ok_and(|noted| now.duration_since(noted).is_ok_and(|ago| ago > NOTED_EVERY)) {
            // Without the note it is removed sooner, no more.
            let _ = file.set_modified(now);
        }
    }

    /// Removes a file, if it is still there.
    fn remove_file(&self, name: PieceName) {
        let _ = std::fs::remove_file(self.path(name));
    }

    /// Writes what waits to be written.
    fn work(&self) {
        loop {
            let job = {
                let mut queue = self.queue.lock();
                match queue.jobs.pop_front() {
                    Some(job) => job,
                    None => {
                        queue.is_worked_on = false;
                        return;
                    }
                }
            };
            if !self.is_off.load(Ordering::Relaxed)
                && let Err(error) = self.write(&job)
            {
                self.turn_off(&error);
            }
        }
    }

    fn write(&self, job: &Job) -> std::io::Result<()> {
        let name = job.name;
        let is_forgotten = || self.forgotten.load(Ordering::Acquire) != job.forgotten;
        if is_forgotten() || self.index.lock().cover(name.database, name.run, &(name.start..name.end)).is_some() {
            return Ok(());
        }
        let charged = self.charged_bytes(name);
        let mut room = self.room_bytes.lock();
        if *room < charged {
            drop(room);
            self.sweep()?;
            room = self.room_bytes.lock();
        }
        *room = room.saturating_sub(charged);
        drop(room);
        let folder = self.folder.join(name.folder());
        let unique = u128::from_be_bytes(self.env.random_128());
        let temporary = folder.join(format!("{unique:032x}{}", index::TEMPORARY_SUFFIX));
        let content = self.form.encode(name, &job.checksums, &job.run.to_string(), &job.bytes);
        let written = match std::fs::write(&temporary, &content) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // The folder above is not made again: it may be a disk that is no longer there.
                std::fs::create_dir(&folder).and_then(|()| std::fs::write(&temporary, &content))
            }
            written => written,
        };
        let named = written.and_then(|()| std::fs::rename(&temporary, self.path(name)));
        if named.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        named?;
        self.index.lock().insert(name);
        if is_forgotten() {
            self.index.lock().remove(name);
            self.remove_file(name);
        }
        Ok(())
    }

    /// Looks at all files, and makes room if there is too little.
    fn sweep(&self) -> std::io::Result<()> {
        let mut files = index::files(&self.folder, &self.form, self.now())?;
        let mut total: u64 = files.iter().map(|file| file.charged_bytes).sum();
        let kept = self.max_bytes - self.max_bytes / FREE_SHARE;
        if total > kept {
            files.sort_by_key(|file| std::cmp::Reverse(file.used_at));
            while total > kept
                && let Some(oldest) = files.pop()
            {
                let _ = std::fs::remove_file(self.folder.join(oldest.name.path(oldest.is_sealed)));
                total -= oldest.charged_bytes;
            }
        }
        let is_readable = |file: &PieceFile| file.is_sealed == self.form.is_sealed();
        *self.index.lock() = files.into_iter().filter(is_readable).map(|file| file.name).collect();
        *self.room_bytes.lock() = self.max_bytes / FREE_SHARE;
        Ok(())
    }
}
