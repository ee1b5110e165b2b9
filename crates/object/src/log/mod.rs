//! The fenced log.
