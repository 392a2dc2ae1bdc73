//! The name of a pretrained encoder: a directory, or a model of a hub with its revision.

use std::fmt;

use serde::{Deserialize, Serialize};

/// As the sweep file names it: `models/x`, `bert-base-chinese`, `hfl/chinese-roberta-wwm-ext@v1`. Which of both it is
/// shows where the disk is seen: a directory that is there comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pretrained {
    pub name: String,
    /// A branch, a tag or a commit of a hub's model; none: its main branch.
    pub revision: Option<String>,
}

/// Longest name that the hub gives out.
const LONGEST: usize = 96;

impl Pretrained {
    /// Reads a name. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(
                "is empty: \"scratch\", a directory, or a model of the hub such as \"bert-base-chinese\"".into()
            );
        }
        match text.split_once('@') {
            Some((name, revision)) if is_hub_id(name) => {
                if !is_revision(revision) {
                    return Err(format!("{text:?}: a branch, a tag or a commit must follow the @"));
                }
                Ok(Self { name: name.to_owned(), revision: Some(revision.to_owned()) })
            }
            _ => Ok(Self { name: text.to_owned(), revision: None }),
        }
    }

    /// Whether a hub could have a model of this name.
    pub fn is_hub_id(&self) -> bool {
        is_hub_id(&self.name)
    }
}

/// As it was written.
impl fmt::Display for Pretrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
    }
}

/// `name` or `owner/name`, as the hub allows them.
fn is_hub_id(name: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("--")
            && !part.contains("..")
    };
    name.len() <= LONGEST && name.split('/').count() <= 2 && name.split('/').all(good)
}

/// It becomes a part of a path and of an address.
fn is_revision(text: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
            && part.chars().any(|c| c != '.')
    };
    text.split('/').all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths_and_survive_their_journey() {
        let hub = ["bert-base-chinese", "hfl/chinese-roberta-wwm-ext", "a/b@main", "a/b@refs/pr/1", "a_b.c@v1.0"];
        for text in hub {
            let name = Pretrained::parse(text).expect(text);
            assert!(name.is_hub_id(), "{text}");
            assert_eq!(name.to_string(), text);
        }
        for text in ["./bert", "/models/bert", "~/bert", "a/b/c", "models\\bert", "../x@y", "模型", ".hidden", "a--b"]
        {
            let name = Pretrained::parse(text).expect(text);
            assert!(!name.is_hub_id() && name.revision.is_none(), "{text}");
            assert_eq!(name.to_string(), text);
        }
        for text in ["", " ", "bert@", "bert@a b", "bert@../../x", "bert@/x", "bert@a//b"] {
            assert!(Pretrained::parse(text).is_err(), "{text}");
        }
    }
}
