//! Models of the Hugging Face hub, or of a mirror that speaks like it, in the cache that its Python library keeps: what
//! either has downloaded, the other finds.
//!
//! The client is our own because hf-hub (1.0.0) checks no hash, begins a broken download anew, knows no offline mode,
//! cannot be kept from the hub's second protocol (which mirrors do not speak), and brings 117 crates for it.

mod cache;
mod download;
mod error;
mod files;
mod hash;
mod remote;

use std::path::{Path, PathBuf};

pub use cache::{Cache, CachedModel};
pub use error::HubError;

use cache::is_commit;
use download::Download;
use files::{File, Files, INDEX, Listed};
use remote::{Listing, Remote};

/// A hub, as the surroundings set it up (`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE` and their kin).
#[derive(Debug)]
pub struct Hub {
    remote: Remote,
    cache: Cache,
    offline: bool,
}

/// A model to be found.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w> {
    /// `owner/name`, or `name`
    pub id: &'w str,
    /// A branch, a tag or a commit; none: `main`.
    pub revision: Option<&'w str>,
    /// What the revision meant before, if that is what it is to mean.
    pub commit: Option<&'w str>,
}

/// A model that the hub has, with its `config.json` in the cache: it can be judged before its weights are downloaded.
#[derive(Debug)]
pub struct Found {
    id: String,
    pub commit: String,
    /// Holds the files, in the Hugging Face layout.
    pub folder: PathBuf,
    /// What the hub has of it; none: all that is needed is in the cache.
    listing: Option<Listing>,
}

impl Found {
    /// Whether the hub has all the files that are needed, of kinds that can be read.
    pub fn check(&self) -> Result<(), HubError> {
        self.listing.as_ref().map_or(Ok(()), |listing| Files::choose(&self.id, listing).map(drop))
    }
}

/// What those who wait are told.
#[derive(Debug)]
pub enum Notice<'n> {
    Begin {
        id: &'n str,
        commit: &'n str,
        from: &'n str,
        files: usize,
        bytes: u64,
    },
    /// Of all the files that are downloaded, so far.
    Progress {
        file: &'n str,
        bytes: u64,
    },
    End,
    Warning(String),
}

pub type Watch<'w> = &'w mut dyn FnMut(Notice<'_>);

const MAIN: &str = "main";

impl Hub {
    /// Set up by the environment of this process.
    pub fn here() -> Self {
        Self::set_up(&|name| std::env::var(name).ok())
    }

    /// Set up by these variables.
    pub fn set_up(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let on = |name: &str| {
            variable(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()))
        };
        let cache = Cache::set_up(&variable);
        let token = if on("HF_HUB_DISABLE_IMPLICIT_TOKEN") { None } else { cache.token(&variable) };
        let remote = Remote::new(variable("HF_ENDPOINT"), token, &variable);
        Self { remote, cache, offline: on("HF_HUB_OFFLINE") || on("TRANSFORMERS_OFFLINE") }
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    pub fn endpoint(&self) -> &str {
        self.remote.endpoint()
    }

    /// Whether the settings make sense.
    pub fn check(&self) -> Result<(), HubError> {
        self.remote.check_endpoint()
    }

    pub fn is_offline(&self) -> bool {
        self.offline
    }

    pub fn has_token(&self) -> bool {
        self.remote.has_token()
    }

    /// Finds a model: in the cache if its commit is known and whole there, else by asking the hub, which then gives its
    /// `config.json`.
    pub fn find(&self, wanted: Wanted<'_>, watch: Watch<'_>) -> Result<Found, HubError> {
        let Wanted { id, revision, commit } = wanted;
        let revision = revision.unwrap_or(MAIN);
        let known = commit.or(Some(revision).filter(|revision| is_commit(revision))).map(str::to_owned);
        if let Some(found) = known.as_deref().and_then(|commit| self.cached(id, commit, true)) {
            return Ok(found);
        }
        let remembered = || {
            let commit = known.clone().or_else(|| self.cache.reference(id, revision))?;
            self.cached(id, &commit, false)
        };
        if self.offline {
            let missing = || HubError::NotCached {
                id: id.to_owned(),
                revision: known.clone().unwrap_or_else(|| revision.to_owned()),
                cache: self.cache.folder().to_owned(),
            };
            return remembered().ok_or_else(missing);
        }
        let listing = match self.remote.list(id, known.as_deref().unwrap_or(revision)) {
            Ok(listing) => listing,
            Err(error) if error.is_passing() => {
                let Some(found) = remembered() else { return Err(error) };
                let commit = &found.commit;
                watch(Notice::Warning(format!("{error}; going on with {id} as it is in the cache ({commit})")));
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        let folder = self.cache.snapshot(id, &listing.commit);
        if known.is_none() {
            self.cache.set_reference(id, revision, &listing.commit)?;
        }
        let found = Found { id: id.to_owned(), commit: listing.commit.clone(), folder, listing: None };
        self.download(&found, Files::config(id, &listing)?)?;
        Ok(Found { listing: Some(listing), ..found })
    }

    /// Downloads what is missing of a model.
    pub fn complete(&self, found: &Found, watch: Watch<'_>) -> Result<(), HubError> {
        let Some(listing) = &found.listing else { return Ok(()) };
        let files = Files::choose(&found.id, listing)?;
        for name in files.absent() {
            self.cache.set_absent(&found.id, &found.commit, name)?;
        }
        let mut wanted = files.wanted().to_vec();
        if let Some(index) = wanted.iter().find(|file| file.name == INDEX) {
            self.download(found, index)?;
            wanted.extend(files.shards(&found.id, &found.folder.join(INDEX))?);
        }
        let missing = wanted.iter().filter(|file| !found.folder.join(&file.name).exists());
        let missing: Result<Vec<File>, HubError> =
            missing.map(|file| self.remote.file(&found.id, &found.commit, file)).collect();
        let mut missing = missing?;
        if missing.is_empty() {
            return Ok(());
        }
        // those that are quick to fail come first
        missing.sort_by_key(|file| file.bytes);
        let bytes = missing.iter().map(|file| file.bytes).sum();
        let (id, commit, from) = (&found.id, &found.commit, self.endpoint());
        watch(Notice::Begin { id, commit, from, files: missing.len(), bytes });
        let mut before = 0;
        for file in missing {
            self.fetch(found, &file, &mut |got| watch(Notice::Progress { file: &file.name, bytes: before + got }))?;
            before += file.bytes;
        }
        watch(Notice::End);
        Ok(())
    }

    /// A model of which the cache has all that is needed. `certain`: also that what it lacks, the hub lacks.
    fn cached(&self, id: &str, commit: &str, certain: bool) -> Option<Found> {
        let folder = self.cache.snapshot(id, commit);
        let absent = |name: &str| self.cache.is_absent(id, commit, name);
        files::is_whole(&folder, &|name| !certain || absent(name)).then(|| Found {
            id: id.to_owned(),
            commit: commit.to_owned(),
            folder,
            listing: None,
        })
    }

    /// Downloads a small file, unless it is there.
    fn download(&self, found: &Found, listed: &Listed) -> Result<(), HubError> {
        if found.folder.join(&listed.name).exists() {
            return Ok(());
        }
        self.fetch(found, &self.remote.file(&found.id, &found.commit, listed)?, &mut |_| ())
    }

    fn fetch(&self, found: &Found, file: &File, progress: &mut dyn FnMut(u64)) -> Result<(), HubError> {
        let (id, commit) = (&found.id, &found.commit);
        Download { remote: &self.remote, cache: &self.cache, id, commit, file }.run(progress)?;
        self.cache.link(id, commit, &file.name, file.hash.as_str())
    }
}

/// `~/x` with the home directory.
pub fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => Path::new(path).to_owned(),
    }
}
