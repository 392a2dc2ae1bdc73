//! One document: neutral and misleading paragraphs with a few decisive ones
//! among them. Lengths are in characters, not bytes.

use crate::grammar::{Grammar, expand};
use crate::rng::Rng;
use std::collections::BTreeSet;

/// The share of a document, in percent, that is about its class.
const DECISIVE: (usize, usize) = (13, 22);
/// Percent of filler paragraphs that name a class in passing.
const MISLEADING: usize = 75;
/// Percent of these mentions that name a class of the document itself: an aside
/// drifts towards what its writer has in mind. It keeps a short cut of the text
/// better than chance, and a mention from being evidence *against* its class.
const DRIFT: usize = 45;
/// Percent of the other mentions that name one and the same class: most texts have
/// a wrong class that is named again and again.
const DECOY: usize = 40;
/// No text is longer: it grows by whole paragraphs, which end below this.
const LONGEST: usize = 3_000;

pub(crate) struct Grammars<'a> {
    pub(crate) neutral: Grammar<'a>,
    pub(crate) aside: Grammar<'a>,
    /// One for each class.
    pub(crate) classes: Vec<Grammar<'a>>,
}

const THEMES: [&str; 7] = ["weather", "travel", "office", "street", "mood_talk", "home", "people"];

/// Whoever wrote several documents has favourites, whatever the class: a set of
/// documents split without regard to the author lets a model recognise them.
pub(crate) struct Author<'a> {
    pub(crate) name: String,
    themes: Vec<&'static str>,
    openers: Vec<&'a str>,
    names: Vec<&'a str>,
    towns: Vec<&'a str>,
}

impl<'a> Author<'a> {
    pub(crate) fn new(name: String, neutral: &Grammar<'a>, rng: &mut Rng) -> Self {
        let mut themes = THEMES.to_vec();
        themes.extend(rng.sample(&THEMES, 3));
        Self {
            name,
            themes,
            openers: rng.sample(neutral.section("opener"), 3),
            names: rng.sample(neutral.section("name"), 10),
            towns: rng.sample(neutral.section("town_name"), 6),
        }
    }
}

/// A text of at least `length` characters about `classes`.
pub(crate) fn write(
    classes: &[usize],
    length: usize,
    author: &Author<'_>,
    grammars: &Grammars<'_>,
    rng: &mut Rng,
) -> String {
    let cast =
        Grammar::default().with("person", rng.sample(&author.names, 4)).with("town", rng.sample(&author.towns, 3));
    let mut writer = Writer {
        grammars,
        author,
        cast,
        classes,
        decoy: rng.below(grammars.classes.len()),
        named: vec![0; grammars.classes.len()],
        named_most: 2,
        used: BTreeSet::new(),
        rng,
    };
    let mut decisive = writer.decisive(length);
    let needed: usize = decisive.iter().map(|text| chars(text) + 1).sum();
    let start = first_decisive(length, needed, writer.rng);

    let mut text = Text::default();
    while text.chars < start {
        let room = start - text.chars;
        text.push(&writer.filler(room));
    }
    // The rest of the filler falls between and after the decisive paragraphs.
    while let Some(paragraph) = decisive.pop() {
        text.push(&paragraph);
        let left: usize = decisive.iter().map(|text| chars(text) + 1).sum();
        if text.chars + left + 60 < length && writer.rng.chance(65) {
            let room = length - text.chars - left;
            text.push(&writer.filler(room));
        }
    }
    while text.chars < length {
        let room = length - text.chars;
        text.push(&writer.filler(room));
    }
    assert!(text.chars <= LONGEST, "a text of {} characters", text.chars);
    text.joined
}

/// Where the filler before the first decisive paragraph ends. Most texts that
/// are long enough come to the point only after a first segment of 510 tokens.
fn first_decisive(length: usize, needed: usize, rng: &mut Rng) -> usize {
    let latest = length.saturating_sub(needed);
    let (low, high) = match rng.below(100) {
        0..10 => (0, 60),
        10..22 => (130, 300),
        _ => (512, latest.max(512)),
    };
    let start = rng.between(low, high);
    // A short text has no room for that: it comes to the point near its end.
    start.min(latest)
}

/// Paragraphs joined by line breaks, with their length.
#[derive(Default)]
struct Text {
    joined: String,
    chars: usize,
}

impl Text {
    fn push(&mut self, paragraph: &str) {
        if !self.joined.is_empty() {
            self.joined.push('\n');
            self.chars += 1;
        }
        self.joined.push_str(paragraph);
        self.chars += chars(paragraph);
    }
}

struct Writer<'a, 'g> {
    grammars: &'a Grammars<'g>,
    author: &'a Author<'g>,
    cast: Grammar<'g>,
    classes: &'a [usize],
    decoy: usize,
    /// How often each class has been named in passing, and how often a class that
    /// is not the document's own may be.
    named: Vec<usize>,
    named_most: usize,
    /// Patterns already in this document.
    used: BTreeSet<&'g str>,
    rng: &'a mut Rng,
}

impl<'g> Writer<'_, 'g> {
    /// One to three paragraphs for a single class, one or two for each of several,
    /// in random order.
    fn decisive(&mut self, length: usize) -> Vec<String> {
        if self.classes.is_empty() {
            return Vec::new();
        }
        let share = self.rng.between(DECISIVE.0, DECISIVE.1);
        // Several classes share the text, but none may fall to a single sentence.
        let budget = (length * share / 100).max(105) / self.classes.len();
        let budget = budget.max(if self.classes.len() > 1 { 85 } else { 0 });
        let most = if self.classes.len() > 1 { 2 } else { 3 };
        let mut paragraphs = Vec::new();
        let mut sentences = 0;
        for &class in self.classes {
            let parts = self.rng.between(1, most).min(budget / 70).max(1);
            for _ in 0..parts {
                let mut text = String::new();
                while chars(&text) < budget / parts {
                    text += &self.about(class);
                    sentences += 1;
                }
                paragraphs.push(text);
            }
        }
        // What a text is about must outweigh whatever else it names.
        self.named_most = (sentences / self.classes.len() / 2).max(1);
        self.rng.shuffle(&mut paragraphs);
        paragraphs
    }

    /// A neutral or misleading paragraph of three to six sentences, fewer where
    /// there is no room for them.
    fn filler(&mut self, room: usize) -> String {
        let theme = *self.rng.pick(&self.author.themes);
        let sentences = self.rng.between(3, 6);
        let misleading = self.rng.chance(MISLEADING);
        let mentions = if misleading { self.rng.between(1, 2) } else { 0 };
        // Not the first sentence: a paragraph opens with its own theme.
        let mut places: Vec<usize> = (1..sentences).collect();
        self.rng.shuffle(&mut places);
        places.truncate(mentions);
        let mut text = String::new();
        for i in 0..sentences {
            if i > 0 && chars(&text) >= room {
                break;
            }
            text += &if places.contains(&i) { self.aside() } else { self.neutral(theme, i == 0) };
        }
        text
    }

    fn neutral(&mut self, theme: &'static str, first: bool) -> String {
        let grammars = self.grammars;
        let pattern = self.fresh(grammars.neutral.section(theme));
        let opener = if first && self.rng.chance(25) { *self.rng.pick(&self.author.openers) } else { "" };
        let scopes = [&self.cast, &grammars.neutral];
        opener.to_owned() + &expand(pattern, &scopes, self.rng)
    }

    fn aside(&mut self) -> String {
        let grammars = self.grammars;
        let class = self.class_to_name();
        let pattern = self.fresh(grammars.aside.section("sentence"));
        self.of_class(pattern, class)
    }

    fn class_to_name(&mut self) -> usize {
        if !self.classes.is_empty() && self.rng.chance(DRIFT) {
            return *self.rng.pick(self.classes);
        }
        let open: Vec<usize> = (0..self.named.len())
            .filter(|class| self.named[*class] < self.named_most || self.classes.contains(class))
            .collect();
        let class = if open.contains(&self.decoy) && self.rng.chance(DECOY) {
            self.decoy
        } else if open.is_empty() {
            self.rng.below(self.named.len())
        } else {
            *self.rng.pick(&open)
        };
        self.named[class] += 1;
        class
    }

    fn about(&mut self, class: usize) -> String {
        let grammars = self.grammars;
        let pattern = self.fresh(grammars.classes[class].section("sentence"));
        self.of_class(pattern, class)
    }

    fn of_class(&mut self, pattern: &str, class: usize) -> String {
        let grammars = self.grammars;
        let scopes = [&grammars.classes[class], &self.cast, &grammars.neutral];
        expand(pattern, &scopes, self.rng)
    }

    /// A pattern not yet in this document, while there is one.
    fn fresh(&mut self, patterns: &[&'g str]) -> &'g str {
        let unused: Vec<&'g str> = patterns.iter().copied().filter(|pattern| !self.used.contains(pattern)).collect();
        let from = if unused.is_empty() { patterns } else { &unused };
        let pattern = *self.rng.pick(from);
        self.used.insert(pattern);
        pattern
    }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}
