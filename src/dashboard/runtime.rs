//! The loop of the dashboard: keys, news and signals in, frames out.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossterm::event::{Event, EventStream, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use futures_util::StreamExt;
use ratatui::layout::{Position, Size};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::DashboardError;
use super::feed::{Feed, Want};
use super::keys;
use super::live::Listener;
use super::message::{Effect, Fate, Heard, Move, Msg};
use super::model::{Model, update};
use super::terminal::Terminal;
use super::theme::Theme;
use super::view::{self, Zones};
use crate::control::{self, Answer, ControlError};
use crate::store::{Millis, Reader, StoreError, SweepKey, sweep_directory};
use crate::sweep::Order;

/// Between two frames.
const FRAME: Duration = Duration::from_millis(33);

/// Rows that a turn of the wheel goes.
const WHEEL: usize = 3;

/// Why a dashboard is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The user has left it.
    Left,
    /// A signal ended it.
    Interrupted,
}

/// Writes down what is said of a trial of a sweep, by its name, that nobody runs; else says why it cannot.
pub type Remark = Arc<dyn Fn(String, Order) -> Remarked + Send + Sync>;
pub type Remarked = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send>>;

/// Shows a database until the user has seen enough; on a sweep, or on the list of all.
///
/// A process that runs a sweep itself (`conducts`) is not stopped by Ctrl-Z.
pub async fn open(
    reader: Reader,
    sweep: Option<SweepKey>,
    theme: Theme,
    (conducts, remark): (bool, Remark),
) -> Result<Ended, DashboardError> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(DashboardError::NoTerminal);
    }
    let (wanted, wants) = mpsc::unbounded_channel();
    let (messages, mut news) = mpsc::channel(64);
    let (path, database) = (reader.path().to_owned(), reader.path().display().to_string());
    let mut feed = tokio::spawn(Feed::new(reader, wants, messages.clone()).run());
    let mut signals = Signals::new()?;
    let mut terminal = Terminal::take()?;
    let mut model = Model::new(theme, database, sweep, now());
    (model.conducts, model.size) = (conducts, terminal.screen.size()?);
    let mut events = EventStream::new();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut zones, mut is_dirty, mut next_frame) = (Zones::default(), true, Instant::now());
    let mut told = BTreeSet::new();
    let mut listener = Listener::default();
    let ended = loop {
        tell(&wanted, &mut told, &model);
        listener.turn_to(model.listens_to(), &path, &messages);
        let msg = tokio::select! {
            biased;
            interrupted = signals.next() => if interrupted { break Ended::Interrupted } else { Some(Msg::Suspend) },
            () = sleep_until(next_frame), if is_dirty => {
                zones = draw(&mut terminal, &model)?;
                (is_dirty, next_frame) = (false, Instant::now() + FRAME);
                None
            }
            event = events.next() => match event {
                Some(Ok(event)) => meaning(&model, &zones, event),
                // the terminal is gone
                Some(Err(_)) | None => break Ended::Interrupted,
            },
            Some(msg) = news.recv() => Some(msg),
            result = &mut feed => return Err(feed_error(result)),
            _ = ticks.tick(), if model.animates() => Some(Msg::Tick(now())),
        };
        let Some(msg) = msg else { continue };
        is_dirty = true;
        // nothing ticks where nothing moves, and what is said now is to be seen from now on
        model.now = now();
        if matches!(msg, Msg::Database(Fate::Replaced)) {
            // another database has answered nothing yet
            told.clear();
        }
        match update(&mut model, msg) {
            Some(Effect::Quit) => break Ended::Left,
            Some(Effect::Suspend) => {
                terminal.suspend()?;
                model.size = terminal.screen.size()?;
            }
            Some(Effect::Redraw) => terminal.screen.clear()?,
            Some(Effect::Copy(text)) => terminal.copy(&text)?,
            Some(Effect::Give { sweep, order }) => {
                let (directory, remark, messages) =
                    (sweep_directory(&path, &sweep), Arc::clone(&remark), messages.clone());
                tokio::spawn(async move {
                    let heard = give(&directory, &sweep, &order, &remark).await;
                    // a dashboard that was left wants to know nothing any more
                    let _ = messages.send(Msg::Heard { sweep, order, heard }).await;
                });
            }
            None => {}
        }
    };
    feed.abort();
    Ok(ended)
}

/// Until it is done or refused.
async fn give(directory: &Path, sweep: &str, order: &Order, remark: &Remark) -> Heard {
    let answer = match control::order(directory, order).await {
        Err(ControlError::Nobody { .. }) if order.is_remark() => remark(sweep.to_owned(), order.clone()).await,
        Err(ControlError::Nobody { .. }) => return Heard::Nobody,
        answer => answer.map_err(|error| super::chain(&error)),
    };
    answer.map_or_else(Heard::Failed, Heard::Answer)
}

fn draw(terminal: &mut Terminal, model: &Model) -> std::io::Result<Zones> {
    let mut zones = Zones::default();
    terminal.screen.draw(|frame| zones = view::draw(frame, model))?;
    Ok(zones)
}

fn tell(wanted: &mpsc::UnboundedSender<BTreeSet<Want>>, told: &mut BTreeSet<Want>, model: &Model) {
    let wants = model.wants();
    if *told != wants {
        told.clone_from(&wants);
        // a feed that has ended says why by itself
        let _ = wanted.send(wants);
    }
}

/// What an event of the terminal means where the user is.
fn meaning(model: &Model, zones: &Zones, event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => keys::message(model, key),
        Event::Mouse(mouse) => pointed(zones, mouse),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(width, height) => Some(Msg::Resized(Size::new(width, height))),
        _ => None,
    }
}

fn pointed(zones: &Zones, mouse: MouseEvent) -> Option<Msg> {
    match mouse.kind {
        MouseEventKind::Down(MouseButton::Left) => zones.at(Position::new(mouse.column, mouse.row)),
        MouseEventKind::ScrollUp => Some(Msg::Move(Move::Rows(-(WHEEL as isize)))),
        MouseEventKind::ScrollDown => Some(Msg::Move(Move::Rows(WHEEL as isize))),
        _ => None,
    }
}

/// A feed ends before its dashboard only by an error.
fn feed_error(result: Result<Result<(), StoreError>, JoinError>) -> DashboardError {
    match result {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) => DashboardError::Terminal(std::io::Error::other("the feed ended early")),
        Err(error) => DashboardError::Terminal(std::io::Error::other(error)),
    }
}

/// Signals that end a dashboard, and the one that stops it.
struct Signals {
    end: [Signal; 3],
    stop: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let end = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
        // SIGTSTP has the number 20 on Linux, and 18 on the systems of BSD's kin
        let number = rustix::process::Signal::TSTP.as_raw();
        Ok(Self { end, stop: signal(SignalKind::from_raw(number))? })
    }

    /// Whether it is one that ends.
    async fn next(&mut self) -> bool {
        let [terminate, interrupt, hangup] = &mut self.end;
        tokio::select! {
            _ = terminate.recv() => true,
            _ = interrupt.recv() => true,
            _ = hangup.recv() => true,
            _ = self.stop.recv() => false,
        }
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(since.as_millis() as i64)
}
