use std::time::Duration;

use bucketdb::{Error, Freshness, Table};

use crate::EPOCH;
use crate::workload::client::{Client, put};
use crate::workload::documents::{Marked, Ticket};
use crate::workload::indexes::or_without_index;
use crate::workload::{Outcome, Read, Seen, Token, Write};

/// The table of documents that end.
pub(crate) const TICKETS: &str = "tickets";

/// What was seen of a ticket.
fn read(key: String, found: Option<&Ticket>) -> Read {
    Read { table: TICKETS, key, seen: found.map_or(Seen::Absent, |found| Seen::Token(found.token())) }
}

impl Client {
    /// Writes, removes or reads documents that end.
    pub(super) async fn ticket(&mut self) {
        let Some(tickets) = self.opened::<Ticket>(TICKETS).await else { return };
        match self.random.below(10) {
            0..3 => self.put_ticket(tickets, false).await,
            3 => self.put_ticket(tickets, true).await,
            4 => self.delete_ticket(tickets).await,
            5..8 => self.get_ticket(tickets).await,
            _ => self.all_tickets(tickets).await,
        }
    }

    /// When a document ends that is written now: most of them within the run, and some have ended already.
    fn end_of_ticket(&mut self) -> u64 {
        let now_s = EPOCH.0 / 1_000 + self.scheduler.now().as_secs();
        match self.random.below(8) {
            0 => now_s.saturating_sub(self.random.below(1_000)),
            _ => now_s + self.random.magnitude(Duration::from_secs(1), Duration::from_secs(200_000)).as_secs(),
        }
    }

    async fn put_ticket(&mut self, tickets: Table<Ticket>, is_new: bool) {
        let (key, ends, owner) = (self.key(), self.end_of_ticket(), self.random.below(2));
        let what = if is_new { "insert" } else { "put" };
        let token =
            self.begin(Freshness::Local, format!("{what} tickets/{key} until {ends}"), vec![put(TICKETS, &key)]);
        let ticket = Ticket { key: key.clone(), token, owner, ends };
        let written = if is_new { tickets.insert(&ticket).await } else { tickets.put(&ticket).await };
        self.end_refusable(token, TICKETS, &key, written.map(|commit| Some(commit.seq))).await;
    }

    async fn delete_ticket(&mut self, tickets: Table<Ticket>) {
        let key = self.key();
        let write = Write { table: TICKETS, key: key.clone(), delete: true };
        let token = self.begin(Freshness::Local, format!("delete tickets/{key}"), vec![write]);
        let deleted = tickets.delete(&key).await.map(|commit| Some(commit.seq));
        self.end_refusable(token, TICKETS, "", deleted).await;
    }

    async fn get_ticket(&mut self, tickets: Table<Ticket>) {
        let (key, freshness) = (self.key(), self.freshness());
        let token = self.begin(freshness, format!("get tickets/{key} {freshness:?}"), Vec::new());
        let found = tickets.with_freshness(freshness).get(&key).await;
        self.end_tickets(token, found.map(|found| vec![read(key, found.as_ref())])).await;
    }

    /// Reads all at one moment: of all documents, or of an index.
    async fn all_tickets(&mut self, tickets: Table<Ticket>) {
        let freshness = self.freshness();
        let token = self.begin(freshness, format!("find tickets {freshness:?}"), Vec::new());
        let all = || tickets.query().freshness(freshness);
        let found = match self.random.chance(0.6) {
            true => or_without_index(all().by_index("owner").fetch().await, all().fetch()).await,
            false => all().fetch().await,
        };
        let reads = found.map(|found: Vec<Ticket>| {
            let keys = (0..self.settings.keys).map(|number| format!("k{number}"));
            keys.map(|key| read(key.clone(), found.iter().find(|ticket| ticket.key == key))).collect()
        });
        self.end_tickets(token, reads).await;
    }

    async fn end_tickets(&mut self, token: Token, reads: Result<Vec<Read>, Error>) {
        match reads {
            Ok(reads) => self.recorder.end(token, reads, Outcome::Ok(None)),
            Err(error) => {
                let outcome = self.settled(&error).await;
                self.recorder.end(token, Vec::new(), outcome);
            }
        }
    }
}
