//! Groups, driven as a broker drives them.

mod admin;
mod consumer;
mod expiry;
mod harness;
mod joining;
mod members;
mod offsets;
mod property;
mod statics;
