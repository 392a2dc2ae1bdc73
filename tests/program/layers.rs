//! Which module may use which: nothing else keeps a layer pure.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::repository;

/// Modules, and the modules of this crate that each may use.
const ARROWS: &[(&str, &[&str])] = &[
    // core: pure
    ("metrics", &["spec"]),
    ("crossval", &["spec", "metrics"]),
    ("spec", &["search", "metrics"]),
    ("search", &["spec", "crossval"]),
    ("protocol", &["spec", "search", "sweep", "metrics"]),
    ("sweep", &["spec", "search", "protocol", "crossval"]),
    // learn: candle and the spec; has never heard of processes or databases
    ("text", &["spec"]),
    ("model", &["spec", "text"]),
    ("train", &["spec", "text", "model", "metrics", "crossval", "protocol"]),
    ("baseline", &["text", "train", "protocol"]),
    // edge: does not know itself but where it says so: the driver records in the store, and fetches from the hub
    ("worker", &["protocol", "train", "baseline"]),
    ("tether", &["protocol"]),
    ("store", &["spec", "search", "protocol", "sweep"]),
    ("hub", &[]),
    ("control", &["search", "protocol", "sweep"]),
    ("driver", &["spec", "search", "protocol", "sweep", "text", "model", "store", "hub", "control"]),
    // reads the store, and computes with what is pure; no screen is a reason to know the driver
    ("dashboard", &["spec", "search", "protocol", "sweep", "crossval", "metrics", "store", "control"]),
    ("settings", &[]),
    ("failure", &["control", "driver", "spec", "store", "text"]),
    (
        "cli",
        &[
            "control",
            "crossval",
            "dashboard",
            "driver",
            "failure",
            "hub",
            "metrics",
            "protocol",
            "search",
            "settings",
            "spec",
            "store",
            "sweep",
            "tether",
            "text",
            "train",
            "worker",
        ],
    ),
    ("main", &["cli"]),
];

const CORE: &[&str] = &["metrics", "crossval", "spec", "search", "protocol", "sweep"];

/// What the core must not know: runtimes, devices, screens, clocks, files, surroundings, randomness without a seed.
const IMPURE: &[&str] = &[
    "tokio",
    "sqlx",
    "candle_core",
    "candle_nn",
    "ratatui",
    "crossterm",
    "axum",
    "indicatif",
    "rayon",
    "tracing",
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
    "rand::rng",
    "println!",
];

/// Files that may hold `unsafe`.
const UNSAFE: &[&str] = &[
    "model/kernels/gemm/mod.rs",
    "model/kernels/gemm/avx512/mod.rs",
    "model/kernels/gemm/avx512/f32.rs",
    "model/kernels/gemm/avx512/bf16.rs",
    "text/corpus.rs",
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let (root, mut files) = (repository().join("src"), Vec::new());
    walk(&root, &mut files);
    files.sort();
    let read = |path: PathBuf| (path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    files.into_iter().map(read).collect()
}

fn module(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Path) -> bool {
    path.to_string_lossy().contains("test") || path.ends_with("golden.rs")
}

/// Code without comments and without the test module at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_arrow_points_outwards() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = module(&path);
        if module == "lib" || is_test(&path) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: no layer is known of {module}", path.display()));
            continue;
        };
        let code = code(&text);
        for used in code.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let known = ARROWS.iter().any(|(name, _)| *name == used);
            if known && used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {module} must not use {used}", path.display()));
            }
        }
        if code.contains("crate::{") || code.contains("super::super::") {
            wrong.push(format!("{}: write paths of the crate one by one", path.display()));
        }
        if CORE.contains(&module.as_str()) {
            let found = IMPURE.iter().filter(|name| code.contains(*name));
            wrong.extend(found.map(|name| format!("{}: the core must not use {name}", path.display())));
        }
        if module != "cli" && module != "main" && (code.contains("println!(") || code.contains("eprintln!(")) {
            wrong.push(format!("{}: only the command line prints", path.display()));
        }
        if code.contains("unsafe {") && !UNSAFE.iter().any(|file| path.ends_with(file)) {
            wrong.push(format!("{}: unsafe belongs to the kernels", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    let text = fs::read_to_string(repository().join("src/lib.rs")).unwrap();
    let modules = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(modules.filter(|module| !known.contains(module)).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn architecture_is_short_and_names_every_module() {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() <= 150, "{} lines", text.lines().count());
    for (module, _) in ARROWS.iter().filter(|(module, _)| *module != "main") {
        assert!(text.contains(&format!("`{module}")), "{module} is not in ARCHITECTURE.md");
    }
}
