//! The samplers: what a suggestion costs, what is found in how many trials, and what is lost to parallel slots.

#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

use std::f64::consts::PI;
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use sweep::protocol::Done;
use sweep::search::insight::insight;
use sweep::search::space::{Condition, Domain, Parameter, Point, Space, Test};
use sweep::search::{History, Proposal, Tried, TriedState, propose};
use sweep::spec::{Budget, Direction, Prune, Race, Sampler, Search, Spec, Stop};
use sweep::sweep::{Effect, Event, Exit, Place, Plan, Sweep};

#[derive(Parser)]
struct Args {
    /// What to measure.
    #[arg(value_enum, default_values_t = [What::Time, What::Insight, What::Regret, What::Parallel])]
    what: Vec<What>,
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    #[arg(long, default_value_t = 60)]
    trials: usize,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Milliseconds of one suggestion, seconds of all decisions of a sweep.
    Time,
    /// Milliseconds of what the scores say of the parameters.
    Insight,
    /// How far the best found is from the optimum.
    Regret,
    /// The same with 8 slots.
    Parallel,
}

fn main() {
    let args = Args::parse();
    for what in &args.what {
        match what {
            What::Time => time(),
            What::Insight => understand(),
            What::Regret => regret(&args),
            What::Parallel => parallel(&args),
        }
    }
}

/// A function to minimise over a space; the number of folds that it is seen through.
struct Problem {
    name: &'static str,
    space: Space,
    /// Loss at a point.
    loss: fn(&Point) -> f64,
    /// Spread of a fold's score around the loss, and of the folds' own effects.
    noise: f64,
    folds: u32,
}

fn search(space: &Space, sampler: Sampler, seed: u64) -> Search {
    Search {
        sampler,
        objective: "loss".to_owned(),
        direction: Direction::Minimize,
        budget: Budget::default(),
        seed,
        space: space.clone(),
        start: Vec::new(),
        warm_start: Vec::new(),
        race: Race::Off,
        prune: Prune::Off,
        stop: Stop::Budget,
    }
}

/// After every trial the true loss of the one that looks best so far; `slots` trials are open at once.
fn run(problem: &Problem, sampler: Sampler, seed: u64, trials: usize, slots: usize) -> Vec<f64> {
    let search = search(&problem.space, sampler, seed);
    let mut history = History::default();
    let mut curve = Vec::new();
    // as it was seen, and truly
    let mut best = (f64::INFINITY, f64::INFINITY);
    let mut score = |history: &mut History, trial: usize, best: &mut (f64, f64)| {
        let tried = &mut history.trials[trial];
        let loss = (problem.loss)(&tried.point);
        let noise = |fold: u32| problem.noise * (normal(seed, trial as u64, fold) + normal(seed, u64::MAX, fold));
        tried.scores = (0..problem.folds).map(|fold| (fold, loss + noise(fold))).collect();
        tried.state = TriedState::Finished;
        let seen = tried.scores.iter().map(|(_, score)| score).sum::<f64>() / f64::from(problem.folds);
        if seen < best.0 {
            *best = (seen, loss);
        }
        curve.push(best.1);
    };
    for trial in 0..trials {
        if let Some(oldest) = trial.checked_sub(slots) {
            score(&mut history, oldest, &mut best);
        }
        let Proposal::Point { point, .. } = propose(&search, &history, &|_| true) else { break };
        assert!(!history.holds(&point), "proposed twice: {point}");
        history.trials.push(Tried { point, scores: Vec::new(), state: TriedState::Open });
    }
    for trial in history.trials.len().saturating_sub(slots)..history.trials.len() {
        score(&mut history, trial, &mut best);
    }
    curve
}

/// A standard normal number of (seed, trial, fold).
fn normal(seed: u64, trial: u64, fold: u32) -> f64 {
    let [radius, angle] = uniforms(seed, trial, fold);
    (-2.0 * radius.max(1e-300).ln()).sqrt() * (2.0 * PI * angle).cos()
}

/// Two numbers in [0, 1) of (seed, trial, fold) (splitmix64, Steele 2014).
fn uniforms(seed: u64, trial: u64, fold: u32) -> [f64; 2] {
    let mut state =
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ trial.wrapping_mul(0xd1b5_4a32_d192_ed03) ^ u64::from(fold);
    [(); 2].map(|()| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    })
}

/// (best found - optimum) / (median of random points - optimum), averaged over seeds.
fn regret(args: &Args) {
    let at: Vec<usize> = [10, 20, 40, 60].into_iter().filter(|n| *n <= args.trials).collect();
    println!("normalised regret after {at:?} trials, mean of {} seeds", args.seeds);
    for problem in problems() {
        let (optimum, median) = levels(&problem);
        for sampler in [Sampler::Random, Sampler::Sobol, Sampler::Bayes] {
            let start = Instant::now();
            let curves: Vec<Vec<f64>> =
                (0..args.seeds).map(|seed| run(&problem, sampler, seed, args.trials, 1)).collect();
            let mean = |n: usize| curves.iter().map(|curve| curve[n - 1]).sum::<f64>() / curves.len() as f64;
            let row: Vec<String> =
                at.iter().map(|n| format!("{:.4}", (mean(*n) - optimum) / (median - optimum))).collect();
            let seconds = start.elapsed().as_secs_f64() / args.seeds as f64;
            println!("{:18} {:8} {}   {seconds:.2} s a sweep", problem.name, name(sampler), row.join("  "));
        }
    }
}

/// Trials that a sequential sweep needs for what 8 slots find, as a share of theirs. One unlucky seed moves a function's share
/// far: the mean of them all comes with the spread that drawing other seeds gives it (bootstrap).
fn parallel(args: &Args) {
    println!(
        "8 slots beside 1: regret after {} trials, trials to what 8 slots find, and sample efficiency, mean of {} seeds",
        args.trials, args.seeds
    );
    let beside: Vec<Beside> = problems().iter().map(|problem| Beside::of(problem, args)).collect();
    let mean = |seeds: &[usize]| {
        let shares = beside.iter().map(|beside| beside.share(seeds).ln());
        // shares are ratios: half of the trials and twice as many are equally far from 1
        (shares.sum::<f64>() / beside.len() as f64).exp()
    };
    let drawn: Vec<f64> = (0..BOOTSTRAPS)
        .map(|round| {
            let seed = |index: u64| (uniforms(round, index, 0)[0] * args.seeds as f64) as usize;
            mean(&(0..args.seeds).map(seed).collect::<Vec<usize>>())
        })
        .collect();
    let middle = drawn.iter().sum::<f64>() / drawn.len() as f64;
    let spread = (drawn.iter().map(|drawn| (drawn - middle).powi(2)).sum::<f64>() / drawn.len() as f64).sqrt();
    let all: Vec<usize> = (0..args.seeds as usize).collect();
    println!("sample efficiency, geometric mean: {:.2} ± {spread:.2}", mean(&all));
}

/// Normalised regrets of a sequential sweep and of 8 slots, [seed][trial].
struct Beside {
    one: Vec<Vec<f64>>,
    eight: Vec<Vec<f64>>,
}

impl Beside {
    fn of(problem: &Problem, args: &Args) -> Self {
        let (optimum, median) = levels(problem);
        let regrets = |slots: usize| {
            let curve = |seed| run(problem, Sampler::Bayes, seed, args.trials, slots);
            let normalised = |loss: f64| (loss - optimum) / (median - optimum);
            (0..args.seeds).map(|seed| curve(seed).into_iter().map(normalised).collect()).collect()
        };
        let beside = Self { one: regrets(1), eight: regrets(8) };
        let all: Vec<usize> = (0..args.seeds as usize).collect();
        let (one, eight) = (mean_curve(&beside.one, &all), mean_curve(&beside.eight, &all));
        let (sequential, parallel) = trials_to_the_same(&one, &eight);
        println!(
            "{:18} {:.4} {:.4}   {sequential:3} {parallel:3}   {:.2}",
            problem.name,
            one[args.trials - 1],
            eight[args.trials - 1],
            beside.share(&all)
        );
        beside
    }

    fn share(&self, seeds: &[usize]) -> f64 {
        let (sequential, parallel) = trials_to_the_same(&mean_curve(&self.one, seeds), &mean_curve(&self.eight, seeds));
        sequential as f64 / parallel as f64
    }
}

fn mean_curve(curves: &[Vec<f64>], seeds: &[usize]) -> Vec<f64> {
    let at = |n: usize| seeds.iter().map(|seed| curves[*seed][n]).sum::<f64>() / seeds.len() as f64;
    (0..curves[0].len()).map(at).collect()
}

/// Up to the trial from which on the regret is as small as that of 8 slots in the end, or [`NEGLIGIBLE`].
fn trials_to_the_same(one: &[f64], eight: &[f64]) -> (usize, usize) {
    let found = eight[eight.len() - 1].max(NEGLIGIBLE);
    // what looked best was not always: a dip by luck is not there to stay
    let needed = |curve: &[f64]| curve.iter().rposition(|regret| *regret > found).map_or(1, |last| last + 2);
    (needed(one).min(one.len()), needed(eight).min(eight.len()))
}

const BOOTSTRAPS: u64 = 200;

/// A normalised regret; below it nobody sees a difference.
const NEGLIGIBLE: f64 = 1e-3;

fn time() {
    println!("milliseconds of a suggestion, one thread");
    for dimensions in [5, 10, 15] {
        for count in [20, 100, 300, 1_000] {
            let (space, history) = scored(dimensions, count);
            let bayes = search(&space, Sampler::Bayes, 1);
            let took = median_ms(|| propose(&bayes, &history, &|_| true));
            println!("{dimensions:3} parameters, {count:5} trials: {took:8.1}");
        }
    }
    decisions();
}

/// Everything that is decided in a sweep of 100 trials of 5 folds that race: points, who is dropped, what comes next.
fn decisions() {
    println!("seconds of all decisions of a sweep of 100 trials, 5 folds, one slot, one thread");
    for dimensions in [5, 10] {
        let space: Vec<String> = (0..dimensions).map(|d| format!("x{d} = {{ low = 0.0, high = 1.0 }}")).collect();
        let text = format!(
            "[trainer]\ncommand = [\"true\"]\n[folds]\nk = 5\n[search]\nsampler = \"bayes\"\ntrials = 100\nobjective = \"loss\"\n\
             direction = \"minimize\"\n[search.space]\n{}",
            space.join("\n")
        );
        let spec = Arc::new(Spec::parse("bowl", &text, &[]).expect("a good sweep file"));
        let mut sweep = Sweep::new(Plan { spec, slots: 1, retries: 0, earlier: Arc::default() });
        let (mut event, mut runs) = (Event::Begin, 0);
        let start = Instant::now();
        loop {
            let effects = sweep.handle(event);
            let spawned = effects.iter().find_map(|effect| match effect {
                Effect::Spawn { run, .. } => Some(*run),
                _ => None,
            });
            let Some(run) = spawned else { break };
            runs += 1;
            let place = Place { device: "cpu".to_owned(), host: String::new(), pid: 0 };
            sweep.handle(Event::Started { run, place });
            let point = &sweep.trial(run.trial).expect("it was proposed").point;
            let loss: f64 = (0..dimensions).map(|d| (x(point, &format!("x{d}")) - 0.3).powi(2)).sum();
            let score = loss + 0.05 * normal(1, run.trial.0 as u64, run.fold.fold as u32);
            event =
                Event::Exited { run, exit: Exit::Done(Done { score, best_epoch: 1, epochs: 1, peak_memory_mb: 1 }) };
        }
        println!("{dimensions:3} parameters, {runs} runs: {:.2}", start.elapsed().as_secs_f64());
    }
}

fn understand() {
    println!("milliseconds of an insight, one thread");
    for dimensions in [5, 10, 15] {
        for count in [20, 100, 300] {
            let (space, history) = scored(dimensions, count);
            let search = search(&space, Sampler::Sobol, 1);
            let took = median_ms(|| insight(&search, &history));
            println!("{dimensions:3} parameters, {count:5} trials: {took:8.1}");
        }
    }
}

/// So many trials of a bowl.
fn scored(dimensions: usize, count: usize) -> (Space, History) {
    let space = Space::new((0..dimensions).map(|d| float(&format!("x{d}"))).collect());
    let sobol = search(&space, Sampler::Sobol, 1);
    let mut history = History::default();
    for _ in 0..count {
        let Proposal::Point { point, .. } = propose(&sobol, &history, &|_| true) else { break };
        let loss: f64 = (0..dimensions).map(|d| (x(&point, &format!("x{d}")) - 0.3).powi(2)).sum();
        history.trials.push(Tried { point, scores: vec![(0, loss)], state: TriedState::Finished });
    }
    (space, history)
}

fn median_ms<T>(work: impl Fn() -> T) -> f64 {
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(work());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[2]
}

fn name(sampler: Sampler) -> &'static str {
    match sampler {
        Sampler::Grid => "grid",
        Sampler::Random => "random",
        Sampler::Sobol => "sobol",
        Sampler::Bayes => "bayes",
    }
}

/// Least loss of very many even points (improved nearby), and the median.
fn levels(problem: &Problem) -> (f64, f64) {
    let dimensions = problem.space.parameters().len();
    let even = (0..50_000).map(|number| sweep::search::scattered(1, number, dimensions));
    let mut all: Vec<(f64, Vec<f64>)> = even.map(|u| ((problem.loss)(&problem.space.point_at(&u)), u)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = all[all.len() / 2].0;
    let (mut least, mut u) = all.swap_remove(0);
    let mut reach = 0.1;
    for round in 0..20_000 {
        let next: Vec<f64> = u
            .iter()
            .enumerate()
            .map(|(d, u)| (u + reach * normal(7, round, d as u32)).clamp(0.0, 1.0 - 1e-12))
            .collect();
        let loss = (problem.loss)(&problem.space.point_at(&next));
        if loss < least {
            (least, u) = (loss, next);
        } else {
            reach = (reach * 0.999).max(1e-6);
        }
    }
    (least, median)
}

fn problems() -> Vec<Problem> {
    let floats = |n: usize| Space::new((0..n).map(|d| float(&format!("x{d}"))).collect());
    let quiet = |name, space, loss| Problem { name, space, loss, noise: 0.0, folds: 1 };
    vec![
        quiet("branin", floats(2), branin),
        quiet("hartmann6", floats(6), hartmann),
        quiet("rough", floats(4), rough),
        quiet("cliffs", floats(5), cliffs),
        Problem { name: "folds", space: floats(4), loss: bowl, noise: 0.3, folds: 5 },
        quiet("mixed", mixed_space(), mixed),
        quiet("conditional", conditional_space(), conditional),
        quiet("ackley5", floats(5), ackley),
        quiet("levy6", floats(6), levy),
        quiet("rosenbrock4", floats(4), rosenbrock),
        quiet("saturating", floats(6), saturating),
        quiet("steps", floats(4), steps),
        Problem { name: "few of 8", space: floats(8), loss: few_of_many, noise: 0.1, folds: 3 },
        Problem { name: "saturating, folds", space: floats(6), loss: saturating, noise: 0.05, folds: 5 },
        Problem { name: "hartmann6, folds", space: floats(6), loss: hartmann, noise: 0.2, folds: 5 },
    ]
}

fn float(name: &str) -> Parameter {
    Parameter { name: name.to_owned(), domain: Domain::Float { low: 0.0, high: 1.0, log: false }, when: None }
}

fn x(point: &Point, name: &str) -> f64 {
    point.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

fn xs<const N: usize>(point: &Point) -> [f64; N] {
    std::array::from_fn(|d| x(point, &format!("x{d}")))
}

/// Branin (1972): smooth, three optima.
fn branin(point: &Point) -> f64 {
    let [a, b] = xs(point);
    let (a, b) = (15.0 * a - 5.0, 15.0 * b);
    let bent = b - 5.1 / (4.0 * PI * PI) * a * a + 5.0 / PI * a - 6.0;
    bent * bent + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * a.cos() + 10.0
}

/// Hartmann (1973) in six dimensions: smooth, six optima.
fn hartmann(point: &Point) -> f64 {
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let x: [f64; 6] = xs(point);
    let each = A.iter().zip(&P).zip([1.0, 1.2, 3.0, 3.2]);
    -each.map(|((a, p), c)| c * (-(0..6).map(|d| a[d] * (x[d] - p[d]).powi(2)).sum::<f64>()).exp()).sum::<f64>()
}

/// A bowl with ripples.
fn rough(point: &Point) -> f64 {
    let x: [f64; 4] = xs(point);
    x.iter().map(|x| (x - 0.37).powi(2) - 0.02 * (25.0 * (x - 0.37)).cos()).sum()
}

/// As a learning rate has it: chance on one side, divergence on the other, a valley between, and what hardly matters.
fn cliffs(point: &Point) -> f64 {
    let [rate, layers, width, dropout, _] = xs::<5>(point);
    let edge = 0.75 - 0.2 * width;
    if rate > edge {
        return 1.0;
    }
    let valley = 0.55 - 0.15 * width;
    let slow = if rate < 0.3 { 0.5 } else { 2.0 * (rate - valley).powi(2) };
    0.1 + slow + 0.1 * (layers - 0.6).powi(2) + 0.05 * (dropout - 0.2).powi(2)
}

fn bowl(point: &Point) -> f64 {
    let x: [f64; 4] = xs(point);
    let weights = [3.0, 1.0, 0.3, 0.1];
    x.iter().zip(weights).map(|(x, weight)| weight * (x - 0.62).powi(2)).sum()
}

/// Ackley (1987) in five dimensions, its optimum away from the middle: a funnel among many dents.
fn ackley(point: &Point) -> f64 {
    let z = xs::<5>(point).map(|x| 20.0 * (x - 0.4));
    let square = z.iter().map(|z| z * z).sum::<f64>() / 5.0;
    let wave = z.iter().map(|z| (2.0 * PI * z).cos()).sum::<f64>() / 5.0;
    -20.0 * (-0.2 * square.sqrt()).exp() - wave.exp() + 20.0 + 1f64.exp()
}

/// Levy's function in six dimensions (Laguna & Martí 2005): waves on a slope.
fn levy(point: &Point) -> f64 {
    let w = xs::<6>(point).map(|x| 1.0 + (20.0 * x - 11.0) / 4.0);
    let middle = w[..5].iter().map(|w| (w - 1.0).powi(2) * (1.0 + 10.0 * (PI * w + 1.0).sin().powi(2)));
    let last = (w[5] - 1.0).powi(2) * (1.0 + (2.0 * PI * w[5]).sin().powi(2));
    (PI * w[0]).sin().powi(2) + middle.sum::<f64>() + last
}

/// Rosenbrock (1960) in four dimensions: a bent valley.
fn rosenbrock(point: &Point) -> f64 {
    let z = xs::<4>(point).map(|x| 4.0 * x - 2.0);
    (0..3).map(|d| 100.0 * (z[d + 1] - z[d] * z[d]).powi(2) + (1.0 - z[d]).powi(2)).sum()
}

/// A valley across two parameters, flat at the level of chance far from it.
fn saturating(point: &Point) -> f64 {
    let x: [f64; 6] = xs(point);
    let across = 8.0 * (x[0] - 0.45 - 0.2 * (x[1] - 0.5)).powi(2);
    let far = across + 2.0 * (x[2] - 0.7).powi(2) + 0.5 * (x[3] - 0.2).powi(2) + 0.2 * x[4];
    0.7 * (1.0 - (-2.5 * far).exp()) + 0.02 * (13.0 * x[5]).sin()
}

/// Few of the parameters matter, and two of them together.
fn few_of_many(point: &Point) -> f64 {
    let x: [f64; 8] = xs(point);
    (x[1] - 0.3).abs() + 0.5 * (x[4] - 0.8).powi(2) + 0.3 * x[1] * x[6]
}

/// Plateaus all the way down.
fn steps(point: &Point) -> f64 {
    xs::<4>(point).iter().map(|x| (6.0 * (x - 0.71).abs()).floor() / 6.0).sum()
}

fn mixed_space() -> Space {
    let values = |values: &[&str]| Domain::Values(values.iter().map(|value| json!(value)).collect());
    Space::new(vec![
        float("x0"),
        float("x1"),
        Parameter { name: "kind".into(), domain: values(&["a", "b", "c", "d"]), when: None },
        Parameter {
            name: "size".into(),
            domain: Domain::Integer { low: 8, high: 512, step: 1, log: true },
            when: None,
        },
        Parameter { name: "flag".into(), domain: Domain::Values(vec![json!(false), json!(true)]), when: None },
    ])
}

/// Each kind has its own best place.
fn mixed(point: &Point) -> f64 {
    let kind = point.get("kind").and_then(Value::as_str).unwrap_or("a");
    let (floor, place) = match kind {
        "a" => (0.3, 0.2),
        "b" => (0.0, 0.8),
        "c" => (0.1, 0.5),
        _ => (0.6, 0.4),
    };
    let flag = if point.get("flag") == Some(&json!(true)) { 0.0 } else { 0.15 };
    let size = x(point, "size").max(1.0).log2();
    floor + flag + (x(point, "x0") - place).powi(2) + 0.5 * (x(point, "x1") - 0.3).powi(2) + 0.03 * (size - 7.0).powi(2)
}

fn conditional_space() -> Space {
    let when = |kind: &str| Some(Condition(vec![("kind".to_owned(), Test::Equals(json!(kind)))]));
    Space::new(vec![
        Parameter { name: "kind".into(), domain: Domain::Values(vec![json!("plain"), json!("deep")]), when: None },
        float("x0"),
        Parameter { when: when("deep"), ..float("x1") },
        Parameter { when: when("deep"), ..float("x2") },
        Parameter { when: when("plain"), ..float("x3") },
    ])
}

/// The better branch has more to tune.
fn conditional(point: &Point) -> f64 {
    let shared = (x(point, "x0") - 0.7).powi(2);
    if point.get("kind") == Some(&json!("deep")) {
        shared + 2.0 * (x(point, "x1") - 0.25).powi(2) + (x(point, "x2") - 0.6).powi(2)
    } else {
        0.1 + shared + (x(point, "x3") - 0.5).powi(2)
    }
}
