//! What is seen of the machine while a sweep runs on it: its processors, memory and cards, and what each run takes of
//! them. Where the system does not tell, nothing is seen.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::slots::Slot;
use crate::protocol::Device;
use crate::store::Reading;
use crate::sweep::RunId;

const PACE: Duration = Duration::from_secs(2);
/// Of so many looks one is kept for a day: every half minute's.
const LASTING: u64 = 15;

/// Looks at the machine every two seconds, on a thread of its own.
pub(super) struct Gauges {
    ticks: Interval,
    /// None while it is being read, and for ever if that has ended in a panic.
    dials: Option<Dials>,
    reading: Option<JoinHandle<(Dials, Vec<Reading>)>>,
}

/// What was read the last time: most of it says something only by how it grows.
struct Dials {
    proc: PathBuf,
    cards: Vec<Slot>,
    nvml: Option<Nvml>,
    looks: u64,
    /// Busy and all, of all processors together, in ticks.
    cpu: Option<(u64, u64)>,
    at: Instant,
    /// Ticks of each process of a run.
    processes: HashMap<u32, u64>,
}

impl Gauges {
    /// `devices` are those that a run can be on.
    pub(super) fn new(devices: &[Slot]) -> Self {
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let cards = devices.iter().filter(|slot| slot.device == Device::Cuda).cloned().collect();
        Self { ticks, dials: Some(Dials::new("/proc".into(), cards)), reading: None }
    }

    /// What is seen next, of the machine and of these runs by their process groups. Can be given up at any time.
    pub(super) async fn read(&mut self, runs: &BTreeMap<u32, RunId>) -> Vec<Reading> {
        if self.reading.is_none() {
            self.ticks.tick().await;
            let Some(mut dials) = self.dials.take() else { return pending().await };
            let runs = runs.clone();
            self.reading = Some(spawn_blocking(move || {
                let seen = dials.read(&runs);
                (dials, seen)
            }));
        }
        let Some(reading) = &mut self.reading else { return pending().await };
        let read = reading.await;
        self.reading = None;
        read.map_or_else(
            |_| Vec::new(),
            |(dials, seen)| {
                self.dials = Some(dials);
                seen
            },
        )
    }
}

impl Dials {
    fn new(proc: PathBuf, cards: Vec<Slot>) -> Self {
        // the driver's library is looked for where there is something to ask it
        let nvml = if cards.is_empty() { None } else { Nvml::init().ok() };
        Self { proc, cards, nvml, looks: 0, cpu: None, at: Instant::now(), processes: HashMap::new() }
    }

    fn read(&mut self, runs: &BTreeMap<u32, RunId>) -> Vec<Reading> {
        let lasting = self.looks.is_multiple_of(LASTING);
        self.looks += 1;
        let mut seen = Vec::new();
        let mut note = |device: &str, name, value: f64| {
            if value.is_finite() {
                seen.push(Reading { device: device.to_owned(), name, value, lasting });
            }
        };
        if let Some(share) = self.cpu() {
            note("cpu", "utilisation", share);
        }
        if let Some((total, free)) = memory(&self.proc) {
            note("cpu", "memory_used_mb", total - free);
            note("cpu", "memory_total_mb", total);
        }
        self.cards(&mut note);
        for (run, cores, memory) in self.runs(runs) {
            let device = format!("run {run}");
            if let Some(cores) = cores {
                note(&device, "cores", cores);
            }
            note(&device, "memory_used_mb", memory);
        }
        seen
    }

    /// Share of the time that all processors together were busy since the last look.
    fn cpu(&mut self) -> Option<f64> {
        let text = fs::read_to_string(self.proc.join("stat")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user, nice, system, idle, waiting, interrupts of two kinds, stolen; guests are counted in the first two
        let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
        let all: u64 = ticks.iter().sum();
        let idle: u64 = ticks.get(3..5)?.iter().sum();
        let (busy, all) = (all - idle, all);
        let (busy_before, all_before) = self.cpu.replace((busy, all))?;
        let passed = all.checked_sub(all_before).filter(|passed| *passed > 0)?;
        Some((busy.saturating_sub(busy_before) as f64 / passed as f64).min(1.0))
    }

    /// What the driver says of each card that runs can be on.
    fn cards(&self, note: &mut impl FnMut(&str, &'static str, f64)) {
        let Some(nvml) = &self.nvml else { return };
        for card in &self.cards {
            let device = match card.visible.parse() {
                Ok(index) => nvml.device_by_index(index),
                Err(_) => nvml.device_by_uuid(card.visible.as_str()),
            };
            let Ok(device) = device else { continue };
            if let Ok(utilisation) = device.utilization_rates() {
                note(&card.name, "utilisation", f64::from(utilisation.gpu) / 100.0);
            }
            if let Ok(memory) = device.memory_info() {
                note(&card.name, "memory_used_mb", megabytes(memory.used));
                note(&card.name, "memory_total_mb", megabytes(memory.total));
            }
            if let Ok(milliwatts) = device.power_usage() {
                note(&card.name, "power_w", f64::from(milliwatts) / 1000.0);
            }
        }
    }

    /// Processors that each run keeps busy since the last look, and the memory of its processes.
    fn runs(&mut self, groups: &BTreeMap<u32, RunId>) -> Vec<(RunId, Option<f64>, f64)> {
        let seconds = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        let before = std::mem::take(&mut self.processes);
        let mut of_runs: BTreeMap<u32, (Option<u64>, u64)> = BTreeMap::new();
        let entries = if groups.is_empty() { None } else { fs::read_dir(&self.proc).ok() };
        for entry in entries.into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Some(process) = Process::read(&entry.path()).filter(|it| groups.contains_key(&it.group)) else {
                continue;
            };
            let (ticks, pages) = of_runs.entry(process.group).or_default();
            *pages += process.pages;
            if let Some(known) = before.get(&pid) {
                *ticks = Some(ticks.unwrap_or(0) + process.ticks.saturating_sub(*known));
            }
            self.processes.insert(pid, process.ticks);
        }
        let hertz = rustix::param::clock_ticks_per_second() as f64;
        let page = rustix::param::page_size() as u64;
        let of_run = |(group, (ticks, pages)): (u32, (Option<u64>, u64))| {
            let cores = ticks.map(|ticks| ticks as f64 / hertz / seconds);
            Some((*groups.get(&group)?, cores, megabytes(pages * page)))
        };
        of_runs.into_iter().filter_map(of_run).collect()
    }
}

/// Of one process.
struct Process {
    group: u32,
    /// Of processors, in its own code and in the kernel.
    ticks: u64,
    /// In memory.
    pages: u64,
}

impl Process {
    fn read(directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(directory.join("stat")).ok()?;
        // its name stands in brackets, and may hold anything
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Some(Self { group: number(2)? as u32, ticks: number(11)? + number(12)?, pages: number(21)? })
    }
}

/// All and what could be used, in megabytes.
fn memory(proc: &Path) -> Option<(f64, f64)> {
    let text = fs::read_to_string(proc.join("meminfo")).ok()?;
    let field = |name: &str| -> Option<f64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? / 1024.0)
    };
    Some((field("MemTotal:")?, field("MemAvailable:")?))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{FoldId, TrialId};

    #[test]
    fn a_machine_is_read_by_how_its_numbers_grow() {
        let proc = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            let path = proc.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("is made");
            fs::write(path, text).expect("is written");
        };
        write("meminfo", "MemTotal:        2048 kB\nMemFree:          100 kB\nMemAvailable:    1024 kB\n");
        write("stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1 1\n");
        let process = |name: &str, group: u32, ticks: u64| {
            format!("7 ({name}) S 1 {group} 0 0 -1 0 0 0 0 0 {ticks} 5 0 0 20 0 1 0 0 4096 256 0\n")
        };
        write("40/stat", &process("a) b (c", 40, 10));
        write("41/stat", &process("child", 40, 20));
        write("50/stat", &process("somebody else", 50, 20));
        write("self/stat", "no number");
        let run = RunId { trial: TrialId(3), fold: FoldId { repeat: 0, fold: 1 }, attempt: 2 };
        let groups = BTreeMap::from([(40, run)]);
        let mut dials = Dials::new(proc.path().to_owned(), Vec::new());
        let show = |samples: Vec<Reading>| -> Vec<String> {
            samples.iter().map(|it| format!("{} {} {:.3} {}", it.device, it.name, it.value, it.lasting)).collect()
        };
        let first = show(dials.read(&groups));
        write("stat", "cpu  130 0 120 740 110 0 0 0 0 0\n");
        dials.at -= Duration::from_secs(2);
        let second = dials.read(&groups);
        let cores = second.iter().find(|sample| sample.name == "cores").expect("it was seen twice").value;
        assert_eq!(cores, 0.0, "it has done nothing");
        insta::assert_snapshot!(format!("{}\n\n{}", first.join("\n"), show(second).join("\n")), @r"
    cpu memory_used_mb 1.000 true
    cpu memory_total_mb 2.000 true
    run 3/1#2 memory_used_mb 2.000 true

    cpu utilisation 0.500 false
    cpu memory_used_mb 1.000 false
    cpu memory_total_mb 2.000 false
    run 3/1#2 cores 0.000 false
    run 3/1#2 memory_used_mb 2.000 false
    ");
    }

    /// Of the machine that this is.
    #[tokio::test]
    async fn this_machine_can_be_read() {
        let mut gauges = Gauges::new(&[]);
        let seen = gauges.read(&BTreeMap::new()).await;
        if Path::new("/proc/meminfo").exists() {
            assert!(seen.iter().any(|sample| sample.name == "memory_total_mb" && sample.value > 1.0), "{seen:?}");
        }
    }
}
