//! Trials that race, runs that are pruned, budgets that end.

use super::*;
use crate::protocol::Split;
use crate::search::race::{Field, Outlook};
use crate::spec::{Budget, Direction, Prune, Race, Stop};
use crate::sweep::next::{Next, Order, Waiting, next_run};

pub(super) fn contest(trials: i64, k: u32, slots: u32, change: impl FnOnce(&mut crate::spec::Search)) -> Plan {
    let plan = plan(&(0..trials).collect::<Vec<_>>(), k, slots);
    let mut spec = (*plan.spec).clone();
    change(&mut spec.search);
    Plan { spec: Arc::new(spec), ..plan }
}

pub(super) fn racing(race: Race) -> impl FnOnce(&mut crate::spec::Search) {
    move |search| search.race = race
}

pub(super) fn measured(run: RunId, epoch: u32, score: f64) -> Event {
    let values = [("macro_f1".to_owned(), score)].into();
    let measurement = Measurement { epoch, step: u64::from(epoch), split: Split::Validation, values };
    Event::Measured { run, measurement }
}

/// Runs start as soon as they are spawned; of the start and of measurements nothing is said.
pub(super) fn play(sweep: &mut Sweep, events: Vec<Event>) -> (String, Vec<Fact>) {
    let (mut picture, mut facts) = (String::new(), Vec::new());
    for event in events {
        let mut queue = vec![event];
        let mut lines = Vec::new();
        while let Some(event) = queue.pop() {
            for effect in sweep.handle(event) {
                if let Effect::Spawn { run, .. } = &effect {
                    queue.insert(0, started(*run));
                }
                if !matches!(&effect, Effect::Record(Fact::RunStarted { .. } | Fact::Measured { .. })) {
                    lines.push(show(&effect));
                }
                facts.extend(recorded(vec![effect]));
            }
        }
        writeln!(picture, "> {}", lines.join("\n  ")).expect("a string takes all");
    }
    (picture, facts)
}

/// Begins, and finishes trial 0 with these scores.
pub(super) fn incumbent(scores: &[f64]) -> Vec<Event> {
    let folds = scores.iter().zip(0..).map(|(score, fold)| done(run(0, fold, 1), *score));
    [Event::Begin].into_iter().chain(folds).collect()
}

#[test]
fn a_hopeless_trial_gets_one_fold_and_a_good_one_all() {
    let mut sweep = Sweep::new(contest(3, 3, 1, racing(Race::Posterior)));
    play(&mut sweep, incumbent(&[0.80, 0.82, 0.81]));
    let script =
        vec![done(run(1, 0, 1), 0.40), done(run(2, 0, 1), 0.81), done(run(2, 1, 1), 0.84), done(run(2, 2, 1), 0.83)];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > run 1/0 Finished { score: 0.4, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1 Dropped { why: "raced out after 1 of 3 folds: its chance to beat trial 0 is below 0.01 %" }
      trial 2: train.seed = 2
      spawn 2/0 on 0
    > run 2/0 Finished { score: 0.81, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 2/1 on 0
    > run 2/1 Finished { score: 0.84, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 2/2 on 0
    > run 2/2 Finished { score: 0.83, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 2 Finished { score: 0.8266666666666667, score_se: Some(0.013944333775567882) }
      SweepEnded { end: Finished }
      leave Finished
    "#);
}

#[test]
fn each_rule_says_why() {
    let mut stories = String::new();
    for race in [Race::Off, Race::Forgiving, Race::Paired, Race::Posterior] {
        let mut sweep = Sweep::new(contest(2, 5, 1, racing(race)));
        play(&mut sweep, incumbent(&[0.80, 0.82, 0.70, 0.81, 0.79]));
        let mut folds = [0.77, 0.80, 0.66, 0.79, 0.76].iter().zip(0..);
        let end = folds.find_map(|(score, fold)| {
            play(&mut sweep, vec![done(run(1, fold, 1), *score)]);
            sweep.trial(TrialId(1)).and_then(|trial| trial.end.clone())
        });
        writeln!(stories, "{race:?}: {:?}", end.expect("an end")).expect("a string takes all");
    }
    assert_snapshot!(stories, @r#"
    Off: Finished { score: 0.756, score_se: Some(0.03752998800959041) }
    Forgiving: Finished { score: 0.756, score_se: Some(0.03752998800959041) }
    Paired: Dropped { why: "raced out after 2 of 5 folds: it is 0.0250 ± 0.0050 behind trial 0 on the same folds" }
    Posterior: Dropped { why: "raced out after 4 of 5 folds: its chance to beat trial 0 is 1.2 %" }
    "#);
}

/// Less is better: the trial with the larger loss goes.
#[test]
fn losses_race_the_other_way_round() {
    let plan = contest(2, 3, 1, |search| {
        (search.race, search.direction) = (Race::Posterior, Direction::Minimize);
    });
    let mut sweep = Sweep::new(plan);
    play(&mut sweep, incumbent(&[0.30, 0.32, 0.31]));
    assert_snapshot!(play(&mut sweep, vec![done(run(1, 0, 1), 0.9)]).0, @r#"
    > run 1/0 Finished { score: 0.9, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1 Dropped { why: "raced out after 1 of 3 folds: its chance to beat trial 0 is below 0.01 %" }
      SweepEnded { end: Finished }
      leave Finished
    "#);
}

/// The first fold of a new trial comes before the second one of a trial that is behind, which waits until a better one has
/// decided what it is worth; a trial that is ahead gets several at once.
#[test]
fn slots_are_spent_where_nothing_is_for_nothing() {
    let mut sweep = Sweep::new(contest(4, 3, 2, racing(Race::Posterior)));
    let script = vec![
        Event::Begin,
        done(run(0, 0, 1), 0.80),
        done(run(0, 1, 1), 0.82),
        // 1/0 started beside 0/2: nobody knew what trial 0 is worth
        done(run(0, 2, 1), 0.81),
        done(run(1, 0, 1), 0.79),
        done(run(2, 0, 1), 0.85),
        done(run(2, 1, 1), 0.86),
        done(run(3, 0, 1), 0.86),
        done(run(2, 2, 1), 0.86),
        done(run(3, 1, 1), 0.40),
        crashed(run(3, 2, 1)),
    ];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > SweepStarted
      trial 0: train.seed = 0
      spawn 0/0 on 0
      spawn 0/1 on 1
    > run 0/0 Finished { score: 0.8, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 0/2 on 0
    > run 0/1 Finished { score: 0.82, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1: train.seed = 1
      spawn 1/0 on 1
    > run 0/2 Finished { score: 0.81, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.81, score_se: Some(0.009128709291752725) }
      trial 2: train.seed = 2
      spawn 2/0 on 0
    > run 1/0 Finished { score: 0.79, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 3: train.seed = 3
      spawn 3/0 on 1
    > run 2/0 Finished { score: 0.85, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 2/1 on 0
    > run 2/1 Finished { score: 0.86, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 2/2 on 0
    > run 3/0 Finished { score: 0.86, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 3/1 on 1
    > run 2/2 Finished { score: 0.86, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 2 Finished { score: 0.8566666666666666, score_se: Some(0.0052704627669473035) }
      trial 1 Dropped { why: "raced out after 1 of 3 folds: its chance to beat trial 2 is below 0.01 %" }
      spawn 3/2 on 0
    > run 3/1 Finished { score: 0.4, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 3 Dropped { why: "raced out after 2 of 3 folds: its chance to beat trial 2 is 0.02 %" }
      terminate 3/2: raced out after 2 of 3 folds: its chance to beat trial 2 is 0.02 %
    > run 3/2 Pruned { why: "raced out after 2 of 3 folds: its chance to beat trial 2 is 0.02 %", score: None, best_epoch: None, epochs: None }
      SweepEnded { end: Finished }
      leave Finished
    "#);
}

/// A run that was told to stop may be done before it hears of it.
#[test]
fn a_result_that_comes_too_late_is_kept_and_changes_nothing() {
    let mut sweep = Sweep::new(contest(2, 3, 2, racing(Race::Posterior)));
    play(&mut sweep, incumbent(&[0.80, 0.82, 0.81]));
    let script = vec![done(run(1, 0, 1), 0.40), done(run(1, 1, 1), 0.9)];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > run 1/0 Finished { score: 0.4, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1 Dropped { why: "raced out after 1 of 3 folds: its chance to beat trial 0 is below 0.01 %" }
      terminate 1/1: raced out after 1 of 3 folds: its chance to beat trial 0 is below 0.01 %
    > run 1/1 Finished { score: 0.9, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      SweepEnded { end: Finished }
      leave Finished
    "#);
    assert_eq!(sweep.history().trials[1].state, TriedState::Dropped);
    assert_eq!(sweep.history().trials[1].scores, [(0, 0.40), (1, 0.9)]);
}

fn asha() -> Plan {
    contest(4, 2, 1, |search| (search.race, search.prune) = (Race::Off, Prune::Asha))
}

/// Trials 0 and 1 have all folds; fold 0 of both had 0.5 and 0.6 at epoch 1.
fn two_trials() -> Vec<Event> {
    let (a, b, c, d) = (run(0, 0, 1), run(0, 1, 1), run(1, 0, 1), run(1, 1, 1));
    vec![
        Event::Begin,
        measured(a, 1, 0.5),
        done(a, 0.5),
        measured(b, 1, 0.5),
        done(b, 0.5),
        measured(c, 1, 0.6),
        done(c, 0.6),
        measured(d, 1, 0.6),
        done(d, 0.6),
    ]
}

#[test]
fn a_run_that_falls_behind_ends_with_its_trial() {
    let mut sweep = Sweep::new(asha());
    play(&mut sweep, two_trials());
    let failed = Event::Exited { run: run(3, 0, 1), exit: Exit::Failed { why: "stopped".into() } };
    let script =
        vec![measured(run(2, 0, 1), 1, 0.55), crashed(run(2, 0, 1)), measured(run(3, 0, 1), 1, f64::NAN), failed];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > trial 2 Pruned { why: "pruned in fold 0 after epoch 1: its best so far is 0.5500, number 2 of 3, and only the best third goes on" }
      terminate 2/0: pruned in fold 0 after epoch 1: its best so far is 0.5500, number 2 of 3, and only the best third goes on
    > run 2/0 Pruned { why: "pruned in fold 0 after epoch 1: its best so far is 0.5500, number 2 of 3, and only the best third goes on", score: Some(0.55), best_epoch: Some(1), epochs: Some(1) }
      trial 3: train.seed = 3
      spawn 3/0 on 0
    > trial 3 Pruned { why: "pruned in fold 0 after epoch 1: it has no score so far, number 4 of 4, and only the best third goes on" }
      terminate 3/0: pruned in fold 0 after epoch 1: it has no score so far, number 4 of 4, and only the best third goes on
    > run 3/0 Pruned { why: "pruned in fold 0 after epoch 1: it has no score so far, number 4 of 4, and only the best third goes on", score: None, best_epoch: None, epochs: Some(1) }
      SweepEnded { end: Finished }
      leave Finished
    "#);
}

#[test]
fn the_median_waits_for_enough_finished_runs() {
    let plan = contest(7, 2, 1, |search| (search.race, search.prune) = (Race::Off, Prune::Median));
    let mut sweep = Sweep::new(plan);
    let mut script = vec![Event::Begin];
    for trial in 0..5 {
        for fold in 0..2 {
            let run = run(trial, fold, 1);
            script.extend((1..=3).map(|epoch| measured(run, epoch, 0.5 + 0.01 * f64::from(trial))));
            script.push(done(run, 0.5));
        }
    }
    let story = play(&mut sweep, script).0;
    assert!(!story.contains("pruned"), "{story}");
    let slow = run(5, 0, 1);
    let script = vec![measured(slow, 1, 0.1), measured(slow, 2, 0.1), measured(slow, 3, 0.2), crashed(slow)];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > 
    > 
    > trial 5 Pruned { why: "pruned in fold 0 after epoch 3: its best so far is 0.2000, the median of 5 finished runs is 0.5200" }
      terminate 5/0: pruned in fold 0 after epoch 3: its best so far is 0.2000, the median of 5 finished runs is 0.5200
    > run 5/0 Pruned { why: "pruned in fold 0 after epoch 3: its best so far is 0.2000, the median of 5 finished runs is 0.5200", score: Some(0.2), best_epoch: Some(3), epochs: Some(3) }
      trial 6: train.seed = 6
      spawn 6/0 on 0
    "#);
}

/// The coordinator dies between its decision and the end of the run; or a run measures again what it had measured.
#[test]
fn a_decision_outlives_the_coordinator_and_an_epoch_is_judged_once() {
    let mut sweep = Sweep::new(asha());
    let (_, mut facts) = play(&mut sweep, two_trials());
    let before = facts.clone();
    facts.extend(play(&mut sweep, vec![measured(run(2, 0, 1), 1, 0.55)]).1);
    let mut again = Sweep::replay(asha(), &facts);
    assert_snapshot!(play(&mut again, vec![Event::Begin]).0, @r#"
    > SweepResumed
      run 2/0 Pruned { why: "pruned in fold 0 after epoch 1: its best so far is 0.5500, number 2 of 3, and only the best third goes on", score: Some(0.55), best_epoch: Some(1), epochs: Some(1) }
      trial 3: train.seed = 3
      spawn 3/0 on 0
    "#);

    // lost after epoch 1, measured but not judged; epoch 2 is no rung, epoch 3 is
    let curve = Fact::Measured {
        run: run(2, 0, 1),
        measurement: match measured(run(2, 0, 1), 1, 0.1) {
            Event::Measured { measurement, .. } => measurement,
            other => panic!("{other:?}"),
        },
    };
    let mut again = Sweep::replay(asha(), before.iter().chain([&curve]));
    let second = run(2, 0, 2);
    let script = vec![Event::Begin, measured(second, 1, 0.1), measured(second, 2, 0.1), measured(second, 3, 0.1)];
    assert_snapshot!(play(&mut again, script).0, @r#"
    > SweepResumed
      run 2/0 Interrupted { why: "lost: its coordinator ended" }
      spawn 2/0#2 on 0
    > 
    > 
    > trial 2 Pruned { why: "pruned in fold 0 after epoch 3: its best so far is 0.1000, number 3 of 3, and only the best third goes on" }
      terminate 2/0#2: pruned in fold 0 after epoch 3: its best so far is 0.1000, number 3 of 3, and only the best third goes on
    "#);
}

fn budget(budget: Budget) -> Plan {
    contest(9, 2, 1, |search| search.budget = budget)
}

#[test]
fn a_budget_of_runs_starts_no_trial_that_it_cannot_finish() {
    let mut sweep = Sweep::new(budget(Budget { runs: Some(5), ..Budget::default() }));
    let lost = crashed(run(0, 0, 1));
    let script = vec![
        Event::Begin,
        lost,
        done(run(0, 0, 2), 0.5),
        done(run(0, 1, 1), 0.6),
        done(run(1, 0, 1), 0.5),
        done(run(1, 1, 1), 0.6),
    ];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > SweepStarted
      trial 0: train.seed = 0
      spawn 0/0 on 0
    > run 0/0 Crashed { why: "signal 9" }
      spawn 0/0#2 on 0
    > run 0/0#2 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 0/1 on 0
    > run 0/1 Finished { score: 0.6, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.55, score_se: Some(0.08660254037844384) }
      trial 1: train.seed = 1
      spawn 1/0 on 0
    > run 1/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 1/1 on 0
    > run 1/1 Finished { score: 0.6, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1 Finished { score: 0.55, score_se: Some(0.08660254037844384) }
      SweepEnded { end: Enough { why: "its budget of 5 runs has no room for another trial: 4 were started" } }
      leave Enough { why: "its budget of 5 runs has no room for another trial: 4 were started" }
    "#);
}

#[test]
fn when_the_time_is_over_runs_end_and_none_begins() {
    let over = |seconds: f64, device_seconds: f64| Event::Elapsed(Elapsed { seconds, device_seconds });
    let mut sweep = Sweep::new(budget(Budget { seconds: Some(60.0), device_seconds: Some(90.0), ..Budget::default() }));
    let script = vec![over(59.0, 59.0), Event::Begin, over(60.0, 60.0), done(run(0, 0, 1), 0.5)];
    let (story, facts) = play(&mut sweep, script);
    assert_snapshot!(story, @r#"
    > 
    > SweepStarted
      trial 0: train.seed = 0
      spawn 0/0 on 0
    > 
    > run 0/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      SweepEnded { end: Enough { why: "its budget of 60 seconds is spent" } }
      leave Enough { why: "its budget of 60 seconds is spent" }
    "#);
    // what was spent before counts
    let plan = budget(Budget { device_seconds: Some(90.0), ..Budget::default() });
    let mut again = Sweep::replay(plan, &facts);
    assert_snapshot!(play(&mut again, vec![over(1.0, 91.5), Event::Begin]).0, @r#"
    > 
    > SweepResumed
      SweepEnded { end: Enough { why: "its budget of 90 device-seconds is spent" } }
      leave Enough { why: "its budget of 90 device-seconds is spent" }
    "#);
}

/// What is open is completed; whether that is the end is the user's choice.
#[test]
fn a_sweep_that_has_converged_proposes_nothing_more_if_it_is_to_stop() {
    for (stop, proposes) in [(Stop::Budget, true), (Stop::Converged, false)] {
        let plan = || contest(2, 2, 1, |search| search.stop = stop);
        let mut sweep = Sweep::new(plan());
        let (_, mut facts) = play(&mut sweep, vec![Event::Begin, done(run(0, 0, 1), 0.5)]);
        facts.push(Fact::Converged { why: "0.0001 are left to gain, 0.01 is the noise".into() });
        let mut again = Sweep::replay(plan(), &facts);
        let (story, _) = play(&mut again, vec![Event::Begin, done(run(0, 1, 2), 0.6)]);
        assert_eq!(story.contains("trial 1: "), proposes, "{story}");
        assert_eq!(story.contains("leave Enough { why: \"0.0001 are left"), !proposes, "{story}");
    }
}

/// Against a best trial of folds 0.5, 0.6 and 0.7, after a first fold that leads by so much.
fn outlook(lead: f64) -> Option<Outlook> {
    let field = Field::new(Direction::Maximize, [(0, vec![0.5, 0.6, 0.7])]).expect("a trial");
    field.outlook(&[(0, 0.5 + lead)], None)
}

#[test]
fn a_doubtful_fold_waits_for_its_trials_others() {
    let waiting = |trial, fold, running, outlook| Waiting { run: run(trial, fold, 1), running, outlook };
    let doubtful = [waiting(3, 1, true, outlook(-0.1)), waiting(4, 2, false, outlook(-0.1))];
    let unless = Order::OldestUnlessDoubtful;
    assert_eq!(next_run(&doubtful, unless), Next::Fold(run(4, 2, 1)));
    assert_eq!(next_run(&doubtful, Order::Oldest), Next::Fold(run(3, 1, 1)));
    for order in [unless, Order::Worthiest] {
        assert_eq!(next_run(&doubtful[..1], order), Next::NewTrial);
        assert_eq!(next_run(&[waiting(3, 1, true, outlook(0.0))], order), Next::Fold(run(3, 1, 1)));
        assert_eq!(next_run(&[waiting(3, 1, true, None)], order), Next::NewTrial);
        assert_eq!(next_run(&[waiting(-1, 1, true, None)], order), Next::Fold(run(-1, 1, 1)));
        assert_eq!(next_run(&[], order), Next::NewTrial);
    }
}

#[test]
fn the_fold_that_promises_most_comes_first() {
    let waiting = |trial, lead| Waiting { run: run(trial, 1, 1), running: false, outlook: outlook(lead) };
    let behind = Next::FoldOrBetter(run(4, 1, 1), outlook(-0.05).expect("an outlook"));
    let order = Order::Worthiest;
    assert_eq!(next_run(&[waiting(3, -0.1), waiting(4, -0.05)], order), behind);
    assert_eq!(next_run(&[waiting(3, -0.1), waiting(4, -0.05), waiting(5, 0.01)], order), Next::Fold(run(5, 1, 1)));
    assert_eq!(next_run(&[waiting(4, -0.05), waiting(5, -0.05)], order), behind);
    // without an outlook of all, the oldest
    let unknown = Waiting { outlook: None, ..waiting(3, 0.0) };
    assert_eq!(next_run(&[unknown, waiting(4, 0.1)], order), Next::Fold(run(3, 1, 1)));
}
