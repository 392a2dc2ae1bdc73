//! A project in a temporary directory, and the program run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a fact may take to become true.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Project {
    directory: TempDir,
}

/// What a finished program left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A small sweep over `docs.jsonl`: two trials of two folds, and no baseline. None is given up: after which folds depends
/// on what else has ended by then.
pub(crate) const SPEC: &str = r#"baseline = false
[data]
path = "docs.jsonl"
[folds]
k = 2
[model]
hidden = 8
layers = 1
heads = 1
segment_len = 16
segment_pooling = "mean"
aggregator = { layers = 1, heads = 1 }
[train]
epochs = 2
batch_size = 8
[search.space]
"train.learning_rate" = { values = [1e-2, 3e-2] }
[search]
race = "off"
"#;

impl Project {
    /// With 24 documents of three classes and a sweep file `small.toml`.
    pub(crate) fn new() -> Self {
        let project = Self { directory: tempfile::tempdir().unwrap() };
        project.write("docs.jsonl", documents(24));
        project.write("small.toml", SPEC);
        project
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// The program, in this project, untouched by the settings of whoever runs the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sweep"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env_remove("SWEEP_DB")
            .env_remove("SWEEP_LOG")
            // no hub but one that a test brings, and no model that somebody has
            .env("HF_HOME", self.path("hf"))
            .env("HF_ENDPOINT", "http://127.0.0.1:1")
            .env_remove("HF_HUB_CACHE")
            .env_remove("HUGGINGFACE_HUB_CACHE")
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("TRANSFORMERS_OFFLINE")
            .env_remove("HF_TOKEN")
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn sweep(&self, arguments: &[&str]) -> Outcome {
        let output = self.command(arguments).output().unwrap();
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(self.directory.path().to_str().unwrap(), "DIR");
        Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Starts the program and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Rows of a query, as CSV without the header.
    pub(crate) fn sql(&self, query: &str) -> Vec<String> {
        let outcome = self.sweep(&["sql", query, "--format", "csv"]);
        assert_eq!(outcome.code, Some(0), "{query}: {}", outcome.err);
        outcome.out.lines().skip(1).map(str::to_owned).collect()
    }

    /// Waits until a query has rows.
    pub(crate) fn wait_for(&self, query: &str) -> Vec<String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.path("experiments.db").exists() {
                let outcome = self.sweep(&["sql", query, "--format", "csv"]);
                let rows: Vec<String> = outcome.out.lines().skip(1).map(str::to_owned).collect();
                if outcome.code == Some(0) && !rows.is_empty() {
                    return rows;
                }
            }
            std::thread::yield_now();
        }
        panic!("still no row after {PATIENCE:?}: {query}");
    }
}

/// Documents whose class is in their words, some of them longer than a window.
pub(crate) fn documents(count: usize) -> String {
    let words = [["红", "火", "热"], ["蓝", "水", "冷"], ["绿", "木", "风"]];
    let filler = ["的", "了", "在", "是", "我", "有"];
    let mut text = String::new();
    for number in 0..count {
        let class = number % 3;
        let mut document = String::new();
        for place in 0..(12 + number * 7 % 30) {
            let mixed = (number * 31 + place * 17) % 11;
            document += if mixed < 4 { words[class][mixed % 3] } else { filler[mixed % 6] };
        }
        let label = ["fire", "water", "wood"][class];
        let row = serde_json::json!({ "text": document, "label": label, "group": format!("g{}", number % 8) });
        text += &row.to_string();
        text.push('\n');
    }
    text
}

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    // it may have ended by itself
    let _ = rustix::process::kill_process(pid, signal);
}

/// Whether there is a Python to be a child; says so if not.
pub(crate) fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: there is no python3");
    }
    found
}
