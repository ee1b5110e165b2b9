//! Stores that serve the trait, and wrappers around them.
