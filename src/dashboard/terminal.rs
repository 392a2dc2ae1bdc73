//! The terminal, taken and given back.

use std::io::{self, Stdout, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, getpid, getsid, kill_current_process_group};

/// What a dashboard draws on. Dropped, the terminal is as it was before.
#[derive(Debug)]
pub struct Terminal {
    pub screen: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

/// Whether there is anything to give back: also a panic in another thread has to know.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

impl Terminal {
    /// Takes the terminal: raw, on its other screen, with the mouse. A panic gives it back before it speaks.
    pub fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let speak = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                give_back();
                speak(panic);
            }));
        });
        set_up()?;
        let screen = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()));
        Ok(Self { screen: screen.inspect_err(|_| give_back())? })
    }

    /// Gives the terminal to the shell until it sends `SIGCONT`, with all processes of this job.
    ///
    /// Nothing happens where no shell could: a session's own leader would never be woken again.
    pub fn suspend(&mut self) -> io::Result<()> {
        if getsid(None).is_ok_and(|leader| leader == getpid()) {
            return Ok(());
        }
        give_back();
        // not SIGTSTP: it is handled here, and would only come back
        kill_current_process_group(Signal::STOP)?;
        set_up()?;
        self.screen.clear()
    }

    /// Asks the terminal to put a text into the clipboard (OSC 52); not every one does.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn set_up() -> io::Result<()> {
    enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture, EnableBracketedPaste).inspect_err(|_| give_back())
}

/// A terminal that is gone cannot be given back, and nobody is left to be told.
fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = queue!(out, DisableBracketedPaste, DisableMouseCapture, LeaveAlternateScreen, Show);
    let _ = out.flush();
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of the panic must lie on the screen of the shell, not on the one that goes away.
    #[test]
    #[ignore = "takes a terminal: scripts/dashboard-tour.sh gives it one"]
    #[should_panic(expected = "on purpose")]
    fn a_panic_gives_the_terminal_back() {
        let _terminal = Terminal::take().expect("it runs on a terminal");
        panic!("on purpose");
    }
}
