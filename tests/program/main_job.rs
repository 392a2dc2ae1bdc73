//! Sweeps from their beginning to their leaderboard.

use crate::support::{Project, documents, repository};

/// Everything that must not depend on where and when a sweep ran.
const SCORES: &str = "select trial, fold, score, best_epoch, epochs from runs order by 1, 2";

#[test]
fn a_sweep_runs_to_its_leaderboard_and_fills_the_views() {
    let project = Project::new();
    let outcome = project.sweep(&["run", "small.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.err.contains("24 documents in 3 classes"), "{}", outcome.err);
    assert!(outcome.err.contains("2 trials x 2 folds"), "{}", outcome.err);
    assert!(outcome.err.contains("run 1/1 finished in"), "{}", outcome.err);
    assert!(outcome.out.contains("small: 2 of 2 trials finished, 0 failed"), "{}", outcome.out);
    assert!(outcome.out.contains("next: sweep best small"), "{}", outcome.out);
    let count = |view: &str| project.sql(&format!("select count(*) from {view}")).concat();
    assert_eq!(["sweeps", "trials", "params", "runs", "leaderboard"].map(count), ["1", "2", "2", "4", "2"]);
    assert_eq!(count("predictions"), "48", "each trial answers each document once");
    assert_eq!(count("checkpoints"), "8", "best and last of every fold");
    let epochs = "select distinct epoch from metrics where name = 'macro_f1' and split = 'validation' order by 1";
    assert_eq!(project.sql(epochs), ["1", "2"]);
    let names = project.sql("select count(distinct name) from metrics where split = 'validation'").concat();
    assert!(names.parse::<u32>().unwrap() >= 20, "{names} metrics");
    for path in project.sql("select path from checkpoints") {
        assert!(project.path(&path).exists(), "{path}");
    }
    for arguments in [&["ls"][..], &["show"], &["best"], &["show", "small", "--trial", "0"], &["doctor"], &["sql"]] {
        let table = project.sweep(arguments);
        assert_eq!(table.code, Some(0), "{arguments:?}: {}", table.err);
        let json = project.sweep(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str::<serde_json::Value>(&json.out)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", json.out));
    }
    assert!(project.sweep(&["logs", "small", "0/1"]).err.contains("printed nothing"));
}

#[test]
fn the_same_scores_to_the_last_bit_whatever_the_slots_and_threads() {
    let scores = |slots: &str| {
        let project = Project::new();
        let outcome = project.sweep(&["run", "small.toml", "--set", slots]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.err);
        let measured = "select trial, fold, epoch, split, name, value from metrics where split <> 'machine' order by 1, 2, 3, 4, 5";
        (project.sql(SCORES), project.sql(measured))
    };
    let one = scores("resources.slots_per_device=1");
    assert_eq!(one, scores("resources.slots_per_device=2"));
    assert_eq!(one, scores("resources.slots_per_device=1"));
}

/// A sweep file of the repository, run there at a reduced size.
fn run_reduced(spec: &str, changes: &[&str]) -> Project {
    let project = Project::new();
    let db = project.path("experiments.db");
    let spec = repository().join("sweeps").join(spec);
    let mut arguments = vec!["run", spec.to_str().unwrap(), "--db", db.to_str().unwrap()];
    let small = ["train.epochs=1", "model.hidden=8", "model.max_segments=2", "folds.k=2", "model.heads=1"];
    for change in small.iter().chain(changes) {
        arguments.extend(["--set", change]);
    }
    let outcome = project.sweep(&arguments);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    project
}

#[test]
fn the_random_sweep_runs_to_its_end() {
    let project = run_reduced("random.toml", &["search.trials=2"]);
    assert_eq!(project.sql("select state, trials, failed from sweeps"), ["finished,2,0"]);
    assert_eq!(project.sql("select count(distinct value) from params where name = 'train.learning_rate'"), ["2"]);
}

#[test]
fn the_multi_label_sweep_runs_to_its_end() {
    let project = run_reduced("topics.toml", &[]);
    assert_eq!(project.sql("select state, failed from sweeps"), ["finished,0"]);
    let label = project.sql("select label from predictions where label like '[%' limit 1");
    assert!(!label.is_empty(), "labels of several are JSON lists");
    let metrics = project.sql("select distinct name from metrics where name in ('subset_accuracy', 'lrap') order by 1");
    assert_eq!(metrics, ["lrap", "subset_accuracy"]);
}

#[test]
fn every_sweep_file_of_the_repository_is_good() {
    let project = Project::new();
    let db = project.path("experiments.db");
    for entry in std::fs::read_dir(repository().join("sweeps")).unwrap() {
        let path = entry.unwrap().path();
        let outcome = project.sweep(&["check", path.to_str().unwrap(), "--db", db.to_str().unwrap()]);
        assert_eq!(outcome.code, Some(0), "{}: {}", path.display(), outcome.err);
    }
    assert!(!db.exists(), "checking makes no database");
}

#[test]
fn groups_never_straddle_folds_and_names_stay_apart() {
    let project = Project::new();
    for _ in 0..2 {
        let outcome = project.sweep(&["run", "small.toml", "--set", "data.group=group", "--set", "train.epochs=1"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    }
    assert_eq!(project.sql("select sweep from sweeps order by 1"), ["small", "small-2"]);
    // document n (its line) is of group (n - 1) % 8
    let straddling = "select (cast(document as integer) - 1) % 8 as g from predictions where sweep = 'small' and trial = 0 \
                      group by g having count(distinct fold) > 1";
    assert_eq!(project.sql(straddling), Vec::<String>::new());
}

#[test]
fn a_frozen_encoder_and_early_stopping() {
    let project = Project::new();
    project.write("docs.jsonl", documents(30));
    let changes = [
        "train.freeze.embeddings=true",
        "train.freeze.layers=all",
        "train.epochs=40",
        "train.early_stopping.patience=2",
        "train.early_stopping.min_delta=0.9",
    ];
    let mut arguments = vec!["run", "small.toml"];
    for change in &changes {
        arguments.extend(["--set", change]);
    }
    let outcome = project.sweep(&arguments);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    for epochs in project.sql("select epochs from runs") {
        assert!(epochs.parse::<u32>().unwrap() <= 4, "patience of 2 ended it after {epochs} epochs");
    }
}

#[test]
fn the_sweep_files_in_the_documents_are_good() {
    for name in ["README.md", "docs/sweep-file.md", "docs/results.md"] {
        let text = std::fs::read_to_string(repository().join(name)).unwrap();
        let blocks: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(!blocks.is_empty(), "{name}");
        for block in blocks {
            // an excerpt speaks of a sweep whose data are elsewhere
            let data = match (block.contains("[data]"), block.contains("[search]\n")) {
                (true, _) => "",
                (false, true) => "data.path = \"a.jsonl\"\n",
                (false, false) => "data.path = \"a.jsonl\"\nsearch.sampler = \"random\"\n",
            };
            let spec = sweep::spec::Spec::parse("x", &format!("{data}{block}"), &[]);
            assert!(spec.is_ok(), "{name}: {}\n{block}", spec.unwrap_err());
        }
    }
}
