//! The hub's side: what it has, and the bytes of a file from some place on.

use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::HubError;
use super::cache::is_commit;
use super::files::{File, Listed};
use super::hash::Hash;

pub(super) struct Remote {
    endpoint: String,
    token: Option<String>,
    agent: Agent,
}

/// What a commit of a model consists of.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<Listed>,
}

const HUB: &str = "https://huggingface.co";

/// A mirror far away takes its time; one that is silent for longer is gone.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_mins(1);

/// Renamed models redirect.
const REDIRECTS: usize = 5;

impl Remote {
    pub(super) fn new(
        endpoint: Option<String>,
        token: Option<String>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("sweep/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // of a renamed model that is private; addresses of other hosts carry their own signature
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .tls_config(TlsConfig::builder().root_certs(certificates(variable)).build());
        let endpoint = endpoint.unwrap_or_else(|| HUB.to_owned()).trim().trim_end_matches('/').to_owned();
        Self { endpoint, token, agent: config.build().into() }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The commit that a revision means, and its files.
    pub(super) fn list(&self, id: &str, revision: &str) -> Result<Listing, HubError> {
        let url = format!("{}/api/models/{id}/revision/{}?blobs=true", self.endpoint, revision.replace('/', "%2F"));
        let mut response = self.send(&url, None)?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(id, revision, &url, &response));
        }
        let garbled = |why: String| HubError::Garbled { url: url.clone(), why };
        let text = response.body_mut().read_to_string().map_err(|error| garbled(error.to_string()))?;
        let model: Model = serde_json::from_str(&text).map_err(|error| garbled(error.to_string()))?;
        if !is_commit(&model.sha) || (is_commit(revision) && model.sha != revision) {
            return Err(garbled(format!("it takes {:?} for the commit of {revision}", model.sha)));
        }
        Ok(Listing { commit: model.sha, files: model.siblings.into_iter().map(Sibling::listed).collect() })
    }

    /// A file with its size and hash, asked for where the listing did not tell them.
    pub(super) fn file(&self, id: &str, commit: &str, listed: &Listed) -> Result<File, HubError> {
        let name = listed.name.clone();
        if let Some((bytes, hash)) = listed.told.clone() {
            return Ok(File { name, bytes, hash });
        }
        let mut url = self.address(id, commit, &name);
        let mut response = self.ask(&url)?;
        // what the hub itself says of the file, not the store to which it sends us
        for _ in 0..REDIRECTS {
            let Some(path) = text(&response, "location").filter(|place| place.starts_with('/')) else { break };
            url = format!("{}{path}", origin(&self.endpoint));
            response = self.ask(&url)?;
        }
        if !response.status().is_success() && !response.status().is_redirection() {
            return Err(self.refusal(id, commit, &url, &response));
        }
        let either = |linked, own| text(&response, linked).or_else(|| text(&response, own));
        let hash = either("x-linked-etag", "etag").and_then(|tag| Hash::parse(&tag));
        let bytes = either("x-linked-size", "content-length").and_then(|bytes| bytes.parse().ok());
        match (hash, bytes) {
            (Some(hash), Some(bytes)) => Ok(File { name, bytes, hash }),
            _ => Err(HubError::Garbled { url, why: "it tells neither size nor hash of the file".to_owned() }),
        }
    }

    /// The bytes of a file from `from` on, if the hub wants to begin there: else from the first one. Where they begin.
    pub(super) fn open(
        &self,
        id: &str,
        commit: &str,
        name: &str,
        from: u64,
    ) -> Result<(u64, impl Read + use<>), HubError> {
        let url = self.address(id, commit, name);
        let mut response = self.send(&url, (from > 0).then_some(from))?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            response = self.send(&url, None)?;
        }
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => {
                let range = text(&response, header::CONTENT_RANGE.as_str()).unwrap_or_default();
                if !range.starts_with(&format!("bytes {from}-")) {
                    let why = format!("asked for bytes from {from} on, it sends {range:?}");
                    return Err(HubError::Garbled { url, why });
                }
                from
            }
            _ => return Err(self.refusal(id, commit, &url, &response)),
        };
        Ok((start, response.into_body().into_reader()))
    }

    pub(super) fn address(&self, id: &str, commit: &str, name: &str) -> String {
        format!("{}/{id}/resolve/{commit}/{name}", self.endpoint)
    }

    fn send(&self, url: &str, from: Option<u64>) -> Result<Response<Body>, HubError> {
        self.check_endpoint()?;
        let mut request = self.agent.get(url);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(from) = from {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        request.call().map_err(|error| unreachable(url, &error))
    }

    /// Headers only, and no further than to the first answer.
    fn ask(&self, url: &str) -> Result<Response<Body>, HubError> {
        self.check_endpoint()?;
        let mut request = self.agent.head(url);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.config().max_redirects(0).max_redirects_will_error(false).build();
        request.call().map_err(|error| unreachable(url, &error))
    }

    pub(super) fn check_endpoint(&self) -> Result<(), HubError> {
        if self.endpoint.starts_with("https://") || self.endpoint.starts_with("http://") {
            return Ok(());
        }
        let why = "HF_ENDPOINT must begin with https:// or http://".to_owned();
        Err(HubError::Unreachable { url: self.endpoint.clone(), why })
    }

    fn refusal(&self, id: &str, revision: &str, url: &str, response: &Response<Body>) -> HubError {
        let (id, endpoint) = (id.to_owned(), self.endpoint.clone());
        let code = text(response, "x-error-code").unwrap_or_default();
        match response.status().as_u16() {
            401 | 403 => HubError::Denied { id, endpoint, with_token: self.has_token() },
            404 if code == "RevisionNotFound" => HubError::NoRevision { id, revision: revision.to_owned(), endpoint },
            404 if code == "EntryNotFound" => {
                HubError::Garbled { url: url.to_owned(), why: "it lists the file and does not have it".to_owned() }
            }
            404 => HubError::NoModel { id, endpoint },
            status => HubError::Refused { url: url.to_owned(), status },
        }
    }
}

/// A token is nobody's business.
impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Listing {
    /// The first of them, for a message.
    pub(super) fn names(&self) -> String {
        if self.files.is_empty() {
            return "no files".to_owned();
        }
        let mut names: Vec<&str> = self.files.iter().take(SHOWN).map(|file| file.name.as_str()).collect();
        if self.files.len() > SHOWN {
            names.push("…");
        }
        names.join(", ")
    }
}

/// Files that are named in a message.
const SHOWN: usize = 12;

/// What the hub tells of a model.
#[derive(Deserialize)]
struct Model {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Sibling {
    fn listed(self) -> Listed {
        // of a large file, blobId is that of its pointer
        let (bytes, hash) = match self.lfs {
            Some(lfs) => (Some(lfs.size), Hash::parse(&lfs.sha256)),
            None => (self.size, self.blob_id.as_deref().and_then(Hash::parse)),
        };
        Listed { name: self.rfilename, told: bytes.zip(hash) }
    }
}

fn text(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// `https://host:port` of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |place| place + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

fn unreachable(url: &str, error: &ureq::Error) -> HubError {
    HubError::Unreachable { url: url.to_owned(), why: error.to_string() }
}

/// Those that browsers trust, or the company's own, where a variable that Python's clients read names a file of them.
fn certificates(variable: &dyn Fn(&str) -> Option<String>) -> RootCerts {
    let named = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"].into_iter().find_map(variable);
    let Some(path) = named else { return RootCerts::WebPki };
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(error) => {
            tracing::warn!("cannot read the certificates {path}: {error}");
            return RootCerts::WebPki;
        }
    };
    let certificates = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    RootCerts::new_with_certs(&certificates.collect::<Vec<_>>())
}
