//! How long the dashboard takes on a large database, and what it costs to watch a busy one.
//!
//! `cargo bench --bench dashboard [-- --trials N] [--folds N] [--metrics N] [--db PATH]`; the database is made first, and
//! kept where `--db` says. The screen is one in memory: what a real terminal takes to show a frame is not ours.

#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use sweep::dashboard::feed::{Feed, Want};
use sweep::dashboard::message::{Msg, Screen as Tab};
use sweep::dashboard::model::{Model, update};
use sweep::dashboard::theme::{Depth, Glyphs, Ground, Theme};
use sweep::dashboard::{keys, view};
use sweep::protocol::{Measurement, Split};
use sweep::spec::Direction;
use sweep::store::{Millis, NewSweep, Reader, Store, SweepKey};
use sweep::sweep::{Fact, FoldId, RunId, TrialId};
use tokio::sync::mpsc;

const FIRST_PAINT: Duration = Duration::from_millis(300);
const KEY: Duration = Duration::from_millis(50);
const MEMORY_MB: f64 = 150.0;
const IDLE_CPU: f64 = 1.0;
const LIVE_CPU: f64 = 10.0;

/// New metrics a second while it is watched.
const BUSY: u32 = 500;
const WATCHED: Duration = Duration::from_secs(10);

struct Sizes {
    trials: u32,
    folds: u32,
    /// Epochs of a run, each with two metrics of validation.
    epochs: u32,
}

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut sizes = Sizes { trials: 10_000, folds: 5, epochs: 100 };
    let (mut database, mut order) = (None, None);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u32> { Ok(arguments.next().context("a number is to follow")?.parse()?) };
        match argument.as_str() {
            "--trials" => sizes.trials = number()?,
            "--folds" => sizes.folds = number()?,
            "--metrics" => sizes.epochs = number()? / 2,
            "--db" => database = Some(PathBuf::from(arguments.next().context("a path is to follow")?)),
            "--make" | "--write" => order = Some(argument),
            other => bail!("{other} is no option of it"),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let directory = tempfile::TempDir::new()?;
    let path = database.unwrap_or_else(|| directory.path().join("experiments.db"));
    match order.as_deref() {
        Some("--make") => runtime.block_on(make(&path, &sizes))?,
        Some(_) => runtime.block_on(write(&path, &sizes))?,
        None => {
            if !path.exists() {
                // in a process of its own: its memory is not the dashboard's
                let began = Instant::now();
                child("--make", &path, &sizes)?.wait()?;
                println!("database made in {:.0} s", began.elapsed().as_secs_f64());
            }
            let good = runtime.block_on(measure(&path, &sizes))?;
            return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn child(order: &str, path: &Path, sizes: &Sizes) -> Result<std::process::Child> {
    let numbers = [("--trials", sizes.trials), ("--folds", sizes.folds), ("--metrics", sizes.epochs * 2)];
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(order).arg("--db").arg(path);
    for (name, number) in numbers {
        command.arg(name).arg(number.to_string());
    }
    Ok(command.spawn()?)
}

/// Finished trials, the last of which still runs. In SQL: the writer would take an hour.
async fn make(path: &Path, sizes: &Sizes) -> Result<()> {
    let store = Store::open(path).await?;
    let new = NewSweep {
        name: "large".into(),
        spec: "name = \"large\"\n".into(),
        spec_path: "sweeps/large.toml".into(),
        overrides: Vec::new(),
        project: "/tmp".into(),
        sampler: "bayes".into(),
        objective: "macro_f1".into(),
        direction: Direction::Maximize,
        trials: Some(sizes.trials),
        folds: sizes.folds,
        documents: Some(1000),
        data_sha256: None,
        classes: vec!["a".into(), "b".into()],
        encoders: [].into(),
        host: "box".into(),
    };
    let sweep = store.create_sweep(new, now()).await?.key;
    store.writer(sweep).record(now(), vec![Fact::SweepStarted]).await?;
    store.close().await?;
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await?;
    let numbers = "with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 <";
    let statements = [
        format!(
            "insert into trial (sweep, number, state, score, score_se, params, proposed_ms, ended_ms) \
             {numbers} {trials}) select {sweep}, i, case when i + 1 < {trials} then 'finished' else 'running' end, \
             0.7 + (i * 7919 % 1000) / 5000.0, 0.01, json_object('train.learning_rate', 1e-5 * (1 + i % 977), \
             'train.dropout', (i % 5) / 10.0, 'model.aggregator.layers', i % 4, 'model.label_attention', \
             case i % 3 when 0 then 'doc' when 1 then 'token' else 'none' end, 'train.batch_size', 8 * (1 + i % 4)), \
             i * 1000, i * 1000 + 900 from n",
            trials = sizes.trials,
            sweep = sweep.0,
        ),
        format!(
            "insert into run (trial, repeat, fold, attempt, state, score, best_epoch, epochs, slot, device, host, pid, \
             started_ms, ended_ms) {numbers} {}) select t.id, 0, i, 1, t.state, t.score + i / 500.0, 90, {}, i, 'cuda:0', \
             'box', 4711, t.proposed_ms, t.ended_ms from trial t, n",
            sizes.folds, sizes.epochs,
        ),
        "insert into metric_name (name) values ('macro_f1'), ('loss')".to_owned(),
        format!(
            "insert into metric (run, name, split, epoch, step, value, at_ms) {numbers} {}) \
             select r.id, m.id, 1, i + 1, (i + 1) * 50, 0.8 - 0.5 / (i + 1), 0 from run r, metric_name m, n \
             order by r.id, m.id, i",
            sizes.epochs,
        ),
    ];
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

/// A coordinator with much to say.
async fn write(path: &Path, sizes: &Sizes) -> Result<()> {
    let store = Store::open(path).await?;
    let writer = store.writer(SweepKey(1));
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let began = Instant::now();
    let mut epoch = sizes.epochs;
    while began.elapsed() < WATCHED {
        ticks.tick().await;
        epoch += 1;
        // two metrics each
        let facts = (0..BUSY / 50 / 2).map(|fold| {
            let fold = fold % sizes.folds;
            let place = FoldId { repeat: 0, fold: fold as i32 };
            let run = RunId { trial: TrialId(sizes.trials as i32 - 1), fold: place, attempt: 1 };
            let values = [("macro_f1".to_owned(), 0.8), ("loss".to_owned(), 0.4)].into();
            let step = u64::from(epoch) * 50 + u64::from(fold);
            Fact::Measured { run, measurement: Measurement { epoch, step, split: Split::Validation, values } }
        });
        writer.record(now(), facts.collect()).await?;
    }
    Ok(store.close().await?)
}

struct Screen {
    model: Model,
    terminal: Terminal<TestBackend>,
    wanted: mpsc::UnboundedSender<BTreeSet<Want>>,
    news: mpsc::Receiver<Msg>,
}

impl Screen {
    async fn open(path: &Path) -> Result<Self> {
        let reader = Reader::open(path).await?;
        let (wanted, wants) = mpsc::unbounded_channel();
        let (messages, news) = mpsc::channel(64);
        tokio::spawn(Feed::new(reader, wants, messages).run());
        let theme = Theme { depth: Depth::True, ground: Ground::Dark, glyphs: Glyphs::Braille };
        let mut model = Model::new(theme, path.display().to_string(), None, now());
        model.size = Size::new(120, 40);
        Ok(Self { model, terminal: Terminal::new(TestBackend::new(120, 40))?, wanted, news })
    }

    fn draw(&mut self) -> Result<()> {
        self.wanted.send(self.model.wants())?;
        self.terminal.draw(|frame| drop(view::draw(frame, &self.model)))?;
        Ok(())
    }

    /// Takes in news until it is told enough, then draws.
    async fn until(&mut self, is_enough: impl Fn(&Model) -> bool) -> Result<()> {
        self.wanted.send(self.model.wants())?;
        while !is_enough(&self.model) {
            let msg = self.news.recv().await.context("the feed has ended")?;
            update(&mut self.model, msg);
            self.wanted.send(self.model.wants())?;
        }
        self.draw()
    }

    /// What a key takes until its frame is there; what it makes the feed read comes later.
    fn press(&mut self, code: KeyCode) -> Result<Duration> {
        let began = Instant::now();
        if let Some(msg) = keys::message(&self.model, KeyEvent::new(code, KeyModifiers::NONE)) {
            update(&mut self.model, msg);
        }
        self.draw()?;
        Ok(began.elapsed())
    }
}

async fn measure(path: &Path, sizes: &Sizes) -> Result<bool> {
    let began = Instant::now();
    let mut screen = Screen::open(path).await?;
    screen.draw()?;
    let blank = began.elapsed();
    screen.until(|model| model.data.outlines.is_some()).await?;
    let mut good = report("first paint, all sweeps", began.elapsed(), FIRST_PAINT);
    println!("  (frame without data after {:.1} ms)", blank.as_secs_f64() * 1e3);
    let began = Instant::now();
    screen.press(KeyCode::Enter)?;
    screen.until(|model| model.ledger().is_some()).await?;
    good &= report("first paint, all trials", began.elapsed(), FIRST_PAINT);
    ensure!(screen.model.trials.rows().len() == sizes.trials as usize, "not all trials are shown");

    let letters = |text: &str| text.chars().map(KeyCode::Char).collect::<Vec<_>>();
    let steps: [(&str, Vec<KeyCode>); 7] = [
        ("down", vec![KeyCode::Down; 50]),
        ("a page down", vec![KeyCode::PageDown; 20]),
        ("to the end", letters("Gg")),
        ("sort, reverse", letters("srsrsr")),
        ("type a filter", [letters("/lr<1e-3 & layers>1 tok"), vec![KeyCode::Enter, KeyCode::Esc]].concat()),
        ("palette", [letters(":best"), vec![KeyCode::Esc]].concat()),
        ("open a trial", vec![KeyCode::Enter]),
    ];
    for (name, codes) in steps {
        let mut slowest = Duration::ZERO;
        for code in codes {
            slowest = slowest.max(screen.press(code)?);
        }
        good &= report(&format!("slowest key, {name}"), slowest, KEY);
    }
    let began = Instant::now();
    let has_curves = |model: &Model| {
        let wants = model.wants();
        wants.iter().filter(|want| matches!(want, Want::Curve { .. })).all(|want| model.data.curve(want).is_some())
    };
    screen.until(has_curves).await?;
    good &= report("curves of a trial", began.elapsed(), KEY);
    let mut slowest = Duration::ZERO;
    for code in letters("m+++0syysfpeoc[]") {
        slowest = slowest.max(screen.press(code)?);
    }
    good &= report("slowest key, a trial", slowest, KEY);
    let screens = [
        ("lanes", Tab::Lanes, "jjGgssslllrrnb"),
        ("a comparison", Tab::Compare, "bxcmejjrfpav"),
        ("the search", Tab::Search, "orrisllcxlp l ++--[]"),
        ("the machine", Tab::Machine, "tttjjkk"),
    ];
    for (name, tab, keys) in screens {
        update(&mut screen.model, Msg::Go(tab));
        let mut slowest = Duration::ZERO;
        for code in letters(keys) {
            slowest = slowest.max(screen.press(code)?);
        }
        good &= report(&format!("slowest key, {name}"), slowest, KEY);
    }
    good &= idle(&mut screen).await?;
    good &= watched(path, sizes, &mut screen).await?;
    let memory = status_mb("VmHWM")?;
    println!("{:<28} {memory:>8.0} MB, at most {MEMORY_MB:.0}", "memory, at its peak");
    Ok(good && memory <= MEMORY_MB)
}

/// What it costs to have it open while nothing is written.
async fn idle(screen: &mut Screen) -> Result<bool> {
    update(&mut screen.model, Msg::Go(Tab::Trials));
    // what the keys before have asked for comes to its end first
    looked_at(screen).await?;
    let (part, frames) = looked_at(screen).await?;
    println!("{:<28} {part:>8.1} % of a core, at most {IDLE_CPU:.0} ({frames} frames)", "nothing new");
    Ok(part <= IDLE_CPU)
}

/// What it costs to see the curves of the trial that is being measured.
async fn watched(path: &Path, sizes: &Sizes, screen: &mut Screen) -> Result<bool> {
    update(&mut screen.model, Msg::OpenTrial(TrialId(sizes.trials as i32 - 1)));
    let mut writer = child("--write", path, sizes)?;
    let (part, frames) = looked_at(screen).await?;
    writer.wait()?;
    println!(
        "{:<28} {part:>8.1} % of a core, at most {LIVE_CPU:.0} ({frames} frames)",
        format!("{BUSY} new metrics a second")
    );
    Ok(part <= LIVE_CPU)
}

/// Percent of a core over [`WATCHED`], and how often something was drawn.
async fn looked_at(screen: &mut Screen) -> Result<(f64, u32)> {
    let (began, busy) = (Instant::now(), cpu_seconds()?);
    let mut frames = 0;
    while began.elapsed() < WATCHED {
        if let Ok(Some(msg)) = tokio::time::timeout(Duration::from_millis(100), screen.news.recv()).await {
            update(&mut screen.model, msg);
            while let Ok(msg) = screen.news.try_recv() {
                update(&mut screen.model, msg);
            }
            screen.draw()?;
            frames += 1;
        }
    }
    Ok(((cpu_seconds()? - busy) / began.elapsed().as_secs_f64() * 100.0, frames))
}

fn report(what: &str, took: Duration, most: Duration) -> bool {
    println!("{what:<28} {:>8.1} ms, at most {}", took.as_secs_f64() * 1e3, most.as_millis());
    took <= most
}

fn status_mb(name: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).context("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(") ").next().context("no statistics")?;
    let ticks: f64 = after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    // of the kernel's hundred a second
    Ok(ticks / 100.0)
}

fn now() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64)
}
