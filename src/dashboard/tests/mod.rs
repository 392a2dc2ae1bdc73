//! The dashboard without a terminal: stories told to a real store, keys pressed on a model, frames as text.

mod feed;
mod keys;
mod screens;
mod seen;
mod steer;
mod story;
