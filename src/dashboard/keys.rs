//! The keys of each screen, in one table each: what they do, what help says of them, and what the footer shows.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::message::{Move, Msg, Screen};
use super::model::{
    CompareMsg, LanesMsg, MachineMsg, Model, Overlay, Page, Panel, SearchMsg, Sheet, SteerMsg, SweepsMsg, TrialMsg,
    TrialsMsg,
};

/// Keys that do the same.
#[derive(Debug)]
pub struct Binding {
    pub keys: &'static [Key],
    pub msg: Msg,
    /// What it does, in a few words.
    pub help: &'static str,
    /// The word for the footer; none where it is not shown there.
    pub hint: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Ctrl(char),
    Code(KeyCode),
}

const fn bind(keys: &'static [Key], msg: Msg, hint: &'static str, help: &'static str) -> Binding {
    Binding { keys, msg, help, hint: Some(hint) }
}

/// Not in the footer: people know it, or there are better ones to show.
const fn quiet(keys: &'static [Key], msg: Msg, help: &'static str) -> Binding {
    Binding { keys, msg, help, hint: None }
}

use Key::{Char, Code, Ctrl};

/// Everywhere.
static GLOBAL: &[Binding] = &[
    bind(&[Char('?'), Code(KeyCode::F(1))], Msg::Help, "help", "all keys of this screen"),
    bind(&[Char(':'), Ctrl('p')], Msg::Palette, "commands", "find a command, a sweep or a trial"),
    bind(&[Char('q'), Ctrl('c')], Msg::Quit, "quit", "leave the dashboard; a sweep goes on"),
    quiet(&[Code(KeyCode::Tab)], Msg::NextScreen, "next screen"),
    quiet(&[Code(KeyCode::BackTab)], Msg::PreviousScreen, "previous screen"),
    quiet(&[Code(KeyCode::Esc)], Msg::Back, "one step back"),
    quiet(&[Code(KeyCode::Up), Char('k')], Msg::Move(Move::Up), "up"),
    quiet(&[Code(KeyCode::Down), Char('j')], Msg::Move(Move::Down), "down"),
    quiet(&[Code(KeyCode::Left), Char('h')], Msg::Move(Move::Left), "left"),
    quiet(&[Code(KeyCode::Right), Char('l')], Msg::Move(Move::Right), "right"),
    quiet(&[Code(KeyCode::PageUp), Ctrl('b')], Msg::Move(Move::PageUp), "a page up"),
    quiet(&[Code(KeyCode::PageDown), Ctrl('f')], Msg::Move(Move::PageDown), "a page down"),
    quiet(&[Code(KeyCode::Home), Char('g')], Msg::Move(Move::First), "to the first"),
    quiet(&[Code(KeyCode::End), Char('G')], Msg::Move(Move::Last), "to the last"),
    quiet(&[Ctrl('l')], Msg::Redraw, "draw everything anew"),
    quiet(&[Ctrl('z')], Msg::Suspend, "to the shell; `fg` comes back"),
];

static SWEEPS: &[Binding] = &[
    bind(&[Code(KeyCode::Enter)], Msg::Sweeps(SweepsMsg::Open), "open", "open the sweep: its trials"),
    bind(
        &[Char('/')],
        Msg::Sweeps(SweepsMsg::Filter),
        "filter",
        "show only sweeps whose name or state has these letters",
    ),
    bind(&[Char(' ')], Msg::Sweeps(SweepsMsg::Mark), "mark", "mark the sweep to compare it"),
];

static TRIALS: &[Binding] = &[
    bind(&[Code(KeyCode::Enter)], Msg::Trials(TrialsMsg::Open), "open", "open the trial: its curves and folds"),
    bind(&[Char('/')], Msg::Trials(TrialsMsg::Filter), "filter", "show some, such as lr<1e-3 & state=finished"),
    bind(&[Char('s')], Msg::Trials(TrialsMsg::SortNext), "sort", "sort by the next column"),
    bind(&[Char('r')], Msg::Trials(TrialsMsg::Reverse), "reverse", "sort the other way round"),
    bind(&[Char(' ')], Msg::Trials(TrialsMsg::Mark), "mark", "mark the trial to compare it"),
    quiet(&[Char('u')], Msg::Trials(TrialsMsg::Unmark), "take all marks away"),
    bind(&[Char('c')], Msg::Trials(TrialsMsg::Columns), "columns", "choose the columns"),
    bind(&[Char('b')], Msg::Trials(TrialsMsg::Best), "best", "to the best trial"),
];

/// While something lies above the screen.
static ABOVE: &[Binding] = &[
    quiet(&[Char('q'), Char('?'), Code(KeyCode::F(1)), Ctrl('c')], Msg::Back, "close"),
    quiet(&[Code(KeyCode::Enter), Char(' ')], Msg::ChooseSelected, "choose"),
];

static TRIAL: &[Binding] = &[
    quiet(&[Char('c')], Msg::Trial(TrialMsg::Page(Page::Curves)), "curves of all folds"),
    quiet(&[Char('f')], Msg::Trial(TrialMsg::Page(Page::Folds)), "folds, paired with those of the best trial"),
    quiet(
        &[Char('p')],
        Msg::Trial(TrialMsg::Page(Page::Parameters)),
        "parameters, and the command that repeats the trial",
    ),
    quiet(&[Char('e')], Msg::Trial(TrialMsg::Page(Page::Errors)), "confusions, classes, and the worst documents"),
    quiet(&[Char('o')], Msg::Trial(TrialMsg::Page(Page::Log)), "what the run has printed"),
    bind(&[Char(']'), Code(KeyCode::Enter)], Msg::Trial(TrialMsg::NextPage), "page", "the next of these pages"),
    quiet(&[Char('[')], Msg::Trial(TrialMsg::PreviousPage), "the page before"),
    bind(&[Char('n')], Msg::Trial(TrialMsg::Next), "next", "the next trial, in the order of the table"),
    quiet(&[Char('N')], Msg::Trial(TrialMsg::Previous), "the trial before"),
    bind(&[Char('m')], Msg::Trial(TrialMsg::NextMetric), "metric", "draw the next metric"),
    quiet(&[Char('M')], Msg::Trial(TrialMsg::Metrics), "choose the metric to draw"),
    bind(&[Char('t')], Msg::Trial(TrialMsg::Splits), "split", "training, validation, or both"),
    bind(&[Char('s')], Msg::Trial(TrialMsg::Smooth), "smooth", "smooth the curves more, and less again"),
    bind(&[Char('y')], Msg::Trial(TrialMsg::LogY), "log", "logarithmic scale of the values"),
    quiet(&[Char('x')], Msg::Trial(TrialMsg::LogX), "logarithmic scale of the epochs"),
    quiet(&[Char('w')], Msg::Trial(TrialMsg::Steps), "by epochs, or by optimiser steps"),
    bind(&[Char('+'), Char('=')], Msg::Trial(TrialMsg::ZoomIn), "zoom", "zoom in around the cursor"),
    quiet(&[Char('-')], Msg::Trial(TrialMsg::ZoomOut), "zoom out"),
    quiet(&[Char('0')], Msg::Trial(TrialMsg::ZoomReset), "all of the curves, no cursor"),
    bind(&[Char('Y')], Msg::Trial(TrialMsg::Copy), "copy", "copy the command that repeats the trial (on its page)"),
];

static COMPARE: &[Binding] = &[
    quiet(&[Char('b')], Msg::Compare(CompareMsg::Sheet(Sheet::Progress)), "how good each sweep was by then"),
    quiet(&[Char('c')], Msg::Compare(CompareMsg::Sheet(Sheet::Curves)), "curves over each other"),
    quiet(&[Char('f')], Msg::Compare(CompareMsg::Sheet(Sheet::Folds)), "scores of the folds, paired"),
    quiet(&[Char('p')], Msg::Compare(CompareMsg::Sheet(Sheet::Parameters)), "parameters in which they differ"),
    quiet(&[Char('v')], Msg::Compare(CompareMsg::Sheet(Sheet::Metrics)), "validation metrics at the best epochs"),
    bind(&[Char(']')], Msg::Compare(CompareMsg::NextSheet), "page", "the next of these pages"),
    quiet(&[Char('[')], Msg::Compare(CompareMsg::PreviousSheet), "the page before"),
    bind(
        &[Char('r')],
        Msg::Compare(CompareMsg::Reference),
        "reference",
        "measure the others against the selected one; once more: against the best",
    ),
    bind(&[Char('m')], Msg::Compare(CompareMsg::NextMetric), "metric", "draw the next metric"),
    quiet(&[Char('M')], Msg::Compare(CompareMsg::Metrics), "choose the metric to draw"),
    bind(&[Char('e')], Msg::Compare(CompareMsg::Each), "each fold", "curves of each fold, or their mean with a band"),
    bind(&[Char('a')], Msg::Compare(CompareMsg::All), "all", "all parameters, or those that differ"),
    bind(&[Char('x')], Msg::Compare(CompareMsg::Seconds), "time", "best so far by seconds, or by trials"),
    quiet(&[Char('t')], Msg::Compare(CompareMsg::Splits), "training, validation, or both"),
    quiet(&[Char('s')], Msg::Compare(CompareMsg::Smooth), "smooth the curves more, and less again"),
    quiet(&[Char('y')], Msg::Compare(CompareMsg::LogY), "logarithmic scale of the values"),
    bind(&[Char('w')], Msg::Compare(CompareMsg::Source), "sweeps", "marked trials, or the best ones of marked sweeps"),
    quiet(&[Char('u'), Char(' ')], Msg::Compare(CompareMsg::Unmark), "take the mark of the selected one away"),
    quiet(&[Code(KeyCode::Enter)], Msg::Compare(CompareMsg::Open), "open the selected trial"),
];

static LANES: &[Binding] = &[
    bind(&[Code(KeyCode::Enter)], Msg::Lanes(LanesMsg::Open), "open", "open the trial at the fold under the cursor"),
    bind(&[Char('n')], Msg::Lanes(LanesMsg::Running), "running", "to the next fold that runs"),
    bind(&[Char('b')], Msg::Lanes(LanesMsg::Best), "best", "to the best trial"),
    bind(&[Char('s')], Msg::Lanes(LanesMsg::SortNext), "sort", "sort by number, score or state"),
    bind(&[Char('r')], Msg::Lanes(LanesMsg::Reverse), "reverse", "sort the other way round"),
    bind(&[Char(' ')], Msg::Lanes(LanesMsg::Mark), "mark", "mark the trial to compare it"),
];

static SEARCH: &[Binding] = &[
    quiet(
        &[Char('o')],
        Msg::Search(SearchMsg::Panel(Panel::Overview)),
        "best so far, what is left to gain, what is next",
    ),
    quiet(&[Char('i')], Msg::Search(SearchMsg::Panel(Panel::Importance)), "how much each parameter matters"),
    quiet(&[Char('s')], Msg::Search(SearchMsg::Panel(Panel::Slice)), "one parameter against the score"),
    quiet(&[Char('c')], Msg::Search(SearchMsg::Panel(Panel::Contour)), "two parameters and the score"),
    quiet(&[Char('p')], Msg::Search(SearchMsg::Panel(Panel::Parallel)), "all parameters, a line a trial"),
    bind(&[Char(']')], Msg::Search(SearchMsg::NextPanel), "page", "the next of these pages"),
    quiet(&[Char('[')], Msg::Search(SearchMsg::PreviousPanel), "the page before"),
    bind(
        &[Code(KeyCode::Enter)],
        Msg::Search(SearchMsg::Open),
        "open",
        "the trial under the cursor; the slice of a parameter; its contour with the most important other",
    ),
    bind(&[Char('r')], Msg::Search(SearchMsg::Regret), "regret", "scores, or how far below the best they still were"),
    bind(&[Char('x')], Msg::Search(SearchMsg::Swap), "swap", "contour: one axis for the other"),
    bind(&[Char(' ')], Msg::Search(SearchMsg::Brush), "range", "parallel: only trials in a range of this axis"),
    quiet(&[Char('+'), Char('=')], Msg::Search(SearchMsg::Widen), "parallel: a wider range"),
    quiet(&[Char('-')], Msg::Search(SearchMsg::Narrow), "parallel: a narrower range"),
];

/// Of the sweep: the selected one, or the open one.
static STEER_SWEEP: &[Binding] = &[
    quiet(&[Char('P')], Msg::Steer(SteerMsg::Pause), "pause the sweep, or go on with it"),
    quiet(&[Char('S')], Msg::Steer(SteerMsg::Stop), "stop the sweep: its runs come to their end"),
    quiet(&[Char('K')], Msg::Steer(SteerMsg::Kill), "kill the sweep: its runs end now"),
    quiet(&[Char('F')], Msg::Steer(SteerMsg::RetryFailed), "retry all trials that failed"),
    quiet(&[Char('A')], Msg::Steer(SteerMsg::Enqueue), "add a trial of your own, the next to be tried"),
    quiet(&[Char('#')], Msg::Steer(SteerMsg::Slots), "change how many runs go on at once"),
];

/// Of the trial: the selected one, or the open one.
static STEER_TRIAL: &[Binding] = &[
    quiet(&[Char('X')], Msg::Steer(SteerMsg::KillTrial), "kill the trial"),
    quiet(&[Char('R')], Msg::Steer(SteerMsg::Retry), "retry the trial"),
    quiet(&[Char('E')], Msg::Steer(SteerMsg::Exclude), "exclude the trial from all that counts, or include it"),
    quiet(&[Char('W')], Msg::Steer(SteerMsg::Note), "write a note on the trial"),
    quiet(&[Char('T')], Msg::Steer(SteerMsg::Tag), "tag the trial, or take a tag away"),
];

/// Where a yes is waited for.
static ASK: &[Binding] = &[
    quiet(&[Char('y'), Char('Y')], Msg::Steer(SteerMsg::Sure), "yes"),
    quiet(&[Char('n'), Char('N')], Msg::Back, "no"),
];

/// What can be ordered on a screen, and said of a trial.
pub fn steering(screen: Screen) -> impl Iterator<Item = &'static Binding> {
    let trial: &[Binding] =
        if matches!(screen, Screen::Trials | Screen::Trial | Screen::Lanes) { STEER_TRIAL } else { &[] };
    trial.iter().chain(STEER_SWEEP)
}

static MACHINE: &[Binding] = &[
    bind(&[Code(KeyCode::Enter)], Msg::Machine(MachineMsg::Open), "open", "open the trial that runs in the slot"),
    bind(&[Char('t')], Msg::Machine(MachineMsg::Span), "time", "the last ten minutes, the last hour, or all"),
    quiet(&[Char('X')], Msg::Steer(SteerMsg::KillTrial), "kill the trial that runs in the slot"),
    quiet(&[Char('R')], Msg::Steer(SteerMsg::Restart), "end the run, and start it again from its last checkpoint"),
];

/// The keys of one screen.
pub fn of_screen(screen: Screen) -> &'static [Binding] {
    match screen {
        Screen::Sweeps => SWEEPS,
        Screen::Trials => TRIALS,
        Screen::Trial => TRIAL,
        Screen::Compare => COMPARE,
        Screen::Lanes => LANES,
        Screen::Search => SEARCH,
        Screen::Machine => MACHINE,
    }
}

/// Lines that help has for a screen.
pub fn help_lines(screen: Screen) -> usize {
    of_screen(screen).len() + 1 + steering(screen).count() + 1 + GLOBAL.len() + 2
}

/// The keys that are the same on all screens.
pub fn global() -> &'static [Binding] {
    GLOBAL
}

/// What a key means where the user is.
pub fn message(model: &Model, event: KeyEvent) -> Option<Msg> {
    if model.takes_text() {
        return match event.code {
            KeyCode::Char('c') if event.modifiers.contains(KeyModifiers::CONTROL) => Some(Msg::Back),
            KeyCode::Char('z') if event.modifiers.contains(KeyModifiers::CONTROL) => Some(Msg::Suspend),
            _ => Some(Msg::Type(event)),
        };
    }
    let is_bound = |binding: &&Binding| binding.keys.iter().any(|key| key.is(event));
    if model.overlay.is_some() {
        let goes_on = |binding: &&Binding| matches!(binding.msg, Msg::Move(_) | Msg::Back | Msg::Redraw | Msg::Suspend);
        let above = ABOVE.iter().chain(GLOBAL.iter().filter(goes_on));
        let asks: &[Binding] = if matches!(model.overlay, Some(Overlay::Ask(_))) { ASK } else { &[] };
        return asks.iter().chain(above).find(is_bound).map(|binding| binding.msg.clone());
    }
    // a screen's own meaning of a key comes before the general one; a number goes to its screen
    let bound = of_screen(model.screen)
        .iter()
        .chain(steering(model.screen))
        .chain(GLOBAL)
        .find(is_bound)
        .map(|binding| binding.msg.clone());
    bound.or_else(|| screen_of(event).map(Msg::Go))
}

fn screen_of(event: KeyEvent) -> Option<Screen> {
    let KeyCode::Char(digit) = event.code else { return None };
    Screen::of_number(digit.to_digit(10)? as usize).filter(|_| (event.modifiers - KeyModifiers::SHIFT).is_empty())
}

impl Key {
    fn is(self, event: KeyEvent) -> bool {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        let other = event.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER);
        match self {
            Self::Char(letter) => event.code == KeyCode::Char(letter) && !control && !other,
            Self::Ctrl(letter) => event.code == KeyCode::Char(letter) && control,
            Self::Code(code) => event.code == code && !control,
        }
    }

    /// As it is written on a keyboard.
    pub fn name(self) -> String {
        match self {
            Self::Char(' ') => "Space".to_owned(),
            Self::Char(letter) => letter.to_string(),
            Self::Ctrl(letter) => format!("Ctrl-{}", letter.to_ascii_uppercase()),
            Self::Code(code) => match code {
                KeyCode::Enter => "Enter".to_owned(),
                KeyCode::Esc => "Esc".to_owned(),
                KeyCode::Tab => "Tab".to_owned(),
                KeyCode::BackTab => "Shift-Tab".to_owned(),
                KeyCode::Up => "↑".to_owned(),
                KeyCode::Down => "↓".to_owned(),
                KeyCode::Left => "←".to_owned(),
                KeyCode::Right => "→".to_owned(),
                KeyCode::PageUp => "PgUp".to_owned(),
                KeyCode::PageDown => "PgDn".to_owned(),
                KeyCode::F(number) => format!("F{number}"),
                other => format!("{other:?}"),
            },
        }
    }
}

impl Binding {
    /// All its keys, such as `↓ j`.
    pub fn names(&self) -> String {
        self.keys.iter().map(|key| key.name()).collect::<Vec<_>>().join(" ")
    }
}
