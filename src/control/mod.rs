//! The control channel of a live sweep: a Unix socket beside the database, one line of JSON in, one out
//! (`docs/steering.md`).
//!
//! The coordinator's side is a [`Server`], whose calls its loop takes like all that happens; [`order`] and [`watch`] are
//! everybody else's.

mod claim;
mod client;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod who;
mod wire;

pub use claim::{coordinator, is_conducted, lock_path};
pub use client::{ControlError, Updates, is_live, order, watch};
pub use server::{Call, Server, Watcher};
pub use socket::socket_path;
pub use who::here;
pub use wire::{Answer, Request, SlotStatus, Status, Update};
