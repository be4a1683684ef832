//! Orders of a shop: values that are as unevenly distributed as they are in life.

use std::time::Duration;

use bucketdb::{
    Collection, Database, DatabaseBuilder, Document, Driver, Duplicates, Error, Freshness, MemoryDriver, MeteredDriver,
    Operation, StoreCheck, Table, TokioEnvironment,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "orders", index(status, amount), index(city, placed desc), index(tags[*]))]
pub(crate) struct Order {
    #[document(key)]
    pub(crate) id: u64,
    /// Some buy often, most once or twice.
    #[document(index)]
    pub(crate) customer: String,
    /// Of ten thousand, nine thousand are paid, and one is a fraud.
    #[document(index)]
    pub(crate) status: String,
    pub(crate) city: String,
    pub(crate) amount: u64,
    /// In seconds; grows with the id, about.
    #[document(index)]
    pub(crate) placed: u64,
    #[document(unique)]
    pub(crate) receipt: String,
    #[document(index)]
    pub(crate) sku: String,
    pub(crate) tags: Vec<String>,
    /// From 1 to 5; not in every order.
    #[document(index)]
    pub(crate) rating: Option<u8>,
    pub(crate) note: String,
}

/// Numbers without a pattern, the same each time.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`; small numbers are much more frequent.
    fn skewed(&mut self, end: u64) -> u64 {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((end as f64).powf(share) - 1.0) as u64
    }
}

const CITIES: [&str; 12] =
    ["Zürich", "Genève", "Basel", "Lausanne", "Bern", "Winterthur", "Luzern", "Lugano", "Biel", "Thun", "Chur", "Sion"];

impl Order {
    pub(crate) fn new(id: u64) -> Self {
        let mut noise = Noise(id);
        let status = match noise.next() % 10_000 {
            0 => "fraud",
            1..100 => "failed",
            100..1000 => "open",
            _ => "paid",
        };
        let tags = ["gift", "express", "bulk", "return", "vip"];
        let tags = tags.iter().enumerate().filter(|(number, _)| noise.next().is_multiple_of(4 << (2 * number)));
        Self {
            id,
            status: status.to_owned(),
            tags: tags.map(|(_, tag)| (*tag).to_owned()).collect(),
            customer: format!("c-{:06}", noise.skewed(50_000)),
            city: CITIES[noise.skewed(12) as usize].to_owned(),
            amount: noise.skewed(10_000) * 50 + noise.next() % 50,
            placed: 1_700_000_000 + id * 30 + noise.next() % 3600,
            receipt: format!("R-{:012x}", noise.next() >> 16),
            sku: format!("{}-{:04}", ["AX", "BK", "CT", "DM"][noise.skewed(4) as usize], noise.next() % 3000),
            rating: (noise.next().is_multiple_of(3)).then(|| 5 - noise.skewed(5) as u8),
            note: (0..4).map(|_| format!("{:016x}", noise.next())).collect(),
        }
    }
}

/// A store with orders.
pub(crate) struct Orders {
    pub(crate) store: MemoryDriver,
    pub(crate) count: u64,
}

/// A process that had nothing in memory when it opened the database.
pub(crate) struct Opened {
    pub(crate) orders: Table<Order>,
    /// The same as JSON.
    pub(crate) values: Collection,
    meter: MeteredDriver,
}

/// What something took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

fn on(driver: impl Driver) -> DatabaseBuilder {
    let check = StoreCheck { rounds: 2, racers: 3 };
    Database::builder().driver(driver).store_check(check).staleness(Duration::from_secs(86_400))
}

impl Orders {
    /// Loaded at once; some of them `written` again after that.
    pub(crate) async fn new(count: u64, written: u64) -> Self {
        let store = MemoryDriver::new();
        let db = on(store.clone()).open().await.unwrap();
        let orders = db.table::<Order>().await.unwrap();
        let mut load = orders.bulk_load(Duplicates::Fail).await.unwrap();
        for id in 0..count {
            load.add(&Order::new(id)).await.unwrap();
        }
        load.finish().await.unwrap();
        db.checkpoint().await.unwrap();
        db.build_indexes().await.unwrap();
        for number in 0..written {
            orders.put(&Order::new(number * 7919 % count)).await.unwrap();
        }
        if written > 0 {
            db.checkpoint().await.unwrap();
        }
        for (number, tier) in db.stats().unwrap().tiers.iter().enumerate() {
            println!("tier {number}: {} runs, {} rows, {} bytes", tier.runs, tier.rows, tier.size_bytes);
        }
        db.close().await.unwrap();
        Self { store, count }
    }

    /// As it becomes when tiers are merged: an index that was built in pieces lies in one.
    pub(crate) async fn compacted(self) -> Self {
        let db = on(self.store.clone()).open().await.unwrap();
        db.compact().await.unwrap();
        db.close().await.unwrap();
        self
    }

    pub(crate) async fn open(&self) -> Opened {
        let meter = MeteredDriver::new(self.store.clone(), TokioEnvironment::new());
        let db = on(meter.clone()).read_only(true).open().await.unwrap();
        let orders = db.table::<Order>().await.unwrap().with_freshness(Freshness::Local);
        let values = db.collection("orders").with_freshness(Freshness::Local);
        Opened { orders, values, meter }
    }
}

impl Opened {
    pub(crate) async fn cost<T>(&self, work: impl Future<Output = Result<T, Error>>) -> (T, Used) {
        let before = self.meter.usage();
        let outcome = work.await.unwrap();
        let used = (self.meter.usage() - before).of(Operation::Get);
        (outcome, Used { requests: used.requests, bytes: used.bytes })
    }
}
