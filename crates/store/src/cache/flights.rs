//! Single flight: whoever wants what is being loaded waits for it. The load is a task of its own, so it is not lost
//! when the reader that began it goes away, and a failure is everybody's who waited, not one after the other's.

use crate::types::ReadError;
use futures::FutureExt;
use futures::future::Shared;
use levee_base::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A load that is under way. `Err(RecvError)` when the runtime ends.
pub(crate) type Flight<V> = Shared<oneshot::Receiver<Result<V, ReadError>>>;

/// The loads under way, by what they load.
#[derive(Debug)]
pub(crate) struct Flights<K, V: Clone>(Arc<Mutex<HashMap<K, Flight<V>>>>);

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Hash + Eq + Clone + Send + 'static, V: Clone + Send + Sync + 'static> Flights<K, V> {
    /// Whether a load for `key` is under way.
    pub(crate) fn has(&self, key: &K) -> bool {
        lock(&self.0).contains_key(key)
    }

    /// What is loaded for `key`: by a load under way; else what `kept` finds; else by a new load. A load keeps what it
    /// has loaded before it ends, so that nothing comes between the first two. Says whether a load began.
    pub(crate) fn join<F>(
        &self,
        key: K,
        kept: impl FnOnce() -> Option<V>,
        load: impl FnOnce() -> F,
    ) -> Joined<V>
    where
        F: Future<Output = Result<V, ReadError>> + Send + 'static,
    {
        let mut flights = lock(&self.0);
        if let Some(flight) = flights.get(&key) {
            return Joined::Flying(flight.clone());
        }
        if let Some(value) = kept() {
            return Joined::Kept(value);
        }
        let (sender, receiver) = oneshot::channel();
        let flight = receiver.shared();
        flights.insert(key.clone(), flight.clone());
        drop(flights);
        let landing = Landing { flights: self.0.clone(), key };
        let load = load();
        tokio::spawn(async move {
            let result = load.await;
            drop(landing);
            // Nobody may be waiting any more.
            let _ = sender.send(result);
        });
        Joined::Began(flight)
    }
}

/// What [`Flights::join`] found.
#[derive(Debug)]
pub(crate) enum Joined<V: Clone> {
    Kept(V),
    Flying(Flight<V>),
    Began(Flight<V>),
}

/// Takes the flight out, also when its task panics or is aborted.
struct Landing<K: Hash + Eq, V: Clone> {
    flights: Arc<Mutex<HashMap<K, Flight<V>>>>,
    key: K,
}

impl<K: Hash + Eq, V: Clone> Drop for Landing<K, V> {
    fn drop(&mut self) {
        lock(&self.flights).remove(&self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Notify;

    fn flight<V: Clone>(joined: Joined<V>) -> Flight<V> {
        match joined {
            Joined::Began(flight) | Joined::Flying(flight) => flight,
            Joined::Kept(_) => panic!("nothing is kept"),
        }
    }

    #[tokio::test]
    async fn one_load_serves_all_who_came_before_it_ended_and_the_next_begins_anew() {
        let flights = Flights::<u8, u32>::default();
        let go = Arc::new(Notify::new());
        let waits = go.clone();
        let first = flights.join(
            1,
            || None,
            || async move {
                waits.notified().await;
                Ok(7)
            },
        );
        assert!(matches!(first, Joined::Began(_)));
        let second = flights.join(1, || panic!("not asked while a load is under way"), || async { Ok(8) });
        assert!(matches!(second, Joined::Flying(_)));
        let other = flights.join(2, || None, || async { Err(ReadError::UnknownStream) });
        assert!(flight(other).await.unwrap().is_err(), "another key does not wait");
        // The reader that began it goes away.
        drop(first);
        go.notify_one();
        assert_eq!(flight(second).await.unwrap().unwrap(), 7);
        assert!(matches!(flights.join(1, || Some(9), || async { Ok(8) }), Joined::Kept(9)));
        assert!(
            matches!(flights.join(2, || None, || async { Ok(8) }), Joined::Began(_)),
            "failures aren't kept"
        );
    }
}
