//! The command palette: everything that can be done, found by a few of its letters.

use super::line::Line;
use super::{Cursor, Model};
use crate::dashboard::keys;
use crate::dashboard::message::{Msg, Screen};

#[derive(Clone, Debug, Default)]
pub struct Palette {
    pub line: Line,
    pub cursor: Cursor,
}

/// Something to choose.
#[derive(Clone, Debug)]
pub struct Entry {
    pub text: String,
    /// The key that does the same.
    pub key: String,
    pub msg: Msg,
}

impl Palette {
    /// What fits the letters, best first.
    pub fn entries(&self, model: &Model) -> Vec<Entry> {
        let wanted = self.line.text();
        let trials = wanted.contains(|letter: char| letter.is_ascii_digit()).then(|| trials(model));
        let mut entries: Vec<(i32, usize, Entry)> = all(model)
            .into_iter()
            .chain(trials.into_iter().flatten())
            .enumerate()
            .filter_map(|(place, entry)| Some((-likeness(&entry.text, wanted)?, place, entry)))
            .collect();
        entries.sort_by_key(|(rank, place, _)| (*rank, *place));
        entries.into_iter().map(|(_, _, entry)| entry).collect()
    }
}

fn all(model: &Model) -> Vec<Entry> {
    let own = keys::of_screen(model.screen).iter().chain(keys::steering(model.screen));
    let bindings = own.chain(keys::global());
    let commands = bindings
        .filter(|binding| !matches!(binding.msg, Msg::Move(_) | Msg::Palette | Msg::Back))
        .map(|binding| Entry { text: binding.help.to_owned(), key: binding.names(), msg: binding.msg.clone() });
    let screens = Screen::ALL.iter().map(|screen| Entry {
        text: format!("go to {}", screen.title()),
        key: screen.number().to_string(),
        msg: Msg::Go(*screen),
    });
    let sweeps = model.data.outlines.iter().flatten().rev().map(|(key, outline)| Entry {
        text: format!("open sweep {}", outline.name),
        key: String::new(),
        msg: Msg::OpenSweep(*key),
    });
    commands.chain(screens).chain(sweeps).collect()
}

/// Of the open sweep: so many that they are only asked for by their numbers.
fn trials(model: &Model) -> impl Iterator<Item = Entry> {
    let trials = model.ledger().into_iter().flat_map(|ledger| &ledger.trials);
    trials.map(|trial| Entry {
        text: format!("open trial {}", trial.id),
        key: String::new(),
        msg: Msg::OpenTrial(trial.id),
    })
}

/// How well a text has these letters, in their order; none where it does not have them. Whoever knows the words gets
/// them first: letters in a row and at the beginnings of words count more.
pub fn likeness(text: &str, letters: &str) -> Option<i32> {
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let (mut from, mut rank, mut last) = (0, 0, None);
    for letter in letters.chars().flat_map(char::to_lowercase).filter(|letter| !letter.is_whitespace()) {
        let found = from + text[from..].iter().position(|other| *other == letter)?;
        let begins_word = found == 0 || !text[found - 1].is_alphanumeric();
        let continues = found > 0 && last == Some(found - 1);
        rank += 1 + if continues { 3 } else { 0 } + if begins_word { 2 } else { 0 };
        (from, last) = (found + 1, Some(found));
    }
    Some(rank)
}
