use bucketdb::{Error, Freshness, Order, Path, Result};

use crate::workload::client::Client;
use crate::workload::documents::{NOTES, Register};
use crate::workload::{Outcome, Read, Seen};

/// By which registers can be found.
const INDEX_OF_REGISTERS: &str = "count, token";

/// By which halves can be found.
pub(super) const INDEX_OF_HALVES: &str = "token";

/// What was found by an index, or, if there is none or it is not whole, otherwise.
pub(super) async fn or_without_index<T>(
    by_index: Result<Vec<T>>,
    otherwise: impl Future<Output = Result<Vec<T>>>,
) -> Result<Vec<T>> {
    match by_index {
        Err(Error::UnknownIndex { .. }) => otherwise.await,
        found => found,
    }
}

/// What was seen of all registers by whoever found these.
pub(super) fn seen_registers(keys: u64, found: &[Register]) -> Vec<Read> {
    let seen = |number| {
        let key = format!("k{number}");
        let register = found.iter().find(|register| register.key == key);
        let seen = register.map_or(Seen::Absent, |register| Seen::Token(register.token));
        Read { table: "registers", key, seen }
    };
    (0..keys).map(seen).collect()
}

impl Client {
    /// Adds an index, or drops one, while others write: nothing of it may disturb them.
    pub(super) async fn index(&mut self) {
        let (table, fields, is_unique) = *self
            .random
            .pick(&[
                ("registers", INDEX_OF_REGISTERS, false),
                ("halves", INDEX_OF_HALVES, false),
                // Every operation has a number of its own.
                ("claims", "token", true),
                (NOTES, "more[*]", false),
            ])
            .unwrap_or(&("halves", INDEX_OF_HALVES, false));
        let (adds, db) = (self.random.chance(0.7), self.tables.db.clone());
        let what = format!("{} the index of {table} on {fields}", if adds { "add" } else { "drop" });
        let token = self.begin(Freshness::Strict, what, Vec::new());
        let changed = match (adds, is_unique) {
            (true, true) => db.create_unique_index(table, fields).await,
            (true, false) => db.create_index(table, fields).await,
            (false, _) => db.drop_index(table, fields).await,
        };
        let outcome = match changed {
            Ok(()) | Err(Error::UnknownIndex { .. }) => Outcome::Ok(None),
            Err(error) => Outcome::of_error(&error),
        };
        self.recorder.end(token, Vec::new(), outcome);
    }

    /// Reads all registers at one moment, by an index if there is one.
    pub(super) async fn find(&mut self) {
        let freshness = self.freshness();
        let token = self.begin(freshness, format!("find registers {freshness:?}"), Vec::new());
        let registers = || self.tables.registers.query().freshness(freshness);
        let in_order = || {
            let order = Order::ascending(Path::field("count")).then(Order::ascending(Path::field("token")));
            registers().order_by(order).by_index(INDEX_OF_REGISTERS)
        };
        let found = match self.random.chance(0.5) {
            true => registers().by_index(INDEX_OF_REGISTERS).fetch().await,
            false => in_order().fetch().await,
        };
        match or_without_index(found, registers().fetch()).await {
            Ok(found) => {
                self.recorder.end(token, seen_registers(self.settings.keys, &found), Outcome::Ok(None));
            }
            Err(error) => self.recorder.end(token, Vec::new(), Outcome::of_error(&error)),
        }
    }
}
