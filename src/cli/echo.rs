//! The terminal's echo of keys that are signals.

use rustix::process::getpgrp;
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// As long as it lives no `^C` is written where bars are drawn: it would push one of them out of their reach.
pub(super) struct Unechoed(Option<Termios>);

impl Unechoed {
    pub(super) fn take() -> Self {
        let before = is_ours().then(|| tcgetattr(stdin()).ok()).flatten();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHOCTL);
            set(&quiet);
        }
        Self(before)
    }
}

impl Drop for Unechoed {
    fn drop(&mut self) {
        if let Some(before) = self.0.take().filter(|_| is_ours()) {
            set(&before);
        }
    }
}

/// Who sets up a terminal from the background is stopped for it.
fn is_ours() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}

/// A terminal that has gone in between needs nothing.
fn set(termios: &Termios) {
    let _ = tcsetattr(stdin(), OptionalActions::Now, termios);
}
