//! Queries that an index answers, over documents in memory: rates, and how long each takes, beside SQLite's, in one process,
//! round by round.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bucketdb::{Database, IndexProgress, MemoryDriver};
use clap::Args;

use super::CACHE_BYTES;
use super::bucket::Bucket;
#[cfg(feature = "sqlite")]
use super::lite::{Form, Lite};
use super::sale::Sale;
use crate::report::{Report, Table, median, quantile, rate};

/// Each index by its fields: one that finds single documents, one that also orders what it finds, and one of numbers.
const INDEXES: [&[&str]; 3] = [&["customer"], &["article", "amount_cents"], &["amount_cents"]];

/// Amounts below ten millions that a range spans: a hundred documents of a million.
const RANGE_CENTS: i64 = 1000;

#[derive(Args)]
pub struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    documents: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often each is asked in a round.
    #[arg(long, default_value_t = 3000)]
    lookups: usize,
    /// Only BucketDB, for a profile of the queries whose names have this in them.
    #[arg(long)]
    profile: Option<String>,
}

/// What is looked up.
#[derive(Clone, Copy)]
enum Lookup {
    Customer,
    Article,
    ArticleCount,
    ArticleCheapest(usize),
    AmountRange,
    AmountFrom(usize),
}

const LINES: [(&str, Lookup); 6] = [
    ("documents by a value that one has", Lookup::Customer),
    ("documents by a value, 100 of a million", Lookup::Article),
    ("count by a value", Lookup::ArticleCount),
    ("first 20 by a value, ordered by another field", Lookup::ArticleCheapest(20)),
    ("documents in a range, 100 of a million, in its order", Lookup::AmountRange),
    ("first 10 from a value on, in its order", Lookup::AmountFrom(10)),
];

/// An engine, and what it took.
struct Side {
    name: &'static str,
    /// For every line the queries of each round a second.
    rates: Vec<Vec<f64>>,
    /// For every line how long each query took.
    took_us: Vec<Vec<f64>>,
}

/// What was found, the order included where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    documents: u64,
    digest: i64,
}

impl Found {
    fn add(&mut self, sale: &Sale) {
        self.documents += 1;
        self.digest = self.digest.wrapping_add(sale.digest());
    }

    fn add_next(&mut self, sale: &Sale) {
        self.digest = self.digest.wrapping_mul(31);
        self.add(sale);
    }

    fn number(documents: u64) -> Self {
        Self { documents, digest: 0 }
    }
}

impl Side {
    fn new(name: &'static str) -> Self {
        Self { name, rates: vec![Vec::new(); LINES.len()], took_us: vec![Vec::new(); LINES.len()] }
    }

    /// Asks for the same as everybody, and says what was found; keeps what it took unless it only warms.
    async fn ask(
        &mut self,
        line: usize,
        all: &[Sale],
        warms: bool,
        look_up: impl AsyncFn(&Sale) -> Result<Found>,
    ) -> Result<Vec<Found>> {
        let (mut found, mut took_us) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
        let started = Instant::now();
        for like in all {
            let started = Instant::now();
            found.push(look_up(like).await?);
            took_us.push(started.elapsed().as_secs_f64() * 1e6);
        }
        if !warms {
            self.rates[line].push(all.len() as f64 / started.elapsed().as_secs_f64());
            self.took_us[line].append(&mut took_us);
        }
        Ok(found)
    }
}

impl Bucket {
    async fn index(&self) -> Result<()> {
        for fields in INDEXES {
            self.db.create_index("sales", &fields.join(", ")).await?;
        }
        self.db.build_indexes().await?;
        let is_usable = self.db.indexes("sales")?.iter().all(|index| index.progress == IndexProgress::Usable);
        ensure!(is_usable, "an index is not whole");
        Ok(())
    }

    async fn look_up(&self, lookup: Lookup, like: &Sale) -> Result<Found> {
        let (all, mut found) = (self.sales.query(), Found::default());
        match lookup {
            Lookup::Customer => {
                let sales = all.filter(Sale::CUSTOMER.eq(like.customer.as_str())).fetch().await?;
                sales.iter().for_each(|sale| found.add(sale));
            }
            Lookup::Article => {
                let sales = all.filter(Sale::ARTICLE.eq(like.article)).fetch().await?;
                sales.iter().for_each(|sale| found.add(sale));
            }
            Lookup::ArticleCount => {
                found = Found::number(all.filter(Sale::ARTICLE.eq(like.article)).count().await?);
            }
            Lookup::ArticleCheapest(limit) => {
                let some = all.filter(Sale::ARTICLE.eq(like.article));
                let sales = some.order_by(Sale::AMOUNT_CENTS.asc()).limit(limit).fetch().await?;
                sales.iter().for_each(|sale| found.add_next(sale));
            }
            Lookup::AmountRange => {
                let some = all.filter(Sale::AMOUNT_CENTS.ge(like.amount_cents));
                let some = some.filter(Sale::AMOUNT_CENTS.lt(like.amount_cents + RANGE_CENTS));
                let sales = some.order_by(Sale::AMOUNT_CENTS.asc()).fetch().await?;
                sales.iter().for_each(|sale| found.add_next(sale));
            }
            Lookup::AmountFrom(limit) => {
                let some = all.filter(Sale::AMOUNT_CENTS.ge(like.amount_cents));
                let sales = some.order_by(Sale::AMOUNT_CENTS.asc()).limit(limit).fetch().await?;
                sales.iter().for_each(|sale| found.add_next(sale));
            }
        }
        Ok(found)
    }
}

#[cfg(feature = "sqlite")]
impl Lite {
    fn look_up(&self, lookup: Lookup, like: &Sale) -> Result<Found> {
        let [customer, article, amount] = ["customer", "article", "amount_cents"].map(|field| self.field(field));
        let mut found = Found::default();
        match lookup {
            Lookup::Customer => {
                self.documents(&format!("{customer} = ?"), [&like.customer], |sale| found.add(&sale))?;
            }
            Lookup::Article => self.documents(&format!("{article} = ?"), [like.article], |sale| found.add(&sale))?,
            Lookup::ArticleCount => {
                let sql = format!("select count(*) from sales where {article} = ?");
                found = Found::number(self.one(&sql, [like.article])? as u64);
            }
            Lookup::ArticleCheapest(limit) => {
                let wanted = format!("{article} = ? order by {amount}, id limit ?");
                self.documents(&wanted, (like.article, limit as i64), |sale| found.add_next(&sale))?;
            }
            Lookup::AmountRange => {
                let wanted = format!("{amount} >= ? and {amount} < ? order by {amount}, id");
                let range = [like.amount_cents, like.amount_cents + RANGE_CENTS];
                self.documents(&wanted, range, |sale| found.add_next(&sale))?;
            }
            Lookup::AmountFrom(limit) => {
                let wanted = format!("{amount} >= ? order by {amount}, id limit ?");
                self.documents(&wanted, [like.amount_cents, limit as i64], |sale| found.add_next(&sale))?;
            }
        }
        Ok(found)
    }
}

/// Nothing to report if only a profile was wanted.
pub async fn run(options: Options) -> Result<Option<Report>> {
    let Options { documents, rounds, lookups, profile } = options;
    let db = Database::builder().driver(MemoryDriver::new()).max_memory(4 * CACHE_BYTES).open().await?;
    let bucket = Bucket::load(db, documents, false).await?;
    bucket.index().await?;
    if let Some(wanted) = profile {
        for (line, (name, lookup)) in LINES.into_iter().enumerate().filter(|(_, (name, _))| name.contains(&wanted)) {
            let mut side = Side::new("BucketDB");
            for round in 0..=rounds {
                let look_up = async |like: &Sale| bucket.look_up(lookup, like).await;
                side.ask(line, &likes(round, documents, lookups), round == 0, look_up).await?;
            }
            println!("{name}: {}", rate(median(side.rates[line].clone())));
        }
        return Ok(None);
    }
    let mut sides = vec![Side::new("BucketDB")];
    #[cfg(feature = "sqlite")]
    let folder = tempfile::tempdir()?;
    #[cfg(feature = "sqlite")]
    let engines = {
        sides.extend([Side::new("SQLite"), Side::new("SQLite, JSON")]);
        let mut engines = Vec::new();
        for (name, form) in [("columns", Form::Columns), ("json", Form::Json)] {
            let lite = Lite::load(&folder.path().join(name), form, documents, CACHE_BYTES)?;
            INDEXES.iter().enumerate().try_for_each(|(number, fields)| lite.index(number, fields))?;
            lite.analyze()?;
            engines.push(lite);
        }
        engines
    };
    let (ours, others) = sides.split_first_mut().context("no engine")?;
    // The first round warms what is cold, and does not count.
    for round in 0..=rounds {
        let all = likes(round, documents, lookups);
        let warms = round == 0;
        for (line, (name, lookup)) in LINES.into_iter().enumerate() {
            let expected = ours.ask(line, &all, warms, async |like| bucket.look_up(lookup, like).await).await?;
            ensure!(expected.iter().all(|found| found.documents > 0), "nothing was found of {name}");
            #[cfg(feature = "sqlite")]
            for (side, engine) in others.iter_mut().zip(&engines) {
                let found = side.ask(line, &all, warms, async |like| engine.look_up(lookup, like)).await?;
                ensure!(found == expected, "{} answers {name} otherwise", side.name);
            }
        }
    }
    bucket.db.close().await?;
    #[cfg(feature = "sqlite")]
    drop((engines, folder));
    let title = |what: &str| format!("Queries that an index answers, of {documents} documents: {what}");
    let mut rates = Table::new(&title("a second"), &header(&sides, Some("BucketDB is")));
    let mut times = Table::new(&title("p50 / p99 / p999 in µs"), &header(&sides, None));
    for (line, (name, _)) in LINES.iter().enumerate() {
        let medians: Vec<f64> = sides.iter().map(|side| median(side.rates[line].clone())).collect();
        let ratios = medians[1..].iter().zip(&sides[1..]);
        let ratios = ratios.map(|(other, side)| format!("{:.2} × {}", medians[0] / other, side.name));
        let ratios = ratios.collect::<Vec<_>>().join(", ");
        let shown = medians.iter().map(|of| rate(*of)).chain([ratios]);
        rates.row(std::iter::once((*name).to_owned()).chain(shown).collect::<Vec<_>>());
        let shown = sides.iter().map(|side| {
            let of = |share| format!("{:.1}", quantile(side.took_us[line].clone(), share));
            format!("{} / {} / {}", of(0.5), of(0.99), of(0.999))
        });
        times.row(std::iter::once((*name).to_owned()).chain(shown).collect::<Vec<_>>());
    }
    rates.note(format!(
        "By the clock, in one thread: queries answered in a second, each with documents that are decoded into Rust structs. Medians of \
         {rounds} rounds of {lookups} queries each, in which the engines take turns and have to find the same. Everything is in memory.",
    ));
    rates.note(
        "Each engine has an index over `customer`, one over `article` and `amount_cents`, and one over `amount_cents`. BucketDB: a \
         typed table, default freshness, bulk-loaded into a store in memory. SQLite: a table with a column for each field, mapped into \
         memory, prepared statements; JSON: one column of JSONB instead, and indexes over `->>` of it. SlateDB, redb and a map have \
         no secondary indexes.",
    );
    Ok(Some(Report::new(&format!("lookups-{documents}"), vec![rates, times])))
}

/// Documents like which others are looked for.
fn likes(round: usize, documents: u64, lookups: usize) -> Vec<Sale> {
    let mut random = fastrand::Rng::with_seed(round as u64);
    std::iter::repeat_with(|| Sale::new(random.u64(..documents))).take(lookups).collect()
}

fn header(sides: &[Side], last: Option<&'static str>) -> Vec<&'static str> {
    ["query"].into_iter().chain(sides.iter().map(|side| side.name)).chain(last).collect()
}
