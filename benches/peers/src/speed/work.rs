//! What is done to every engine, and what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use hdrhistogram::Histogram;

use super::engine::Engine;
use super::item::Item;
use super::popular::Popular;
use crate::record::key;
use crate::ycsb::{Kind, WORKLOADS, Workload};

/// How many operations of a workload of YCSB are under way at a time.
pub(crate) const CALLERS: u64 = 10;

/// One of so many answers of a workload of YCSB is compared in full; of the others, what tells them apart.
const COMPARED: u64 = 16;

/// How many documents at the end of what a caller has written are looked for.
const SAMPLE: u64 = 50;

/// Longer than any operation takes, in nanoseconds.
const LONGEST_NS: u64 = 600_000_000_000;

/// What is done in one round.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Point reads, one after the other.
    Gets { count: u64 },
    /// Range scans, one after the other.
    Scans { count: u64, rows: usize },
    /// Commits of new documents, by so many callers for so long.
    Commits { callers: u64, documents: u64, lasting: Duration },
    /// A workload of YCSB.
    Ycsb { workload: &'static Workload, operations: u64 },
}

impl Work {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Gets { .. } => "point reads, warm".to_owned(),
            Self::Scans { rows, .. } => format!("range scans of {rows} documents, warm"),
            Self::Commits { callers: 1, documents: 1, .. } => "commits of one document, 1 caller".to_owned(),
            Self::Commits { callers, documents: 1, .. } => format!("commits of one document, {callers} callers"),
            Self::Commits { callers: 1, documents, .. } => format!("commits of {documents} documents, 1 caller"),
            Self::Commits { callers, documents, .. } => format!("commits of {documents} documents, {callers} callers"),
            Self::Ycsb { workload, .. } => format!("YCSB {}: {}", workload.name, workload.what),
        }
    }

    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::Commits { .. } => "commits/s",
            Self::Scans { .. } => "scans/s",
            Self::Gets { .. } | Self::Ycsb { .. } => "operations/s",
        }
    }
}

/// What one round measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    /// How long each operation took, in nanoseconds; none of a load, which is one.
    pub(crate) took: Histogram<u64>,
    /// What was answered, in which all engines must agree.
    pub(crate) answer: u64,
}

impl Measured {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { operations: 0, seconds: 0.0, took: Histogram::new_with_bounds(1, LONGEST_NS, 3)?, answer: 0 })
    }

    fn add(&mut self, took: Duration) -> Result<()> {
        self.operations += 1;
        Ok(self.took.record((took.as_nanos() as u64).max(1))?)
    }

    fn answered(&mut self, digest: u64) {
        self.answer = self.answer.wrapping_mul(31).wrapping_add(digest);
    }

    /// Takes in what another task measured at the same time.
    fn join(&mut self, other: &Self) -> Result<()> {
        self.operations += other.operations;
        self.answer = self.answer.wrapping_add(other.answer);
        Ok(self.took.add(&other.took)?)
    }
}

/// An engine with documents in it, and what was written to it so far.
pub(crate) struct Held<E> {
    pub(crate) engine: E,
    documents: u64,
    /// The next document that is new to it.
    next: Arc<AtomicU64>,
}

impl<E> Held<E> {
    pub(crate) fn new(engine: E, documents: u64) -> Self {
        // Far behind those that are there, so that scans of these do not meet what others have less of.
        Self { engine, documents, next: Arc::new(AtomicU64::new(100 * documents)) }
    }

    pub(crate) async fn run<R: Item>(&self, work: &Work, round: u64) -> Result<Measured>
    where
        E: Engine<R>,
    {
        match work {
            Work::Gets { count } => self.gets(*count, round).await,
            Work::Scans { count, rows } => self.scans(*count, *rows, round).await,
            Work::Commits { callers, documents, lasting } => self.commits(*callers, *documents, *lasting).await,
            Work::Ycsb { workload, operations } => self.ycsb(workload, *operations, round).await,
        }
    }

    async fn gets<R: Item>(&self, count: u64, round: u64) -> Result<Measured>
    where
        E: Engine<R>,
    {
        let (mut measured, mut random) = (Measured::new()?, Rng::with_seed(round));
        let started = Instant::now();
        for _ in 0..count {
            let key = key(random.u64(..self.documents));
            let begun = Instant::now();
            let found = self.engine.get(&key).await?.with_context(|| format!("{key} is missing"))?;
            measured.add(begun.elapsed())?;
            measured.answered(found.digest());
        }
        measured.seconds = started.elapsed().as_secs_f64();
        Ok(measured)
    }

    async fn scans<R: Item>(&self, count: u64, rows: usize, round: u64) -> Result<Measured>
    where
        E: Engine<R>,
    {
        let (mut measured, mut random) = (Measured::new()?, Rng::with_seed(round));
        let started = Instant::now();
        for _ in 0..count {
            let from = key(random.u64(..self.documents - rows as u64));
            let begun = Instant::now();
            let found = self.engine.scan(&from, rows).await?;
            measured.add(begun.elapsed())?;
            ensure!(found.len() == rows, "a scan found {} documents", found.len());
            found.iter().for_each(|item| measured.answered(item.digest()));
        }
        measured.seconds = started.elapsed().as_secs_f64();
        Ok(measured)
    }

    /// Everything that there was in the beginning and that workloads have changed: equal digests mean equal databases.
    pub(crate) async fn everything<R: Item>(&self) -> Result<(u64, u64)>
    where
        E: Engine<R>,
    {
        let (mut rows, mut digest, mut from) = (0, 0u64, String::new());
        let end = key(50 * self.documents);
        loop {
            let found = self.engine.scan(&from, 1000).await?;
            for item in found.iter().filter(|item| item.text_key() < end.as_str()) {
                rows += 1;
                digest = digest.wrapping_mul(31).wrapping_add(item.digest());
            }
            match found.last().filter(|last| last.text_key() < end.as_str()) {
                Some(last) => from = format!("{}\0", last.text_key()),
                None => return Ok((rows, digest)),
            }
        }
    }

    /// What was written must be there.
    async fn commits<R: Item>(&self, callers: u64, documents: u64, lasting: Duration) -> Result<Measured>
    where
        E: Engine<R>,
    {
        let started = Instant::now();
        let caller = |engine: E, next: Arc<AtomicU64>| async move {
            let (mut measured, mut written) = (Measured::new()?, Vec::new());
            while started.elapsed() < lasting {
                let first = next.fetch_add(documents, Ordering::Relaxed);
                let items: Vec<R> = (first..first + documents).map(|number| R::make(number, 0)).collect();
                let begun = Instant::now();
                engine.put(&items).await?;
                measured.add(begun.elapsed())?;
                written.push(first + documents - 1);
            }
            Ok::<_, anyhow::Error>((measured, written))
        };
        let engines: Vec<E> = (0..callers).map(|_| self.engine.clone()).collect();
        let tasks: Vec<_> = engines.into_iter().map(|engine| tokio::spawn(caller(engine, self.next.clone()))).collect();
        let (mut measured, mut all) = (Measured::new()?, Vec::new());
        for task in tasks {
            let (of_one, written) = task.await??;
            measured.join(&of_one)?;
            all.extend(written.into_iter().rev().take(SAMPLE as usize));
        }
        measured.seconds = started.elapsed().as_secs_f64();
        for number in all {
            let found = self.engine.get(&key(number)).await?;
            ensure!(found == Some(R::make(number, 0)), "{} is not what was committed", key(number));
        }
        // How many there were is another thing with every engine.
        measured.answer = 0;
        Ok(measured)
    }

    async fn ycsb<R: Item>(&self, workload: &'static Workload, operations: u64, round: u64) -> Result<Measured>
    where
        E: Engine<R>,
    {
        // What a round inserts stays, and the next one inserts the same again.
        let popular = Arc::new(Popular::new(self.documents));
        // The same for all that a round writes, so that it makes no difference which caller was first, and rising.
        let place = WORKLOADS.iter().position(|other| other.name == workload.name).unwrap_or_default();
        let revision = 1000 * place as u64 + round + 1;
        let engines: Vec<E> = (0..CALLERS).map(|_| self.engine.clone()).collect();
        let started = Instant::now();
        let tasks: Vec<_> = engines
            .into_iter()
            .zip(round * CALLERS..)
            .map(|(engine, seed)| {
                let popular = popular.clone();
                tokio::spawn(async move {
                    let (mut measured, mut random) = (Measured::new()?, Rng::with_seed(seed));
                    for number in 0..operations / CALLERS {
                        let is_compared = number % COMPARED == 0;
                        let kind = workload.draw(&mut random);
                        let one = One { engine: &engine, popular: &popular, workload, revision, is_compared };
                        measured.add(one.operate(kind, &mut random).await?)?;
                    }
                    Ok::<_, anyhow::Error>(measured)
                })
            })
            .collect();
        let mut measured = Measured::new()?;
        for task in tasks {
            measured.join(&task.await??)?;
        }
        measured.seconds = started.elapsed().as_secs_f64();
        // Who reads what another one writes at the same time may see it or not; what is there in the end is compared.
        measured.answer = popular.inserted();
        Ok(measured)
    }
}

/// One operation.
struct One<'a, E> {
    engine: &'a E,
    popular: &'a Popular,
    workload: &'static Workload,
    revision: u64,
    is_compared: bool,
}

impl<E> One<'_, E> {
    /// How long it took, without what prepares and checks it.
    async fn operate<R: Item>(&self, kind: Kind, random: &mut Rng) -> Result<Duration>
    where
        E: Engine<R>,
    {
        let is_latest = self.workload.is_latest;
        match kind {
            Kind::Read => self.read(self.popular.existing(is_latest, random)).await,
            Kind::Update => self.write(self.popular.existing(is_latest, random)).await,
            Kind::Insert => {
                let number = self.popular.new_number();
                let took = self.write(number).await?;
                self.popular.has_come(number);
                Ok(took)
            }
            Kind::Scan => {
                let (number, rows) = (self.popular.existing(is_latest, random), random.usize(1..=100));
                let there = rows.min((self.popular.documents - number.min(self.popular.documents)) as usize);
                let (from, begun) = (key(number), Instant::now());
                let found = self.engine.scan(&from, rows).await?;
                let took = begun.elapsed();
                ensure!((there..=rows).contains(&found.len()), "a scan found {} of {rows}", found.len());
                Ok(took)
            }
            Kind::ReadModifyWrite => {
                let number = self.popular.existing(is_latest, random);
                Ok(self.read(number).await? + self.write(number).await?)
            }
        }
    }

    async fn read<R: Item>(&self, number: u64) -> Result<Duration>
    where
        E: Engine<R>,
    {
        let (key, begun) = (key(number), Instant::now());
        let found = self.engine.get(&key).await?.with_context(|| format!("{key} is missing"))?;
        let took = begun.elapsed();
        let revision = found.revision()?;
        ensure!(found.text_key() == key && revision <= self.revision, "{key} is one that nobody wrote");
        ensure!(!self.is_compared || found == R::make(number, revision), "{key} is one that nobody wrote");
        Ok(took)
    }

    async fn write<R: Item>(&self, number: u64) -> Result<Duration>
    where
        E: Engine<R>,
    {
        let items = [R::make(number, self.revision)];
        let begun = Instant::now();
        self.engine.put(&items).await?;
        Ok(begun.elapsed())
    }
}
