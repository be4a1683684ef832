use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_lsm::Tree;
use bucketdb_runs::RunStore;
use bytes::Bytes;

/// The rows up to one position, in runs.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// The position: what later records wrote is not in it.
    pub covers: Seq,
    /// The time in the record there, in milliseconds since 1970.
    pub time_ms: u64,
    /// The runs.
    pub tree: Tree,
    /// Earlier checkpoints from which states of the past can still be made, oldest first.
    pub retained: Vec<Retained>,
}

/// An earlier checkpoint that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The position that it covers.
    pub covers: Seq,
    /// The time in the record there, in milliseconds since 1970.
    pub time_ms: u64,
    /// The name of its manifest.
    pub manifest: String,
    /// The hash of that object.
    pub hash: [u8; 16],
    /// The names of its runs.
    pub runs: Vec<String>,
}

impl Base {
    /// What a checkpoint record, and its manifest, say of it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut buffer = Vec::new();
        codec::put_varint(&mut buffer, self.time_ms);
        self.tree.encode(&mut buffer);
        codec::put_varint(&mut buffer, self.retained.len() as u64);
        for retained in &self.retained {
            codec::put_varint(&mut buffer, retained.covers.0);
            codec::put_varint(&mut buffer, retained.time_ms);
            codec::put_bytes(&mut buffer, retained.manifest.as_bytes());
            buffer.extend_from_slice(&retained.hash);
            codec::put_varint(&mut buffer, retained.runs.len() as u64);
            for run in &retained.runs {
                codec::put_bytes(&mut buffer, run.as_bytes());
            }
        }
        buffer.into()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn decode(covers: Seq, bytes: Bytes, store: &RunStore) -> Result<Arc<Self>, Malformed> {
        let mut reader = Reader::new(bytes);
        let time_ms = reader.varint()?;
        let tree = Tree::decode(&mut reader, store)?;
        let mut retained = Vec::new();
        for _ in 0..reader.length()? {
            let (covers, time_ms) = (Seq(reader.varint()?), reader.varint()?);
            let (manifest, hash) = (reader.text()?, reader.array()?);
            let mut runs = Vec::new();
            for _ in 0..reader.length()? {
                runs.push(reader.text()?);
            }
            retained.push(Retained { covers, time_ms, manifest, hash, runs });
        }
        reader.finish()?;
        Ok(Arc::new(Self { covers, time_ms, tree, retained }))
    }

    /// The names of all objects that it needs to be read, those of what is retained included.
    pub fn objects(&self) -> impl Iterator<Item = String> {
        let runs = self.tree.runs().map(|run| run.meta().name.to_string());
        let retained = self
            .retained
            .iter()
            .flat_map(|retained| std::iter::once(retained.manifest.clone()).chain(retained.runs.iter().cloned()));
        // Before the first checkpoint there was no manifest.
        let retained = retained.filter(|name| !name.is_empty());
        runs.chain(retained)
    }
}
