//! Tests of the log's shell on a small store of their own: `machines` are property tests of the pure parts,
//! `shell` looks at one behaviour at a time, `simulation` runs many processes on an unkind store over many seeds.

mod machines;
mod shell;
mod simulation;
mod world;
