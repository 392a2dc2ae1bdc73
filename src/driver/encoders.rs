//! The pretrained encoders of a sweep: all found, judged and in place before anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::hub::{Found, Hub, HubError, Wanted, Watch, expand_home};
use crate::model::{Description, PretrainedError, describe, encoder_files, read_sizes};
use crate::spec::{Config, Encoder, Pretrained};
use crate::text::{TOKENIZER_FILES, Tokenizer, TokenizerError, hex};

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

/// What the names of a sweep file's encoders meant when the sweep began: the commit of a model of the hub; of a directory
/// `sha256:` and a hash of the files that are read of it.
pub type Revisions = BTreeMap<String, String>;

const CONTENTS: &str = "sha256:";

#[derive(Debug, Error)]
pub enum EncoderError {
    #[error("no directory {}, and no name that a hub could have", .0.display())]
    NoDirectory(PathBuf),
    #[error("no directory {}, in which it was when the sweep began", .0.display())]
    Gone(PathBuf),
    #[error(
        "the files in {} changed since the sweep began: old and new scores would not compare; put the old ones back, or \
         start a new sweep with `sweep run`",
        .0.display()
    )]
    Changed(PathBuf),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
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
    /// missing of them once all of them have proved to be of a kind that can be used. `revisions` are those of a sweep that
    /// has begun: its names mean what they meant, and one without a revision is a directory's.
    pub fn place(
        names: BTreeSet<Pretrained>,
        project: &Path,
        hub: &Hub,
        revisions: Option<&Revisions>,
        watch: Watch<'_>,
    ) -> Result<Self, EncoderErrors> {
        let mut errors = Vec::new();
        let mut candidates = Vec::new();
        for name in names {
            let meaning = revisions.map_or(Meaning::Open, |revisions| Meaning::recorded(revisions, &name));
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

    /// What the names mean.
    pub fn revisions(&self) -> Result<Revisions, EncoderErrors> {
        let of = |(name, encoder): (&Pretrained, &PlacedEncoder)| match &encoder.commit {
            Some(commit) => Ok((name.to_string(), commit.clone())),
            None => match contents(&encoder.folder) {
                Ok(contents) => Ok((name.to_string(), contents)),
                Err(error) => Err(EncoderErrors(vec![(name.clone(), error)])),
            },
        };
        self.iter().map(of).collect()
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
    /// With these contents, where they were recorded.
    Directory(Option<&'c str>),
    Commit(&'c str),
}

impl<'c> Meaning<'c> {
    fn recorded(revisions: &'c Revisions, name: &Pretrained) -> Self {
        match revisions.get(&name.to_string()).map(String::as_str) {
            Some(revision) if !revision.starts_with(CONTENTS) => Self::Commit(revision),
            contents => Self::Directory(contents),
        }
    }
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
        Meaning::Open if looked_for.is_dir() => {
            read_sizes(&looked_for)?;
            return Ok(Candidate::Folder(looked_for));
        }
        Meaning::Directory(_) if !looked_for.is_dir() => return Err(EncoderError::Gone(looked_for)),
        Meaning::Directory(recorded) => {
            if let Some(recorded) = recorded
                && contents(&looked_for)? != recorded
            {
                return Err(EncoderError::Changed(looked_for));
            }
            return Ok(Candidate::Folder(looked_for));
        }
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

/// A hash of the files that are read of a directory.
fn contents(folder: &Path) -> Result<String, EncoderError> {
    let tokenizer = TOKENIZER_FILES.map(|name| folder.join(name)).into_iter().filter(|path| path.exists());
    let mut all = Sha256::new();
    for path in encoder_files(folder)?.into_iter().chain(tokenizer) {
        let bytes = add_file(&mut all, &path).map_err(|source| EncoderError::Read { path: path.clone(), source })?;
        // so that nothing that moves from one file to another goes unseen
        all.update(format!("{bytes} {}", path.file_name().unwrap_or_default().display()));
    }
    Ok(format!("{CONTENTS}{}", hex(&all.finalize())))
}

fn add_file(hash: &mut Sha256, path: &Path) -> io::Result<usize> {
    let mut file = File::open(path)?;
    let (mut buffer, mut bytes) = (vec![0; 1 << 18], 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(bytes);
        }
        hash.update(&buffer[..read]);
        bytes += read;
    }
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
