use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ABANDONED_AFTER;
use super::form::Form;

/// What the names of files end with that are being written.
pub(super) const TEMPORARY_SUFFIX: &str = ".temporary";

/// What the names of files end with that hold pieces in the clear, and of those that are sealed.
const CLEAR_SUFFIX: &str = ".part";
const SEALED_SUFFIX: &str = ".sealed";

/// Files take whole blocks of this size on the usual file systems.
const FILE_SYSTEM_BLOCK_BYTES: u64 = 4096;

/// Of the pieces that begin before a place, so many are looked at for one that reaches beyond it.
const LOOKED_AT: usize = 16;

/// A read is put together of at most so many pieces.
const MAX_PIECES: usize = 64;

/// Which bytes of which run a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PieceName {
    pub(super) database: [u8; 16],
    pub(super) run: u128,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl PieceName {
    pub(super) fn new(database: [u8; 16], run: u128, start: u64, bytes: u64) -> Self {
        Self { database, run, start, end: start.saturating_add(bytes) }
    }

    /// The name of the folder that its file is in.
    pub(super) fn folder(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.database))
    }

    /// Where its file is in the folder of the cache.
    pub(super) fn path(&self, is_sealed: bool) -> PathBuf {
        let suffix = if is_sealed { SEALED_SUFFIX } else { CLEAR_SUFFIX };
        Path::new(&self.folder()).join(format!("{self}{suffix}"))
    }

    /// The piece that a file of a database's folder holds by its name, if it is one of ours, and whether it is sealed.
    fn of_file(database: [u8; 16], file: &str) -> Option<(Self, bool)> {
        let (numbers, is_sealed) = match file.strip_suffix(SEALED_SUFFIX) {
            Some(numbers) => (numbers, true),
            None => (file.strip_suffix(CLEAR_SUFFIX)?, false),
        };
        let mut numbers = numbers.split('-');
        let run = u128::from_str_radix(numbers.next()?, 16).ok()?;
        let start = u64::from_str_radix(numbers.next()?, 16).ok()?;
        let end = u64::from_str_radix(numbers.next()?, 16).ok()?;
        let name = Self { database, run, start, end };
        (start < end && name.path(is_sealed).ends_with(file)).then_some((name, is_sealed))
    }
}

/// How much room a file of so many bytes takes.
pub(super) fn charged_bytes(file_bytes: u64) -> u64 {
    file_bytes.div_ceil(FILE_SYSTEM_BLOCK_BYTES).saturating_mul(FILE_SYSTEM_BLOCK_BYTES)
}

impl fmt::Display for PieceName {
    /// The name of its file, without its ending.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}-{:016x}-{:016x}", self.run, self.start, self.end)
    }
}

/// A run of a database, by their ids.
type RunOf = ([u8; 16], u128);

/// Which pieces there are.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Starts and ends of the pieces of each run of each database.
    runs: HashMap<RunOf, BTreeSet<(u64, u64)>>,
}

impl Index {
    pub(super) fn insert(&mut self, name: PieceName) {
        self.runs.entry((name.database, name.run)).or_default().insert((name.start, name.end));
    }

    pub(super) fn remove(&mut self, name: PieceName) {
        if let Some(pieces) = self.runs.get_mut(&(name.database, name.run)) {
            pieces.remove(&(name.start, name.end));
            if pieces.is_empty() {
                self.runs.remove(&(name.database, name.run));
            }
        }
    }

    /// Forgets all pieces of a run, and says which they were.
    pub(super) fn remove_run(&mut self, database: [u8; 16], run: u128) -> Vec<PieceName> {
        let pieces = self.runs.remove(&(database, run)).unwrap_or_default();
        pieces.into_iter().map(|(start, end)| PieceName { database, run, start, end }).collect()
    }

    /// Pieces that together hold all bytes of `range`, in order.
    pub(super) fn cover(&self, database: [u8; 16], run: u128, range: &Range<u64>) -> Option<Vec<PieceName>> {
        let pieces = self.runs.get(&(database, run))?;
        let mut cover = Vec::new();
        let mut place = range.start;
        while place < range.end {
            let before = pieces.range(..=(place, u64::MAX)).rev().take(LOOKED_AT);
            let (start, end) = *before.max_by_key(|(_, end)| *end).filter(|(_, end)| *end > place)?;
            if cover.len() == MAX_PIECES {
                return None;
            }
            cover.push(PieceName { database, run, start, end });
            place = end;
        }
        Some(cover)
    }
}

impl FromIterator<PieceName> for Index {
    fn from_iter<I: IntoIterator<Item = PieceName>>(names: I) -> Self {
        let mut index = Self::default();
        names.into_iter().for_each(|name| index.insert(name));
        index
    }
}

/// A file that holds a piece.
#[derive(Debug)]
pub(super) struct PieceFile {
    pub(super) name: PieceName,
    pub(super) is_sealed: bool,
    pub(super) charged_bytes: u64,
    pub(super) used_at: SystemTime,
}

/// All files in the folders of all databases. Those that were abandoned half-written are removed; what is not ours is
/// passed over. Files of another form than `form` are others' to judge.
pub(super) fn files(folder: &Path, form: &Form, now: SystemTime) -> std::io::Result<Vec<PieceFile>> {
    let mut files = Vec::new();
    for database in std::fs::read_dir(folder)? {
        let database = database?;
        let Some(id) = database.file_name().to_str().and_then(database_id) else { continue };
        // Whatever cannot be looked at now is no piece of ours, or is being removed.
        let Ok(entries) = std::fs::read_dir(database.path()) else { continue };
        for entry in entries.flatten() {
            let (Ok(metadata), file_name) = (entry.metadata(), entry.file_name()) else { continue };
            let (Some(file_name), Ok(used_at)) = (file_name.to_str(), metadata.modified()) else { continue };
            if !metadata.is_file() {
                continue;
            }
            if let Some((name, is_sealed)) = PieceName::of_file(id, file_name) {
                if is_sealed != form.is_sealed() || metadata.len() == form.file_bytes(name) {
                    let charged_bytes = charged_bytes(metadata.len());
                    files.push(PieceFile { name, is_sealed, charged_bytes, used_at });
                } else {
                    let _ = std::fs::remove_file(entry.path());
                }
            } else if file_name.ends_with(TEMPORARY_SUFFIX)
                && now.duration_since(used_at).is_ok_and(|age| age > ABANDONED_AFTER)
            {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
    Ok(files)
}

/// The id of the database whose folder has this name.
fn database_id(folder: &str) -> Option<[u8; 16]> {
    let id = u128::from_str_radix(folder, 16).ok()?;
    (format!("{id:032x}") == folder).then_some(id.to_be_bytes())
}
