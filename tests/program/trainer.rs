//! Programs as trainers: real Python children, good ones and such as do what nobody should.

use std::fs;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::support::{Project, has_python, repository, signal};

/// Begins every program: its job, and where it notes its process.
const BEGINNING: &str = r#"
import json, os, signal, subprocess, sys, time
job = json.loads(sys.stdin.readline())
directory, way = job["directory"], job["params"].get("way")
def say(**message): print(json.dumps(message), flush=True)
def note(pid): open("pids", "a").write(f"{pid}\n")
note(os.getpid())
"#;

/// A project with a program `train.py` and a sweep file `own.toml`.
fn project(program: &str, spec: &str) -> Project {
    let project = Project::new();
    project.write("train.py", format!("{BEGINNING}{program}"));
    project.write("own.toml", format!("trainer.command = [\"python3\", \"train.py\"]\n{spec}"));
    project
}

/// Processes of this project that still run.
fn left(project: &Project) -> Vec<String> {
    let pids = fs::read_to_string(project.path("pids")).unwrap();
    let directory = fs::canonicalize(project.path("")).unwrap();
    // the number of a process that has ended may be another's by now
    let runs = |pid: &&str| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory);
    pids.lines().filter(runs).map(str::to_owned).collect()
}

const TRIALS: &str =
    "select json_extract(params, '$.way'), state, coalesce(score, ''), coalesce(why, '') from trials order by trial";

#[test]
fn the_example_runs() {
    if !has_python() {
        return;
    }
    let project = Project::new();
    for name in ["examples/train.py", "sweeps/external.toml"] {
        project.write(name, fs::read(repository().join(name)).unwrap());
    }
    let checked = project.sweep(&["check", "sweeps/external.toml"]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(checked.out.contains("trials: 10 x 1 folds = 10 runs"), "{}", checked.out);
    let outcome = project.sweep(&["run", "sweeps/external.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.out.contains("external: 10 of 10 trials finished, 0 failed"), "{}", outcome.out);
    assert_eq!(project.sql("select count(*) from metrics where split = 'validation' and name = 'loss'"), ["200"]);
    // its score is the least loss that it printed
    let wrong = "select r.trial from runs r join (select trial, min(value) as least from metrics group by trial) m using (trial) \
                 where r.score <> m.least or r.epochs <> 20";
    assert_eq!(project.sql(wrong), Vec::<String>::new());
    assert_eq!(project.sql("select count(distinct score) from trials"), ["10"]);
    assert_eq!(project.sweep(&["thresholds", "external"]).code, Some(2));
    let document = fs::read_to_string(repository().join("docs/protocol.md")).unwrap();
    for name in ["examples/train.py", "sweeps/external.toml"] {
        assert!(document.contains(&fs::read_to_string(repository().join(name)).unwrap()), "{name} is another there");
    }
}

#[test]
fn what_a_program_is_told() {
    if !has_python() {
        return;
    }
    let program = r#"
seen = {name: os.environ.get(name) for name in ["COLOUR", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PYTHONUNBUFFERED"]}
say(type="hello", protocol=1)
print("the job:", json.dumps(job, sort_keys=True))
print("arguments:", sys.argv[1:], "here:", os.path.exists("own.toml"), "directory:", os.path.isdir(directory), seen)
say(type="done", score=job["config"]["train"]["lr"] + job["fold"])
"#;
    let spec = r#"
trainer.env = { COLOUR = "green" }
[folds]
k = 2
seed = 5
[train]
lr = 1
epochs = 3
[data]
path = "no/such/file.parquet"
[search]
objective = "gain"
direction = "minimize"
race = "off"
[search.space]
"train.lr" = [10, 20]
way = ["x"]
[resources]
devices = "cpu"
slots_per_device = 1
"#;
    let project = project(program, spec);
    let outcome = project.sweep(&["run", "own.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(project.sql("select trial, score from trials order by 1"), ["0,10.5", "1,20.5"]);
    let log = project.sweep(&["logs", "own", "1/1"]).out;
    let threads = std::thread::available_parallelism().unwrap().to_string();
    let log = log.replace(&format!("\"threads\": {threads}"), "\"threads\": N").replace(&format!("'{threads}'"), "'N'");
    // of the sweep's identity the time
    let (before, after) = log.split_once("\"identity\": \"own ").unwrap();
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    let log = format!("{before}\"identity\": \"own TIME{after}")
        .replace(project.path("").to_str().unwrap().trim_end_matches('/'), "DIR");
    assert_snapshot!(log);
}

#[test]
fn whatever_a_program_does_the_sweep_goes_on() {
    if !has_python() {
        return;
    }
    let program = r#"
if way == "crashes": raise ValueError("no such luck")
if way == "dies": os.kill(os.getpid(), signal.SIGKILL)
if way == "exits with 0 and no word": sys.exit(0)
if way == "says why": say(type="failed", why="the data are not there"); sys.exit(1)
if way == "speaks another protocol": say(type="hello", protocol=2); time.sleep(600)
if way == "NaN": say(type="metric", epoch=1, values={"gain": float("nan")}); say(type="done")
if way == "infinite": say(type="done", score=float("inf"))
if way == "junk":
    sys.stdout.buffer.write(b"\xff\xfe{\n{\n{}\n[1]\nnull\n{\"type\":\"metric\"}\n{\"type\":\"done\",\"score\":\"x\"}\n\0\n")
    sys.stdout.buffer.write(b"{" + b"x" * 5_000_000 + b"\n" + b"y" * 5_000_000 + b"\n")
    sys.stdout.buffer.flush()
    say(type="done", score=1)
if way == "another metric": say(type="metric", values={"loss": 1}); say(type="done")
if way == "done, then exit code 1": say(type="done", score=1); sys.exit(1)
if way == "writes after done":
    say(type="done", score=2); say(type="metric", values={"gain": 9}); say(type="done", score=9); print("bye")
if way == "no line end": print('{"type":"done","score":3}', end="")
if way == "closes stdout": os.close(1); time.sleep(600)
if way == "closes stdout when done": say(type="done", score=4); os.close(1); os._exit(0)
if way == "leaves a child":
    note(subprocess.Popen(["sleep", "600"]).pid)
    say(type="done", score=5)
if way == "crashes and leaves a child":
    note(subprocess.Popen(["sleep", "600"]).pid)
    sys.exit(7)
if way == "floods":
    for step in range(3000): say(type="metric", step=step, values={"gain": step})
    say(type="done")
"#;
    let ways = [
        "crashes",
        "dies",
        "exits with 0 and no word",
        "says why",
        "speaks another protocol",
        "NaN",
        "infinite",
        "junk",
        "another metric",
        "done, then exit code 1",
        "writes after done",
        "no line end",
        "closes stdout",
        "closes stdout when done",
        "leaves a child",
        "crashes and leaves a child",
        "floods",
    ];
    let spec = format!(
        "trainer.grace = 0.2\nsearch = {{ objective = \"gain\", direction = \"maximize\", space.way = {ways:?} }}\n"
    );
    let project = project(program, &spec);
    let outcome = project.sweep(&["run", "own.toml"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.err);
    assert_snapshot!(project.sql(TRIALS).join("\n"));
    assert_eq!(left(&project), Vec::<String>::new());
    let attempts = "select trial, count(*) from runs group by trial having count(*) > 1 order by 1";
    assert_eq!(project.sql(attempts), ["0,2", "1,2", "2,2", "9,2", "12,2", "15,2"], "who died is tried once more");
    assert!(project.sweep(&["logs", "own", "0/0"]).out.contains("ValueError: no such luck"));
    assert_eq!(project.sql("select count(*), max(value) from metrics where trial = 16"), ["3000,2999"]);
}

#[test]
fn a_program_that_hangs_has_its_time() {
    if !has_python() {
        return;
    }
    let program = r#"
if way == "hangs": time.sleep(600)
if way == "ignores all":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(subprocess.Popen(["sleep", "600"]).pid)
    while True: time.sleep(600)
if way == "answers":
    order = json.loads(sys.stdin.readline())
    print(order["why"])
    say(type="done", score=1)
"#;
    let spec = "trainer.timeout = 2\ntrainer.grace = 20\nsearch = { objective = \"accuracy\", \
                space.way = [\"hangs\", \"answers\"] }\n";
    let slow = project(program, spec);
    let outcome = slow.sweep(&["run", "own.toml"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.err);
    let late = "fold 0: it took longer than 2 s (trainer.timeout)";
    assert_eq!(slow.sql(TRIALS), [format!("hangs,failed,,{late}"), "answers,finished,1,".to_owned()]);
    assert!(slow.sweep(&["logs", "own", "1/0"]).out.contains("it took too long"));
    let changes = ["--set", "trainer.grace=0.5", "--set", "search.space.way=[\"ignores all\"]"];
    let outcome = slow.sweep(&[&["run", "own.toml"], &changes[..]].concat());
    assert_eq!(outcome.code, Some(3), "{}", outcome.err);
    assert_eq!(slow.sql("select why from trials where sweep = 'own-2'"), [late]);
    assert_eq!(left(&slow), Vec::<String>::new());
}

#[test]
fn what_ignores_the_end_is_killed_and_resumed() {
    if !has_python() {
        return;
    }
    let program = r#"
state = os.path.join(directory, "state.json")
if job["attempt"] == 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    json.dump({"epoch": 7}, open(state, "w"))
    say(type="metric", epoch=7, values={"accuracy": 0.5})
    while True: time.sleep(600)
say(type="done", score=json.load(open(state))["epoch"])
"#;
    let project = project(program, "trainer.grace = 0.5\nsearch.objective = \"accuracy\"\n");
    let child = project.start(&["run", "own.toml"]);
    project.wait_for("select 1 from metrics");
    signal(child.id(), Signal::TERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(project.sql("select state, why from runs"), ["interrupted,SIGTERM"]);
    assert_eq!(left(&project), Vec::<String>::new());
    let outcome = project.sweep(&["resume"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(project.sql("select attempt, state, score from runs"), ["1,interrupted,", "2,finished,7"]);
}

#[test]
fn no_program_outlives_a_killed_coordinator() {
    if !has_python() {
        return;
    }
    let project = project(
        "say(type=\"metric\", values={\"accuracy\": 1})\nwhile True: time.sleep(600)",
        "search.objective = \"accuracy\"\n",
    );
    let child = project.start(&["run", "own.toml"]);
    project.wait_for("select 1 from metrics");
    signal(child.id(), Signal::KILL);
    child.wait_with_output().unwrap();
    let begun = Instant::now();
    while !left(&project).is_empty() {
        assert!(begun.elapsed() < Duration::from_mins(1), "still there: {:?}", left(&project));
        std::thread::yield_now();
    }
}

#[test]
fn programs_that_are_not_there_are_refused_before_anything_runs() {
    let project = Project::new();
    let refused = |command: &str| {
        project.write("own.toml", format!("trainer.command = {command}\nsearch.objective = \"accuracy\"\n"));
        let outcomes = ["run", "check"].map(|verb| project.sweep(&[verb, "own.toml"]));
        assert_eq!(outcomes[0].err, outcomes[1].err);
        assert!(!project.path("experiments.db").exists(), "a database was made");
        format!("{}[exit code {}]", outcomes[0].err, outcomes[0].code.unwrap())
    };
    let cases = [
        refused("[\"no-such-program\"]"),
        refused("[\"./train.sh\"]"),
        refused("[\"./docs.jsonl\"]"),
        refused("\"python3 train.py\""),
    ];
    assert_snapshot!(cases.join("\n\n"));
}
