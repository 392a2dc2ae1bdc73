//! Trials that are given up, with real processes.

use rustix::process::Signal;

use crate::support::{Project, signal};

const GIVEN_UP: &str = "select trial, state, given_up, folds_done from trials order by trial";

/// The second and third rate are far too small to learn anything.
const RATES: &str = r#"search.space."train.learning_rate"=[3e-2, 1e-7, 2e-7]"#;

#[test]
fn a_hopeless_trial_gets_one_fold() {
    let project = Project::new();
    let options = ["run", "small.toml", "--set", RATES, "--set", "folds.k=3", "--set", "train.epochs=8"];
    let racing = ["--set", "search.race=posterior", "--set", "resources.slots_per_device=1"];
    let outcome = project.sweep(&[&options[..], &racing].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(
        outcome.err.contains("trial 1 raced out after 1 of 3 folds: its chance to beat trial 0"),
        "{}",
        outcome.err
    );
    assert!(outcome.out.contains("trials given up: 2 raced out; 4 folds never started"), "{}", outcome.out);
    assert_eq!(project.sql(GIVEN_UP), ["0,finished,,3", "1,pruned,race,1", "2,pruned,race,1"]);
    let counted = "select raced_out, pruned, folds_saved, finished, best_trial from sweeps";
    assert_eq!(project.sql(counted), ["2,0,4,1,0"]);
    let shown = project.sweep(&["show"]).out;
    assert!(shown.contains("raced out after 1 of 3 folds"), "{shown}");
    assert_eq!(project.sweep(&["resume"]).code, Some(2), "nothing is left to resume");
}

/// Long runs that never learn are told to stop in their middle.
#[test]
fn a_run_that_falls_behind_is_stopped_between_epochs() {
    let project = Project::new();
    let rates = r#"search.space."train.learning_rate"=[3e-2, 2e-2, 1e-7]"#;
    let options = ["run", "small.toml", "--set", rates, "--set", "train.epochs=30", "--set", "search.race=off"];
    let outcome = project
        .sweep(&[&options[..], &["--set", "search.prune=asha", "--set", "resources.slots_per_device=1"]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let states = project.sql("select trial, state, given_up from trials where trial = 2");
    assert_eq!(states, ["2,pruned,prune"], "{}", outcome.err);
    let runs = project.sql("select state, epochs < 30, why like 'pruned in fold %' from runs where trial = 2");
    assert_eq!(runs, ["pruned,1,1"]);
}

const RUNS: &str = "select count(*) from runs";
const WHY: &str = "select state, why from sweeps";

/// The run that is under way when the time is over comes to its end; what a killed coordinator has spent is spent.
#[test]
fn a_budget_of_time_ends_a_sweep_whatever_happens() {
    let project = Project::new();
    let one_slot = ["run", "small.toml", "--set", "resources.slots_per_device=1"];
    let moment = [&one_slot[..], &["--set", "search.device_seconds=0.0001"]].concat();
    let outcome = project.sweep(&moment);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(project.sql(RUNS), ["1"]);
    assert_eq!(project.sql(WHY), ["finished,its budget of 0.0001 device-seconds is spent"]);

    let project = Project::new();
    let child = project.start(&[&moment[..], &["--set", "train.epochs=60"]].concat());
    project.wait_for("select 1 from checkpoints");
    signal(child.id(), Signal::KILL);
    drop(child.wait_with_output().unwrap());
    let outcome = project.sweep(&["resume"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(project.sql(RUNS), ["1"], "{}", outcome.err);
    assert_eq!(project.sql(WHY), ["finished,its budget of 0.0001 device-seconds is spent"]);
}
