//! A model that a real feed fills, with keys to press and frames to look at.

use std::collections::BTreeSet;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use tokio::sync::mpsc;

use super::story::Story;
use crate::dashboard::feed::{Feed, Want};
use crate::dashboard::message::{Effect, Fate, Msg};
use crate::dashboard::model::{Model, update};
use crate::dashboard::theme::{Depth, Glyphs, Ground, Theme};
use crate::dashboard::view::Zones;
use crate::dashboard::{keys, view};
use crate::store::Reader;

pub(super) const THEME: Theme = Theme { depth: Depth::True, ground: Ground::Dark, glyphs: Glyphs::Braille };

pub(super) struct Seen {
    pub(super) model: Model,
    wanted: mpsc::UnboundedSender<BTreeSet<Want>>,
    news: mpsc::Receiver<Msg>,
    /// What has been answered since it is wanted.
    answered: BTreeSet<Want>,
}

impl Seen {
    /// The list of sweeps, with all that it wants.
    pub(super) async fn of(story: &Story) -> Self {
        let reader = Reader::open(&story.path()).await.expect("opens");
        let (wanted, wants) = mpsc::unbounded_channel();
        let (messages, news) = mpsc::channel(64);
        tokio::spawn(Feed::new(reader, wants, messages).run());
        let model = Model::new(THEME, "experiments.db".to_owned(), None, story.now());
        let mut seen = Self { model, wanted, news, answered: BTreeSet::new() };
        seen.settle().await;
        seen
    }

    /// Waits until all that the screen wants has been answered.
    pub(super) async fn settle(&mut self) {
        loop {
            let wants = self.model.wants();
            self.answered.retain(|want| wants.contains(want));
            let is_settled = self.answered.is_superset(&wants);
            self.wanted.send(wants).expect("the feed lives");
            if is_settled {
                return;
            }
            self.hear().await;
        }
    }

    /// One message of the feed.
    pub(super) async fn hear(&mut self) {
        let msg = tokio::time::timeout(Duration::from_secs(30), self.news.recv()).await;
        let msg = msg.expect("the feed answers").expect("the feed lives");
        if let Msg::Answer(want, _) | Msg::Unanswered(want, _) = &msg {
            self.answered.insert(want.clone());
        }
        if matches!(msg, Msg::Database(Fate::Replaced)) {
            self.answered.clear();
        }
        update(&mut self.model, msg);
    }

    /// Presses keys: `<enter>`, `<esc>`, `<c-p>`, and letters as they are; then waits for what is wanted.
    pub(super) async fn press(&mut self, keys: &str) -> Option<Effect> {
        let mut effect = None;
        for key in parse(keys) {
            if let Some(msg) = keys::message(&self.model, key) {
                effect = update(&mut self.model, msg);
            }
            self.settle().await;
        }
        effect
    }

    pub(super) fn frame(&mut self, width: u16, height: u16) -> (String, Zones) {
        update(&mut self.model, Msg::Resized(Size::new(width, height)));
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test backend");
        let mut zones = Zones::default();
        terminal.draw(|frame| zones = view::draw(frame, &self.model)).expect("draws");
        let buffer = terminal.backend().buffer();
        let line = |y: u16| {
            let mut line = String::new();
            let mut x = 0;
            while x < width {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                // a wide letter hides the cell behind it
                x += unicode_width::UnicodeWidthStr::width(symbol).max(1) as u16;
            }
            line.trim_end().to_owned()
        };
        ((0..height).map(line).collect::<Vec<_>>().join("\n"), zones)
    }
}

fn parse(keys: &str) -> Vec<KeyEvent> {
    let mut events = Vec::new();
    let mut rest = keys;
    while let Some(letter) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).and_then(|(name, rest)| {
            let code = match name {
                "enter" => KeyCode::Enter,
                "esc" => KeyCode::Esc,
                "tab" => KeyCode::Tab,
                "up" => KeyCode::Up,
                "down" => KeyCode::Down,
                "left" => KeyCode::Left,
                "right" => KeyCode::Right,
                "pgdn" => KeyCode::PageDown,
                _ => {
                    let letter = name.strip_prefix("c-")?.chars().next()?;
                    return Some((KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL), rest));
                }
            };
            Some((KeyEvent::new(code, KeyModifiers::NONE), rest))
        });
        let (event, after) =
            named.unwrap_or((KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE), &rest[letter.len_utf8()..]));
        events.push(event);
        rest = after;
    }
    events
}
