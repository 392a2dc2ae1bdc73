//! What racing saves, and what it costs: every rule is replayed on recorded tables of folds, in random orders.
//!
//! `cargo bench --bench racing [-- --orders N] [--slots N] [NAME.csv …]`; without files, those of `benches/tables`. A table
//! has the columns `trial`, `fold`, `score` and `parameters` (JSON), a row for each fold of each trial, of a sweep whose
//! file is `NAME.toml` beside it.
//!
//! A replay is the program's own state machine, told that runs end with the scores of the table: trials come in a random
//! order, and each gets its folds in another. Counted are the runs that it starts, against full cross-validation.

#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::json;
use sweep::protocol::Done;
use sweep::search::space::Point;
use sweep::spec::{Direction, Race, Spec};
use sweep::sweep::{Effect, Event, Exit, Place, Plan, Sweep, TrialEnd};

const ORDERS: usize = 200;

/// A sweep over its points, trial by trial and fold by fold.
struct Recorded {
    name: String,
    /// Its space; the points are its starts.
    spec: Spec,
    scores: Vec<Vec<f64>>,
}

struct Rule {
    name: &'static str,
    race: Race,
    /// The process sees the parameters; otherwise it knows of every trial that it is one of many.
    sees: bool,
}

const RULES: [Rule; 5] = [
    Rule { name: "off", race: Race::Off, sees: true },
    Rule { name: "forgiving", race: Race::Forgiving, sees: true },
    Rule { name: "paired", race: Race::Paired, sees: true },
    Rule { name: "posterior, parameters hidden", race: Race::Posterior, sees: false },
    Rule { name: "posterior", race: Race::Posterior, sees: true },
];

/// Of one replay.
#[derive(Clone, Copy)]
struct Outcome {
    /// Full cross-validation's folds by those that were run.
    speed: f64,
    kept: bool,
    /// What the winner lacks to the best, in standard deviations of the trials.
    lost: f64,
}

fn main() -> Result<ExitCode> {
    let (mut orders, mut slots) = (ORDERS, 1);
    let mut synthetic = false;
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // cargo says so to every bench
            "--bench" | "--test" => {}
            "--orders" => orders = arguments.next().context("--orders needs a number")?.parse()?,
            "--slots" => slots = arguments.next().context("--slots needs a number")?.parse()?,
            "--synthetic" => synthetic = true,
            file => files.push(PathBuf::from(file)),
        }
    }
    let tables = if synthetic { made_up()? } else { read_all(files)? };
    if tables.is_empty() {
        println!("no tables: benches/tables holds none, and none was named (--synthetic makes some up)");
        return Ok(ExitCode::from(2));
    }
    for table in &tables {
        let (trials, k) = (table.scores.len(), table.scores[0].len());
        println!("{}: {trials} trials of {k} folds", table.name);
    }
    let mut folds: Vec<usize> = tables.iter().map(|table| table.scores[0].len()).collect();
    folds.sort_unstable();
    folds.dedup();
    for k in folds {
        let of_k: Vec<&Recorded> = tables.iter().filter(|table| table.scores[0].len() == k).collect();
        println!("\nk = {k}, {} tables x {orders} orders, slots: {slots}\n", of_k.len());
        println!("| rule | speed-up | best kept | lost, sd |\n|---|---|---|---|");
        for rule in &RULES {
            let replays: Vec<(usize, usize)> =
                (0..of_k.len()).flat_map(|table| (0..orders).map(move |order| (table, order))).collect();
            let outcomes: Result<Vec<Outcome>> =
                replays.into_par_iter().map(|(table, order)| replay(rule, of_k[table], slots, table, order)).collect();
            let outcomes = outcomes?;
            let average = |of: fn(&Outcome) -> f64| mean(&outcomes.iter().map(of).collect::<Vec<_>>());
            let kept = 100.0 * average(|it| f64::from(u8::from(it.kept)));
            let (speed, lost) = (average(|it| it.speed), average(|it| it.lost));
            println!("| {} | {speed:.2}x | {kept:.1} % | {lost:.3} |", rule.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn replay(rule: &Rule, table: &Recorded, slots: u32, number: usize, order: usize) -> Result<Outcome> {
    let mut rng = ChaCha8Rng::seed_from_u64(order as u64);
    rng.set_stream(number as u64);
    let mut trials: Vec<usize> = (0..table.scores.len()).collect();
    trials.shuffle(&mut rng);
    let mut folds: Vec<usize> = (0..table.scores[0].len()).collect();
    folds.shuffle(&mut rng);
    let mut spec = if rule.sees { table.spec.clone() } else { hidden(table)? };
    spec.search.start = trials.iter().map(|trial| spec.search.start[*trial].clone()).collect();
    spec.search.race = rule.race;
    let mut sweep = Sweep::new(Plan { spec: Arc::new(spec), slots, retries: 0, earlier: Arc::default() });
    let (mut used, mut running) = (0, VecDeque::new());
    let mut event = Event::Begin;
    loop {
        for effect in sweep.handle(event) {
            if let Effect::Spawn { run, .. } = effect {
                used += 1;
                running.push_back(run);
                let place = Place { device: "cpu".to_owned(), host: String::new(), pid: 0 };
                sweep.handle(Event::Started { run, place });
            }
        }
        let Some(run) = running.pop_front() else { break };
        let score = table.scores[trials[run.trial.0 as usize]][folds[run.fold.fold as usize]];
        let exit = Exit::Done(Done { score, best_epoch: 1, epochs: 1, peak_memory_mb: 1 });
        event = Event::Exited { run, exit };
    }
    let direction = table.spec.search.direction;
    let means: Vec<f64> = table.scores.iter().map(|scores| direction.gain(mean(scores))).collect();
    let best = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let finished = sweep.trials().filter(|(_, trial)| matches!(trial.end, Some(TrialEnd::Finished { .. })));
    let finished = finished.map(|(id, _)| means[trials[id.0 as usize]]);
    let winner = finished.fold(f64::NEG_INFINITY, f64::max);
    let spread = deviation(&means).max(f64::MIN_POSITIVE);
    Ok(Outcome {
        speed: (means.len() * folds.len()) as f64 / f64::from(used),
        kept: winner >= best - 1e-12,
        lost: (best - winner) / spread,
    })
}

/// The same trials as categories of one parameter.
fn hidden(table: &Recorded) -> Result<Spec> {
    let trials = table.scores.len();
    let names: Vec<String> = (0..trials).map(|trial| format!("t{trial}")).collect();
    let space = toml::Table::from_iter([("trial".to_owned(), toml::Value::try_from(json!({ "values": names }))?)]);
    let points = names.iter().map(|name| Point::default().with("trial", json!(name))).collect();
    spec(&table.name, table.scores[0].len(), table.spec.search.direction, &space, points)
}

/// A sweep over these points.
fn spec(name: &str, k: usize, direction: Direction, space: &toml::Table, points: Vec<Point>) -> Result<Spec> {
    let search = json!({
        "sampler": "random",
        "objective": "score",
        "direction": direction.name(),
        "trials": points.len(),
        "space": space,
    });
    // the names of the space are those of some program: the table takes the place of its runs
    let document = json!({ "trainer": { "command": ["true"] }, "folds": { "k": k }, "search": search });
    let mut spec = Spec::parse(name, &toml::to_string(&document)?, &[])?;
    spec.search.start = points;
    Ok(spec)
}

fn read_all(files: Vec<PathBuf>) -> Result<Vec<Recorded>> {
    let files = if files.is_empty() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tables");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "csv")).collect();
        files.sort();
        files
    } else {
        files
    };
    files.iter().map(|path| read(path).with_context(|| format!("cannot use {}", path.display()))).collect()
}

fn read(path: &Path) -> Result<Recorded> {
    let mut reader = csv::Reader::from_path(path)?;
    let header = reader.headers()?.clone();
    let column = |name: &str| header.iter().position(|it| it == name).with_context(|| format!("no column {name}"));
    let (trial, fold, score) = (column("trial")?, column("fold")?, column("score")?);
    let parameters = column("parameters")?;
    let mut rows = BTreeMap::<i64, (Point, BTreeMap<i64, f64>)>::new();
    for row in reader.records() {
        let row = row?;
        let value: f64 = row[score].parse()?;
        ensure!(value.is_finite(), "line {}: a score is {value}", row.position().map_or(0, csv::Position::line));
        let (point, folds) = rows.entry(row[trial].parse()?).or_default();
        *point = serde_json::from_str(&row[parameters])?;
        folds.insert(row[fold].parse()?, value);
    }
    let k = rows.values().map(|(_, folds)| folds.len()).max().context("it is empty")?;
    for (trial, (_, folds)) in &rows {
        ensure!(folds.len() == k, "trial {trial} has {} folds of {k}", folds.len());
    }
    ensure!(k >= 2, "a race needs two folds");
    let file = path.with_extension("toml");
    let document: toml::Table = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?.parse()?;
    let search = document.get("search").and_then(toml::Value::as_table).context("its sweep file has no [search]")?;
    let space = search.get("space").and_then(toml::Value::as_table).context("its sweep file has no space")?;
    let minimize = search.get("direction").and_then(toml::Value::as_str) == Some(Direction::Minimize.name());
    let direction = if minimize { Direction::Minimize } else { Direction::Maximize };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (points, scores): (Vec<Point>, Vec<Vec<f64>>) =
        rows.into_values().map(|(point, folds)| (point, folds.into_values().collect())).unzip();
    Ok(Recorded { spec: spec(&name, k, direction, space, points)?, name, scores })
}

/// Tables of a known truth, to see that a replay does what it should; no result is claimed from them.
fn made_up() -> Result<Vec<Recorded>> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut normal = || {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    };
    let mut tables = Vec::new();
    for k in [3, 5, 10] {
        for noise in [0.15, 0.3, 0.5, 0.8] {
            let hard: Vec<f64> = (0..k).map(|_| 0.6 * normal()).collect();
            let mut trial = |place: f64| {
                let quality = 0.5 * (6.0 * place).sin() + 0.8 * normal();
                hard.iter().map(|fold| quality + fold + noise * normal()).collect()
            };
            let places: Vec<f64> = (0..40).map(|place| f64::from(place) / 40.0).collect();
            let scores = places.iter().map(|place| trial(*place)).collect();
            let points = places.iter().map(|place| Point::default().with("place", json!(place))).collect();
            let space = toml::toml! { place = { low = 0.0, high = 1.0 } };
            let name = format!("synthetic-{k}-{noise}");
            tables.push(Recorded { spec: spec(&name, k, Direction::Maximize, &space, points)?, name, scores });
        }
    }
    Ok(tables)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0).max(1.0)).sqrt()
}
