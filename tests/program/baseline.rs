//! The linear model that every sweep begins with.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Project, SPEC, repository, signal};

/// The small sweep with its baseline.
fn project() -> Project {
    let project = Project::new();
    project.write("small.toml", SPEC.replace("baseline = false", ""));
    project
}

const OWN: &str = "select trial, fold, state, baseline, device from runs where baseline order by fold";

#[test]
fn a_sweep_has_a_baseline_on_the_same_folds() {
    let project = project();
    let outcome = project.sweep(&["run", "small.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.err.contains("2 trials x 2 folds and a baseline"), "{}", outcome.err);
    assert!(outcome.err.contains("baseline finished: macro_f1"), "{}", outcome.err);
    assert!(outcome.out.contains("small: 2 of 2 trials finished"), "{}", outcome.out);
    let lines: Vec<&str> = outcome.out.lines().filter(|line| line.contains("baseline (TF-IDF + linear)")).collect();
    assert_eq!(lines.len(), 1, "{}", outcome.out);

    assert_eq!(project.sql(OWN), ["-1,0,finished,1,cpu", "-1,1,finished,1,cpu"]);
    assert_eq!(project.sql("select trials, finished, best_trial >= 0 from sweeps"), ["2,2,1"]);
    let order = "select group_concat(baseline, '') from (select baseline from runs order by started_at, trial)";
    assert_eq!(project.sql(order), ["110000"], "it comes first");
    let folds = "select count(*) from (select document, fold from predictions where trial = -1 except \
                 select document, fold from predictions where trial = 0)";
    assert_eq!(project.sql(folds), ["0"], "the same documents in the same folds");
    assert_eq!(project.sql("select count(*) from predictions where trial = -1"), ["24"]);
    let names = |trial: &str| {
        let names = "select distinct name from metrics where split = 'validation' and trial =";
        project.sql(&format!("{names} {trial} order by name"))
    };
    assert_eq!(names("-1"), names("0"), "it is measured as the trials are");
    assert_eq!(project.sql("select score > 0.9 from trials where baseline"), ["1"], "the classes are in the words");
    assert_eq!(project.sql("select rank, trial from leaderboard").last().map(String::as_str), Some(",-1"));
}

#[test]
fn what_reads_shows_it() {
    let project = project();
    assert_eq!(project.sweep(&["run", "small.toml"]).code, Some(0));
    assert!(project.sweep(&["ls"]).out.contains("baseline"));
    let shown = project.sweep(&["show", "small"]).out;
    assert!(shown.contains("baseline (TF-IDF + linear)"), "{shown}");
    for name in ["baseline", "-1"] {
        let shown = project.sweep(&["show", "small", "--trial", name]);
        assert!(shown.out.contains("baseline of small: finished"), "{}{}", shown.out, shown.err);
        assert!(shown.out.contains("sweep logs small baseline/0"), "{}", shown.out);
    }
    let log = project.sweep(&["logs", "small", "baseline"]);
    assert!(log.out.contains("run baseline/0") && log.out.contains("run baseline/1"), "{}", log.out);
    assert!(log.out.contains("12 documents, "), "{}", log.out);
    assert!(project.sweep(&["logs", "small", "baseline/1"]).out.contains("12 documents, "));
    let json: Value = serde_json::from_str(&project.sweep(&["show", "small", "--format", "json"]).out).unwrap();
    assert_eq!((&json["baseline"]["trial"], &json["baseline"]["state"]), (&Value::from(-1), &Value::from("finished")));
    assert_eq!(json["leaderboard"].as_array().unwrap().len(), 2);
    let without = Project::new();
    assert_eq!(without.sweep(&["run", "small.toml"]).code, Some(0));
    let refused = without.sweep(&["show", "small", "--trial", "baseline"]);
    assert_eq!((refused.code, refused.err.trim_end()), (Some(2), "error: small has no baseline"));
}

#[test]
fn the_trials_are_what_they_are_without_it() {
    let scores = |changes: &[&str]| {
        let project = project();
        let outcome = project.sweep(&[&["run", "small.toml"], changes].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.err);
        let measured = "select trial, fold, epoch, name, value from metrics where trial >= 0 and split <> 'machine' order by 1, 2, 3, 4, split";
        let own = "select fold, name, value from metrics where trial < 0 order by 1, 2";
        (project.sql(measured), project.sql(own))
    };
    let (with, one) = scores(&["--set", "resources.slots_per_device=1"]);
    let (without, none) = scores(&["--set", "baseline=false"]);
    assert_eq!(with, without);
    assert_eq!(none, Vec::<String>::new());
    let (_, other) = scores(&["--set", "resources.slots_per_device=3"]);
    assert_eq!(one, other, "its numbers do not depend on slots and threads");
}

#[test]
fn an_interrupted_baseline_goes_on() {
    let project = project();
    let child = project.start(&["run", "small.toml", "--set", "train.epochs=60"]);
    project.wait_for("select 1 from runs where state = 'running'");
    signal(child.id(), Signal::KILL);
    child.wait_with_output().unwrap();
    let outcome = project.sweep(&["resume"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(project.sql("select fold from runs where baseline and state = 'finished' order by 1"), ["0", "1"]);
    assert_eq!(project.sql("select state, finished from sweeps"), ["finished,2"]);
}

#[test]
fn thresholds_are_for_several_labels() {
    let project = project();
    let refused = project.sweep(&["thresholds"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert_eq!(project.sweep(&["run", "small.toml"]).code, Some(0));
    let refused = project.sweep(&["thresholds", "small"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("small has one label a document"), "{}", refused.err);
}

#[test]
fn thresholds_of_several_labels_are_tuned() {
    let project = Project::new();
    let db = project.path("experiments.db");
    let spec = repository().join("sweeps/topics.toml");
    let db = db.to_str().unwrap();
    let mut arguments = vec!["run", spec.to_str().unwrap(), "--db", db];
    for change in
        ["train.epochs=1", "model.hidden=8", "model.max_segments=2", "folds.k=2", "folds.repeats=2", "model.heads=1"]
    {
        arguments.extend(["--set", change]);
    }
    let outcome = project.sweep(&arguments);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.out.contains("the baseline (TF-IDF + linear) is better than every trial"), "{}", outcome.out);
    let table = project.sweep(&["thresholds", "topics", "--trial", "baseline"]);
    assert_eq!(table.code, Some(0), "{}", table.err);
    assert!(table.out.contains("topics, the baseline: 480 out-of-fold predictions"), "{}", table.out);
    let json = project.sweep(&["thresholds", "--trial", "-1", "--format", "json"]).out;
    let json: Value = serde_json::from_str(&json).unwrap();
    let f1 = project.sql(
        "select round(avg(value), 2) from metrics where trial = -1 and name = 'macro_f1' and split = 'validation'",
    );
    let untuned = json["cross_fitted"]["untuned"]["macro_f1"].as_f64().unwrap();
    assert!((untuned - f1[0].parse::<f64>().unwrap()).abs() < 0.05, "pooled {untuned}, over the folds {f1:?}");
    let on_all = json["global"]["f1"].as_f64().unwrap();
    assert!(on_all >= untuned && json["per_label"].as_array().unwrap().len() == 5);
    let unknown = [
        (
            "train.thresholds={\"no\"=0.2, \"nor\"=0.3}",
            "train.thresholds: no document has the label \"no\" or \"nor\"; labels: ",
        ),
        (
            "search.space.train.thresholds.nope=[0.2, 0.3]",
            "train.thresholds.nope = 0.2: train.thresholds: no document has the label \"nope\"",
        ),
    ];
    for (change, said) in unknown {
        let refused = project.sweep(&["check", spec.to_str().unwrap(), "--db", db, "--set", change]);
        assert_eq!(refused.code, Some(4), "{}", refused.out);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    let refused = project.sweep(&["thresholds", "topics", "--trial", "9"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("trial 9 has fewer than two finished folds"), "{}", refused.err);
}
