//! The requests of a store, added up. An object that is sent in parts is one put.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_bench::watched::{Kind, Watch, Watched};
use object_store::ObjectStore;

use super::Used;

#[derive(Clone, Debug)]
pub struct Counted {
    store: Watched,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    puts: AtomicU64,
    put_bytes: AtomicU64,
    gets: AtomicU64,
    get_bytes: AtomicU64,
}

impl Counted {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        let counts = Arc::new(Counts::default());
        Self { store: Watched::new(inner, counts.clone()), counts }
    }

    pub fn shared(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.store.clone())
    }

    pub fn used(&self) -> Used {
        let Counts { puts, put_bytes, gets, get_bytes } = &*self.counts;
        Used {
            puts: puts.load(Ordering::Relaxed),
            put_bytes: put_bytes.load(Ordering::Relaxed),
            gets: gets.load(Ordering::Relaxed),
            get_bytes: get_bytes.load(Ordering::Relaxed),
        }
    }
}

#[async_trait::async_trait]
impl Watch for Counts {
    async fn begin(&self, _kind: Kind) {}

    fn end(&self, kind: Kind, _key: &str, _is_found: bool, bytes: u64) {
        let add = |counter: &AtomicU64, number: u64| counter.fetch_add(number, Ordering::Relaxed);
        match kind {
            Kind::Put => {
                add(&self.puts, 1);
                add(&self.put_bytes, bytes);
            }
            Kind::Part => {
                add(&self.put_bytes, bytes);
            }
            Kind::Get => {
                add(&self.gets, 1);
                add(&self.get_bytes, bytes);
            }
            Kind::List | Kind::Delete => {}
        }
    }
}
