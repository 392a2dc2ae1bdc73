//! The last run of all: the best trial on documents that no fold saw.

use super::*;

fn held_out(plan: &Plan) -> Plan {
    let mut spec = (*plan.spec).clone();
    spec.folds.holdout = Some(0.15);
    Plan { spec: Arc::new(spec), ..plan.clone() }
}

fn refit(trial: i32, attempt: u32) -> RunId {
    RunId { trial: TrialId(trial), fold: FoldId::HOLDOUT, attempt }
}

fn best_at(run: RunId, score: f64, best_epoch: u32) -> Event {
    let done = Done { score, best_epoch, epochs: 8, peak_memory_mb: 3 };
    Event::Exited { run, exit: Exit::Done(done) }
}

fn failed(run: RunId) -> Event {
    Event::Exited { run, exit: Exit::Failed { why: "out of memory".into() } }
}

/// Two trials of two folds are over, the second one better.
fn searched() -> Vec<Event> {
    let folds = [(0, 0, 0.5, 2), (0, 1, 0.6, 3), (1, 0, 0.7, 4), (1, 1, 0.8, 7)];
    let runs = folds.into_iter().flat_map(|(trial, fold, score, epoch)| {
        let run = run(trial, fold, 1);
        [started(run), best_at(run, score, epoch)]
    });
    [Event::Begin].into_iter().chain(runs).collect()
}

fn play(sweep: &mut Sweep, events: Vec<Event>) -> Vec<Fact> {
    events.into_iter().flat_map(|event| recorded(sweep.handle(event)).collect::<Vec<_>>()).collect()
}

/// For the median of its folds' best epochs, half an epoch rounded up; when nothing else is under way; and nothing that
/// trials are compared or counted by knows of it.
#[test]
fn the_best_trial_is_scored_when_the_search_is_over() {
    let mut sweep = Sweep::new(held_out(&plan(&[7, 8], 2, 2)));
    let (a, b, c, d) = (run(0, 0, 1), run(0, 1, 1), run(1, 0, 1), run(1, 1, 1));
    let script = [
        Event::Begin,
        started(a),
        started(b),
        best_at(a, 0.5, 2),
        started(c),
        best_at(b, 0.6, 3),
        started(d),
        best_at(d, 0.8, 7),
        best_at(c, 0.7, 4),
        started(refit(1, 1)),
    ];
    assert_snapshot!(trace(&mut sweep, &script), @r"
    > SweepStarted
      trial 0: train.seed = 7
      spawn 0/0 on 0
      spawn 0/1 on 1
    > run 0/0 started on 0
    > run 0/1 started on 1
    > run 0/0 Finished { score: 0.5, best_epoch: 2, epochs: 8, peak_memory_mb: 3 }
      trial 1: train.seed = 8
      spawn 1/0 on 0
    > run 1/0 started on 0
    > run 0/1 Finished { score: 0.6, best_epoch: 3, epochs: 8, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.55, score_se: Some(0.08660254037844384) }
      spawn 1/1 on 1
    > run 1/1 started on 1
    > run 1/1 Finished { score: 0.8, best_epoch: 7, epochs: 8, peak_memory_mb: 3 }
    > run 1/0 Finished { score: 0.7, best_epoch: 4, epochs: 8, peak_memory_mb: 3 }
      trial 1 Finished { score: 0.75, score_se: Some(0.08660254037844395) }
      RefitChosen { trial: TrialId(1), epochs: 6 }
      spawn 1/holdout on 0
    > run 1/holdout started on 0
    ");
    let before = sweep.clone();
    assert_eq!(sweep.refit_epochs(refit(1, 1)), Some(6));
    assert_eq!(sweep.refit_epochs(d), None);
    assert_snapshot!(trace(&mut sweep, &[best_at(refit(1, 1), 0.1, 6)]), @r"
    > run 1/holdout Finished { score: 0.1, best_epoch: 6, epochs: 8, peak_memory_mb: 3 }
      SweepEnded { end: Finished }
      leave Finished
    ");
    assert_eq!(sweep.trials, before.trials);
    assert_eq!(format!("{:?}", sweep.history()), format!("{:?}", before.history()));
}

#[test]
fn the_baseline_is_scored_beside_it() {
    let mut sweep = Sweep::new(held_out(&with_baseline(&plan(&[7], 1, 2))));
    let baseline = RunId { trial: TrialId::BASELINE, ..run(0, 0, 1) };
    let script = [
        Event::Begin,
        started(baseline),
        started(run(0, 0, 1)),
        done(baseline, 0.9),
        done(run(0, 0, 1), 0.5),
        started(refit(-1, 1)),
        started(refit(0, 1)),
        failed(refit(-1, 1)),
        done(refit(0, 1), 0.4),
    ];
    assert_snapshot!(trace(&mut sweep, &script), @r#"
    > SweepStarted
      trial baseline: 
      spawn baseline/0 on 0
      trial 0: train.seed = 7
      spawn 0/0 on 1
    > run baseline/0 started on 0
    > run 0/0 started on 1
    > run baseline/0 Finished { score: 0.9, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial baseline Finished { score: 0.9, score_se: None }
    > run 0/0 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.5, score_se: None }
      RefitChosen { trial: TrialId(-1), epochs: 1 }
      RefitChosen { trial: TrialId(0), epochs: 1 }
      spawn baseline/holdout on 0
      spawn 0/holdout on 1
    > run baseline/holdout started on 0
    > run 0/holdout started on 1
    > run baseline/holdout Failed { why: "out of memory" }
    > run 0/holdout Finished { score: 0.4, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      SweepEnded { end: Finished }
      leave Finished
    "#);
}

#[test]
fn without_a_finished_trial_there_is_nothing_to_score() {
    let mut sweep = Sweep::new(held_out(&with_baseline(&plan(&[7], 1, 1))));
    let baseline = RunId { trial: TrialId::BASELINE, ..run(0, 0, 1) };
    let script = [Event::Begin, started(baseline), done(baseline, 0.9), started(run(0, 0, 1)), failed(run(0, 0, 1))];
    assert_snapshot!(trace(&mut sweep, &script), @r#"
    > SweepStarted
      trial baseline: 
      spawn baseline/0 on 0
    > run baseline/0 started on 0
    > run baseline/0 Finished { score: 0.9, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial baseline Finished { score: 0.9, score_se: None }
      trial 0: train.seed = 7
      spawn 0/0 on 0
    > run 0/0 started on 0
    > run 0/0 Failed { why: "out of memory" }
      trial 0 Failed { why: "fold 0: out of memory" }
      SweepEnded { end: Finished }
      leave Finished
    "#);
}

/// Who is stopped has not seen the end: the holdout waits for that.
#[test]
fn a_stop_leaves_the_holdout_untouched() {
    let plan = held_out(&plan(&[7], 2, 1));
    let mut sweep = Sweep::new(plan.clone());
    let mut facts = play(&mut sweep, vec![Event::Begin, started(run(0, 0, 1)), done(run(0, 0, 1), 0.5)]);
    let stop = Event::Stop { why: "Ctrl-C".into() };
    let script = [started(run(0, 1, 1)), stop, done(run(0, 1, 1), 0.5)];
    let mut again = sweep.clone();
    assert_snapshot!(trace(&mut again, &script), @r#"
    > run 0/1 started on 0
    > 
    > run 0/1 Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 0 Finished { score: 0.5, score_se: Some(0.0) }
      SweepEnded { end: Stopped { why: "Ctrl-C" } }
      leave Stopped { why: "Ctrl-C" }
    "#);
    facts.extend(play(&mut sweep, script.into()));
    let mut resumed = Sweep::replay(plan.clone(), &facts);
    let kill = Event::Kill { why: "SIGTERM".into() };
    let script = [Event::Begin, started(refit(0, 1)), kill, crashed(refit(0, 1))];
    assert_snapshot!(trace(&mut resumed.clone(), &script), @r#"
    > SweepResumed
      RefitChosen { trial: TrialId(0), epochs: 1 }
      spawn 0/holdout on 0
    > run 0/holdout started on 0
    > terminate 0/holdout: SIGTERM
    > run 0/holdout Interrupted { why: "SIGTERM" }
      SweepEnded { end: Stopped { why: "SIGTERM" } }
      leave Stopped { why: "SIGTERM" }
    "#);
    // its coordinator dies instead
    facts.extend(play(&mut resumed, script[..2].into()));
    let mut resumed = Sweep::replay(plan, &facts);
    assert_snapshot!(trace(&mut resumed, &[Event::Begin, started(refit(0, 2)), done(refit(0, 2), 0.4)]), @r#"
    > SweepResumed
      run 0/holdout Interrupted { why: "lost: its coordinator ended" }
      spawn 0/holdout#2 on 0
    > run 0/holdout#2 started on 0
    > run 0/holdout#2 Finished { score: 0.4, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      SweepEnded { end: Finished }
      leave Finished
    "#);
}

#[test]
fn a_refit_is_retried_as_any_run_and_its_failure_ends_the_sweep_all_the_same() {
    let plan = held_out(&plan(&[7, 8], 2, 1));
    let mut sweep = Sweep::new(plan.clone());
    let mut facts = play(&mut sweep, searched());
    let script = [started(refit(1, 1)), crashed(refit(1, 1)), started(refit(1, 2)), crashed(refit(1, 2))];
    assert_snapshot!(trace(&mut sweep.clone(), &script), @r#"
    > run 1/holdout started on 0
    > run 1/holdout Crashed { why: "signal 9" }
      spawn 1/holdout#2 on 0
    > run 1/holdout#2 started on 0
    > run 1/holdout#2 Crashed { why: "signal 9" }
      SweepEnded { end: Finished }
      leave Finished
    "#);
    facts.extend(play(&mut sweep, script.into()));
    let again = [Event::Begin];
    assert_snapshot!(trace(&mut Sweep::replay(plan.clone(), &facts), &again), @r"
    > SweepResumed
      SweepEnded { end: Finished }
      leave Finished
    ");
    let again = [Event::RetryFailed, Event::Begin, started(refit(1, 3)), done(refit(1, 3), 0.7)];
    assert_snapshot!(trace(&mut Sweep::replay(plan, &facts), &again), @r"
    > RefitChosen { trial: TrialId(1), epochs: 6 }
    > SweepResumed
      spawn 1/holdout#3 on 0
    > run 1/holdout#3 started on 0
    > run 1/holdout#3 Finished { score: 0.7, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      SweepEnded { end: Finished }
      leave Finished
    ");
}

/// Each trial at most once: the one that was the best before keeps its score, the new one gets its own.
#[test]
fn a_new_best_trial_is_scored_too() {
    let plan = held_out(&plan(&[7, 8], 1, 1));
    let mut sweep = Sweep::new(plan.clone());
    let (a, b) = (run(0, 0, 1), run(1, 0, 1));
    let begun = vec![Event::Begin, started(a), done(a, 0.5), started(b), failed(b), started(refit(0, 1))];
    let mut facts = play(&mut sweep, begun);
    facts.extend(play(&mut sweep, vec![done(refit(0, 1), 0.4)]));
    let b = run(1, 0, 2);
    let again =
        [Event::RetryFailed, Event::Begin, started(b), done(b, 0.6), started(refit(1, 1)), done(refit(1, 1), 0.5)];
    assert_snapshot!(trace(&mut Sweep::replay(plan.clone(), &facts), &again), @r"
    > TrialReopened { trial: TrialId(1) }
    > SweepResumed
      spawn 1/0#2 on 0
    > run 1/0#2 started on 0
    > run 1/0#2 Finished { score: 0.6, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1 Finished { score: 0.6, score_se: None }
      RefitChosen { trial: TrialId(1), epochs: 1 }
      spawn 1/holdout on 0
    > run 1/holdout started on 0
    > run 1/holdout Finished { score: 0.5, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      SweepEnded { end: Finished }
      leave Finished
    ");
    // one that is not better changes nothing
    let again = [Event::RetryFailed, Event::Begin, started(b), done(b, 0.4)];
    assert_snapshot!(trace(&mut Sweep::replay(plan, &facts), &again), @r"
    > TrialReopened { trial: TrialId(1) }
    > SweepResumed
      spawn 1/0#2 on 0
    > run 1/0#2 started on 0
    > run 1/0#2 Finished { score: 0.4, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      trial 1 Finished { score: 0.4, score_se: None }
      SweepEnded { end: Finished }
      leave Finished
    ");
}

/// Runs and trials of a budget are those of the search.
#[test]
fn a_budget_leaves_room_for_the_holdout() {
    let plan = held_out(&plan(&[7, 8, 9], 2, 1));
    let mut spec = (*plan.spec).clone();
    spec.search.budget.runs = Some(4);
    let mut sweep = Sweep::new(Plan { spec: Arc::new(spec), ..plan });
    play(&mut sweep, searched());
    let script = [started(refit(1, 1)), done(refit(1, 1), 0.7)];
    assert_snapshot!(trace(&mut sweep, &script), @r#"
    > run 1/holdout started on 0
    > run 1/holdout Finished { score: 0.7, best_epoch: 1, epochs: 2, peak_memory_mb: 3 }
      SweepEnded { end: Enough { why: "its budget of 4 runs has no room for another trial: 4 were started" } }
      leave Enough { why: "its budget of 4 runs has no room for another trial: 4 were started" }
    "#);
}
