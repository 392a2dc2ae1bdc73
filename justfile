# What the README's test command does.
test:
    cargo test

# Formatting, lints and documentation, as in CI.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

# The main job on the committed corpus.
demo:
    cargo run --release -- run sweeps/lr.toml

# Licences, advisories and sources of the dependencies (needs cargo-deny).
deny:
    cargo deny check
