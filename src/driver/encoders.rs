//! The pretrained encoders of a sweep: all found, judged and in place before anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use crate::hub::{Found, Hub, HubError, Wanted, Watch, expand_home};
use crate::model::{Description, PretrainedError, describe, read_sizes};
use crate::spec::{Config, Encoder, Pretrained};
use crate::text::{Tokenizer, TokenizerError};

/// The encoders that a sweep can ask for, by their names.
#[derive(Debug, Default)]
pub struct Encoders(BTreeMap<Pretrained, PlacedEncoder>);

/// An encoder whose files are here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlacedEncoder {
    pub folder: PathBuf,
    /// Of the hub's model; none: it is a directory of the user's.
    pub commit: Option<String>,
    #[serde(flatten)]
    pub description: Description,
}

/// Commits that models of the hub meant when a sweep began, by their names in the sweep file.
pub type Commits = BTreeMap<String, String>;

#[derive(Debug, Error)]
pub enum EncoderError {
    #[error("no directory {}, and no name that a hub could have", .0.display())]
    NoDirectory(PathBuf),
    #[error("no directory {}, in which it was when the sweep began", .0.display())]
    Gone(PathBuf),
    #[error("no directory {}, and {source}", looked_for.display())]
    Hub { looked_for: PathBuf, source: Box<HubError> },
    #[error(transparent)]
    Download(Box<HubError>),
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error("its tokenizer has {found} entries, more than the {rows} of its embeddings")]
    Vocabulary { found: usize, rows: usize },
}

/// Every encoder that cannot be used, with its name.
#[derive(Debug)]
pub struct EncoderErrors(pub Vec<(Pretrained, EncoderError)>);

impl fmt::Display for EncoderErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, error)) in self.0.iter().enumerate() {
            write!(f, "{}model.encoder = \"{name}\": {error}", if index > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for EncoderErrors {}

impl Encoders {
    /// Finds the encoders that a sweep can ask for, in directories relative to `project` or else at the hub, and downloads what is
    /// missing of them once all of them have proved to be of a kind that can be used. `commits` are those of a sweep that
    /// has begun: its names mean what they meant, and one without a commit is a directory's.
    pub fn place(
        names: BTreeSet<Pretrained>,
        project: &Path,
        hub: &Hub,
        commits: Option<&Commits>,
        watch: Watch<'_>,
    ) -> Result<Self, EncoderErrors> {
        let mut errors = Vec::new();
        let mut candidates = Vec::new();
        for name in names {
            let meaning = match commits.map(|commits| commits.get(&name.to_string())) {
                None => Meaning::Open,
                Some(None) => Meaning::Directory,
                Some(Some(commit)) => Meaning::Commit(commit),
            };
            match find(&name, project, hub, meaning, watch) {
                Ok(candidate) => candidates.push((name, candidate)),
                Err(error) => errors.push((name, error)),
            }
        }
        let mut placed = BTreeMap::new();
        for (name, candidate) in candidates {
            if !errors.is_empty() {
                break;
            }
            match candidate.place(hub, watch) {
                Ok(encoder) => drop(placed.insert(name, encoder)),
                Err(error) => errors.push((name, error)),
            }
        }
        if errors.is_empty() { Ok(Self(placed)) } else { Err(EncoderErrors(errors)) }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Pretrained, &PlacedEncoder)> {
        self.0.iter()
    }

    /// What the names of hub models mean.
    pub fn commits(&self) -> Commits {
        self.iter().filter_map(|(name, encoder)| Some((name.to_string(), encoder.commit.clone()?))).collect()
    }

    /// An encoder of the sweep.
    pub(super) fn of(&self, name: &Pretrained) -> &PlacedEncoder {
        self.0.get(name).expect("the encoders of all points were placed before the first one is asked for")
    }

    /// The configuration with the directory of its encoder in place of its name: a run touches no network.
    pub(super) fn located(&self, config: &Config) -> Config {
        let mut config = config.clone();
        if let Encoder::Pretrained(name) = &mut config.model.encoder {
            let folder = self.of(name).folder.to_string_lossy().into_owned();
            *name = Pretrained { name: folder, revision: None };
        }
        config
    }
}

/// What the name of an encoder stands for.
#[derive(Clone, Copy)]
enum Meaning<'c> {
    /// A directory if there is one, else a model of the hub.
    Open,
    Directory,
    Commit(&'c str),
}

/// An encoder that is of a kind that can be used; its weights may still be missing.
enum Candidate {
    Folder(PathBuf),
    Hub(Found),
}

fn find(
    name: &Pretrained,
    project: &Path,
    hub: &Hub,
    meaning: Meaning<'_>,
    watch: Watch<'_>,
) -> Result<Candidate, EncoderError> {
    let looked_for = project.join(expand_home(&name.to_string()));
    let commit = match meaning {
        Meaning::Commit(commit) => Some(commit),
        Meaning::Open | Meaning::Directory if looked_for.is_dir() => {
            read_sizes(&looked_for)?;
            return Ok(Candidate::Folder(looked_for));
        }
        Meaning::Directory => return Err(EncoderError::Gone(looked_for)),
        Meaning::Open if !name.is_hub_id() => return Err(EncoderError::NoDirectory(looked_for)),
        Meaning::Open => None,
    };
    let wanted = Wanted { id: &name.name, revision: name.revision.as_deref(), commit };
    let found = hub.find(wanted, watch);
    let found = found.map_err(|source| EncoderError::Hub { looked_for, source: Box::new(source) })?;
    read_sizes(&found.folder)?;
    found.check().map_err(|error| EncoderError::Download(Box::new(error)))?;
    Ok(Candidate::Hub(found))
}

impl Candidate {
    fn place(self, hub: &Hub, watch: Watch<'_>) -> Result<PlacedEncoder, EncoderError> {
        let (folder, commit) = match self {
            Self::Folder(folder) => (folder, None),
            Self::Hub(found) => {
                hub.complete(&found, watch).map_err(|error| EncoderError::Download(Box::new(error)))?;
                (found.folder, Some(found.commit))
            }
        };
        let description = describe(&folder)?;
        let (found, rows) = (Tokenizer::folder(&folder)?.vocabulary(), description.sizes.vocab_size);
        if found > rows {
            return Err(EncoderError::Vocabulary { found, rows });
        }
        Ok(PlacedEncoder { folder, commit, description })
    }
}

/// `bert, 12 layers x 768, …; commit 8d2a91f…, in /home/…`
impl fmt::Display for PlacedEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Description { architecture, sizes, parameters } = &self.description;
        let (layers, width, heads) = (sizes.num_hidden_layers, sizes.hidden_size, sizes.num_attention_heads);
        let (vocabulary, positions) = (sizes.vocab_size, sizes.max_position_embeddings);
        write!(
            f,
            "{architecture}, {layers} layers x {width}, {heads} heads, vocabulary {vocabulary}, {positions} positions, \
             {:.1}M parameters; {}in {}",
            *parameters as f64 / 1e6,
            self.commit.as_ref().map(|commit| format!("commit {commit}, ")).unwrap_or_default(),
            self.folder.display(),
        )
    }
}
