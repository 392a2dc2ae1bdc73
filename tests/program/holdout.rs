//! Documents that no fold sees, and the one score on them.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Project, SPEC, documents, repository, signal};

/// The small sweep with its baseline, and every fourth document held out.
fn project() -> Project {
    let project = Project::new();
    project.write("small.toml", SPEC.replace("baseline = false", "").replace("k = 2", "k = 2\nholdout = 0.25"));
    project
}

/// All that was ever said of the holdout, but for the time that it took.
const SCORES: &str = "select trial, state, score, score_se, documents, epochs from holdout order by trial";
const MEASURED: &str = "select trial, epoch, step, split, name, value from metrics where fold < 0 and split <> 'machine' \
                        order by 1, 2, 3, 4, 5";

#[test]
fn the_best_trial_is_scored_once_on_what_no_fold_saw() {
    let project = project();
    let checked = project.sweep(&["check", "small.toml"]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(checked.out.contains("18 documents in 3 classes"), "{}", checked.out);
    assert!(checked.out.contains("holdout: 6 more documents (25.0 % of 24) are in no fold"), "{}", checked.out);
    let stopping = ["train.epochs=4", "train.early_stopping={patience=1}"];
    let outcome = project.sweep(&["run", "small.toml", "--set", stopping[0], "--set", stopping[1]]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let lines: Vec<&str> = outcome.out.lines().filter(|line| line.contains("holdout: macro_f1 ")).collect();
    assert!(lines.len() == 1 && lines[0].contains(" on 6 documents, by trial ") && lines[0].contains("; baseline "));

    // nobody else sees them
    assert_eq!(project.sql("select count(*) from holdout_predictions"), ["12"]);
    assert_eq!(project.sql("select count(distinct document) from holdout_predictions"), ["6"]);
    assert_eq!(
        project.sql("select label, count(*) from holdout_predictions where trial = -1 group by label"),
        ["fire,2", "water,2", "wood,2"]
    );
    assert_eq!(project.sql("select count(distinct document), count(*) from predictions"), ["18,54"]);
    let both = "select count(*) from predictions join holdout_predictions using (document)";
    assert_eq!(project.sql(both), ["0"]);
    assert!(project.sweep(&["logs", "small", "baseline/holdout"]).out.contains("18 documents, "));
    assert!(project.sweep(&["logs", "small", "baseline/0"]).out.contains("9 documents, "));

    // for the median of its folds' epochs, and looked at after the last
    let best = project.sql("select best_trial from sweeps").concat();
    assert_eq!(
        project.sql("select trial, fold, attempt, state from runs where fold < 0 order by trial"),
        ["-1,-1,1,finished".to_owned(), format!("{best},-1,1,finished")]
    );
    let median = format!("select (sum(best_epoch) + 1) / 2 from runs where trial = {best} and fold >= 0");
    assert_eq!(project.sql("select epochs from holdout where trial >= 0"), project.sql(&median));
    let looks = "select count(distinct epoch), max(epoch) = (select epochs from holdout where trial >= 0) from metrics \
                 where fold < 0 and trial >= 0 and split = 'holdout'";
    assert_eq!(project.sql(looks), ["1,1"]);
    assert_eq!(
        project.sql("select distinct split from metrics where fold < 0 order by 1"),
        ["holdout", "machine", "train"]
    );
    let accuracy = "select abs(avg(predicted = label) - (select value from metrics where fold < 0 and trial >= 0 and \
                    name = 'accuracy')) < 1e-9 from holdout_predictions where trial >= 0";
    assert_eq!(project.sql(accuracy), ["1"]);
    let same = "select s.holdout_score = h.score and s.holdout_baseline = b.score from sweeps s \
                join holdout h on h.trial = s.best_trial join holdout b on b.baseline";
    assert_eq!(project.sql(same), ["1"]);

    // nothing of the cross-validation counts it, and its weights are kept
    assert_eq!(project.sql("select distinct folds_done, folds from trials"), ["2,2"]);
    for path in project.sql("select path from checkpoints where fold < 0 and kind = 'best'") {
        assert!(path.contains(&format!("/{best}/holdout/")) && project.path(&path).exists(), "{path}");
    }
    assert_eq!(project.sweep(&["resume", "--retry-failed"]).code, Some(0));
    assert_eq!(project.sql("select count(*) from runs where fold < 0"), ["2"], "who was scored is not scored again");
}

#[test]
fn what_reads_shows_it() {
    let project = project();
    assert_eq!(project.sweep(&["run", "small.toml"]).code, Some(0));
    let text = project.sweep(&["best"]).out;
    assert!(text.contains("\nthe score on the holdout is the number to report\n"), "{text}");
    assert_eq!(text.matches("the number to report").count(), 1, "{text}");
    let json = |arguments: &[&str]| -> Value {
        let outcome = project.sweep(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {}{}", outcome.out, outcome.err))
    };
    let best = &json(&["best"])["best"];
    assert_eq!((&best["holdout"]["looks"], &best["folds"].as_array().unwrap().len()), (&Value::from(1), &2));
    let own = &best["holdout"]["best_trial"];
    assert_eq!((&own["trial"], &own["documents"]), (&best["trial"], &Value::from(6)));
    assert_eq!(own["score"].as_f64().unwrap().to_string(), project.sql("select holdout_score from sweeps").concat());
    assert_eq!(best["holdout"]["baseline"]["trial"], -1);
    assert_eq!(&json(&["show"])["holdout"]["best_trial"], own);
    assert!(project.sweep(&["show"]).out.contains("\nholdout: macro_f1 "));
    let trial = best["trial"].to_string();
    let shown = project.sweep(&["show", "--trial", &trial]).out;
    assert!(shown.contains(&format!("{trial}/holdout")) && shown.contains("score_se"), "{shown}");
    assert!(project.sweep(&["logs", "small", &format!("{trial}/holdout")]).code == Some(0));
    assert_eq!(json(&["check", "small.toml"])["data"]["held_out"], 6);
}

#[test]
fn neither_slots_nor_what_else_is_tried_change_it() {
    let scores = |changes: &[&str]| {
        let project = project();
        let outcome = project.sweep(&[&["run", "small.toml"], changes].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.err);
        let held = "select distinct document from holdout_predictions order by document";
        (project.sql(held), project.sql(SCORES), project.sql(MEASURED))
    };
    let one = scores(&["--set", "resources.slots_per_device=1"]);
    assert_eq!(one, scores(&["--set", "resources.slots_per_device=3"]));
    let (documents, ..) = scores(&["--set", "train.epochs=1", "--set", "folds.k=3", "--set", "baseline=false"]);
    assert_eq!(one.0, documents, "the holdout is taken before the folds");
    let (others, ..) = scores(&["--set", "folds.seed=18"]);
    assert_ne!(one.0, others);
}

#[test]
fn groups_are_held_out_whole() {
    let project = project();
    let outcome = project.sweep(&["run", "small.toml", "--set", "data.group=group"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let straddling = "select distinct (document - 1) % 8 from holdout_predictions intersect \
                      select (document - 1) % 8 from predictions";
    assert_eq!(project.sql(straddling), Vec::<String>::new());
    assert_eq!(project.sql("select count(distinct (document - 1) % 8) from holdout_predictions"), ["2"]);
}

#[test]
fn several_labels_are_held_out_too() {
    let project = Project::new();
    let spec = repository().join("sweeps/topics.toml");
    let db = project.path("experiments.db");
    let mut arguments = vec!["run", spec.to_str().unwrap(), "--db", db.to_str().unwrap()];
    let small = ["train.epochs=1", "model.hidden=8", "model.max_segments=2", "folds.k=2", "model.heads=1"];
    for change in small.iter().chain(&["folds.holdout=0.2", "search.space={}"]) {
        arguments.extend(["--set", change]);
    }
    let outcome = project.sweep(&arguments);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let held =
        "select count(*), (select count(*) from predictions where trial = 0) from holdout_predictions where trial = 0";
    let counts: Vec<u32> = project.sql(held).concat().split(',').map(|count| count.parse().unwrap()).collect();
    let documents = project.sql("select documents from sweeps").concat().parse::<u32>().unwrap();
    assert_eq!(counts[0] + counts[1], documents);
    assert!(counts[0].abs_diff(documents / 5) <= 2, "{counts:?}");
    assert_eq!(project.sql("select count(*) from holdout where score_se is not null"), ["2"]);
}

/// One long epoch, with a checkpoint after every batch.
const SLOW: [&str; 12] = [
    "run",
    "small.toml",
    "--set",
    "baseline=false",
    "--set",
    "train.epochs=2",
    "--set",
    "train.batch_size=1",
    "--set",
    "train.checkpoint_seconds=0",
    "--set",
    "search.space={}",
];

#[test]
fn a_coordinator_that_is_killed_at_the_last_run_goes_on_to_the_same_score() {
    let project = || {
        let project = project();
        project.write("docs.jsonl", documents(240));
        project
    };
    let undisturbed = project();
    assert_eq!(undisturbed.sweep(&SLOW).code, Some(0));

    let disturbed = project();
    let child = disturbed.start(&SLOW);
    disturbed.wait_for(
        "select 1 from runs r join checkpoints c using (sweep, trial, repeat, fold) \
         where r.fold < 0 and r.state = 'running' and c.kind = 'last'",
    );
    signal(child.id(), Signal::KILL);
    child.wait_with_output().unwrap();
    assert_eq!(disturbed.sql("select holdout_score is null, finished from sweeps"), ["1,1"]);
    let resumed = disturbed.command(&["resume"]).env("SWEEP_LOG", "info").output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{}", String::from_utf8_lossy(&resumed.stderr));
    let attempts = "select attempt, state from runs where fold < 0 order by attempt";
    assert_eq!(disturbed.sql(attempts), ["1,interrupted", "2,finished"]);
    let log = disturbed.sweep(&["logs", "small", "0/holdout"]).out;
    assert!(log.contains("resumed in epoch "), "{log}");
    assert_eq!(disturbed.sql(SCORES), undisturbed.sql(SCORES));
    let measured = "select epoch, name, value from metrics where split = 'holdout' order by 2";
    assert_eq!(disturbed.sql(measured), undisturbed.sql(measured));
    let answers = "select document, predicted, confidence from holdout_predictions order by 1";
    assert_eq!(disturbed.sql(answers), undisturbed.sql(answers));
}

#[test]
fn a_run_that_keeps_dying_is_said_to_and_can_be_tried_again() {
    let project = project();
    project.write("docs.jsonl", documents(240));
    let child = project.start(&SLOW);
    for attempt in [1, 2] {
        let alive = format!("select pid from runs where fold < 0 and attempt = {attempt} and pid is not null");
        let pid = project.wait_for(&alive).concat().parse().unwrap();
        signal(pid, Signal::KILL);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("holdout: trial 0 could not be scored: killed by signal 9"), "{said}");
    assert!(said.contains("sweep resume small --retry-failed"), "{said}");
    assert_eq!(project.sql("select state, failed, holdout_score is null from sweeps"), ["finished,0,1"]);
    let outcome = project.sweep(&["resume", "--retry-failed"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(project.sql("select attempt, state from runs where fold < 0"), ["1,failed", "2,failed", "3,finished"]);
    assert_eq!(project.sql("select holdout_score > 0 from sweeps"), ["1"]);
}

/// Who interrupts a sweep has not seen its end: the documents stay unseen until it is resumed.
#[test]
fn an_interrupted_sweep_leaves_it_alone() {
    let project = project();
    project.write("docs.jsonl", documents(240));
    let child = project.start(&SLOW);
    project.wait_for("select 1 from runs where state = 'running'");
    signal(child.id(), Signal::TERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(5));
    assert_eq!(project.sql("select count(*) from holdout"), ["0"]);
    assert!(project.sweep(&["show"]).out.contains("small: stopped"));
    assert_eq!(project.sweep(&["resume"]).code, Some(0));
    assert_eq!(project.sql("select state, holdout_score > 0 from sweeps"), ["finished,1"]);
}

#[test]
fn a_holdout_that_cannot_be_is_refused_before_anything_runs() {
    let project = project();
    let refused = |changes: &[&str]| {
        let outcome = project.sweep(&[&["run", "small.toml"], changes].concat());
        assert_eq!(outcome.code, Some(4), "{}", outcome.err);
        assert!(!project.path("experiments.db").exists());
        outcome.err
    };
    let few = refused(&["--set", "folds.holdout=0.1"]);
    assert!(few.contains("folds.holdout: 0.1 of the 8 documents of class \"fire\" is fewer than one"), "{few}");
    let rest = refused(&["--set", "folds.holdout=0.5", "--set", "folds.k=5"]);
    assert!(
        rest.contains("has fewer documents (4) than there are folds (5)") && rest.contains("; 12 are held out"),
        "{rest}"
    );
    let much = refused(&["--set", "folds.holdout=0.7"]);
    assert!(much.contains("folds.holdout: expected a share of the documents from 0 to 0.5, found 0.7"), "{much}");
    let varied = refused(&["--set", "search.space={\"folds.holdout\"=[0.1, 0.2]}"]);
    assert!(varied.contains("only keys of data, text, model and train can be varied"), "{varied}");
}
