//! Numbers that look random and are the same for the same seed, on every machine and in every version.
//!
//! Not for secrets: whoever sees a few outputs knows them all.

use crate::words::time::SignedDuration;

/// splitmix64 (Steele, Lea, Flood 2014): small, fast, and good enough to choose orders and faults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prng {
    state: u64,
}

impl Prng {
    pub fn new(seed: u64) -> Prng {
        Prng { state: seed }
    }

    /// A generator of its own for one purpose, so that drawing more for one thing does not change another.
    pub fn fork(&self, purpose: &str) -> Prng {
        // FNV-1a over the purpose, then one mixing step with our own state.
        let hash = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut fork = Prng { state: self.state ^ hash };
        Prng { state: fork.next() }
    }

    #[expect(clippy::should_implement_trait, reason = "an endless source is no iterator to its readers")]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; `0` for an empty range. Its bias is below 2⁻³² for the small bounds used here.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// True in `per_mille` of 1000 cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// A whole number of seconds in `from..=to`.
    pub fn between(&mut self, from: SignedDuration, to: SignedDuration) -> SignedDuration {
        let width = u64::try_from(to.as_secs() - from.as_secs()).unwrap_or(0);
        let extra = self.below(width.saturating_add(1));
        SignedDuration::from_secs(from.as_secs().saturating_add_unsigned(extra))
    }

    /// One of the choices.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let at = self.below(choices.len() as u64) as usize;
        &choices[at]
    }

    /// A UUID in the shape the gateways and shops use for their ids.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_whole_sequence() {
        // The first outputs of splitmix64 for seed 0, as published with the algorithm.
        let mut prng = Prng::new(0);
        assert_eq!([prng.next(), prng.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn forks_do_not_disturb_each_other() {
        let prng = Prng::new(7);
        let mut one = prng.fork("ids");
        one.next();
        assert_eq!(prng.fork("faults"), Prng::new(7).fork("faults"));
        assert_ne!(prng.fork("ids"), prng.fork("faults"));
    }

    #[test]
    fn draws_stay_in_their_range() {
        let mut prng = Prng::new(3);
        for _ in 0..1000 {
            assert!(prng.below(6) < 6);
            let wait = prng.between(SignedDuration::from_secs(5), SignedDuration::from_secs(9));
            assert!((5..=9).contains(&wait.as_secs()));
        }
        assert_eq!(prng.uuid().len(), 36);
    }
}
