//! The real program with real children, files and databases.

#![allow(clippy::print_stderr, reason = "a test that must be skipped says why")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod ask_tell;
mod bad_input;
mod baseline;
mod best;
mod holdout;
mod hub;
mod insight;
mod interruptions;
mod layers;
mod loopback;
mod main_job;
mod racing;
mod steering;
mod support;
mod trainer;
mod warm_start;
