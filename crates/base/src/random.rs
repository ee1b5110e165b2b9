//! The only source of randomness: the machine's entropy in production, a seed in a simulation.

use crate::ids::WriterId;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, rngs::SysRng};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// A generator that is handed down from whoever starts a node. Clones share its state.
#[derive(Debug, Clone)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    /// Seeded from the operating system.
    ///
    /// # Panics
    /// When the operating system has no entropy to give, as a process can't draw a unique identity then.
    #[must_use]
    pub fn from_entropy() -> Self {
        let rng = StdRng::try_from_rng(&mut SysRng).expect("the operating system gives entropy");
        Self(Arc::new(Mutex::new(rng)))
    }

    /// The same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A generator of its own, seeded from this one: a part that draws more does not disturb the others.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::seeded(self.next_u64())
    }

    /// 64 random bits.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// Uniform in `0..bound`; 0 for a bound of 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..bound)
    }

    /// True with probability `p`, which is clamped to 0..=1.
    #[must_use]
    pub fn chance(&self, p: f64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_bool(p.clamp(0.0, 1.0))
    }

    /// A random (version 4) UUID.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let bytes = (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64());
        uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
    }

    /// An identity for a writer that opens an epoch.
    #[must_use]
    pub fn writer_id(&self) -> WriterId {
        WriterId(self.uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        for _ in 0..100 {
            assert_eq!(a.next_u64(), b.next_u64());
            assert_eq!(a.below(10), b.below(10));
            assert_eq!(a.uuid(), b.uuid());
        }
        assert_ne!(Random::seeded(8).uuid(), Random::seeded(9).uuid());
        assert_eq!(a.uuid().get_version_num(), 4);
    }
}
