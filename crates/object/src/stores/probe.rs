//! The quick look at a store when a node starts: two requests tell whether it creates only if absent. Stores
//! that ignore the condition, and there are several, would lose acknowledged records. `check` looks deeper.

use crate::{Error, ErrorKind, Key, Purpose, Store};
use bytes::Bytes;
use levee_base::Random;

/// What the probe found.
#[derive(Debug, Clone)]
pub enum Fitness {
    /// A second create of a key failed, and the first bytes were read back.
    Fit,
    /// The store answered, and proved that it will not do: say why, and exit.
    Unfit(String),
    /// The store did not answer, or refuses us: say why, and try again later.
    Unknown(Error),
}

/// Creates a new key below `probe/` twice with different bytes, reads it, and deletes it.
pub async fn probe(store: &dyn Store, random: &Random) -> Fitness {
    let Ok(key) = Key::new(format!("probe/{}", random.uuid())) else {
        return Fitness::Unfit("a UUID is no key".to_owned());
    };
    let fitness = match ask(store, &key).await {
        Ok(fitness) => fitness,
        Err(error) if error.kind == ErrorKind::Unsupported => Fitness::Unfit(error.to_string()),
        Err(error) => Fitness::Unknown(error),
    };
    if let Err(error) = store.delete(&key, Purpose::Check).await {
        tracing::warn!(%error, "the probe's key stays in the store; it is safe to delete");
    }
    fitness
}

async fn ask(store: &dyn Store, key: &Key) -> Result<Fitness, Error> {
    let first = Bytes::from_static(b"levee probe: first");
    let second = Bytes::from_static(b"levee probe: second");
    match store.create(key, first.clone(), Purpose::Check).await {
        Ok(()) => {}
        // The key is new: an earlier try of ours that landed, as its answer was lost below us.
        Err(error) if error.kind == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    match store.create(key, second, Purpose::Check).await {
        Ok(()) => {
            let reason = "it created the same key twice: it ignores `If-None-Match: *` (create if absent), so two \
                          brokers could overwrite each other's acknowledged records; `levee store check` tells more";
            return Ok(Fitness::Unfit(reason.to_owned()));
        }
        Err(error) if error.kind == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    match store.get(key, None, Purpose::Check).await {
        Ok(read) if read == first => Ok(Fitness::Fit),
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
        assert!(matches!(probe(&store, &Random::seeded(1)).await, Fitness::Fit));
        assert!(store.list("", None, 10, Purpose::Check).await.unwrap().objects.is_empty());
    }
}
