use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a model of the hub cannot be had.
#[derive(Debug, Error)]
pub enum HubError {
    #[error("cannot reach {url}: {why}")]
    Unreachable { url: String, why: String },
    #[error("{url} answers {status}{}", if *.status == 429 { ": too many requests, try again later" } else { "" })]
    Refused { url: String, status: u16 },
    #[error("{url} does not answer as the hub does: {why}")]
    Garbled { url: String, why: String },
    #[error("{endpoint} has no model {id:?}")]
    NoModel { id: String, endpoint: String },
    #[error("{endpoint} has no revision {revision:?} of {id}")]
    NoRevision { id: String, revision: String, endpoint: String },
    #[error("{endpoint} does not show {id} {}", whom(*with_token))]
    Denied { id: String, endpoint: String, with_token: bool },
    #[error("{id} cannot be used: {why}")]
    Unusable { id: String, why: String },
    #[error("HF_HUB_OFFLINE is set, and {} does not hold {id} ({revision})", cache.display())]
    NotCached { id: String, revision: String, cache: PathBuf },
    #[error("the download of {file} broke at {got} of {bytes} bytes: {why}")]
    Broken { file: String, got: u64, bytes: u64, why: String },
    #[error(
        "{file} from {url} is not what the hub says it is: {what} {found}, expected {expected}; it was thrown away"
    )]
    Damaged { file: String, url: String, what: &'static str, found: String, expected: String },
    #[error("cannot write {}: {source}", path.display())]
    Cache { path: PathBuf, source: io::Error },
}

fn whom(with_token: bool) -> &'static str {
    if with_token {
        "to the owner of this token: accept its conditions there, or use another HF_TOKEN"
    } else {
        "without a token: if the name is right, it is private or has conditions to accept; set HF_TOKEN"
    }
}

impl HubError {
    /// Whether a model that is in the cache does as well.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Garbled { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }

    /// Whether the sweep file is to blame, not the machine or the network.
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::NoModel { .. } | Self::NoRevision { .. } | Self::Denied { .. } | Self::Unusable { .. })
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => Some(
                "HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy; model.encoder may also be a directory with the files",
            ),
            Self::NotCached { .. } => Some("download it once with HF_HUB_OFFLINE=0, or let HF_HOME name another cache"),
            Self::Broken { .. } => Some("run it again: it goes on from there"),
            Self::Cache { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("what has been downloaded is kept; make room and run it again, or let HF_HOME name another place")
            }
            Self::Cache { .. } => Some("HF_HOME names another place for the cache"),
            Self::NoModel { .. } => Some("models are named owner/name, as in the address of their page"),
            _ => None,
        }
    }
}
