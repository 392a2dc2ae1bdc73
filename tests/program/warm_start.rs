//! A sweep that learns from another one of its database.

use std::io::Write;
use std::process::Stdio;

use crate::support::{Project, has_python};

const PROGRAM: &str = r#"
import json, sys
job = json.loads(sys.stdin.readline())
lr, depth = job["params"]["lr"], job["params"].get("depth", 2)
print(json.dumps({"type": "done", "score": (lr - 0.3) ** 2 + 0.1 * depth}))
"#;

const FIRST: &str = r#"
trainer.command = ["python3", "train.py"]
[search]
sampler = "sobol"
trials = 12
objective = "loss"
direction = "minimize"
[search.space]
lr = { low = 0.0, high = 1.0 }
depth = [1, 2, 3]
"#;

const SECOND: &str = r#"
trainer.command = ["python3", "train.py"]
[search]
sampler = "bayes"
trials = 2
objective = "loss"
direction = "minimize"
warm_start = ["first"]
[search.space]
lr = { low = 0.0, high = 1.0 }
"#;

#[test]
fn what_another_sweep_found_is_where_a_sweep_begins() {
    if !has_python() {
        return;
    }
    let project = Project::new();
    project.write("train.py", PROGRAM);
    project.write("first.toml", FIRST);
    project.write("second.toml", SECOND);
    let early = project.sweep(&["run", "second.toml"]);
    assert_eq!(early.code, Some(4), "{}", early.err);
    assert!(early.err.contains("search.warm_start: cannot learn from first: there is no database"), "{}", early.err);
    assert_eq!(project.sweep(&["run", "first.toml"]).code, Some(0));
    let outcome = project.sweep(&["run", "second.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let learns = "learns from first: 12 trials with scores, by lr; it varied depth, which is not set here";
    assert!(outcome.err.contains(learns), "{}", outcome.err);
    let begins = "select value from params where sweep = 'second' and trial = 0 and abs(value - 0.3) < 0.1";
    assert_eq!(project.sql(begins).len(), 1, "{:?}", project.sql("select * from params where sweep = 'second'"));
    // the sampler alone learns too
    let command = project.command(&["ask-tell", "second.toml"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = command.unwrap();
    child.stdin.take().unwrap().write_all(b"{\"type\":\"ask\"}\n").unwrap();
    let answer = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(answer.contains("bayes: expected improvement"), "{answer}");

    let nobody = project.sweep(&["run", "second.toml", "--set", "search.warm_start=[\"fisrt\"]"]);
    assert_eq!(nobody.code, Some(4), "{}", nobody.err);
    assert!(nobody.err.contains("cannot learn from fisrt"), "{}", nobody.err);
    let upside_down = project.sweep(&["check", "second.toml", "--set", "search.direction=maximize"]);
    let why = "cannot learn from first: its objective is loss (minimize), here it is loss (maximize)";
    assert!(upside_down.code == Some(4) && upside_down.err.contains(why), "{}", upside_down.err);
}
