//! What may be a topic's name, in Kafka's rules and words.

use crate::internal_topics::internal_topic;

/// The longest name, in characters: it was a folder's name once.
pub const NAME_CHARS: usize = 249;

/// Whether answers mark a topic as Kafka's own. The state of share groups counts, too, though nobody keeps it here.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    internal_topic(name).is_some() || name == "__share_group_state"
}

/// Kafka's own journal, whose name nobody may use.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Checks a name.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn check(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let wrong = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if name.chars().count() > NAME_CHARS => {
            format!("the length of '{name}' is longer than the max allowed length {NAME_CHARS}")
        }
        _ if !name.chars().all(legal) => {
            format!(
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            )
        }
        _ => return Ok(()),
    };
    Err(format!("Topic name is invalid: {wrong}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_own_topics_are_known() {
        for name in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
            assert!(is_internal(name));
        }
        assert!(!is_internal("__cluster_metadata") && !is_internal("a"));
    }

    #[test]
    fn names_follow_kafkas_rules() {
        for good in ["a", "A.b_c-9", "...", &"x".repeat(NAME_CHARS)] {
            assert_eq!(check(good), Ok(()));
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a\0", &"x".repeat(NAME_CHARS + 1)] {
            assert!(check(bad).unwrap_err().starts_with("Topic name is invalid: "), "{bad:?}");
        }
    }
}
