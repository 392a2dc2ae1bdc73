//! `sweep best`: the winner and what may be said of it.

use serde_json::Value;

use crate::support::{Project, SPEC, repository};

fn best(project: &Project, arguments: &[&str]) -> (String, Value) {
    let text = project.sweep(&[&["best"], arguments].concat());
    assert_eq!(text.code, Some(0), "{}", text.err);
    let json = project.sweep(&[&["best", "--format", "json"], arguments].concat());
    let json = serde_json::from_str(&json.out).unwrap_or_else(|error| panic!("{error}: {}", json.out));
    (text.out, json)
}

#[test]
fn the_winner_is_told_with_what_qualifies_it() {
    let project = Project::new();
    project.write("small.toml", SPEC.replace("baseline = false", "").replace("k = 2", "k = 3"));
    assert_eq!(project.sweep(&["run", "small.toml"]).code, Some(0));
    let (text, json) = best(&project, &[]);
    let trial = project.sql("select best_trial from sweeps").concat();
    assert!(text.contains(&format!("best: trial {trial}\n")), "{text}");
    for part in
        ["macro_f1 ", ": the number to report", "by BBC-CV (500 draws of 24 out-of-fold predictions)", "spent: "]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(text.contains("baseline (TF-IDF + linear)"), "{text}");
    assert!(text.contains("paired over 3 folds, corrected t-test at 5 %"), "{text}");
    let own = &json["best"];
    assert_eq!(own["folds"].as_array().unwrap().len(), 3);
    let corrected = own["corrected"].as_array().unwrap();
    let methods: Vec<&str> = corrected.iter().map(|corrected| corrected["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["bbc_documents", "bbc_folds", "tibshirani"]);
    let score = own["score"].as_f64().unwrap();
    for one in corrected {
        let (optimism, corrected) = (one["optimism"].as_f64().unwrap(), one["score"].as_f64().unwrap());
        assert!(optimism >= 0.0 && (score - optimism - corrected).abs() < 1e-12, "{one}");
    }
    let tied =
        project.sql(&format!("select trial from leaderboard where tied_with_best and trial not in (-1, {trial})"));
    let named: Vec<String> = own["tied"].as_array().unwrap().iter().map(|row| row["trial"].to_string()).collect();
    assert_eq!(named, tied);
    assert_eq!(best(&project, &["small"]).1, json, "the same draws whenever it is asked");

    // what it prints makes a sweep of the winner alone
    let mut arguments = vec!["run", "small.toml", "--set", "search.space={}", "--set", "name=again"];
    for change in own["set"].as_array().unwrap() {
        arguments.extend(["--set", change.as_str().unwrap()]);
    }
    assert_eq!(project.sweep(&arguments).code, Some(0));
    let again = project.sql("select score from trials where sweep = 'again' and trial = 0");
    assert_eq!(again, project.sql("select best_score from sweeps where sweep = 'small'"));
    let (text, json) = best(&project, &["again"]);
    assert!(text.contains("nothing was chosen, so nothing is corrected"), "{text}");
    assert_eq!(json["best"]["corrected"].as_array().unwrap().len(), 0);
}

#[test]
fn several_labels_and_a_score_where_less_is_better() {
    let project = Project::new();
    let (db, spec) = (project.path("experiments.db"), repository().join("sweeps/topics.toml"));
    let mut arguments = vec!["run", spec.to_str().unwrap(), "--db", db.to_str().unwrap()];
    let small = ["train.epochs=1", "model.hidden=8", "model.max_segments=2", "folds.k=2", "folds.repeats=2"];
    for change in small.iter().chain(&["model.heads=1", "search.objective=hamming_loss", "baseline=false"]) {
        arguments.extend(["--set", change]);
    }
    let outcome = project.sweep(&arguments);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let (text, json) = best(&project, &[]);
    assert!(text.contains("(lower is better)") && text.contains(" | "), "{text}");
    let corrected = &json["best"]["corrected"][0];
    assert_eq!(corrected["method"], "bbc_documents");
    assert!(corrected["score"].as_f64().unwrap() >= json["best"]["score"].as_f64().unwrap(), "{corrected}");
}

#[test]
fn without_a_finished_trial_it_says_why() {
    let project = Project::new();
    let missing = project.sweep(&["best"]);
    assert_eq!(missing.code, Some(2), "{}", missing.err);
    // a learning rate beyond all reason makes every loss NaN
    project.write("small.toml", SPEC.replace("[1e-2, 3e-2]", "[1e30, 3e30]"));
    assert_eq!(project.sweep(&["run", "small.toml"]).code, Some(3));
    let (text, json) = best(&project, &[]);
    assert!(text.contains("no best trial: none was finished; the last failure: trial 1: "), "{text}");
    assert!(text.contains("sweep resume small --retry-failed"), "{text}");
    assert!(json["best"].is_null() && json["failures"].as_array().unwrap().len() == 2, "{json}");
}
