//! The quick look at a store when a node starts: two creates of one key, at the same time, tell whether it creates
//! only if absent. Stores that ignore the condition, and there are several, would lose acknowledged records. A start
//! waits for this, so it takes two round trips and no more. `check` looks deeper.

use crate::{Error, ErrorKind, Key, Purpose, Store};
use bytes::Bytes;
use levee_base::Random;

/// What the probe found.
#[derive(Debug, Clone)]
pub enum Fitness {
    /// Of two creates of a key one failed, and the other's bytes were read back.
    Fit,
    /// The store answered, and proved that it will not do: say why, and exit.
    Unfit(String),
    /// The store did not answer, or refuses us: say why, and try again later.
    Unknown(Error),
}

/// Creates a new key below `probe/` twice with different bytes and reads it. Returns what that tells, and the key,
/// which [`clean_up`] deletes.
///
/// # Panics
/// Never: a UUID is a key.
pub async fn probe(store: &dyn Store, random: &Random) -> (Fitness, Key) {
    let key = Key::new(format!("probe/{}", random.uuid())).expect("a UUID is a key");
    let fitness = match ask(store, &key).await {
        Ok(fitness) => fitness,
        Err(error) if error.kind == ErrorKind::Unsupported => Fitness::Unfit(error.to_string()),
        Err(error) => Fitness::Unknown(error),
    };
    (fitness, key)
}

/// Deletes a probe's key. Nothing needs to wait for it.
pub async fn clean_up(store: &dyn Store, key: &Key) {
    if let Err(error) = store.delete(key, Purpose::Check).await {
        tracing::warn!(%error, "the probe's key stays in the store; it is safe to delete");
    }
}

async fn ask(store: &dyn Store, key: &Key) -> Result<Fitness, Error> {
    let bytes = [Bytes::from_static(b"levee probe: one"), Bytes::from_static(b"levee probe: two")];
    let create = |n: usize| store.create(key, bytes[n].clone(), Purpose::Check);
    let (one, two) = futures::future::join(create(0), create(1)).await;
    let possible: &[Bytes] = match (one, two) {
        (Ok(()), Ok(())) => {
            let reason = "it created the same key twice: it ignores `If-None-Match: *` (create if absent), so two \
                          brokers could overwrite each other's acknowledged records; `levee store check` tells more";
            return Ok(Fitness::Unfit(reason.to_owned()));
        }
        (Ok(()), Err(error)) if error.kind == ErrorKind::AlreadyExists => &bytes[..1],
        (Err(error), Ok(())) if error.kind == ErrorKind::AlreadyExists => &bytes[1..],
        // The key is new: the create that was first landed, and its answer was lost below us.
        (Err(one), Err(two))
            if one.kind == ErrorKind::AlreadyExists && two.kind == ErrorKind::AlreadyExists =>
        {
            &bytes
        }
        (Err(error), Ok(())) | (Ok(()), Err(error)) => return Err(error),
        (Err(one), Err(two)) => return Err(if one.kind == ErrorKind::AlreadyExists { two } else { one }),
    };
    match store.get(key, None, Purpose::Check).await {
        Ok(read) if possible.contains(&read) => Ok(Fitness::Fit),
        Ok(_) => Ok(Fitness::Unfit("a create that failed has overwritten the key all the same".to_owned())),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Fitness::Unfit(
            "an object that was just created can't be read: reads are not consistent".to_owned(),
        )),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::memory::MemoryStore;

    #[tokio::test]
    async fn a_store_that_creates_once_is_fit_and_left_as_it_was() {
        let store = MemoryStore::new();
        let (fitness, key) = probe(&store, &Random::seeded(1)).await;
        assert!(matches!(fitness, Fitness::Fit));
        clean_up(&store, &key).await;
        assert!(store.list("", None, 10, Purpose::Check).await.unwrap().objects.is_empty());
    }
}
