//! How long a store takes to answer.

use std::time::Duration;

use engine_bench::watched::Kind;
use fastrand::Rng;

/// What a store takes for one request, and which one charges for it.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// As it is named on the command line, and in the names of files.
    pub id: &'static str,
    pub name: &'static str,
    /// As the price list has it.
    pub priced_as: &'static str,
    /// Where the times are from.
    pub source: &'static str,
    get: Times,
    put: Times,
}

/// How long requests of one kind take.
#[derive(Clone, Copy, Debug)]
enum Times {
    Always(Duration),
    /// A log-normal distribution with these percentiles, in milliseconds.
    LogNormal {
        p50: f64,
        p90: f64,
    },
}

/// How many standard deviations the 90th percentile of a normal distribution is above its mean.
const DEVIATIONS_OF_P90: f64 = 1.281_551_565_5;

impl Times {
    fn draw(self, random: &mut Rng) -> Duration {
        match self {
            Self::Always(time) => time,
            Self::LogNormal { p50, p90 } => {
                let deviation = (p90 / p50).ln() / DEVIATIONS_OF_P90;
                Duration::from_secs_f64(p50 * (deviation * normal(random)).exp() / 1e3)
            }
        }
    }
}

/// From a normal distribution around 0 with the deviation 1 (Box and Muller, "A Note on the Generation of Random Normal
/// Deviates", 1958).
fn normal(random: &mut Rng) -> f64 {
    // Not 0, of which there is no logarithm.
    let (radius, angle) = (1.0 - random.f64(), random.f64());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

const TIGRIS: &str = "tigrisdata.com/docs/overview/benchmarks/summary";

impl Latency {
    pub const NONE: Self = Self {
        id: "memory",
        name: "memory",
        priced_as: "Amazon S3 Standard",
        source: "",
        get: Times::Always(Duration::ZERO),
        put: Times::Always(Duration::ZERO),
    };

    /// What the bars are told in.
    pub const FIXED: Self = Self {
        id: "fixed",
        name: "memory, 30 ms PUT, 15 ms GET",
        get: Times::Always(Duration::from_millis(15)),
        put: Times::Always(Duration::from_millis(30)),
        ..Self::NONE
    };

    const S3_STANDARD: Self = Self {
        id: "s3-standard",
        name: "memory, as slow as S3 Standard",
        priced_as: "Amazon S3 Standard",
        source: TIGRIS,
        get: Times::LogNormal { p50: 22.4, p90: 42.0 },
        put: Times::LogNormal { p50: 27.0, p90: 41.2 },
    };

    /// No percentiles are published: AWS promises single-digit milliseconds.
    const S3_EXPRESS: Self = Self {
        id: "s3-express",
        name: "memory, as slow as S3 Express One Zone",
        priced_as: "Amazon S3 Express One Zone",
        source: "the single-digit milliseconds of docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-performance.html, \
                 taken as 5 and 9",
        get: Times::LogNormal { p50: 5.0, p90: 9.0 },
        put: Times::LogNormal { p50: 5.0, p90: 9.0 },
    };

    /// The source has the same figures for its reads as for the writes beside them, three times these, from a store that was
    /// asked for more than it gave: those of writes by themselves stand for both.
    const R2: Self = Self {
        id: "r2",
        name: "memory, as slow as Cloudflare R2",
        priced_as: "Cloudflare R2",
        source: TIGRIS,
        get: Times::LogNormal { p50: 197.1, p90: 340.2 },
        put: Times::LogNormal { p50: 197.1, p90: 340.2 },
    };

    /// Those that workloads are measured with.
    pub const ALL: [Self; 4] = [Self::FIXED, Self::S3_STANDARD, Self::S3_EXPRESS, Self::R2];

    pub fn draw(&self, kind: Kind, random: &mut Rng) -> Duration {
        match kind {
            Kind::Put | Kind::Part | Kind::Delete => self.put.draw(random),
            Kind::Get | Kind::List => self.get.draw(random),
        }
    }

    /// The times of it, for whoever reads a table.
    pub fn told(&self) -> Option<String> {
        match (self.put, self.get) {
            (Times::LogNormal { p50: put, p90: slow_put }, Times::LogNormal { p50: get, p90: slow_get }) => {
                Some(format!(
                    "a PUT takes {put} ms at the median and {slow_put} at the 90th percentile, a GET {get} and {slow_get} ({}), \
                 log-normally distributed",
                    self.source
                ))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_times_have_the_percentiles() {
        let mut random = Rng::with_seed(1);
        let mut drawn: Vec<f64> =
            (0..100_000).map(|_| Latency::S3_STANDARD.draw(Kind::Get, &mut random).as_secs_f64() * 1e3).collect();
        drawn.sort_by(f64::total_cmp);
        for (at, expected) in [(50_000, 22.4), (90_000, 42.0)] {
            assert!((drawn[at] / expected - 1.0).abs() < 0.02, "{} instead of {expected}", drawn[at]);
        }
    }
}
