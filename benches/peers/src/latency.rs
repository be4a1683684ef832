//! How long stores take to answer, after public measurements.

use std::time::Duration;

use engine_bench::watched::Kind;

/// The share of a normal distribution's deviations below which 99 % lie.
const DEVIATIONS_OF_P99: f64 = 2.326;

/// A log-normal distribution by its median and its 99th percentile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Spread {
    const fn always(ms: f64) -> Self {
        Self { p50_ms: ms, p99_ms: ms }
    }

    fn sample(self, random: &mut fastrand::Rng) -> Duration {
        if self.p50_ms == 0.0 {
            return Duration::ZERO;
        }
        let deviation = (self.p99_ms / self.p50_ms).ln() / DEVIATIONS_OF_P99;
        // Box and Muller's way from two uniform numbers to a normal one.
        let (radius, angle) = (1.0 - random.f64(), random.f64());
        let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
        Duration::from_secs_f64(self.p50_ms * (deviation * normal).exp() / 1e3)
    }
}

/// What a store takes for one request.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub name: &'static str,
    pub get: Spread,
    pub put: Spread,
}

impl Latency {
    pub const NONE: Self = Self { name: "memory", get: Spread::always(0.0), put: Spread::always(0.0) };

    /// What the goals are told in: every request takes its time.
    pub const FIXED: Self =
        Self { name: "memory, 30 ms PUT, 15 ms GET", get: Spread::always(15.0), put: Spread::always(30.0) };

    pub const S3_STANDARD: Self = Self {
        name: "S3 Standard",
        get: Spread { p50_ms: 63.0, p99_ms: 78.0 },
        put: Spread { p50_ms: 100.0, p99_ms: 195.0 },
    };

    pub const S3_EXPRESS: Self = Self {
        name: "S3 Express One Zone",
        get: Spread { p50_ms: 4.0, p99_ms: 9.0 },
        put: Spread { p50_ms: 6.0, p99_ms: 12.0 },
    };

    /// Half of the distance to the 90th percentile that was published lies as far again from the 99th.
    pub const R2: Self = Self {
        name: "Cloudflare R2",
        get: Spread { p50_ms: 60.0, p99_ms: 160.0 },
        put: Spread { p50_ms: 197.0, p99_ms: 530.0 },
    };

    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::NONE,
            "fixed" => Self::FIXED,
            "s3" => Self::S3_STANDARD,
            "express" => Self::S3_EXPRESS,
            "r2" => Self::R2,
            _ => return None,
        })
    }

    pub fn sample(&self, kind: Kind, random: &mut fastrand::Rng) -> Duration {
        match kind {
            Kind::Put | Kind::Part | Kind::Delete => self.put.sample(random),
            Kind::Get | Kind::List => self.get.sample(random),
        }
    }
}
