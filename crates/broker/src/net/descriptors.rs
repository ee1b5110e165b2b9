//! File descriptors: how many this process may have, and so how many connections. When they run out it is not only
//! new connections that fail, but the store's files and sockets; so connections never get the last of them.

use levee_base::limits::{CONNECTIONS, DESCRIPTORS_RESERVED};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, as any process may, and says how many connections there may be: at most
/// [`CONNECTIONS`], and what is left when [`DESCRIPTORS_RESERVED`] are set aside. A limit that can't be raised is
/// taken as it is.
#[must_use]
pub fn connections() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limits.maximum,
        Err(_) => limits.current,
    };
    within(allowed)
}

/// `None` is no limit.
fn within(descriptors: Option<u64>) -> usize {
    let Some(descriptors) = descriptors.and_then(|count| usize::try_from(count).ok()) else {
        return CONNECTIONS;
    };
    // With very few descriptors half of them is the best split there is.
    descriptors.saturating_sub(DESCRIPTORS_RESERVED.min(descriptors / 2)).min(CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_store() {
        assert_eq!(within(None), CONNECTIONS);
        assert_eq!(within(Some(1 << 20)), CONNECTIONS);
        assert_eq!(within(Some(4_096)), 4_096 - DESCRIPTORS_RESERVED);
        assert_eq!(within(Some(64)), 32);
    }
}
