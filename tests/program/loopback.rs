//! A hub of models on this machine, which can be told to fail in the ways that hubs and networks do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Files from this size on are kept as the hub keeps large ones: under their SHA-256, in a store of another host.
const LARGE: usize = 4_000;

pub(crate) struct Loopback {
    port: u16,
    state: Arc<Mutex<State>>,
}

/// Its name and its files.
type Commit = (String, BTreeMap<String, Vec<u8>>);

#[derive(Default)]
struct State {
    /// Commits and files of each model; the last one is `main`.
    models: BTreeMap<String, Vec<Commit>>,
    /// `METHOD path`, and ` from N` of a request for a part.
    requests: Vec<String>,
    /// Bytes after which answers with a file of this name break, one a number.
    breaks: BTreeMap<String, Vec<usize>>,
    /// Files that are sent with a wrong byte.
    spoiled: Vec<String>,
    /// Status of every answer, with the hub's own word for it.
    refusal: Option<(u16, &'static str)>,
    /// Only those who bring it are answered.
    token: Option<String>,
    /// Listings tell names only, as some mirrors' do.
    terse: bool,
    /// Answers are not the hub's.
    babbling: bool,
}

impl Loopback {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                // who hangs up has heard enough
                std::thread::spawn(move || drop(serve(stream, port, &state)));
            }
        });
        Self { port, state }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Publishes the files of a folder as the newest commit of a model, with some more.
    pub(crate) fn publish(&self, id: &str, commit: &str, folder: &Path, more: &[(&str, &str)]) {
        let read = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        let mut files: BTreeMap<String, Vec<u8>> =
            fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap())).collect();
        files.extend(more.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
        files.retain(|_, bytes| !bytes.is_empty());
        self.change(|state| state.models.entry(id.to_owned()).or_default().push((commit.to_owned(), files)));
    }

    /// Answers with a file end after these many bytes, one after the other.
    pub(crate) fn break_at(&self, name: &str, bytes: &[usize]) {
        self.change(|state| drop(state.breaks.insert(name.to_owned(), bytes.iter().rev().copied().collect())));
    }

    pub(crate) fn spoil(&self, name: &str) {
        self.change(|state| state.spoiled.push(name.to_owned()));
    }

    pub(crate) fn heal(&self) {
        self.change(|state| {
            state.spoiled.clear();
            state.breaks.clear();
            state.refusal = None;
            state.babbling = false;
        });
    }

    pub(crate) fn refuse(&self, status: u16, code: &'static str) {
        self.change(|state| state.refusal = Some((status, code)));
    }

    pub(crate) fn demand_token(&self, token: &str) {
        self.change(|state| state.token = Some(token.to_owned()));
    }

    pub(crate) fn be_terse(&self) {
        self.change(|state| state.terse = true);
    }

    pub(crate) fn babble(&self) {
        self.change(|state| state.babbling = true);
    }

    /// Requests since this was last asked.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.change(|state| std::mem::take(&mut state.requests))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Bytes after which the connection breaks.
    cut: Option<usize>,
}

fn serve(mut stream: TcpStream, port: u16, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let answer = state.lock().unwrap().answer(method, path, &headers, port);
    let length = answer.body.len();
    let mut head = format!("HTTP/1.1 {} Because\r\nContent-Length: {length}\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if method != "HEAD" {
        stream.write_all(&answer.body[..answer.cut.unwrap_or(length).min(length)])?;
    }
    stream.flush()
}

impl State {
    fn answer(&mut self, method: &str, path: &str, headers: &BTreeMap<String, String>, port: u16) -> Answer {
        let range =
            headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let from: usize = range.unwrap_or(0);
        let part = range.map(|from: usize| format!(" from {from}")).unwrap_or_default();
        self.requests.push(format!("{method} {path}{part}"));
        if self.babbling {
            return plain(200, "<html>Please log in to this airport's network</html>");
        }
        let authorization = headers.get("authorization");
        if let Some(hash) = path.strip_prefix("/store/") {
            // a store of another host gets no token: it is none of its business
            assert_eq!(authorization, None, "the token went to another host");
            return self.stored(hash, from, range.is_some());
        }
        if let Some((status, code)) = self.refusal {
            return Answer { headers: vec![("X-Error-Code", code.to_owned())], ..plain(status, "no") };
        }
        if self.token.is_some() && self.token != authorization.map(|bearer| bearer.replace("Bearer ", "")) {
            return Answer { headers: vec![("X-Error-Code", "RepoNotFound".to_owned())], ..plain(401, "no") };
        }
        self.listing(path).or_else(|| self.resolved(path, from, range.is_some(), port)).unwrap_or_else(|| Answer {
            headers: vec![("X-Error-Code", "RepoNotFound".to_owned())],
            ..plain(404, "no such model")
        })
    }

    /// `/api/models/ID/revision/REVISION`
    fn listing(&self, path: &str) -> Option<Answer> {
        let (id, revision) = path.strip_prefix("/api/models/")?.split_once("/revision/")?;
        let revision = revision.split('?').next()?.replace("%2F", "/");
        let commits = self.models.get(id)?;
        let Some((commit, files)) = find(commits, &revision) else {
            return Some(Answer {
                headers: vec![("X-Error-Code", "RevisionNotFound".to_owned())],
                ..plain(404, "no such revision")
            });
        };
        let siblings = files.iter().map(|(name, bytes)| {
            let size = bytes.len();
            if self.terse {
                serde_json::json!({ "rfilename": name })
            } else if size < LARGE {
                serde_json::json!({ "rfilename": name, "size": size, "blobId": git_hash(bytes) })
            } else {
                let lfs = serde_json::json!({ "sha256": hash(bytes), "size": size, "pointerSize": 130 });
                serde_json::json!({ "rfilename": name, "size": size, "blobId": git_hash(b"pointer"), "lfs": lfs })
            }
        });
        let listing = serde_json::json!({ "id": id, "sha": commit, "siblings": siblings.collect::<Vec<_>>() });
        Some(plain(200, &listing.to_string()))
    }

    /// `/ID/resolve/REVISION/NAME`
    fn resolved(&mut self, path: &str, from: usize, partial: bool, port: u16) -> Option<Answer> {
        let (id, rest) = path.strip_prefix('/')?.split_once("/resolve/")?;
        let (revision, name) = rest.split_once('/')?;
        let bytes = find(self.models.get(id)?, revision)?.1.get(name).cloned()?;
        if bytes.len() < LARGE {
            let tag = ("ETag", format!("\"{}\"", git_hash(&bytes)));
            let mut answer = self.sent(name, &bytes, from, partial);
            answer.headers.push(tag);
            return Some(answer);
        }
        let hash = hash(&bytes);
        let headers = vec![
            ("Location", format!("http://localhost:{port}/store/{hash}")),
            ("X-Linked-ETag", format!("\"{hash}\"")),
            ("X-Linked-Size", bytes.len().to_string()),
            ("ETag", "\"of the redirect\"".to_owned()),
        ];
        Some(Answer { headers, ..plain(302, "") })
    }

    fn stored(&mut self, wanted: &str, from: usize, partial: bool) -> Answer {
        let files = self.models.values().flatten().flat_map(|(_, files)| files);
        let found =
            files.filter(|(_, bytes)| hash(bytes) == wanted).map(|(name, bytes)| (name.clone(), bytes.clone())).next();
        let Some((name, bytes)) = found else { return plain(404, "no such blob") };
        self.sent(&name, &bytes, from, partial)
    }

    fn sent(&mut self, name: &str, bytes: &[u8], from: usize, partial: bool) -> Answer {
        let mut body = bytes.to_vec();
        if self.spoiled.iter().any(|spoiled| spoiled == name) {
            *body.last_mut().unwrap() ^= 1;
        }
        let total = body.len();
        let (status, headers) = match partial {
            true if from >= total => return plain(416, ""),
            true => (206, vec![("Content-Range", format!("bytes {from}-{}/{total}", total - 1))]),
            false => (200, Vec::new()),
        };
        let cut = self.breaks.get_mut(name).and_then(Vec::pop);
        Answer { status, headers, body: body.split_off(from), cut }
    }
}

fn find<'c>(commits: &'c [Commit], revision: &str) -> Option<&'c Commit> {
    if revision == "main" { commits.last() } else { commits.iter().find(|(commit, _)| commit == revision) }
}

fn plain(status: u16, text: &str) -> Answer {
    Answer { status, headers: Vec::new(), body: text.as_bytes().to_vec(), cut: None }
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn git_hash(bytes: &[u8]) -> String {
    hex(&Sha1::new().chain_update(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
