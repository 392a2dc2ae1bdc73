//! Scripts of events against the trace of effects.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::protocol::Split;
use crate::spec::{Prune, Race};

mod contests;
mod holdout;
mod orders;

/// Without a race.
fn plan(values: &[i64], k: u32, slots: u32) -> Plan {
    let file = format!("baseline = false\ndata.path = \"a.csv\"\n[search.space]\n\"train.seed\" = {values:?}");
    let mut spec = Spec::parse("test", &file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    spec.folds.k = k;
    spec.search.race = Race::Off;
    Plan { spec: Arc::new(spec), slots, retries: 1, earlier: Arc::default() }
}

fn with_baseline(plan: &Plan) -> Plan {
    let mut spec = (*plan.spec).clone();
    spec.baseline = true;
    Plan { spec: Arc::new(spec), ..plan.clone() }
}

fn run(trial: i32, fold: u32, attempt: u32) -> RunId {
    RunId { trial: TrialId(trial), fold: FoldId { repeat: 0, fold: fold as i32 }, attempt }
}

fn started(run: RunId) -> Event {
    Event::Started { run, place: Place { device: "cpu".into(), host: "here".into(), pid: 1 } }
}

fn done(run: RunId, score: f64) -> Event {
    let done = Done { score, best_epoch: 1, epochs: 2, peak_memory_mb: 3 };
    Event::Exited { run, exit: Exit::Done(done) }
}

fn crashed(run: RunId) -> Event {
    Event::Exited { run, exit: Exit::Crashed { why: "signal 9".into() } }
}

fn show(effect: &Effect) -> String {
    match effect {
        Effect::Spawn { run, slot } => format!("spawn {run} on {}", slot.0),
        Effect::Terminate { run, why } => format!("terminate {run}: {why}"),
        Effect::Leave(end) => format!("leave {end:?}"),
        Effect::Record(fact) => match fact {
            Fact::TrialProposed { trial, point } => format!("trial {trial}: {point}"),
            Fact::RunStarted { run, slot, .. } => format!("run {run} started on {}", slot.0),
            Fact::RunEnded { run, end } => format!("run {run} {end:?}"),
            Fact::TrialEnded { trial, end } => format!("trial {trial} {end:?}"),
            other => format!("{other:?}"),
        },
    }
}

fn trace(sweep: &mut Sweep, events: &[Event]) -> String {
    let mut picture = String::new();
    for event in events {
        let effects: Vec<String> = sweep.handle(event.clone()).iter().map(show).collect();
        writeln!(picture, "> {}", effects.join("\n  ")).expect("a string takes all");
    }
    picture
}

#[test]
fn folds_of_the_oldest_trial_come_first() {
    let mut sweep = Sweep::new(plan(&[7, 8], 2, 1));
    let (a, b, c, d) = (run(0, 0, 1), run(0, 1, 1), run(1, 0, 1), run(1, 1, 1));
    let script = [
        Event::Begin,
        started(a),
        done(a, 0.5),
        started(b),
        done(b, 0.75),
        started(c),
        done(c, 0.25),
        started(d),
        done(d, 0.25),
    ];
    assert_snapshot!(trace(&mut sweep, &script));
}

#[test]
fn a_crash_is_retried_once_and_a_failure_never() {
    let mut sweep = Sweep::new(plan(&[7, 8], 2, 2));
    let failed = Event::Exited { run: run(1, 0, 1), exit: Exit::Failed { why: "the loss is NaN".into() } };
    let script = [
        Event::Begin,
        started(run(0, 0, 1)),
        started(run(0, 1, 1)),
        crashed(run(0, 0, 1)),
        started(run(0, 0, 2)),
        crashed(run(0, 0, 2)),
        crashed(run(0, 1, 1)),
        started(run(1, 0, 1)),
        failed,
        crashed(run(1, 1, 1)),
    ];
    assert_snapshot!(trace(&mut sweep, &script));
}

#[test]
fn a_stop_drains_and_a_kill_interrupts() {
    let mut sweep = Sweep::new(plan(&[7], 3, 2));
    let why = || "Ctrl-C".to_owned();
    let script = [
        Event::Begin,
        started(run(0, 0, 1)),
        started(run(0, 1, 1)),
        Event::Stop { why: why() },
        done(run(0, 0, 1), 0.5),
        Event::Kill { why: why() },
        crashed(run(0, 1, 1)),
    ];
    assert_snapshot!(trace(&mut sweep, &script));
}

#[test]
fn a_lost_run_continues_as_the_next_attempt() {
    let plan = plan(&[7], 2, 2);
    let mut facts = Vec::new();
    let mut sweep = Sweep::new(plan.clone());
    for event in [Event::Begin, started(run(0, 0, 1)), started(run(0, 1, 1)), done(run(0, 1, 1), 0.5)] {
        facts.extend(recorded(sweep.handle(event)));
    }
    let mut again = Sweep::replay(plan, &facts);
    assert_snapshot!(trace(&mut again, &[Event::Begin, started(run(0, 0, 2)), done(run(0, 0, 2), 0.7)]));
}

#[test]
fn a_failed_trial_can_be_tried_again() {
    let plan = plan(&[7], 2, 1);
    let mut sweep = Sweep::new(plan);
    let failed = Event::Exited { run: run(0, 1, 1), exit: Exit::Failed { why: "disk full".into() } };
    let script = [
        Event::Begin,
        started(run(0, 0, 1)),
        done(run(0, 0, 1), 0.5),
        started(run(0, 1, 1)),
        failed,
        Event::RetryFailed,
        Event::Begin,
    ];
    assert_snapshot!(trace(&mut sweep, &script));
}

#[test]
fn a_score_that_is_no_number_fails_the_trial() {
    let mut sweep = Sweep::new(plan(&[7], 1, 1));
    let script = [Event::Begin, started(run(0, 0, 1)), done(run(0, 0, 1), f64::NAN)];
    assert_snapshot!(trace(&mut sweep, &script));
}

/// Its folds come first and have no number of the space; that it fails fails nothing.
#[test]
fn a_baseline_comes_first_and_fails_alone() {
    let plan = with_baseline(&plan(&[7], 2, 1));
    let mut sweep = Sweep::new(plan.clone());
    let baseline = |fold, attempt| RunId { trial: TrialId::BASELINE, ..run(0, fold, attempt) };
    let failed = Event::Exited { run: baseline(1, 1), exit: Exit::Failed { why: "no such file".into() } };
    let script = [
        Event::Begin,
        started(baseline(0, 1)),
        done(baseline(0, 1), 0.5),
        started(baseline(1, 1)),
        failed,
        started(run(0, 0, 1)),
        done(run(0, 0, 1), 0.75),
        started(run(0, 1, 1)),
        done(run(0, 1, 1), 0.25),
        Event::RetryFailed,
        Event::Begin,
        started(baseline(1, 2)),
        done(baseline(1, 2), 0.25),
    ];
    assert_snapshot!(trace(&mut sweep, &script));

    // a sweep from before there were baselines gets one when it goes on
    let mut old = Sweep::new(self::plan(&[7], 2, 1));
    let facts: Vec<Fact> = recorded(old.handle(Event::Begin)).collect();
    let mut again = Sweep::replay(plan, &facts);
    assert_snapshot!(trace(&mut again, &[Event::Begin]), @r"
    > SweepResumed
      trial baseline: 
      spawn baseline/0 on 0
    ");
}

fn recorded(effects: Vec<Effect>) -> impl Iterator<Item = Fact> {
    effects.into_iter().filter_map(|effect| match effect {
        Effect::Record(fact) => Some(fact),
        _ => None,
    })
}

/// What the world does next to a live run.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    Failed,
    Crashed,
    Epoch,
    Lost,
    Stop,
    /// Somebody orders one of these, whether it makes sense or not.
    Ordered(u8),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Done),
        4 => Just(Fate::Epoch),
        1 => Just(Fate::Failed),
        2 => Just(Fate::Crashed),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Stop),
        6 => (0u8..10).prop_map(Fate::Ordered),
    ]
}

/// An order about a live run, or about a number near it.
fn some_order(kind: u8, run: RunId, pick: usize) -> Order {
    let trial = TrialId(pick as i32 - 1);
    match kind {
        0 => Order::Pause,
        1 => Order::Unpause,
        2 => Order::KillTrial { trial: run.trial },
        3 => Order::Retry { trial: Some(trial) },
        4 => Order::Retry { trial: None },
        5 => Order::Restart { trial: run.trial, fold: run.fold },
        6 => Order::Enqueue { point: Point::default().with("train.seed", pick.into()), from: None },
        7 => Order::Exclude { trial },
        8 => Order::Include { trial },
        _ => Order::Slots { count: pick as u32 },
    }
}

proptest! {
    /// A run is handed out once, a slot holds one run, a trial ends once unless it is opened again, nothing starts after a
    /// stop or in a pause, nor in more slots than are wanted, the recorded facts replay to the same state, and a baseline
    /// best. Whatever is ordered, every point of the space is tried once. Nothing is scored on the holdout beside a fold,
    /// nor twice.
    #[test]
    fn laws(
        slots in 1u32..5, k in 1u32..4, trials in 1i64..6, baseline: bool, holdout: bool,
        race in prop_oneof![Just(Race::Off), Just(Race::Forgiving), Just(Race::Paired), Just(Race::Posterior)],
        prune in prop_oneof![Just(Prune::Off), Just(Prune::Median), Just(Prune::Asha)],
        fates in prop::collection::vec((fate(), 0usize..8), 0..80),
    ) {
        let plan = plan(&(0..trials).collect::<Vec<_>>(), k, slots);
        let mut spec = (*plan.spec).clone();
        (spec.search.race, spec.search.prune) = (race, prune);
        spec.folds.holdout = holdout.then_some(0.2);
        let plan = Plan { spec: Arc::new(spec), ..plan };
        let mut epochs = BTreeMap::<RunId, u32>::new();
        let plan = if baseline { with_baseline(&plan) } else { plan };
        let mut sweep = Sweep::new(plan.clone());
        let (mut facts, mut live, mut seen, mut ended) = (Vec::new(), Vec::<(RunId, SlotId)>::new(), BTreeSet::new(), BTreeSet::new());
        let (mut stopped, mut paused, mut wanted) = (false, false, slots as usize);
        let mut scored = BTreeSet::new();
        let mut left = None;
        let mut queue = vec![Event::Begin];
        let mut fates = fates.into_iter();
        loop {
            while let Some(event) = queue.pop() {
                let ending = match &event { Event::Exited { run, .. } => Some(*run), _ => None };
                live.retain(|(run, _)| Some(*run) != ending);
                for effect in sweep.handle(event) {
                    match effect {
                        Effect::Spawn { run, slot } => {
                            prop_assert!(!stopped && !paused, "{run} started after the stop, or in a pause");
                            prop_assert!(live.len() < wanted, "{run} started in a slot too many");
                            prop_assert!(seen.insert(run), "{run} handed out twice");
                            prop_assert!(live.iter().all(|(_, other)| *other != slot), "slot taken twice");
                            let beside = live.iter().filter(|(other, _)| !other.fold.is_holdout()).count();
                            prop_assert!(!run.fold.is_holdout() || holdout && beside == 0, "{run} beside a fold");
                            live.push((run, slot));
                            queue.insert(0, started(run));
                        }
                        Effect::Record(fact) => {
                            match &fact {
                                Fact::TrialEnded { trial, .. } => {
                                    prop_assert!(ended.insert(*trial), "trial {trial} ended twice");
                                }
                                Fact::RunEnded { run, end: RunEnd::Finished { .. } } if run.fold.is_holdout() => {
                                    prop_assert!(scored.insert(run.trial), "{run} scored twice");
                                }
                                Fact::TrialReopened { trial } => prop_assert!(ended.remove(trial)),
                                Fact::SweepStarted | Fact::SweepResumed => (paused, wanted) = (false, slots as usize),
                                Fact::Ordered { order, .. } => match order {
                                    Order::Pause => paused = true,
                                    Order::Unpause => paused = false,
                                    Order::Slots { count } => wanted = *count as usize,
                                    _ => {}
                                },
                                _ => {}
                            }
                            facts.push(fact);
                        }
                        Effect::Terminate { run, .. } => prop_assert!(live.iter().any(|(other, _)| *other == run)),
                        Effect::Leave(end) => { prop_assert!(left.is_none() && live.is_empty()); left = Some(end); }
                    }
                }
            }
            if left.is_some() { break; }
            let by = Who { user: "li".into(), host: "box".into(), pid: 1 };
            if live.is_empty() {
                prop_assert!(paused, "nothing runs, and nobody wanted that");
                queue.push(Event::Ordered { order: Order::Unpause, by });
                continue;
            }
            let (fate, pick) = fates.next().unwrap_or((Fate::Done, 0));
            let (run, _) = live[pick % live.len()];
            queue.push(match fate {
                Fate::Done => done(run, 0.5 + 0.0625 * pick as f64),
                Fate::Epoch => {
                    let epoch = epochs.entry(run).or_default();
                    *epoch += 1;
                    let score = if pick == 7 { f64::NAN } else { pick as f64 };
                    let values = [("macro_f1".to_owned(), score)].into();
                    Event::Measured { run, measurement: Measurement { epoch: *epoch, step: 1, split: Split::Validation, values } }
                }
                Fate::Failed => Event::Exited { run, exit: Exit::Failed { why: "bad".into() } },
                Fate::Crashed => crashed(run),
                Fate::Ordered(kind) => Event::Ordered { order: some_order(kind, run, pick), by },
                Fate::Stop => { stopped = true; Event::Stop { why: "stop".into() } }
                Fate::Lost => {
                    // the coordinator dies and comes back
                    stopped = false;
                    live.clear();
                    sweep = Sweep::replay(plan.clone(), &facts);
                    Event::Begin
                }
            });
        }
        let again = Sweep::replay(plan, &facts);
        prop_assert_eq!(&again.trials, &sweep.trials);
        prop_assert_eq!(&again.phase, &sweep.phase);
        prop_assert_eq!(&again.refits, &sweep.refits);
        prop_assert!(left != Some(SweepEnd::Finished) || !sweep.is_refit_left(), "the best is not scored");
        let of_space = || sweep.trials().filter(|(id, _)| !id.is_baseline()).map(|(_, trial)| trial);
        prop_assert!(of_space().filter(|trial| trial.finished()).all(|trial| trial.scores().count() == k as usize));
        let is_given_up = of_space().any(|trial| trial.given_up().is_some());
        prop_assert!(!is_given_up || of_space().any(Trial::finished), "nobody is left");
        if left == Some(SweepEnd::Finished) {
            prop_assert_eq!(ended.len(), trials as usize + usize::from(baseline));
            let of_space = sweep.trials().filter(|(id, _)| !id.is_baseline());
            let mut points: Vec<String> = of_space.map(|(_, trial)| trial.point.to_string()).collect();
            points.sort();
            prop_assert_eq!(points, (0..trials).map(|x| format!("train.seed = {x}")).collect::<Vec<_>>());
        }
    }
}
