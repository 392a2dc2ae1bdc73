//! The cache that the hub's Python library keeps, in its layout:
//!
//! ```text
//! models--owner--name/refs/main                       the commit that a revision meant
//!                     snapshots/COMMIT/config.json    a link to
//!                     blobs/HASH                      what was downloaded, and HASH.incomplete what was not quite
//!                     .no_exist/COMMIT/NAME           the model has no such file
//! .locks/models--owner--name/HASH.lock                held while a blob is downloaded
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{HubError, expand_home};

#[derive(Debug)]
pub struct Cache {
    /// Of all that Hugging Face's programs keep.
    home: PathBuf,
    folder: PathBuf,
}

/// A model of the cache.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CachedModel {
    pub id: String,
    pub bytes: u64,
    /// Commits of it.
    pub snapshots: usize,
}

const MODELS: &str = "models--";

/// Links that this process has made: one more than that is a name that no other thread has.
static LINKS: AtomicU64 = AtomicU64::new(0);

impl Cache {
    pub(super) fn set_up(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let path = |name: &str| variable(name).map(|path| expand_home(&path));
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .unwrap_or_else(|| expand_home("~/.cache/huggingface"));
        let folder = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).unwrap_or_else(|| home.join("hub"));
        Self { home, folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The user's token: from the environment, or where `hf auth login` has put it.
    pub(super) fn token(&self, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let file = variable("HF_TOKEN_PATH").map_or_else(|| self.home.join("token"), |path| expand_home(&path));
        let token = variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN"));
        let token = token.or_else(|| fs::read_to_string(file).ok())?.trim().to_owned();
        (!token.is_empty()).then_some(token)
    }

    /// The models that are there.
    pub fn models(&self) -> Vec<CachedModel> {
        let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
        let model = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let id = name.strip_prefix(MODELS)?.replacen("--", "/", 1);
            let blobs = entries(entry.path().join("blobs")).filter_map(|blob| blob.metadata().ok());
            let snapshots = entries(entry.path().join("snapshots")).count();
            (snapshots > 0).then(|| CachedModel { id, bytes: blobs.map(|blob| blob.len()).sum(), snapshots })
        };
        let mut models: Vec<CachedModel> = entries(self.folder.clone()).filter_map(model).collect();
        models.sort();
        models
    }

    /// The commit that a revision meant when it was last asked for.
    pub(super) fn reference(&self, id: &str, revision: &str) -> Option<String> {
        let commit = fs::read_to_string(self.model(id).join("refs").join(revision)).ok()?.trim().to_owned();
        is_commit(&commit).then_some(commit)
    }

    pub(super) fn set_reference(&self, id: &str, revision: &str, commit: &str) -> Result<(), HubError> {
        write(&self.model(id).join("refs").join(revision), commit)
    }

    /// The folder of a model's commit.
    pub(super) fn snapshot(&self, id: &str, commit: &str) -> PathBuf {
        self.model(id).join("snapshots").join(commit)
    }

    pub(super) fn is_absent(&self, id: &str, commit: &str, name: &str) -> bool {
        self.model(id).join(".no_exist").join(commit).join(name).exists()
    }

    pub(super) fn set_absent(&self, id: &str, commit: &str, name: &str) -> Result<(), HubError> {
        write(&self.model(id).join(".no_exist").join(commit).join(name), "")
    }

    pub(super) fn blob(&self, id: &str, hash: &str) -> PathBuf {
        self.model(id).join("blobs").join(hash)
    }

    /// Holds back others, Python's library too, who would download the same; free again when it is dropped.
    pub(super) fn lock(&self, id: &str, hash: &str) -> Result<File, HubError> {
        let path = self.folder.join(".locks").join(name_of(id)).join(format!("{hash}.lock"));
        let locked = make_parent(&path).and_then(|()| {
            let file = File::options().create(true).append(true).open(&path)?;
            file.lock()?;
            Ok(file)
        });
        locked.map_err(|source| HubError::Cache { path, source })
    }

    /// Lets a commit have a blob under a name. Others may do the same at this moment, so the name is put there in one
    /// step: with a link in the way, copying would empty the blob that it leads to.
    pub(super) fn link(&self, id: &str, commit: &str, name: &str, hash: &str) -> Result<(), HubError> {
        let path = self.snapshot(id, commit).join(name);
        let failed = |source| HubError::Cache { path: path.clone(), source };
        make_parent(&path).map_err(failed)?;
        let unique = LINKS.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_file_name(format!(".{name}.{}-{unique}", std::process::id()));
        let linked = std::os::unix::fs::symlink(Path::new("../../blobs").join(hash), &beside);
        // some file systems have no links
        let linked = linked.or_else(|_| fs::copy(self.blob(id, hash), &beside).map(drop));
        linked.and_then(|()| fs::rename(&beside, &path)).map_err(|source| {
            // the error that matters is the first one
            let _ = fs::remove_file(&beside);
            failed(source)
        })
    }

    fn model(&self, id: &str) -> PathBuf {
        self.folder.join(name_of(id))
    }
}

fn name_of(id: &str) -> String {
    format!("{MODELS}{}", id.replace('/', "--"))
}

/// Whether a revision is a commit's full name, which never means anything else.
pub(super) fn is_commit(revision: &str) -> bool {
    is_hex(revision, 40)
}

pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn write(path: &Path, text: &str) -> Result<(), HubError> {
    let written = make_parent(path).and_then(|()| fs::write(path, text));
    written.map_err(|source| HubError::Cache { path: path.to_owned(), source })
}

pub(super) fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_made_at_once_lead_to_a_whole_blob() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let cache = Cache::set_up(&|name| (name == "HF_HOME").then(|| home.path().display().to_string()));
        let (id, commit, hash) = ("a/b", "1".repeat(40), "2".repeat(64));
        make_parent(&cache.blob(id, &hash)).expect("is made");
        fs::write(cache.blob(id, &hash), "weights").expect("is written");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        cache.link(id, &commit, "x.bin", &hash).expect("is linked");
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(cache.blob(id, &hash)).expect("is read"), "weights");
        let names: Vec<_> = fs::read_dir(cache.snapshot(id, &commit)).expect("is listed").flatten().collect();
        assert_eq!(names.len(), 1, "nothing is left beside it: {names:?}");
    }
}
