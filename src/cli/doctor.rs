//! `sweep doctor`: what this machine has, and what is missing.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::print::outln;
use super::{Format, cache_of, render, takes_files};
use crate::dashboard::format::counted;
use crate::driver::Machine;
use crate::failure::{Code, Failure};
use crate::hub::Hub;
use crate::settings::{PROJECT_FILE, Settings, user_file};
use crate::store::{Reader, StoreError};

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    found: String,
    /// What is wrong with it, and how to mend it.
    problem: Option<String>,
}

/// Looks at devices, database, caches and settings.
pub(super) async fn doctor(settings: &Settings, format: Format) -> Result<Code, Failure> {
    let machine = Machine::here();
    let mut findings = vec![
        good(
            "version",
            format!("sweep {}{}", env!("CARGO_PKG_VERSION"), if cfg!(feature = "cuda") { " with cuda" } else { "" }),
        ),
        good("processor", format!("{} cores, {}", machine.cores, instructions())),
        good("memory", memory()),
        cards(&machine),
        database(&settings.db).await,
        good("cache", cache(&cache_of(&settings.db))),
    ];
    let hub = Hub::here();
    findings.extend([endpoint(&hub), models(&hub)]);
    let files = [user_file(), Some(PROJECT_FILE.into())].into_iter().flatten();
    let files: Vec<String> = files.filter(|file| file.exists()).map(|file| file.display().to_string()).collect();
    findings.push(good("settings", if files.is_empty() { "defaults".to_owned() } else { files.join(", ") }));
    let sick = findings.iter().any(|finding| finding.problem.is_some());
    if format == Format::Json {
        let finding =
            |finding: &Finding| json!({ "what": finding.what, "found": finding.found, "problem": finding.problem });
        render::json(&findings.iter().map(finding).collect::<Vec<_>>())?;
    } else {
        for Finding { what, found, problem } in &findings {
            outln!("{} {what:10} {found}", if problem.is_some() { "✗" } else { "✓" });
            if let Some(problem) = problem {
                outln!("  {:10} {problem}", "");
            }
        }
    }
    Ok(if sick { Code::Broken } else { Code::Good })
}

fn good(what: &'static str, found: String) -> Finding {
    Finding { what, found, problem: None }
}

fn cards(machine: &Machine) -> Finding {
    if machine.cards.is_empty() {
        return good("cards", format!("none ({})", machine.without_cards));
    }
    let names: Vec<&str> = machine.cards.iter().map(|card| card.description.as_str()).collect();
    good("cards", names.join(", "))
}

async fn database(path: &Path) -> Finding {
    let name = path.display();
    match Reader::open(path).await {
        Ok(reader) => match reader.sweeps().await {
            Ok(sweeps) => good("database", format!("{name}: {}", counted(sweeps.len(), "sweep"))),
            Err(error) => Finding { what: "database", found: name.to_string(), problem: Some(error.to_string()) },
        },
        Err(StoreError::Missing { .. } | StoreError::Empty { .. }) => {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let writable = takes_files(directory);
            let problem = writable.err().map(|error| format!("cannot write to {}: {error}", directory.display()));
            Finding { what: "database", found: format!("{name}: not there yet, `sweep run` makes it"), problem }
        }
        Err(error) => Finding { what: "database", found: name.to_string(), problem: Some(error.to_string()) },
    }
}

fn cache(path: &Path) -> String {
    let sizes = sizes(path);
    let megabytes = sizes.iter().sum::<u64>() as f64 / 1e6;
    format!("{}: {} files, {megabytes:.1} MB (may be deleted)", path.display(), sizes.len())
}

/// Of all files in a folder and the folders in it.
fn sizes(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => sizes(&entry.path()),
        Ok(metadata) => vec![metadata.len()],
        Err(_) => Vec::new(),
    };
    entries.flat_map(of).collect()
}

fn endpoint(hub: &Hub) -> Finding {
    let network = if hub.is_offline() { "offline (HF_HUB_OFFLINE)" } else { "online" };
    let token = if hub.has_token() { "with a token" } else { "no token" };
    let problem = hub.check().err().map(|error| error.to_string());
    Finding { what: "hub", found: format!("{}, {network}, {token}", hub.endpoint()), problem }
}

fn models(hub: &Hub) -> Finding {
    let folder = hub.cache().folder();
    let models = hub.cache().models();
    let total = models.iter().map(|model| model.bytes).sum::<u64>() as f64 / 1e6;
    let names = models.iter().map(|model| format!("\n  {:10} {} ({:.1} MB)", "", model.id, model.bytes as f64 / 1e6));
    let found =
        format!("{}: {}, {total:.1} MB{}", folder.display(), counted(models.len(), "model"), names.collect::<String>());
    let unwritable = if folder.is_dir() { takes_files(folder).err() } else { None };
    let problem = unwritable.map(|error| format!("cannot write to it: {error}; HF_HOME names another place"));
    Finding { what: "models", found, problem }
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let gigabytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let kilobytes =
            line.and_then(|line| line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().ok());
        kilobytes.map(|kilobytes| kilobytes / f64::from(1 << 20))
    };
    match (gigabytes("MemTotal"), gigabytes("MemAvailable")) {
        (Some(total), Some(available)) => format!("{total:.1} GiB, {available:.1} GiB free"),
        _ => "unknown".to_owned(),
    }
}

/// The widest instructions that the kernels use here.
fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return "AVX2";
        }
        "SSE2: old, and slow"
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_has_the_size_of_all_that_is_in_it() {
        let cache = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(cache.path().join("x.vectors")).expect("is made");
        for (name, bytes) in [("a.tokens", 300_000), ("x.vectors/0.vectors", 700_000)] {
            fs::write(cache.path().join(name), vec![0; bytes]).expect("is written");
        }
        let found = super::cache(cache.path());
        assert!(found.ends_with(": 2 files, 1.0 MB (may be deleted)"), "{found}");
    }
}
