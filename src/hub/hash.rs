//! What the hub says that a file's bytes come to.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::cache::is_hex;

/// The hash of a file, which is also the name of its blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    /// Of a large file (git LFS).
    Sha256(String),
    /// Of a small one: of git's header and the bytes.
    Git(String),
}

impl Hash {
    /// Tells by its length which one it is; as an `ETag` it may stand in quotes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches("W/").trim_matches('"');
        if is_hex(text, 64) {
            return Some(Self::Sha256(text.to_owned()));
        }
        is_hex(text, 40).then(|| Self::Git(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Sha256(text) | Self::Git(text) => text,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::Git(_) => "git's SHA-1",
        }
    }

    /// The hash of the same kind that a file really has.
    pub(super) fn of(&self, path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(match self {
            Self::Sha256(_) => Self::Sha256(digest(Sha256::new(), file)?),
            Self::Git(_) => {
                let header = format!("blob {}\0", file.metadata()?.len());
                Self::Git(digest(Sha1::new().chain_update(header), file)?)
            }
        })
    }
}

fn digest<D: Digest>(mut digest: D, mut file: File) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
    }
    Ok(digest
        .finalize()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect())
}
