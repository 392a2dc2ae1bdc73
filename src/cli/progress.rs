//! What is seen while a sweep runs: bars on a terminal, else one line an event.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::echo::Unechoed;
use super::print::errln;
use super::render;
use crate::dashboard::format;
use crate::driver::Notice;
use crate::protocol::{Progress, Split};
use crate::spec::{Direction, Search};
use crate::store::TrialRow;
use crate::sweep::{Fact, Order, RunEnd, RunId, SlotId, TrialEnd, TrialId, Who};

/// Awaits work, and says what is being done once it has taken a second.
pub(super) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    if !std::io::stderr().is_terminal() {
        errln!("{what}");
        return work.await;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style("{spinner} {wide_msg} {elapsed}"));
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    let done = work.await;
    bar.finish_and_clear();
    done
}

const PATIENCE: Duration = Duration::from_secs(1);

/// Shows a sweep on stderr.
pub(super) struct Screen {
    objective: String,
    direction: Direction,
    best: Option<f64>,
    finished: u64,
    shown: Shown,
    started: BTreeMap<RunId, Instant>,
    /// Runs of a finished trial.
    folds: u64,
    /// Runs that each trial has finished.
    done: BTreeMap<TrialId, u64>,
    /// Runs that are not to come, of trials that were given up or killed.
    saved: BTreeMap<TrialId, u64>,
    /// When the first run of a trial began here, and how many have finished since. Those of the baseline take no time.
    since: Option<Instant>,
    passed: u64,
}

/// In front of the bars.
pub(super) struct Curtain(Option<MultiProgress>);

impl Curtain {
    pub(super) fn lift(self) {
        if let Some(bars) = self.0 {
            bars.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

enum Shown {
    Lines,
    Bars {
        all: MultiProgress,
        total: ProgressBar,
        slots: Vec<ProgressBar>,
        runs: BTreeMap<RunId, SlotId>,
        last: BTreeMap<RunId, f64>,
        _unechoed: Unechoed,
    },
}

impl Screen {
    /// `runs` in all, of so many `folds` a trial; `best` so far, and the `trials` of earlier sessions.
    pub(super) fn new(
        search: &Search,
        best: Option<f64>,
        [runs, folds]: [usize; 2],
        trials: &[TrialRow],
        slots: usize,
    ) -> Self {
        let (runs, folds) = (runs as u64, folds as u64);
        let done: BTreeMap<TrialId, u64> = trials.iter().map(|row| (row.trial, u64::from(row.folds_done))).collect();
        let given_up = trials.iter().filter(|row| row.given_up.is_some());
        let saved: u64 = given_up.map(|row| folds.saturating_sub(u64::from(row.folds_done))).sum();
        let finished = done.values().sum();
        let is_terminal = std::io::stderr().is_terminal();
        let shown = if is_terminal { Shown::bars(runs.saturating_sub(saved), finished, slots) } else { Shown::Lines };
        let (objective, direction) = (search.objective.clone(), search.direction);
        Self {
            objective,
            direction,
            best,
            finished,
            shown,
            started: BTreeMap::new(),
            folds,
            done,
            saved: BTreeMap::new(),
            since: None,
            passed: 0,
        }
    }

    pub(super) fn notice(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Progress { run, progress } => self.progress(*run, progress),
            Notice::Fact(fact) => self.fact(fact),
            Notice::Draining { running } => {
                let what = format!(
                    "stopping: {running} runs come to their end; Ctrl-C again ends them now (`sweep resume` continues)"
                );
                self.say(&what);
            }
            Notice::Spent { running } => {
                self.say(&format!("the time of the sweep is over: {running} runs come to their end"));
            }
            Notice::Deaf { why } => self.say(&format!("this sweep cannot be steered from outside: {why}")),
            Notice::Killing => self.say("ending the runs; `sweep resume` continues from their last checkpoints"),
        }
    }

    /// Nothing is shown until it is lifted.
    pub(super) fn curtain(&self) -> Curtain {
        match &self.shown {
            Shown::Lines => Curtain(None),
            Shown::Bars { all, .. } => {
                // what stands there would stay there; a terminal that cannot be written to shows nothing anyway
                let _ = all.clear();
                all.set_draw_target(ProgressDrawTarget::hidden());
                Curtain(Some(all.clone()))
            }
        }
    }

    /// Takes the bars away.
    pub(super) fn close(&mut self) {
        if let Shown::Bars { all, total, .. } = &self.shown {
            total.disable_steady_tick();
            // a terminal that is gone has nothing to clear
            let _ = all.clear();
            // bars draw themselves once more when they are dropped
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::TrialProposed { trial, .. } if trial.is_baseline() => {
                self.say("baseline: TF-IDF and a linear model on the same folds");
            }
            Fact::TrialEnqueued { trial, point } => {
                self.grow(self.folds);
                self.say_in_a_line(&format!("trial {trial} is enqueued: {point}"));
            }
            Fact::TrialProposed { trial, point } => self.say_in_a_line(&format!("trial {trial}: {point}")),
            Fact::RunStarted { run, slot, place } => {
                self.started.insert(*run, Instant::now());
                if is_counted(*run) {
                    self.since.get_or_insert_with(Instant::now);
                }
                if let Shown::Bars { slots, runs, .. } = &mut self.shown {
                    runs.insert(*run, *slot);
                    if let Some(bar) = slots.get(slot.0 as usize) {
                        bar.reset();
                        bar.set_prefix(run.to_string());
                        let is_baseline = run.trial.is_baseline();
                        bar.set_message(if is_baseline { "TF-IDF, linear model" } else { "starts" });
                    }
                } else {
                    errln!("run {run} started on {} (pid {})", place.device, place.pid);
                }
            }
            Fact::Measured { run, measurement } if measurement.split == Split::Validation => {
                let Some(score) = measurement.values.get(&self.objective).copied() else { return };
                match &mut self.shown {
                    Shown::Bars { last, .. } => {
                        last.insert(*run, score);
                    }
                    Shown::Lines => errln!("run {run} epoch {}: {} {score:.4}", measurement.epoch, self.objective),
                }
            }
            Fact::RunEnded { run, end } => self.run_ended(*run, end),
            Fact::TrialEnded { trial, end: TrialEnd::Finished { score, score_se } } => {
                let is_better = self.best.is_none_or(|best| self.direction.better(*score, best));
                if is_better && !trial.is_baseline() {
                    self.best = Some(*score);
                }
                let score = render::score_with_error(Some(*score), *score_se);
                self.say(&format!("{} finished: {} {score}", named(*trial), self.objective));
            }
            Fact::TrialEnded { trial, end: TrialEnd::Failed { why } } => {
                self.say(&format!("{} failed: {why}", named(*trial)));
            }
            Fact::TrialEnded {
                trial,
                end: TrialEnd::Dropped { why } | TrialEnd::Pruned { why } | TrialEnd::Cancelled { why },
            } => {
                self.given_up(*trial);
                self.say(&format!("{} {why}", named(*trial)));
            }
            Fact::RefitChosen { trial, epochs } => {
                let what = if trial.is_baseline() {
                    String::new()
                } else {
                    format!(", for {}", super::holdout::epochs(*epochs))
                };
                self.say(&format!(
                    "{} is trained on all documents but the holdout{what}, and scored on that",
                    named(*trial)
                ));
            }
            Fact::Ordered { order, by } => self.ordered(order, by),
            Fact::Converged { why } => self.say(&format!("you could stop now: {why}")),
            Fact::TrialReopened { trial } => {
                let again = self.saved.remove(trial).unwrap_or(0);
                self.grow(again);
                self.say(&format!("{} is tried again", named(*trial)));
            }
            _ => {}
        }
    }

    fn ordered(&mut self, order: &Order, by: &Who) {
        self.say(&format!("{by}: {order}"));
        if let (Order::Slots { count }, Shown::Bars { all, slots, .. }) = (order, &mut self.shown) {
            while slots.len() < *count as usize {
                slots.push(bar_of_slot(all));
            }
        }
    }

    /// Of a point with many parameters a terminal shows the first.
    fn say_in_a_line(&self, text: &str) {
        let width = crossterm::terminal::size().map_or(80, |(width, _)| width);
        match self.shown {
            Shown::Bars { .. } => self.say(&format::fit(text, width.into())),
            Shown::Lines => self.say(text),
        }
    }

    /// The folds that it did not have are not to come any more.
    fn given_up(&mut self, trial: TrialId) {
        let left = self.folds.saturating_sub(self.done.get(&trial).copied().unwrap_or(0));
        self.saved.insert(trial, left);
        if let Shown::Bars { total, .. } = &self.shown {
            total.dec_length(left);
        }
    }

    /// So many runs are to come besides those that were.
    fn grow(&self, runs: u64) {
        if let Shown::Bars { total, .. } = &self.shown {
            total.inc_length(runs);
        }
    }

    /// How long it has still to go, at the pace so far. None before there is one.
    fn to_go(&self) -> Option<f64> {
        let Shown::Bars { total, slots, runs, .. } = &self.shown else { return None };
        let of_trials = runs.iter().filter(|(run, _)| is_counted(**run));
        let bars = of_trials.filter_map(|(_, slot)| slots.get(slot.0 as usize));
        let part: f64 = bars.map(|bar| bar.position() as f64 / bar.length().unwrap_or(1).max(1) as f64).sum();
        let passed = self.passed as f64 + part;
        let left = total.length()?.saturating_sub(total.position()) as f64 - part;
        (passed >= LEAST_PACE).then(|| self.since.map(|since| since.elapsed().as_secs_f64() / passed * left))?
    }

    /// What stands behind the bar of all runs.
    fn sum_up(&self) {
        let Shown::Bars { total, .. } = &self.shown else { return };
        let to_go = self.to_go().map(|seconds| format!(", {} to go", render::duration(seconds.max(0.0))));
        let best = self.best.map(|best| format!("  best {} {best:.4}", self.objective));
        total.set_message(to_go.into_iter().chain(best).collect::<String>());
    }

    fn run_ended(&mut self, run: RunId, end: &RunEnd) {
        let seconds = self.started.remove(&run).map_or(0.0, |started| started.elapsed().as_secs_f64());
        let took = render::duration(seconds);
        match end {
            RunEnd::Finished { score, best_epoch, epochs, .. } => {
                if !run.fold.is_holdout() {
                    self.finished += 1;
                    *self.done.entry(run.trial).or_default() += 1;
                }
                self.passed += u64::from(is_counted(run));
                if matches!(self.shown, Shown::Lines) {
                    let objective = &self.objective;
                    let epoch = if *epochs == 0 { String::new() } else { format!(" (epoch {best_epoch} of {epochs})") };
                    errln!("run {run} finished in {took}: {objective} {score:.4}{epoch}");
                }
            }
            RunEnd::Failed { why } => self.say(&format!("run {run} failed after {took}: {why}")),
            RunEnd::Crashed { why } => self.say(&format!("run {run} died after {took}: {why}")),
            RunEnd::Interrupted { why } => self.say(&format!("run {run} interrupted: {why}")),
            // its trial has said it
            RunEnd::Pruned { .. } => {}
            RunEnd::Cancelled { why } => self.say(&format!("run {run} cancelled: {why}")),
        }
        let finished = self.finished;
        if let Shown::Bars { total, slots, runs, last, .. } = &mut self.shown {
            last.remove(&run);
            total.set_position(finished);
            if let Some(bar) = runs.remove(&run).and_then(|slot| slots.get(slot.0 as usize)) {
                bar.reset();
                bar.set_prefix("-");
                bar.set_message("");
            }
        }
        self.sum_up();
    }

    fn progress(&mut self, run: RunId, progress: &Progress) {
        let Shown::Bars { slots, runs, last, .. } = &self.shown else {
            return;
        };
        let Some(bar) = runs.get(&run).and_then(|slot| slots.get(slot.0 as usize)) else {
            return;
        };
        bar.set_length(progress.steps);
        bar.set_position(progress.step);
        self.sum_up();
        if progress.epochs == 0 {
            // a program may count as it likes
            let score = last.get(&run).map(|score| format!("{} {score:.4}", self.objective));
            bar.set_message(score.unwrap_or_default());
            return;
        }
        if progress.epoch == 0 {
            bar.set_message("encodes the documents once (frozen encoder)");
            return;
        }
        let score = last.get(&run).map(|score| format!("  {} {score:.4}", self.objective)).unwrap_or_default();
        let Progress { epoch, epochs, loss, .. } = progress;
        bar.set_message(format!("epoch {epoch}/{epochs}  loss {loss:.4}{score}"));
    }

    fn say(&self, line: &str) {
        match &self.shown {
            Shown::Lines => errln!("{line}"),
            Shown::Bars { all, .. } => {
                // a terminal that is gone hears nothing
                let _ = all.println(line);
            }
        }
    }
}

/// Whether a run takes of the time that the search is expected to take.
fn is_counted(run: RunId) -> bool {
    !run.trial.is_baseline() && !run.fold.is_holdout()
}

/// `trial 3`, or `baseline`.
fn named(trial: TrialId) -> String {
    if trial.is_baseline() { trial.to_string() } else { format!("trial {trial}") }
}

/// Runs (or parts of them) until the pace is one.
const LEAST_PACE: f64 = 0.2;

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

fn bar_of_slot(all: &MultiProgress) -> ProgressBar {
    let bar = all.add(ProgressBar::new(1));
    bar.set_style(style("{prefix:8} {bar:24.cyan} {pos}/{len}  {wide_msg}"));
    bar.set_prefix("-");
    bar.tick();
    bar
}

impl Shown {
    fn bars(runs: u64, finished: u64, slots: usize) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let total = all.add(ProgressBar::new(runs));
        total.set_style(style("runs     {bar:24.green} {pos}/{len}  {elapsed} gone{wide_msg}"));
        total.set_position(finished);
        total.enable_steady_tick(Duration::from_secs(1));
        let slots = (0..slots).map(|_| bar_of_slot(&all)).collect();
        Self::Bars { all, total, slots, runs: BTreeMap::new(), last: BTreeMap::new(), _unechoed: Unechoed::take() }
    }
}
