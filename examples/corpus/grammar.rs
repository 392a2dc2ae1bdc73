//! Sentence patterns with slots: `{x}` is replaced by an entry of section `x`,
//! looked up in several grammars in turn, until no slot is left.

use crate::rng::Rng;
use std::collections::BTreeMap;

/// Named sections, each a list of alternatives.
#[derive(Clone, Default)]
pub(crate) struct Grammar<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Grammar<'a> {
    /// `[a b]` opens sections whose entries belong to both a and b, `#` a comment
    /// line; all else is entries separated by white space.
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut grammar = Self::default();
        let mut sections: Vec<&str> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(names) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                sections = names.split_whitespace().collect();
            } else {
                for &section in &sections {
                    let entries = grammar.0.entry(section).or_default();
                    for entry in line.split_whitespace() {
                        if !entries.contains(&entry) {
                            entries.push(entry);
                        }
                    }
                }
            }
        }
        grammar
    }

    pub(crate) fn with(mut self, section: &'a str, entries: Vec<&'a str>) -> Self {
        self.0.insert(section, entries);
        self
    }

    pub(crate) fn section(&self, name: &str) -> &[&'a str] {
        self.0.get(name).unwrap_or_else(|| panic!("no section [{name}] in this grammar"))
    }
}

/// Fills every slot of `pattern`. An entry is used once in a sentence, so that
/// nobody meets himself and nothing is compared with itself.
pub(crate) fn expand(pattern: &str, scopes: &[&Grammar<'_>], rng: &mut Rng) -> String {
    let mut text = pattern.to_owned();
    let mut used: Vec<&str> = Vec::new();
    while let Some(open) = text.find('{') {
        let close = open + text[open..].find('}').expect("every slot is closed");
        let name = &text[open + 1..close];
        let entries = scopes
            .iter()
            .find_map(|grammar| grammar.0.get(name))
            .unwrap_or_else(|| panic!("no section [{name}] for a slot of {pattern}"));
        let fresh: Vec<&str> = entries.iter().copied().filter(|entry| !used.contains(entry)).collect();
        assert!(!fresh.is_empty(), "[{name}] is too short for {pattern}");
        let entry = *rng.pick(&fresh);
        used.push(entry);
        text.replace_range(open..=close, entry);
    }
    text
}
