//! `SplitMix64` (Steele, Lea and Flood, 2014): the corpus must be the same bytes
//! on every machine, so the generator is our own and everything drawn from it is
//! an integer; floating-point functions may differ in their last bit.

pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n`; the bias of the multiplication is below `n / 2^32`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let scaled = (u128::from(self.next() >> 32) * n as u128) >> 32;
        usize::try_from(scaled).expect("a number below n, which is a usize")
    }

    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 draws.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// `count` different elements, in random order.
    pub(crate) fn sample<T: Clone>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut all = from.to_vec();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// About log-normal with the given mean, in integers: a product of twelve
    /// independent factors of mean 1, each uniform in 0.79..=1.21, has a standard
    /// deviation of about 0.42 in its logarithm.
    pub(crate) fn log_normal(&mut self, mean: usize) -> usize {
        (0..12).fold(mean * 1000, |x, _| x * self.between(790, 1210) / 1000) / 1000
    }
}
