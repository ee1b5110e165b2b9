# What people type. `just` lists it.

default:
    @just --list

# Everything that must hold before a change lands, as CI runs it.
ci:
    .ci/run

fmt:
    cargo fmt --all

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

test:
    cargo test --workspace

# Histories over a faulty store, with kills, for many seeds: of the store of streams, and of a broker with its metadata.
sim SEEDS='2000' FIRST='0':
    e2e/simulation {{SEEDS}} {{FIRST}}

# All twelve clients, Kafka Streams, Connect and MirrorMaker against a release build; see docs/compatibility.md.
compat:
    cargo build --release
    e2e/compat/all

# The same requests, and the same command lines of Kafka's tools, to a release build and to stock Apache Kafka 4.3.
differential:
    cargo build --release
    e2e/differential/all
    e2e/differential/tools

# Licences, advisories and sources of dependencies.
deny:
    cargo deny check

# A broker on ./levee-data.
serve *ARGS:
    cargo run --release -- serve {{ARGS}}

# Makes docs/options.md and docs/levee.toml from the code.
docs:
    UPDATE_DOCS=1 cargo test -p levee-cli the_docs_are_in_step
