//! Listing: a walk through the folders in the order of the keys.
//!
//! The entries of a folder stand for disjoint ranges of keys (see `names`), so a walk that takes them in the order of
//! their texts meets the keys in ascending order. Folders that cannot hold a wanted key are not read, and of a folder
//! only the next [`KEPT_ENTRIES`] are kept in memory: a listing needs little, however many objects there are. The price
//! is that each page reads its folders again.

use std::collections::BinaryHeap;
use std::vec::IntoIter;

use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;

use super::failure;
use super::format::FOOTER_BYTES;
use super::names::{Entry, folder_of, join};
use super::root::Root;
use crate::{Key, Listed, MAX_KEY_BYTES, Operation, Page, Result};

/// How many keys a page holds, as in Amazon S3.
const PAGE_KEYS: usize = 1000;

/// How many entries of a folder are kept at a time: enough for a page and the key that shows that more follow.
const KEPT_ENTRIES: usize = PAGE_KEYS + 1;

/// The first page of the keys that begin with `prefix` and are greater than `after`.
pub(super) fn page(root: &Root, prefix: &str, after: &str) -> Result<Page> {
    root.check(Operation::List, prefix)?;
    Walk { root, prefix, after }.page()
}

struct Walk<'a> {
    root: &'a Root,
    prefix: &'a str,
    after: &'a str,
}

/// A folder that the walk is in.
struct Level {
    folder: String,
    /// What the folder stands for: all its keys begin with it.
    text: String,
    /// The entries still to visit, in order.
    entries: IntoIter<Found>,
    /// If there were more entries than are kept: the text of the last that is.
    cut_at: Option<String>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    text: String,
    name: String,
    is_object: bool,
}

impl Walk<'_> {
    fn page(&self) -> Result<Page> {
        let mut page = Page::default();
        let mut levels: Vec<_> = self.start()?.into_iter().collect();
        while let Some(level) = levels.last_mut() {
            let Some(Found { text, name, is_object }) = level.entries.next() else {
                match level.cut_at.take() {
                    Some(last) => *level = self.read(level.folder.clone(), level.text.clone(), Some(&last))?,
                    None => drop(levels.pop()),
                }
                continue;
            };
            let text = format!("{}{text}", level.text);
            let path = join(&level.folder, &name);
            if !is_object {
                levels.push(self.read(path, text, None)?);
                continue;
            }
            // Someone may have put a file where no key leads.
            let Ok(key) = Key::new(&text) else { continue };
            let Some(size_bytes) = self.size_bytes(&path)? else { continue };
            if page.objects.len() == PAGE_KEYS {
                page.next = page.objects.last().map(|last| last.key.as_str().to_owned());
                return Ok(page);
            }
            page.objects.push(Listed { key, size_bytes: Some(size_bytes) });
        }
        Ok(page)
    }

    /// The folder of the prefix's whole segments, the lowest that holds all wanted keys.
    fn start(&self) -> Result<Option<Level>> {
        if self.prefix.len() > MAX_KEY_BYTES {
            return Ok(None);
        }
        match self.prefix.rsplit_once('/') {
            None => self.read(String::new(), String::new(), None).map(Some),
            Some((segments, _)) if Key::new(segments).is_err() => Ok(None),
            Some((segments, _)) => self.read(folder_of(segments), format!("{segments}/"), None).map(Some),
        }
    }

    /// Reads the entries of a folder that are greater than `last` and may stand for a wanted key.
    fn read(&self, folder: String, text: String, last: Option<&str>) -> Result<Level> {
        let failed = |error| failure::before(Operation::List, self.prefix, "read a folder", error);
        let _shared = self.root.lock_shared(&folder).map_err(failed)?;
        let mut kept = BinaryHeap::new();
        let mut cut = false;
        match self.root.read_folder(&folder) {
            Ok(names) => {
                for name in names {
                    let name = name.map_err(failed)?;
                    let Some(entry) = Entry::parse(&name).filter(|entry| self.wants(&text, entry)) else { continue };
                    let is_object = matches!(entry, Entry::Object(_));
                    let (Entry::Object(entry_text) | Entry::Folder(entry_text)) = entry;
                    if last.is_some_and(|last| entry_text.as_str() <= last) {
                        continue;
                    }
                    kept.push(Found { text: entry_text, name, is_object });
                    if kept.len() > KEPT_ENTRIES {
                        kept.pop();
                        cut = true;
                    }
                }
            }
            // Nothing was ever put there, or it is a file or a circle of links that someone else laid down.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(failed(error)),
        }
        let entries = kept.into_sorted_vec();
        let cut_at = entries.last().filter(|_| cut).map(|found| found.text.clone());
        Ok(Level { folder, text, entries: entries.into_iter(), cut_at })
    }

    /// Whether an entry of the folder that stands for `text` may stand for a wanted key.
    fn wants(&self, text: &str, entry: &Entry) -> bool {
        let text = format!("{text}{}", entry.text());
        match entry {
            Entry::Object(_) => text.starts_with(self.prefix) && text.as_str() > self.after,
            // No longer than a key, so that a link that leads back up does not lead for ever.
            Entry::Folder(_) => {
                text.len() <= MAX_KEY_BYTES
                    && (text.starts_with(self.prefix) || self.prefix.starts_with(&text))
                    && (text.as_str() > self.after || self.after.starts_with(&text))
            }
        }
    }

    /// The size of an object, or `None` if it was deleted since its name was read.
    fn size_bytes(&self, path: &str) -> Result<Option<u64>> {
        match statat(self.root.folder(), path, AtFlags::empty()) {
            Ok(found) => {
                let file_bytes = u64::try_from(found.st_size).unwrap_or(0);
                Ok(Some(file_bytes.saturating_sub(FOOTER_BYTES as u64)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failure::before(Operation::List, self.prefix, "look at an object's file", error)),
        }
    }
}
