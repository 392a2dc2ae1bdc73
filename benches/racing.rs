//! What racing saves, and what it costs: every rule is replayed on recorded tables of folds, in random orders.
//!
//! `cargo bench --bench racing [-- --orders N] [FILE.csv …]`; without files, those of `benches/tables`. A table has the
//! columns `trial`, `fold` and `score`, a row for each fold of each trial, more is better (or `--minimize`). Other columns
//! are parameters and are not read.
//!
//! The rules are those of the program (`search::race`). A replay is a sweep with one slot: trials come in a random order,
//! each gets its folds in a random order, and is dropped when the rule says so. The first one gets all.

#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sweep::search::race::{Belief, Field, Prior};
use sweep::spec::{Direction, Race};

const ORDERS: usize = 200;

/// Scores, trial by trial and fold by fold.
struct Recorded {
    name: String,
    scores: Vec<Vec<f64>>,
}

#[derive(Clone, Copy)]
struct Rule {
    name: &'static str,
    race: Race,
    /// What is believed of a trial before its folds.
    belief: bool,
}

const RULES: [Rule; 5] = [
    Rule { name: "off", race: Race::Off, belief: false },
    Rule { name: "forgiving", race: Race::Forgiving, belief: false },
    Rule { name: "paired", race: Race::Paired, belief: false },
    Rule { name: "posterior", race: Race::Posterior, belief: false },
    Rule { name: "posterior, population as prior", race: Race::Posterior, belief: true },
];

#[derive(Clone, Copy, Default)]
struct Tally {
    replays: usize,
    /// Sum of full cross-validation's folds by those that were run.
    speed: f64,
    kept: usize,
    /// Sum of what the winner lacks to the best, in standard deviations of the trials.
    lost: f64,
}

fn main() -> Result<ExitCode> {
    let mut orders = ORDERS;
    let mut direction = Direction::Maximize;
    let mut synthetic = false;
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // cargo says so to every bench
            "--bench" | "--test" => {}
            "--orders" => orders = arguments.next().context("--orders needs a number")?.parse()?,
            "--minimize" => direction = Direction::Minimize,
            "--synthetic" => synthetic = true,
            file => files.push(PathBuf::from(file)),
        }
    }
    let tables = if synthetic { made_up() } else { read_all(files)? };
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
        println!("\nk = {k}, {} tables x {orders} orders\n", of_k.len());
        println!("| rule | speed-up | best kept | lost, sd |\n|---|---|---|---|");
        for rule in RULES {
            let mut tally = Tally::default();
            for (number, table) in of_k.iter().enumerate() {
                for order in 0..orders {
                    let mut rng = ChaCha8Rng::seed_from_u64(order as u64);
                    rng.set_stream(number as u64);
                    replay(rule, direction, table, &mut rng, &mut tally);
                }
            }
            let Tally { replays, speed, kept, lost } = tally;
            let n = replays as f64;
            let share = 100.0 * kept as f64 / n;
            println!("| {} | {:.2}x | {share:.1} % | {:.3} |", rule.name, speed / n, lost / n);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn replay(rule: Rule, direction: Direction, table: &Recorded, rng: &mut ChaCha8Rng, tally: &mut Tally) {
    let mut trials: Vec<usize> = (0..table.scores.len()).collect();
    trials.shuffle(rng);
    let mut order: Vec<usize> = (0..table.scores[0].len()).collect();
    order.shuffle(rng);
    let (mut used, mut finished) = (0, Vec::<(u32, Vec<f64>)>::new());
    // fold -> scores that were seen on it
    let mut seen = BTreeMap::<u32, Vec<f64>>::new();
    for trial in trials {
        let field = Field::new(direction, finished.iter().cloned());
        let population = Population::of(&seen);
        let mut scores = Vec::new();
        for fold in &order {
            let score = table.scores[trial][*fold];
            scores.push((*fold as u32, score));
            used += 1;
            if let Some(field) = &field {
                let belief = population.as_ref().filter(|_| rule.belief).map(|it| it.belief(field, &finished));
                if field.judge(rule.race, &scores, belief).is_some() {
                    break;
                }
            }
        }
        for (fold, score) in &scores {
            seen.entry(*fold).or_default().push(*score);
        }
        if scores.len() == order.len() {
            finished.push((trial as u32, table.scores[trial].clone()));
        }
    }
    let means: Vec<f64> = table.scores.iter().map(|scores| direction.gain(mean(scores))).collect();
    let best = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let winner = finished.iter().map(|(trial, _)| means[*trial as usize]).fold(f64::NEG_INFINITY, f64::max);
    let spread = deviation(&means).max(f64::MIN_POSITIVE);
    tally.replays += 1;
    tally.speed += (means.len() * order.len()) as f64 / f64::from(used);
    tally.kept += usize::from(winner >= best - 1e-12);
    tally.lost += (best - winner) / spread;
}

/// What a model that knows nothing of the space says of every trial alike: a trial is one of all that were seen.
struct Population {
    fold: u32,
    mean: f64,
    sd: f64,
}

impl Population {
    /// From the fold that most trials had, once there are enough of them.
    fn of(seen: &BTreeMap<u32, Vec<f64>>) -> Option<Self> {
        let (fold, scores) = seen.iter().max_by_key(|(_, scores)| scores.len()).filter(|(_, it)| it.len() >= 5)?;
        Some(Self { fold: *fold, mean: mean(scores), sd: deviation(scores) })
    }

    /// Beside the incumbent on the same fold.
    fn belief(&self, field: &Field, finished: &[(u32, Vec<f64>)]) -> Belief {
        let incumbent = finished.iter().find(|(trial, _)| *trial == field.incumbent());
        let incumbent = incumbent.map_or(f64::NAN, |(_, scores)| scores[self.fold as usize]);
        Belief { challenger: Prior { mean: self.mean, sd: self.sd }, incumbent: Prior { mean: incumbent, sd: 0.0 } }
    }
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
    let mut rows = BTreeMap::<i64, BTreeMap<i64, f64>>::new();
    for row in reader.records() {
        let row = row?;
        let score: f64 = row[score].parse()?;
        ensure!(score.is_finite(), "line {}: a score is {score}", row.position().map_or(0, csv::Position::line));
        rows.entry(row[trial].parse()?).or_default().insert(row[fold].parse()?, score);
    }
    let k = rows.values().map(BTreeMap::len).max().context("it is empty")?;
    for (trial, folds) in &rows {
        ensure!(folds.len() == k, "trial {trial} has {} folds of {k}", folds.len());
    }
    ensure!(k >= 2, "a race needs two folds");
    let scores = rows.into_values().map(|folds| folds.into_values().collect()).collect();
    Ok(Recorded { name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), scores })
}

/// Tables of a known truth, to see that a replay does what it should; no result is claimed from them.
fn made_up() -> Vec<Recorded> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut normal = || {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    };
    let mut tables = Vec::new();
    for k in [3, 5, 10] {
        for noise in [0.15, 0.3, 0.5, 0.8] {
            let hard: Vec<f64> = (0..k).map(|_| 0.6 * normal()).collect();
            let mut trial = || {
                let quality = normal();
                hard.iter().map(|fold| quality + fold + noise * normal()).collect()
            };
            let scores = (0..40).map(|_| trial()).collect();
            tables.push(Recorded { name: format!("synthetic, k {k}, noise {noise}"), scores });
        }
    }
    tables
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0).max(1.0)).sqrt()
}
