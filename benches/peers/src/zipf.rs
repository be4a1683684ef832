//! Which records are popular: the distribution of YCSB (Gray et al., "Quickly Generating Billion-Record Synthetic
//! Databases"), with the constant 0.99.

const CONSTANT: f64 = 0.99;

/// Draws numbers below a bound, small ones much more often.
#[derive(Clone, Debug)]
pub struct Zipf {
    items: u64,
    zeta: f64,
    zeta_of_two: f64,
}

impl Zipf {
    pub fn new(items: u64) -> Self {
        Self { items, zeta: zeta(0, items), zeta_of_two: zeta(0, 2) }
    }

    /// The rank of an item.
    pub fn rank(&self, random: &mut fastrand::Rng) -> u64 {
        let alpha = 1.0 / (1.0 - CONSTANT);
        let items = self.items as f64;
        let eta = (1.0 - (2.0 / items).powf(1.0 - CONSTANT)) / (1.0 - self.zeta_of_two / self.zeta);
        let uniform = random.f64();
        let scaled = uniform * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(CONSTANT) {
            return 1;
        }
        ((items * (eta * uniform - eta + 1.0).powf(alpha)) as u64).min(self.items - 1)
    }

    /// An item, where popular ones lie anywhere.
    pub fn scrambled(&self, random: &mut fastrand::Rng) -> u64 {
        fnv(self.rank(random)) % self.items
    }
}

fn zeta(from: u64, to: u64) -> f64 {
    (from..to).map(|item| 1.0 / ((item + 1) as f64).powf(CONSTANT)).sum()
}

fn fnv(number: u64) -> u64 {
    number
        .to_le_bytes()
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_all_draws_are_of_few_items() {
        let (zipf, mut random) = (Zipf::new(1_000_000), fastrand::Rng::with_seed(1));
        let draws = 100_000;
        let of_few = (0..draws).filter(|_| zipf.rank(&mut random) < 1000).count();
        let expected = zeta(0, 1000) / zeta(0, 1_000_000);
        let share = of_few as f64 / f64::from(draws);
        assert!((share - expected).abs() < 0.01, "{share} instead of {expected}");
    }
}
