//! Printing that survives a reader who has heard enough: `sweep sql … | head` is no panic.

use std::fmt::Arguments;
use std::io::{self, Write};

/// To stdout; where nobody reads any more there is nothing left to do.
pub(super) fn out(text: Arguments<'_>) {
    if io::stdout().lock().write_fmt(text).is_err() {
        std::process::exit(0);
    }
}

/// To stderr; a sweep goes on when nobody watches.
pub(super) fn err(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// A line on stdout.
macro_rules! outln {
    () => { $crate::cli::print::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::print::out(format_args!("{}\n", format_args!($($text)*))) };
}

/// A line on stderr.
macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::print::err(format_args!("{}\n", format_args!($($text)*))) };
}

pub(super) use {errln, outln};
