//! Which file an object is kept in.
//!
//! ```text
//! log/00000000000000000001   log/00000000000000000001.object
//! a   and   a/b              a.object   and   a/b.object
//! Users/José                 %55sers/%4aos%c3%a9.object
//! ```
//!
//! - Every segment of a key but the last is a folder, the last a file whose name ends in `.object`. No folder's name
//!   ends so (its dot is escaped), so `a` and `a/b` never meet, nor do `a` and a segment called `a.object`.
//! - `a`–`z`, `0`–`9`, `-`, `_` and `.` stand for themselves; of everything else each UTF-8 byte is written `%` and two
//!   lowercase hex digits. Upper case and non-ASCII are escaped because some file systems take `A` for `a` and one
//!   form of `é` for another: two keys would share a file. A dot at the beginning of a name is escaped since such
//!   files are hidden and `.bucketdb` is the driver's own; one at the end of a folder's, since FAT drops it.
//! - File systems limit a name to 255 bytes, eCryptfs to 143. So a segment is cut as soon as its encoding reaches
//!   [`CUT_BYTES`]: that part becomes a folder whose name ends in `%`, and the segment goes on inside. A segment that
//!   ends at a cut leaves nothing for the inside, which is written `%-`.
//!
//! Where a segment is cut depends only on what stands before the cut. That is what makes the entries of one folder
//! stand for disjoint ranges of keys, so that a listing can walk folder by folder and still be in the order of the
//! keys. A name that this encoding would not have produced is not an object and is passed over.

use std::fmt::Write;

use crate::Key;

/// Ends the name of every file that holds an object.
const OBJECT_SUFFIX: &str = ".object";

/// A part of a segment is complete once its encoding is at least this long. The last character may bring it 11 bytes
/// over, and the suffix follows: at most 138 bytes.
const CUT_BYTES: usize = 120;

/// Ends the name of a folder in which a segment goes on.
const CONTINUED: char = '%';

/// Stands for the empty rest of a segment that ends at a cut.
const EMPTY_REST: &str = "%-";

/// The path of an object's file below the root, and of the folder that the file is in (empty for the root).
pub(super) struct ObjectPath {
    pub(super) folder: String,
    pub(super) file: String,
}

impl ObjectPath {
    pub(super) fn of(key: &Key) -> Self {
        let (segments, last) = match key.as_str().rsplit_once('/') {
            Some((segments, last)) => (Some(segments), last),
            None => (None, key.as_str()),
        };
        let mut folder = segments.map(folder_of).unwrap_or_default();
        let rest = push_parts(&mut folder, last);
        let file = join(&folder, &(rest + OBJECT_SUFFIX));
        Self { folder, file }
    }
}

/// The folder of whole segments, without a `/` at the end.
pub(super) fn folder_of(segments: &str) -> String {
    let mut folder = String::new();
    for segment in segments.split('/') {
        let mut rest = push_parts(&mut folder, segment);
        let stem = rest.strip_suffix(OBJECT_SUFFIX).or_else(|| rest.strip_suffix('.')).map(str::len);
        if let Some(dot) = stem {
            rest.replace_range(dot..=dot, "%2e");
        }
        folder = join(&folder, &rest);
    }
    folder
}

/// `name` inside `folder`, which is empty for the root.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// What an entry of a folder stands for; its text follows the text that the folder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The object whose key ends in this text.
    Object(String),
    /// All keys that go on with this text, which ends in `/` unless the folder is the inside of a cut segment.
    Folder(String),
}

impl Entry {
    /// Reads a name; `None` if it is none of ours.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if let Some(stem) = name.strip_suffix(OBJECT_SUFFIX) {
            let text = unescape(stem)?;
            let mut folders = String::new();
            let rest = push_parts(&mut folders, &text);
            return (folders.is_empty() && rest == stem).then_some(Self::Object(text));
        }
        if let Some(stem) = name.strip_suffix(CONTINUED) {
            let text = unescape(stem)?;
            let mut folders = String::new();
            let rest = push_parts(&mut folders, &text);
            return (folders == name && rest == EMPTY_REST).then_some(Self::Folder(text));
        }
        let text = unescape(name)?;
        (folder_of(&text) == name).then(|| Self::Folder(text + "/"))
    }

    /// The text that the entry adds to that of its folder. All keys that the entry stands for go on with it.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Object(text) | Self::Folder(text) => text,
        }
    }
}

/// Adds the complete parts of a segment to `folder`, each a folder in the one before, and returns the encoded rest.
fn push_parts(folder: &mut String, segment: &str) -> String {
    let mut part = String::new();
    for character in segment.chars() {
        escape(character, &mut part);
        if part.len() >= CUT_BYTES {
            part.push(CONTINUED);
            *folder = join(folder, &part);
            part.clear();
        }
    }
    if part.is_empty() {
        part.push_str(EMPTY_REST);
    }
    part
}

fn escape(character: char, part: &mut String) {
    match character {
        'a'..='z' | '0'..='9' | '-' | '_' => part.push(character),
        '.' if !part.is_empty() => part.push(character),
        _ => {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(part, "%{byte:02x}");
            }
        }
    }
}

/// The text of an encoded part, not yet known to be in canonical form.
fn unescape(part: &str) -> Option<String> {
    if part == EMPTY_REST {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    // An escaped `/` would make one key out of what can only be a name.
    String::from_utf8(bytes).ok().filter(|text| !text.contains('/'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn path(key: &str) -> String {
        ObjectPath::of(&Key::new(key).unwrap()).file
    }

    /// The key of a path, read as a listing reads it.
    fn key_of(path: &str) -> Option<String> {
        path.split('/').try_fold(String::new(), |text, name| Some(text + Entry::parse(name)?.text()))
    }

    #[test]
    fn common_keys_stay_readable() {
        assert_eq!(path("log/00000000000000000001"), "log/00000000000000000001.object");
        assert_eq!(path("prod/run/7-a_b.c"), "prod/run/7-a_b.c.object");
        assert_eq!(path("a"), "a.object");
        assert_eq!(path("a/b"), "a/b.object");
        assert_eq!(path("Users/José"), "%55sers/%4aos%c3%a9.object");
        assert_eq!(path(".a/b./.object/x.object/y.object"), "%2ea/b%2e/%2eobject/x%2eobject/y.object.object");
    }

    #[test]
    fn a_segment_is_cut_where_its_encoding_reaches_the_limit() {
        let full = "x".repeat(CUT_BYTES);
        assert_eq!(path(&full), format!("{full}%/%-.object"));
        assert_eq!(path(&format!("{full}/y")), format!("{full}%/%-/y.object"));
        assert_eq!(path(&format!("{full}.y")), format!("{full}%/%2ey.object"));
        assert_eq!(path(&full[1..]), format!("{}.object", &full[1..]));
    }

    #[test]
    fn foreign_names_are_no_objects() {
        for name in ["README", "%41", "%C3%a9.object", "a%", "%", "%-x", "%zz.object", "%61.object", "x.object%", "%+1"]
        {
            let entry = Entry::parse(name);
            assert!(!matches!(entry, Some(Entry::Object(_))), "{name} gave {entry:?}");
        }
        assert_eq!(Entry::parse(".bucketdb"), None);
        assert_eq!(Entry::parse("%C3%a9.object"), None);
        assert_eq!(Entry::parse("a%"), None);
    }

    /// Segments that are near every boundary of the encoding.
    fn segment() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-z0-9_.-]{1,12}",
            3 => "[ -~&&[^/]]{1,8}",
            2 => "\\PC{1,6}",
            2 => ("[a-z]{110,125}", "[.A-Z日😀/]{0,4}").prop_map(|(long, end)| long + &end.replace('/', "")),
            1 => "[.A-Z]{30,60}",
            1 => Just("x.object".to_owned()),
            1 => Just(".object".to_owned()),
        ]
    }

    fn any_key() -> impl Strategy<Value = Key> {
        prop::collection::vec(segment(), 1..5).prop_filter_map("a valid key", |s| Key::new(s.join("/")).ok())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn a_key_can_be_read_back_from_its_path(key in any_key()) {
            let path = path(key.as_str());
            prop_assert_eq!(key_of(&path), Some(key.as_str().to_owned()), "{}", path);
            for name in path.split('/') {
                prop_assert!(name.len() <= 143, "{} has {} bytes", name, name.len());
                prop_assert!(!name.starts_with('.') && !name.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()));
            }
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn names_in_one_folder_stand_for_disjoint_ranges(keys in prop::collection::btree_set(any_key(), 2..40)) {
            // By folder, the range of keys that each entry stands for.
            let mut ranges: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
            for (position, key) in keys.iter().enumerate() {
                let path = path(key.as_str());
                let names: Vec<_> = path.split('/').collect();
                for depth in 0..names.len() {
                    let folder = ranges.entry(names[..depth].join("/")).or_default();
                    folder.entry(names[depth].to_owned()).or_default().push(position);
                }
            }
            for (folder, entries) in ranges {
                let mut sorted: Vec<_> = entries.into_iter().collect();
                sorted.sort_by_key(|(name, _)| Entry::parse(name).unwrap().text().to_owned());
                let positions: Vec<_> = sorted.iter().flat_map(|(_, positions)| positions.iter().copied()).collect();
                prop_assert!(positions.is_sorted(), "the entries of {:?} overlap: {:?}", folder, sorted);
            }
        }

        #[test]
        fn whatever_is_read_as_an_object_has_one_name_only(name in "[%a-f0-9.-]{1,10}(\\.object)?") {
            if let Some(Entry::Object(text)) = Entry::parse(&name) && let Ok(key) = Key::new(&text) {
                prop_assert_eq!(ObjectPath::of(&key).file, name);
            }
        }
    }
}
