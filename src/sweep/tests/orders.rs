//! Orders of people, each as a script and its trace.

use super::contests::{contest, incumbent, measured, play, racing};
use super::*;
use crate::search::space::Point;
use crate::spec::{Budget, Prune, Sampler};

fn li() -> Who {
    Who { user: "li".into(), host: "box".into(), pid: 7 }
}

fn ordered(order: Order) -> Event {
    Event::Ordered { order, by: li() }
}

fn refused(sweep: &Sweep, order: &Order) -> String {
    let refusal = sweep.refusal(order).unwrap_or_else(|| panic!("{order} is not refused"));
    let hint = refusal.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{order}: {refusal}{hint}")
}

fn seed(value: i64) -> Point {
    Point::default().with("train.seed", value.into())
}

fn enqueue(value: i64) -> Order {
    Order::Enqueue { point: seed(value), from: None }
}

#[test]
fn a_pause_starts_nothing_and_stays() {
    let mut sweep = Sweep::new(plan(&[7], 2, 1));
    let script = vec![
        Event::Begin,
        ordered(Order::Pause),
        done(run(0, 0, 1), 0.5),
        ordered(Order::Unpause),
        ordered(Order::Pause),
        done(run(0, 1, 1), 0.5),
        ordered(Order::Unpause),
    ];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > SweepStarted
      trial 0: train.seed = 7
      spawn 0/0 on 0
    > Ordered { order: Pause, by: Who { user: "li", host: "box", pid: 7 } }
    > run 0/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
    > Ordered { order: Unpause, by: Who { user: "li", host: "box", pid: 7 } }
      spawn 0/1 on 0
    > Ordered { order: Pause, by: Who { user: "li", host: "box", pid: 7 } }
    > run 0/1 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.5, score_se: Some(0.0) }
    > Ordered { order: Unpause, by: Who { user: "li", host: "box", pid: 7 } }
      SweepEnded { end: Finished }
      leave Finished
    "#);
}

/// Whoever resumes wants it to go on; a Ctrl-C ends a paused sweep.
#[test]
fn a_pause_ends_with_its_coordinator() {
    let plan = plan(&[7], 2, 1);
    let mut sweep = Sweep::new(plan.clone());
    let (_, facts) = play(&mut sweep, vec![Event::Begin, ordered(Order::Pause)]);
    assert_eq!(Sweep::replay(plan.clone(), &facts).stage(), Stage::Paused);
    let mut again = Sweep::replay(plan.clone(), &facts);
    assert_snapshot!(play(&mut again, vec![Event::Begin]).0, @r#"
    > SweepResumed
      run 0/0 Interrupted { why: "lost: its coordinator ended" }
      spawn 0/0#2 on 0
    "#);
    assert_eq!(again.stage(), Stage::Running);
    let stop = Event::Stop { why: "Ctrl-C".into() };
    assert_snapshot!(play(&mut sweep, vec![done(run(0, 0, 1), 0.5), stop]).0, @r#"
    > run 0/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
    > SweepEnded { end: Stopped { why: "Ctrl-C" } }
      leave Stopped { why: "Ctrl-C" }
    "#);
}

#[test]
fn stop_and_kill_say_who() {
    let mut sweep = Sweep::new(plan(&[7, 8], 2, 2));
    let script =
        vec![Event::Begin, ordered(Order::Stop), done(run(0, 0, 1), 0.5), ordered(Order::Kill), crashed(run(0, 1, 1))];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > SweepStarted
      trial 0: train.seed = 7
      spawn 0/0 on 0
      spawn 0/1 on 1
    > Ordered { order: Stop, by: Who { user: "li", host: "box", pid: 7 } }
    > run 0/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
    > Ordered { order: Kill, by: Who { user: "li", host: "box", pid: 7 } }
      terminate 0/1: li@box (sweep kill)
    > run 0/1 Interrupted { why: "li@box (sweep kill)" }
      SweepEnded { end: Stopped { why: "li@box (sweep kill)" } }
      leave Stopped { why: "li@box (sweep kill)" }
    "#);
    assert_eq!(refused(&sweep, &Order::Stop), "stop: the sweep has ended");
}

#[test]
fn a_killed_trial_has_no_further_fold_and_can_be_retried() {
    let plan = plan(&[7, 8], 3, 2);
    let mut sweep = Sweep::new(plan.clone());
    let trial = TrialId(0);
    let (story, mut facts) = play(
        &mut sweep,
        vec![
            Event::Begin,
            done(run(0, 0, 1), 0.5),
            ordered(Order::KillTrial { trial }),
            crashed(run(0, 1, 1)),
            // one that answers the end in words
            Event::Exited { run: run(0, 2, 1), exit: Exit::Failed { why: "interrupted".into() } },
        ],
    );
    assert_snapshot!(story, @r#"
    > SweepStarted
      trial 0: train.seed = 7
      spawn 0/0 on 0
      spawn 0/1 on 1
    > run 0/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 0/2 on 0
    > Ordered { order: KillTrial { trial: TrialId(0) }, by: Who { user: "li", host: "box", pid: 7 } }
      trial 0 Cancelled { why: "killed by li" }
      terminate 0/2: killed by li
      terminate 0/1: killed by li
    > run 0/1 Cancelled { why: "killed by li" }
      trial 1: train.seed = 8
      spawn 1/0 on 1
    > run 0/2 Cancelled { why: "killed by li" }
      spawn 1/1 on 0
    "#);
    assert_eq!(sweep.history().trials[0].state, TriedState::Dropped);
    assert_eq!(sweep.history().trials[0].scores, [(0, 0.5)]);
    assert_snapshot!(refused(&sweep, &Order::KillTrial { trial }), @"kill trial 0: trial 0 is killed already");
    // it stays so, and is opened by name
    let mut again = Sweep::replay(plan, &facts);
    let (story, more) = play(&mut again, vec![Event::Begin, ordered(Order::Retry { trial: Some(trial) })]);
    facts.extend(more);
    assert_snapshot!(story, @r#"
    > SweepResumed
      run 1/0 Interrupted { why: "lost: its coordinator ended" }
      run 1/1 Interrupted { why: "lost: its coordinator ended" }
      spawn 1/0#2 on 0
      spawn 1/1#2 on 1
    > Ordered { order: Retry { trial: Some(TrialId(0)) }, by: Who { user: "li", host: "box", pid: 7 } }
      TrialReopened { trial: TrialId(0) }
    "#);
}

/// The run that was told to end when its trial was killed ends after the trial was opened again: it was not its fault.
#[test]
fn a_trial_that_is_retried_at_once_loses_nothing() {
    let mut sweep = Sweep::new(plan(&[7], 2, 1));
    let trial = TrialId(0);
    let script = vec![
        Event::Begin,
        ordered(Order::KillTrial { trial }),
        ordered(Order::Retry { trial: Some(trial) }),
        crashed(run(0, 0, 1)),
        crashed(run(0, 0, 2)),
        done(run(0, 0, 3), 0.5),
    ];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > SweepStarted
      trial 0: train.seed = 7
      spawn 0/0 on 0
    > Ordered { order: KillTrial { trial: TrialId(0) }, by: Who { user: "li", host: "box", pid: 7 } }
      trial 0 Cancelled { why: "killed by li" }
      terminate 0/0: killed by li
    > Ordered { order: Retry { trial: Some(TrialId(0)) }, by: Who { user: "li", host: "box", pid: 7 } }
      TrialReopened { trial: TrialId(0) }
    > run 0/0 Interrupted { why: "killed by li" }
      spawn 0/0#2 on 0
    > run 0/0#2 Crashed { why: "signal 9" }
      spawn 0/0#3 on 0
    > run 0/0#3 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 0/1 on 0
    "#);
}

#[test]
fn a_run_that_hangs_is_started_again() {
    let mut sweep = Sweep::new(plan(&[7], 2, 1));
    let restart = Order::Restart { trial: TrialId(0), fold: FoldId { repeat: 0, fold: 0 } };
    let script = vec![Event::Begin, ordered(restart.clone()), crashed(run(0, 0, 1)), done(run(0, 0, 2), 0.5)];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > SweepStarted
      trial 0: train.seed = 7
      spawn 0/0 on 0
    > Ordered { order: Restart { trial: TrialId(0), fold: FoldId { repeat: 0, fold: 0 } }, by: Who { user: "li", host: "box", pid: 7 } }
      terminate 0/0: restarted by li
    > run 0/0 Interrupted { why: "restarted by li" }
      spawn 0/0#2 on 0
    > run 0/0#2 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 0/1 on 0
    "#);
    assert_snapshot!(refused(&sweep, &restart), @r#"
    restart run 0/0: run 0/0 is not running (`sweep sql "select * from runs where state = 'running'"` lists what runs)
    "#);
}

#[test]
fn who_takes_up_a_trial_that_was_given_up_gets_its_score() {
    let mut sweep = Sweep::new(contest(2, 3, 1, racing(Race::Posterior)));
    play(&mut sweep, incumbent(&[0.80, 0.82, 0.81]));
    let script = vec![
        ordered(Order::Pause),
        done(run(1, 0, 1), 0.40),
        ordered(Order::Retry { trial: Some(TrialId(1)) }),
        ordered(Order::Unpause),
        done(run(1, 1, 1), 0.41),
        done(run(1, 2, 1), 0.42),
    ];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > Ordered { order: Pause, by: Who { user: "li", host: "box", pid: 7 } }
    > run 1/0 Finished { score: 0.4, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1 Dropped { why: "raced out after 1 of 3 folds: its chance to beat trial 0 is below 0.01 %" }
    > Ordered { order: Retry { trial: Some(TrialId(1)) }, by: Who { user: "li", host: "box", pid: 7 } }
      TrialReopened { trial: TrialId(1) }
    > Ordered { order: Unpause, by: Who { user: "li", host: "box", pid: 7 } }
      spawn 1/1 on 0
    > run 1/1 Finished { score: 0.41, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 1/2 on 0
    > run 1/2 Finished { score: 0.42, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1 Finished { score: 0.41, score_se: Some(0.009128709291752751) }
      SweepEnded { end: Finished }
      leave Finished
    "#);
}

#[test]
fn an_enqueued_point_comes_next_and_the_grid_stays_complete() {
    let mut plan = plan(&[7, 8, 9], 1, 1);
    let mut spec = (*plan.spec).clone();
    // on top of the budget
    spec.search.budget = Budget { trials: Some(2), ..Budget::default() };
    plan.spec = Arc::new(spec);
    let mut sweep = Sweep::new(plan.clone());
    let (story, facts) = play(&mut sweep, vec![Event::Begin, ordered(enqueue(9)), done(run(0, 0, 1), 0.5)]);
    assert_snapshot!(story, @r#"
    > SweepStarted
      trial 0: train.seed = 7
      spawn 0/0 on 0
    > Ordered { order: Enqueue { point: Point({"train.seed": Number(9)}), from: None }, by: Who { user: "li", host: "box", pid: 7 } }
      TrialEnqueued { trial: TrialId(1), point: Point({"train.seed": Number(9)}) }
    > run 0/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.5, score_se: None }
      spawn 1/0 on 0
    "#);
    assert_snapshot!(refused(&sweep, &enqueue(9)), @"enqueue train.seed = 9: it was tried already: train.seed = 9 (the same point has the same scores; leave something open or change a value)");
    assert_snapshot!(refused(&sweep, &enqueue(10)), @"enqueue train.seed = 10: train.seed: 10 is not in its domain: one of 7, 8, 9");
    let unknown = Point::default().with("train.sed", 1.into()).with("train.epochs", 3.into());
    assert_snapshot!(refused(&sweep, &Order::Enqueue { point: unknown, from: None }), @"enqueue train.sed = 1, train.epochs = 3: train.sed is not varied; did you mean `train.seed`?; train.epochs is not varied");
    assert_snapshot!(refused(&sweep, &Order::Enqueue { point: seed(8), from: Some(TrialId(5)) }), @"enqueue trial 5 with train.seed = 8: there is no trial 5");
    // what is left open is drawn
    let open = Order::Enqueue { point: Point::default(), from: None };
    assert_eq!(sweep.refusal(&open), None);
    // enqueued, and not begun
    let before: Vec<Fact> = facts.iter().take_while(|fact| !matches!(fact, Fact::RunEnded { .. })).cloned().collect();
    let mut again = Sweep::replay(plan, &before);
    let script = vec![Event::Begin, done(run(0, 0, 2), 0.5), done(run(1, 0, 1), 0.5), done(run(2, 0, 1), 0.5)];
    assert_snapshot!(play(&mut again, script).0, @r#"
    > SweepResumed
      run 0/0 Interrupted { why: "lost: its coordinator ended" }
      spawn 0/0#2 on 0
    > run 0/0#2 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.5, score_se: None }
      spawn 1/0 on 0
    > run 1/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1 Finished { score: 0.5, score_se: None }
      trial 2: train.seed = 8
      spawn 2/0 on 0
    > run 2/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 2 Finished { score: 0.5, score_se: None }
      SweepEnded { end: Finished }
      leave Finished
    "#);
    assert_eq!(again.history().asked, [1].into());
}

/// The draws of a search are what they would have been.
#[test]
fn an_enqueued_point_takes_no_draw() {
    let file = "baseline = false\ndata.path = \"a.csv\"\nfolds.k = 2\n[search]\nsampler = \"random\"\nrace = \"off\"\ntrials = 4\n\
                start = [{ \"train.epochs\" = 9 }]\n\
                [search.space]\n\"train.learning_rate\" = { low = 1e-5, high = 1e-2, log = true }\n\
                \"train.epochs\" = { low = 1, high = 9 }";
    for sampler in [Sampler::Random, Sampler::Sobol] {
        let mut spec = Spec::parse("test", file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        spec.search.sampler = sampler;
        let plan = Plan { spec: Arc::new(spec), slots: 1, retries: 1, earlier: Arc::default() };
        let points = |orders: bool| -> Vec<String> {
            let mut sweep = Sweep::new(plan.clone());
            play(&mut sweep, vec![Event::Begin]);
            if orders {
                let point = Point::default().with("train.learning_rate", 0.01.into());
                play(&mut sweep, vec![ordered(Order::Enqueue { point, from: None })]);
                let from =
                    Order::Enqueue { point: Point::default().with("train.epochs", 3.0.into()), from: Some(TrialId(0)) };
                play(&mut sweep, vec![ordered(from)]);
            }
            while sweep.stage() == Stage::Running {
                let live: Vec<RunId> = sweep.slots().filter_map(|(_, run)| run).collect();
                play(&mut sweep, live.into_iter().map(|run| done(run, 0.5)).collect());
            }
            let mut all: Vec<_> = sweep.trials().map(|(_, trial)| (trial.asked, trial.point.to_string())).collect();
            if orders {
                let first = sweep.trial(TrialId(0)).and_then(|trial| trial.point.get("train.learning_rate")).cloned();
                let second = sweep.trial(TrialId(2)).expect("is there");
                assert_eq!(second.point.get("train.learning_rate").cloned(), first, "from trial 0");
                assert_eq!(second.point.get("train.epochs"), Some(&3.into()), "a whole number, however it is written");
            }
            all.retain(|(asked, _)| !asked);
            all.into_iter().map(|(_, point)| point).collect()
        };
        let undisturbed = points(false);
        assert_eq!(undisturbed.len(), 4);
        assert_eq!(points(true), undisturbed);
    }
}

#[test]
fn what_has_no_budget_is_not_enqueued() {
    let plan = contest(9, 2, 1, |search| search.budget = Budget { runs: Some(3), ..Budget::default() });
    let mut sweep = Sweep::new(plan);
    play(&mut sweep, vec![Event::Begin]);
    assert_snapshot!(refused(&sweep, &enqueue(8)), @"enqueue train.seed = 8: no run is started any more: its budget of 3 runs has no room for another trial: 1 were started (a new sweep can begin with the point: `start` of [search])");
}

#[test]
fn an_excluded_trial_counts_in_nothing() {
    let mut sweep = Sweep::new(contest(4, 3, 1, racing(Race::Posterior)));
    let mut script = incumbent(&[0.80, 0.82, 0.81]);
    script.push(done(run(1, 0, 1), 0.40));
    let (_, mut facts) = play(&mut sweep, script);
    let exclude = Order::Exclude { trial: TrialId(0) };
    let script = vec![
        ordered(exclude.clone()),
        // it would be raced out, if there were a best
        done(run(2, 0, 1), 0.30),
        done(run(2, 1, 1), 0.31),
        done(run(2, 2, 1), 0.32),
        done(run(3, 0, 1), 0.05),
    ];
    let (story, more) = play(&mut sweep, script);
    assert_snapshot!(story, @r#"
    > Ordered { order: Exclude { trial: TrialId(0) }, by: Who { user: "li", host: "box", pid: 7 } }
    > run 2/0 Finished { score: 0.3, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 2/1 on 0
    > run 2/1 Finished { score: 0.31, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      spawn 2/2 on 0
    > run 2/2 Finished { score: 0.32, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 2 Finished { score: 0.31, score_se: Some(0.009128709291752777) }
      trial 3: train.seed = 3
      spawn 3/0 on 0
    > run 3/0 Finished { score: 0.05, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 3 Dropped { why: "raced out after 1 of 3 folds: its chance to beat trial 2 is below 0.01 %" }
      SweepEnded { end: Finished }
      leave Finished
    "#);
    facts.extend(more);
    let again = Sweep::replay(contest(4, 3, 1, racing(Race::Posterior)), &facts);
    let tried = &again.history().trials[0];
    assert_eq!((tried.state, tried.scores.len()), (TriedState::Dropped, 0));
    assert!(again.history().holds(&tried.point), "it is not tried again");
    assert_snapshot!(refused(&sweep, &exclude), @"exclude trial 0: trial 0 is excluded already");
    assert_snapshot!(refused(&sweep, &Order::Exclude { trial: TrialId::BASELINE }), @"exclude baseline: baseline is no point of the space");
    assert_snapshot!(refused(&sweep, &Order::Include { trial: TrialId(1) }), @"include trial 1: trial 1 is included already");
    assert_eq!(sweep.refusal(&Order::Include { trial: TrialId(0) }), None, "also when it has ended");
}

#[test]
fn an_excluded_run_is_no_rival() {
    let mut sweep = Sweep::new(contest(4, 1, 1, |search| (search.race, search.prune) = (Race::Off, Prune::Asha)));
    let mut script = vec![Event::Begin];
    for (trial, score) in [(0, 0.9), (1, 0.8)] {
        script.extend([measured(run(trial, 0, 1), 1, score), done(run(trial, 0, 1), score)]);
    }
    script.extend([0, 1].map(|trial| ordered(Order::Exclude { trial: TrialId(trial) })));
    script.push(measured(run(2, 0, 1), 1, 0.1));
    let story = play(&mut sweep, script).0;
    assert!(!story.contains("pruned"), "{story}");
}

#[test]
fn fewer_slots_drain_and_more_are_opened() {
    let plan = plan(&[1, 2, 3], 3, 3);
    let mut sweep = Sweep::new(plan.clone());
    let script = vec![
        Event::Begin,
        ordered(Order::Slots { count: 1 }),
        done(run(0, 0, 1), 0.5),
        done(run(0, 1, 1), 0.5),
        // the last of three: it was in slot 2, and another one goes into slot 0
        done(run(0, 2, 1), 0.5),
        ordered(Order::Slots { count: 4 }),
    ];
    let (story, facts) = play(&mut sweep, script);
    assert_snapshot!(story, @r#"
    > SweepStarted
      trial 0: train.seed = 1
      spawn 0/0 on 0
      spawn 0/1 on 1
      spawn 0/2 on 2
    > Ordered { order: Slots { count: 1 }, by: Who { user: "li", host: "box", pid: 7 } }
    > run 0/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
    > run 0/1 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
    > run 0/2 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.5, score_se: Some(0.0) }
      trial 1: train.seed = 2
      spawn 1/0 on 0
    > Ordered { order: Slots { count: 4 }, by: Who { user: "li", host: "box", pid: 7 } }
      spawn 1/1 on 1
      spawn 1/2 on 2
      trial 2: train.seed = 3
      spawn 2/0 on 3
    "#);
    assert_snapshot!(refused(&sweep, &Order::Slots { count: 0 }), @"slots 0: 0 is no number of slots: at least 1, at most 1024 (`sweep pause` lets the runs end and starts no more)");
    // how many there are is a matter of the session
    let mut again = Sweep::replay(plan, &facts);
    assert_eq!(again.wanted_slots(), 4);
    again.handle(Event::Begin);
    assert_eq!((again.wanted_slots(), again.slots().count()), (3, 3));
}

#[test]
fn remarks_change_nothing_else() {
    let mut sweep = Sweep::new(plan(&[7], 1, 1));
    let trial = TrialId(0);
    let script = vec![
        Event::Begin,
        ordered(Order::Note { trial, text: "odd".into() }),
        ordered(Order::Tag { trial, tag: "a/b".into() }),
        done(run(0, 0, 1), 0.5),
        ordered(Order::Untag { trial, tag: "a/b".into() }),
        ordered(Order::Pause),
    ];
    assert_snapshot!(play(&mut sweep, script).0, @r#"
    > SweepStarted
      trial 0: train.seed = 7
      spawn 0/0 on 0
    > Ordered { order: Note { trial: TrialId(0), text: "odd" }, by: Who { user: "li", host: "box", pid: 7 } }
    > Ordered { order: Tag { trial: TrialId(0), tag: "a/b" }, by: Who { user: "li", host: "box", pid: 7 } }
    > run 0/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.5, score_se: None }
      SweepEnded { end: Finished }
      leave Finished
    > Ordered { order: Untag { trial: TrialId(0), tag: "a/b" }, by: Who { user: "li", host: "box", pid: 7 } }
    >
    "#);
    let wrong = [
        Order::Note { trial: TrialId(4), text: String::new() },
        Order::Note { trial, text: "x".repeat(20_000) },
        Order::Tag { trial, tag: "a b".into() },
        Order::Tag { trial, tag: String::new() },
        Order::Pause,
    ];
    let wrong: Vec<String> =
        wrong.iter().map(|order| sweep.refusal(order).map(|why| why.to_string()).unwrap_or_default()).collect();
    assert_snapshot!(wrong.join("\n"), @r#"
    there is no trial 4
    the note is too long: 20000 bytes, at most 16384
    "a b" is no tag: letters, digits and - _ . : / + only
    "" is no tag: letters, digits and - _ . : / + only
    the sweep has ended
    "#);
}

#[test]
fn orders_are_read_as_they_are_documented() {
    let document = include_str!("../../../docs/steering.md");
    let names = [
        "stop",
        "pause",
        "unpause",
        "kill",
        "kill_trial",
        "retry",
        "restart",
        "enqueue",
        "exclude",
        "include",
        "slots",
        "note",
        "tag",
        "untag",
    ];
    let all = r#"{"trial":3,"repeat":0,"fold":1,"count":2,"text":"x","tag":"y","point":{"a":1},"from":2}"#;
    for name in names {
        let mut json: serde_json::Value = serde_json::from_str(all).expect("json");
        json["order"] = name.into();
        let order: Order = serde_json::from_value(json).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(order.name(), name);
        assert!(document.contains(&format!("`{name}`")), "{name} is not documented");
        let written = serde_json::to_string(&order).expect("json");
        assert_eq!(serde_json::from_str::<Order>(&written).expect("is read"), order, "{written}");
    }
}
