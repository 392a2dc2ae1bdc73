//! One file of the hub into its blob: continued where it broke, and believed only when its hash is right.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use super::HubError;
use super::cache::{Cache, make_parent};
use super::files::File;
use super::remote::Remote;

pub(super) struct Download<'d> {
    pub(super) remote: &'d Remote,
    pub(super) cache: &'d Cache,
    pub(super) id: &'d str,
    pub(super) commit: &'d str,
    pub(super) file: &'d File,
}

/// Connections in a row that bring nothing before it is given up.
const TRIES: u32 = 3;

impl Download<'_> {
    /// Downloads the blob unless it is there. `progress` is told of the bytes that are.
    pub(super) fn run(&self, progress: &mut dyn FnMut(u64)) -> Result<(), HubError> {
        let blob = self.cache.blob(self.id, self.file.hash.as_str());
        if blob.exists() {
            return Ok(());
        }
        let _alone = self.cache.lock(self.id, self.file.hash.as_str())?;
        if blob.exists() {
            // somebody else had the lock, and was downloading it
            return Ok(());
        }
        let partial = blob.with_file_name(format!("{}.incomplete", self.file.hash.as_str()));
        let resumed = length(&partial) > 0;
        self.receive(&partial, progress)?;
        let mut verdict = self.verify(&partial)?;
        if verdict.is_some() && resumed {
            // what was left of an earlier download may have been something else
            self.receive(&partial, progress)?;
            verdict = self.verify(&partial)?;
        }
        if let Some(damage) = verdict {
            return Err(damage);
        }
        fs::rename(&partial, &blob).map_err(|source| HubError::Cache { path: blob, source })
    }

    fn receive(&self, partial: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), HubError> {
        let mut fruitless = 0;
        loop {
            let before = length(partial);
            let why = match self.connect(partial, progress) {
                Ok(None) => return Ok(()),
                Ok(Some(why)) => why,
                Err(error) if error.is_passing() => error.to_string(),
                Err(error) => return Err(error),
            };
            let got = length(partial);
            fruitless = if got > before { 0 } else { fruitless + 1 };
            if fruitless == TRIES {
                let (file, bytes) = (self.file.name.clone(), self.file.bytes);
                return Err(HubError::Broken { file, got, bytes, why });
            }
            tracing::info!("the download of {} broke at {got} bytes: {why}", self.file.name);
        }
    }

    /// One connection: why it ended early, if it did.
    fn connect(&self, partial: &Path, progress: &mut dyn FnMut(u64)) -> Result<Option<String>, HubError> {
        let failed = |source| HubError::Cache { path: partial.to_owned(), source };
        make_parent(partial).map_err(failed)?;
        let mut file = fs::File::options().create(true).append(true).open(partial).map_err(failed)?;
        let mut have = file.metadata().map_err(failed)?.len();
        if have > self.file.bytes {
            file.set_len(0).map_err(failed)?;
            have = 0;
        }
        if have == self.file.bytes {
            return Ok(None);
        }
        let (start, mut body) = self.remote.open(self.id, self.commit, &self.file.name, have)?;
        if start != have {
            file.set_len(start).map_err(failed)?;
            have = start;
        }
        let mut buffer = vec![0; 1 << 17];
        while have < self.file.bytes {
            progress(have);
            let room = buffer.len().min((self.file.bytes - have) as usize);
            let read = match body.read(&mut buffer[..room]) {
                Ok(0) => return Ok(Some("the hub ended the connection".to_owned())),
                Ok(read) => read,
                Err(error) => return Ok(Some(error.to_string())),
            };
            file.write_all(&buffer[..read]).map_err(failed)?;
            have += read as u64;
        }
        progress(have);
        file.sync_all().map_err(failed)?;
        Ok(None)
    }

    /// What is wrong with the bytes, which are then thrown away.
    fn verify(&self, partial: &Path) -> Result<Option<HubError>, HubError> {
        let failed = |source| HubError::Cache { path: partial.to_owned(), source };
        let found = self.file.hash.of(partial).map_err(failed)?;
        if found == self.file.hash {
            return Ok(None);
        }
        fs::remove_file(partial).map_err(failed)?;
        Ok(Some(HubError::Damaged {
            file: self.file.name.clone(),
            url: self.remote.address(self.id, self.commit, &self.file.name),
            what: self.file.hash.kind(),
            found: found.as_str().to_owned(),
            expected: self.file.hash.as_str().to_owned(),
        }))
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
