use bucketdb_driver::{Condition, Driver, DriverError, ETag, ErrorKind, Operation};
use bucketdb_env::Environment;
use bytes::{BufMut, Bytes};

use crate::format::{Checksums, FormatError};
use crate::layout::BRANCHES;
use crate::{DatabaseId, Layout, LogError, Result, Seq, codec, manifest, reads};

const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"BKBR";

/// Its name, beside what belongs to the branch.
const NAME: &str = "origin";

/// How often it is tried to write it while others do.
const ATTEMPTS: u32 = 8;

/// What a branch comes of.
///
/// ```text
/// offset size
///      0    4  magic "BKBR"
///      4    2  format version
///      6    2  0 if the branch is there, 1 if it is gone
///      8   16  database id, that of the parent
///     24   16  id of the branch
///     40    …  the last position that it has in common with its parent (varint)
///      …   16  checksum, as a manifest's
/// ```
///
/// It is never encrypted: what it says, the names of objects say as well.
///
/// The object is never removed: once a branch is gone, it says so, and the next one of the name replaces it under a condition.
/// So whoever began to create a branch, stood still, and comes to write it after that was dropped, finds the place taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchOrigin {
    /// The database, which is that of the parent.
    pub database: DatabaseId,
    /// Tells branches apart that had the same name one after the other.
    pub id: [u8; 16],
    /// The last position that it has in common with its parent.
    pub fork: Seq,
}

/// What came of creating it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is there.
    There,
    /// It was dropped before it was there.
    Gone,
    /// There is another branch of the name, with this id.
    Taken([u8; 16]),
}

/// What the object says.
struct Found {
    etag: ETag,
    origin: BranchOrigin,
    is_gone: bool,
}

impl BranchOrigin {
    fn encode(&self, is_gone: bool) -> Bytes {
        let mut bytes = Vec::with_capacity(72);
        bytes.put_slice(&MAGIC);
        bytes.put_u16_le(FORMAT_VERSION);
        bytes.put_u16_le(u16::from(is_gone));
        bytes.put_slice(&self.database.0);
        bytes.put_slice(&self.id);
        codec::put_varint(&mut bytes, self.fork.0);
        let checksum = Checksums::new(self.database).of_part(NAME, 0, &bytes);
        bytes.put_slice(&checksum);
        bytes.into()
    }

    /// Also whether the branch is gone.
    fn decode(bytes: &Bytes) -> Result<(Self, bool), FormatError> {
        let (mut reader, database) = manifest::open(bytes, NAME, MAGIC, FORMAT_VERSION)?;
        let is_gone = match reader.u16()? {
            0 => false,
            1 => true,
            _ => return Err(FormatError::Damaged("whether a branch is gone is neither yes nor no")),
        };
        reader.take(16)?;
        let origin = Self { database, id: reader.array()?, fork: Seq(reader.varint()?) };
        reader.finish()?;
        if origin.fork < Seq::FIRST {
            return Err(FormatError::Damaged("a branch forks before the first record"));
        }
        Ok((origin, is_gone))
    }

    async fn find(store: &dyn Driver, env: &dyn Environment, branch: &Layout) -> Result<Option<Found>> {
        let key = branch.key(NAME);
        let object = match reads::retry(env, || store.get(&key)).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let decoded = Self::decode(&object.body).map_err(|error| LogError::of_format(key.as_str(), error));
        decoded.map(|(origin, is_gone)| Some(Found { etag: object.etag, origin, is_gone }))
    }

    /// Whether this is the name, relative to a database, of that of one of its branches.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let parts = name.strip_prefix(BRANCHES).and_then(|rest| rest.split_once('/'));
        parts.is_some_and(|(branch, rest)| crate::is_branch_name(branch) && rest == NAME)
    }

    /// Reads that of the branch at a layout; `None` if there is no such branch. One get.
    ///
    /// # Errors
    /// If the store fails, or if it is damaged.
    pub async fn read(store: &dyn Driver, env: &dyn Environment, branch: &Layout) -> Result<Option<Self>> {
        let found = Self::find(store, env, branch).await?;
        Ok(found.filter(|found| !found.is_gone).map(|found| found.origin))
    }

    /// Whether the branch at a layout that had this id, of which there is some object, is gone for good: it says so
    /// itself, or is another one's by now. One get.
    pub(crate) async fn is_gone(
        store: &dyn Driver,
        env: &dyn Environment,
        branch: &Layout,
        id: [u8; 16],
    ) -> Result<bool> {
        match Self::find(store, env, branch).await {
            // It comes before everything else, so one that was never there says nothing.
            Ok(found) => Ok(found.is_some_and(|found| found.is_gone || found.origin.id != id)),
            Err(LogError::Driver(error)) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// Writes it, unless there is another branch of the name, or this one was said to be gone. One put; a get and a put more if
    /// there was one of the name before. One that is known to be nobody's any more, `forgotten`, is replaced as if it were
    /// gone.
    ///
    /// # Errors
    /// If the store fails; if there was one, also if it does not honour If-Match.
    pub async fn create(
        &self,
        store: &dyn Driver,
        env: &dyn Environment,
        branch: &Layout,
        forgotten: Option<[u8; 16]>,
    ) -> Result<Creation> {
        let mut condition = Condition::IfAbsent;
        for _ in 0..ATTEMPTS {
            if self.put(false, condition, (store, env, branch)).await? {
                return Ok(Creation::There);
            }
            // It may be an earlier attempt.
            let Some(found) = Self::find(store, env, branch).await? else {
                condition = Condition::IfAbsent;
                continue;
            };
            let id = found.origin.id;
            if id == self.id {
                let is_there = found.origin == *self && !found.is_gone;
                return Ok(if is_there { Creation::There } else { Creation::Gone });
            }
            if !found.is_gone && Some(id) != forgotten {
                return Ok(Creation::Taken(id));
            }
            condition = Condition::IfMatch(found.etag);
        }
        Err(Self::contended(branch))
    }

    /// Says that it is gone: from then on, nobody can open the branch, and whoever was to create it cannot any more. Nothing happens
    /// if there is another one of the name. A get and a put.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn retire(&self, store: &dyn Driver, env: &dyn Environment, branch: &Layout) -> Result<()> {
        self.say_gone(true, (store, env, branch)).await.map(|_| ())
    }

    /// As [`retire`](Self::retire), unless it is there by now: tells whether it is gone.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forbid(&self, store: &dyn Driver, env: &dyn Environment, branch: &Layout) -> Result<bool> {
        self.say_gone(false, (store, env, branch)).await
    }

    async fn say_gone(
        &self,
        even_if_there: bool,
        (store, env, branch): (&dyn Driver, &dyn Environment, &Layout),
    ) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let (condition, is_there) = match Self::find(store, env, branch).await? {
                None => (Condition::IfAbsent, false),
                Some(Found { origin, is_gone: false, .. }) if origin.id == self.id && !even_if_there => {
                    return Ok(false);
                }
                // Another one may take its place before this comes to be.
                Some(Found { origin, is_gone: false, etag }) if origin.id == self.id => {
                    (Condition::IfMatch(etag), true)
                }
                Some(Found { origin, is_gone: true, etag }) if origin.id != self.id => {
                    (Condition::IfMatch(etag), false)
                }
                Some(_) => return Ok(true),
            };
            match self.put(true, condition, (store, env, branch)).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                // There, a name is used once: nobody else has it, and no other one of the name can be made.
                Err(LogError::Driver(error)) if error.kind() == ErrorKind::Unsupported => {
                    return if is_there {
                        self.put(true, Condition::Always, (store, env, branch)).await
                    } else {
                        Ok(true)
                    };
                }
                Err(error) => return Err(error),
            }
        }
        Err(Self::contended(branch))
    }

    /// Whether the condition held, as far as that can be told.
    async fn put(
        &self,
        is_gone: bool,
        condition: Condition,
        (store, env, branch): (&dyn Driver, &dyn Environment, &Layout),
    ) -> Result<bool> {
        let (key, bytes) = (branch.key(NAME), self.encode(is_gone));
        match reads::retry(env, || store.put(&key, bytes.clone(), condition.clone())).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_precondition_failed() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn contended(branch: &Layout) -> LogError {
        let key = branch.key(NAME);
        let detail = "others replace it at the same time";
        DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), detail).into()
    }
}

#[cfg(test)]
mod tests {
    use bucketdb_driver::MemoryDriver;
    use bucketdb_env::TokioEnvironment;

    use super::*;

    #[test]
    fn it_round_trips_and_nothing_else_passes_for_it() {
        let origin = BranchOrigin { database: DatabaseId([1; 16]), id: [2; 16], fork: Seq(300) };
        for is_gone in [false, true] {
            let bytes = origin.encode(is_gone);
            assert_eq!(BranchOrigin::decode(&bytes), Ok((origin, is_gone)));
            for length in 0..bytes.len() {
                assert!(BranchOrigin::decode(&bytes.slice(..length)).is_err());
            }
            for at in 0..bytes.len() {
                let mut spoilt = bytes.to_vec();
                spoilt[at] ^= 1;
                assert!(BranchOrigin::decode(&spoilt.into()).is_err(), "{at}");
            }
        }
        assert!(BranchOrigin::decode(&BranchOrigin { fork: Seq(0), ..origin }.encode(false)).is_err());
    }

    /// Whoever says that it is gone stands still after looking, and another one takes its place meanwhile.
    #[tokio::test]
    async fn who_says_late_that_one_is_gone_does_not_say_it_of_the_next() {
        let (store, env) = (MemoryDriver::new(), TokioEnvironment::new());
        let layout = Layout::new("db").unwrap().branch("x");
        let of = |id: u8| BranchOrigin { database: DatabaseId([1; 16]), id: [id; 16], fork: Seq(300) };
        assert_eq!(of(1).create(&store, &env, &layout, None).await.unwrap(), Creation::There);
        let next = store.clone();
        let (key, bytes) = (layout.key(NAME), of(2).encode(false));
        // The first put comes when the next one is there.
        let late = bucketdb_driver::FaultDriver::new(store.clone(), move |operation, _| {
            if operation == Operation::Put {
                let put = next.put(&key, bytes.clone(), Condition::Always);
                futures::FutureExt::now_or_never(put).unwrap().unwrap();
            }
            bucketdb_driver::Fault::None
        });
        of(1).retire(&late, &env, &layout).await.unwrap();
        assert_eq!(BranchOrigin::read(&store, &env, &layout).await.unwrap(), Some(of(2)));
    }

    #[test]
    fn it_is_known_by_its_name() {
        for (name, expected) in [
            ("branch/x/origin", true),
            ("branch/x/branch/y/origin", false),
            ("branch/../origin", false),
            ("branch/x/00/origin", false),
            ("origin", false),
            ("head", false),
        ] {
            assert_eq!(BranchOrigin::is_name(name), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn who_comes_late_finds_the_place_taken() {
        let store = MemoryDriver::new();
        let env = TokioEnvironment::new();
        let layout = Layout::new("db").unwrap().branch("x");
        let of = |id: u8| BranchOrigin { database: DatabaseId([1; 16]), id: [id; 16], fork: Seq(300) };
        let (store, env, layout) = (&store, &env, &layout);
        let replace = |id: u8, forgotten: Option<u8>| async move {
            of(id).create(store, env, layout, forgotten.map(|id| [id; 16])).await.unwrap()
        };
        let create = |id: u8| async move { replace(id, None).await == Creation::There };
        let retire = |id: u8| async move { of(id).retire(store, env, layout).await.unwrap() };
        let read = || async move { BranchOrigin::read(store, env, layout).await.unwrap().map(|found| found.id[0]) };
        // Dropped before it was written.
        retire(1).await;
        assert!(!create(1).await && read().await.is_none());
        assert!(create(2).await && create(2).await, "twice is once");
        assert_eq!(replace(3, None).await, Creation::Taken([2; 16]));
        assert_eq!(replace(3, Some(1)).await, Creation::Taken([2; 16]));
        retire(1).await;
        retire(3).await;
        assert_eq!(read().await, Some(2), "those that are not there take nothing away");
        retire(2).await;
        assert!(read().await.is_none() && !create(2).await);
        retire(4).await;
        assert!(!create(4).await, "dropped before it was written, behind another one");
        assert!(create(5).await);
        assert_eq!(read().await, Some(5));
        let forbid = |id: u8| async move { of(id).forbid(store, env, layout).await.unwrap() };
        assert!(!forbid(5).await && forbid(3).await, "one that is there is not given up by the way");
        assert_eq!(read().await, Some(5));
        let is_gone = |id: u8| async move { BranchOrigin::is_gone(store, env, layout, [id; 16]).await.unwrap() };
        assert!(is_gone(2).await && is_gone(4).await && !is_gone(5).await);
        assert_eq!(replace(6, Some(5)).await, Creation::There, "nobody's");
        assert!(is_gone(5).await);
        retire(6).await;
        assert!(is_gone(6).await);
        assert_eq!(replace(6, Some(6)).await, Creation::Gone, "a branch does not come back");
        store.put(&layout.key(NAME), "spoilt".into(), Condition::Always).await.unwrap();
        assert!(!is_gone(2).await, "who cannot read it knows nothing");
        store.delete(&layout.key(NAME)).await.unwrap();
        assert!(!is_gone(2).await);
    }
}
