use std::cmp::Reverse;

use bucketdb::{Error, Order, Path, Query, SnapshotTable};

use crate::SimRandom;
use crate::workload::Outcome;
use crate::workload::client::Client;
use crate::workload::documents::Register;
use crate::workload::indexes::seen_registers;

/// What is asked about registers; plain code answers it as well.
#[derive(Clone, Copy, Debug)]
struct Question {
    filter: Filter,
    order: Ordered,
    offset: usize,
    limit: usize,
    /// Whether it is asked page by page.
    is_paged: bool,
}

#[derive(Clone, Copy, Debug)]
enum Filter {
    All,
    TokenFrom(u64),
    CountIs(u64),
    Both { token_below: u64, count_from: u64 },
    Either { token: u64, count: u64 },
}

#[derive(Clone, Copy, Debug)]
enum Ordered {
    Key,
    TokenDescending,
    CountAndToken,
}

impl Question {
    fn draw(random: &mut SimRandom, all: &[Register]) -> Self {
        let token = random.pick(all).map_or(0, |register| register.token);
        let count = random.below(4);
        let filter = match random.below(5) {
            0 => Filter::All,
            1 => Filter::TokenFrom(token),
            2 => Filter::CountIs(count),
            3 => Filter::Both { token_below: token, count_from: count },
            _ => Filter::Either { token, count },
        };
        let orders = [Ordered::Key, Ordered::TokenDescending, Ordered::CountAndToken];
        let order = *random.pick(&orders).unwrap_or(&Ordered::Key);
        let is_paged = random.chance(0.4);
        let offset = if is_paged { 0 } else { random.below(3) as usize };
        Self { filter, order, offset, limit: random.between(1, 5) as usize, is_paged }
    }

    /// The keys that plain code finds among all registers.
    fn expected(&self, all: &[Register]) -> Vec<String> {
        let passes = |register: &&Register| match self.filter {
            Filter::All => true,
            Filter::TokenFrom(token) => register.token >= token,
            Filter::CountIs(count) => register.count == count,
            Filter::Both { token_below, count_from } => register.token < token_below && register.count >= count_from,
            Filter::Either { token, count } => register.token == token || register.count == count,
        };
        let mut found: Vec<&Register> = all.iter().filter(passes).collect();
        found.sort_by_key(|register| register.key.clone());
        match self.order {
            Ordered::Key => {}
            Ordered::TokenDescending => found.sort_by_key(|register| Reverse(register.token)),
            Ordered::CountAndToken => found.sort_by_key(|register| (register.count, register.token)),
        }
        let most = if self.is_paged { usize::MAX } else { self.limit };
        found.into_iter().skip(self.offset).take(most).map(|register| register.key.clone()).collect()
    }

    fn query(&self, registers: &SnapshotTable<Register>) -> Result<Query<Register>, Error> {
        let text = match self.filter {
            Filter::All => None,
            Filter::TokenFrom(token) => Some(format!("token >= {token}")),
            Filter::CountIs(count) => Some(format!("count = {count}")),
            Filter::Both { token_below, count_from } => {
                Some(format!("token < {token_below} and count >= {count_from}"))
            }
            Filter::Either { token, count } => Some(format!("token = {token} or count = {count}")),
        };
        let query = match text {
            Some(text) => registers.query().filter_text(&text)?,
            None => registers.query(),
        };
        let (token, count) = (Path::field("token"), Path::field("count"));
        let query = match self.order {
            Ordered::Key => query,
            Ordered::TokenDescending => query.order_by(Order::descending(token)),
            Ordered::CountAndToken => query.order_by(Order::ascending(count).then(Order::ascending(token))),
        };
        Ok(query.offset(self.offset).limit(self.limit))
    }

    /// The keys that the database finds, in the way that it takes, or in another one.
    async fn found(&self, registers: &SnapshotTable<Register>, random: &mut SimRandom) -> Result<Vec<String>, Error> {
        let mut way = None;
        if random.chance(0.5)
            && let Some(explanation) = self.query(registers)?.explain().await?
        {
            way = random.pick(&explanation.alternatives).cloned();
        }
        let query = || -> Result<Query<Register>, Error> {
            let query = self.query(registers)?;
            Ok(match &way {
                Some(way) => query.by_way(way),
                None => query,
            })
        };
        if !self.is_paged {
            return Ok(query()?.fetch().await?.into_iter().map(|register| register.key).collect());
        }
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = query()?.page(cursor).await?;
            found.extend(page.documents.into_iter().map(|register| register.key));
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(found),
            }
        }
    }
}

impl Client {
    /// Asks one moment several questions: its registers are what the log says, and every answer is what plain code finds among them,
    /// whichever way the query takes.
    pub(super) async fn ask(&mut self) {
        let token = self.begin(self.default_freshness(), "ask about registers".to_owned(), Vec::new());
        let (db, recorder, keys) = (self.tables.db.clone(), self.recorder.clone(), self.settings.keys);
        let random = &mut self.random;
        let asked = async {
            let snapshot = db.snapshot().await?;
            recorder.read_at(token, snapshot.position());
            let registers = snapshot.table::<Register>()?;
            let all: Vec<Register> = registers.query().without_index().fetch().await?;
            for _ in 0..random.between(1, 4) {
                let question = Question::draw(random, &all);
                let (expected, found) = (question.expected(&all), question.found(&registers, random).await);
                match found {
                    Ok(found) if found == expected => {}
                    Ok(found) => return Ok((all, Some(format!("{question:?}: {found:?} instead of {expected:?}")))),
                    // The index was dropped that was the other way.
                    Err(Error::UnknownIndex { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok::<_, Error>((all, None))
        };
        match asked.await {
            Ok((_, Some(broken))) => self.recorder.end(token, Vec::new(), Outcome::Broken(broken)),
            Ok((all, None)) => self.recorder.end(token, seen_registers(keys, &all), Outcome::Ok(None)),
            Err(error) => {
                let outcome = self.settled(&error).await;
                self.recorder.end(token, Vec::new(), outcome);
            }
        }
    }
}
