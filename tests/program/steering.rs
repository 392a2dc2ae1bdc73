//! A live sweep that is steered from a second process.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Output};

use rustix::process::Signal;

use crate::support::{Outcome, Project, has_python, signal};

/// Ends when its trial is let go, with its `x` as the score; tells progress without end meanwhile.
const PROGRAM: &str = r#"
import json, os, sys, time
job = json.loads(sys.stdin.readline())
x, trial = job["params"]["x"], job["trial"]
def say(**message): print(json.dumps(message), flush=True)
step = 0
while not os.path.exists(f"go-{trial}") and not os.path.exists("go"):
    step += 1
    say(type="progress", epoch=1, epochs=1, step=step, steps=1000000, loss=0.5)
    time.sleep(0.01)
say(type="done", score=x)
"#;

const SPEC: &str = r#"trainer.command = ["python3", "train.py"]
trainer.grace = 0.2
[folds]
k = 2
[search]
sampler = "random"
trials = 3
objective = "gain"
direction = "maximize"
race = "off"
[search.space]
x = { low = 0.0, high = 1.0 }
y = { low = 1, high = 1000 }
[resources]
devices = "cpu"
slots_per_device = 1
"#;

fn project() -> Project {
    let project = Project::new();
    project.write("train.py", PROGRAM);
    project.write("own.toml", SPEC);
    project
}

fn end(child: Child) -> Outcome {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// What the program says to a command that is obeyed.
fn obeyed(project: &Project, arguments: &[&str]) -> String {
    let outcome = project.sweep(arguments);
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.err);
    outcome.out
}

fn refused(project: &Project, arguments: &[&str], code: i32) -> String {
    let outcome = project.sweep(arguments);
    assert_eq!(outcome.code, Some(code), "{arguments:?}: {}{}", outcome.out, outcome.err);
    assert_eq!(outcome.out, "");
    outcome.err
}

const RUNNING: &str = "select trial, fold, slot from runs where state = 'running' order by 1, 2";

fn wait_for_running(project: &Project, trial: i32, fold: u32) {
    let running = format!("select 1 from runs where state = 'running' and trial = {trial} and fold = {fold}");
    project.wait_for(&running);
}

#[test]
fn a_live_sweep_does_what_it_is_told() {
    if !has_python() {
        return;
    }
    let project = project();
    let child = project.start(&["run", "own.toml"]);
    wait_for_running(&project, 0, 0);
    let socket = project.path("experiments/own/control.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o7777, 0o600);

    // the newest that runs, with no name given
    assert!(obeyed(&project, &["pause"]).contains("own: paused"));
    assert_eq!(project.sql("select state from sweeps"), ["paused"]);
    assert!(refused(&project, &["pause", "own"], 2).contains("cannot pause in own: the sweep is paused already"));
    obeyed(&project, &["slots", "2"]);
    assert!(refused(&project, &["slots", "own", "0"], 2).contains("`sweep pause` lets the runs end"));
    let bounds = refused(&project, &["enqueue", "own", "x=1.5", "y=many", "z=1"], 2);
    assert!(bounds.contains("x: 1.5 is not in its domain: 0 to 1"), "{bounds}");
    assert!(bounds.contains("y: \"many\" is not in its domain: 1 to 1000, whole numbers"), "{bounds}");
    assert!(bounds.contains("z is not varied"), "{bounds}");
    let enqueued: serde_json::Value =
        serde_json::from_str(&obeyed(&project, &["enqueue", "own", "x=0.75", "--format", "json"])).unwrap();
    assert_eq!((&enqueued["trial"], &enqueued["point"]["x"]), (&1.into(), &0.75.into()), "{enqueued}");
    obeyed(&project, &["enqueue", "--from-trial", "1", "y=7"]);
    assert_eq!(
        project.sql("select trial, params from trials where asked and trial = 2"),
        [r#"2,"{""x"":0.75,""y"":7}""#]
    );
    assert_eq!(project.sql(RUNNING), ["0,0,0"], "it is paused");
    // of a live paused sweep that is all that is wanted
    assert!(obeyed(&project, &["resume"]).contains("goes on, where it was paused"));
    wait_for_running(&project, 0, 1);
    assert_eq!(project.sql(RUNNING), ["0,0,0", "0,1,1"], "there are two slots now");

    assert!(refused(&project, &["kill", "own", "--trial", "0"], 2).contains("--yes says that it may be"));
    obeyed(&project, &["kill", "own", "--trial", "0", "--yes"]);
    wait_for_running(&project, 1, 0);
    wait_for_running(&project, 1, 1);
    let killed = "select state, why from trials where trial = 0 union all \
                  select distinct state, why from runs where trial = 0";
    let name = project.sql("select substr(by, 1, instr(by, '@') - 1) from orders limit 1").remove(0);
    assert_eq!(project.sql(killed), vec![format!("cancelled,killed by {name}"); 2]);
    assert!(refused(&project, &["kill", "--trial", "0", "--yes"], 2).contains("trial 0 is killed already"));

    // a run that hangs
    obeyed(&project, &["retry", "own", "--run", "1/1"]);
    project.wait_for("select 1 from runs where trial = 1 and fold = 1 and attempt = 2 and state = 'running'");
    let interrupted = "select state, why from runs where trial = 1 and attempt = 1 and fold = 1";
    assert_eq!(project.sql(interrupted), [format!("interrupted,restarted by {name}")]);

    project.write("go-1", "");
    wait_for_running(&project, 2, 1);
    obeyed(&project, &["note", "own", "--trial", "1", "too good: does x leak?"]);
    obeyed(&project, &["tag", "--trial", "1", "suspicious"]);
    assert_eq!(project.sql("select best_trial from sweeps"), ["1"]);
    obeyed(&project, &["exclude", "own", "--trial", "1"]);
    assert_eq!(project.sql("select coalesce(best_trial, 'none') from sweeps"), ["none"]);
    let shown = project.sweep(&["show", "own"]).out;
    assert!(shown.contains("suspicious") && shown.contains("too good: does x leak?"), "{shown}");
    let shown = project.sweep(&["show", "own", "--trial", "1"]).out;
    assert!(shown.contains("excluded: it counts in nothing"), "{shown}");

    obeyed(&project, &["stop", "own"]);
    project.write("go", "");
    let outcome = end(child);
    assert_eq!(outcome.code, Some(5), "{}", outcome.err);
    assert!(outcome.err.contains(&format!("{name}@")) && outcome.err.contains(": kill trial 0"), "{}", outcome.err);
    assert!(!socket.exists());
    assert_eq!(project.sql("select state, trials from sweeps"), ["stopped,3"]);
    let orders = project.sql("select command, coalesce(trial, '-'), params, by like '%_@_%', pid > 1 from orders");
    insta::assert_snapshot!(orders.join("\n"), @r#"
    pause,-,{},1,1
    slots,-,"{""count"":2}",1,1
    enqueue,-,"{""point"":{""x"":0.75}}",1,1
    enqueue,-,"{""point"":{""y"":7},""from"":1}",1,1
    unpause,-,{},1,1
    kill_trial,0,{},1,1
    restart,1,"{""repeat"":0,""fold"":1}",1,1
    note,1,"{""text"":""too good: does x leak?""}",1,1
    tag,1,"{""tag"":""suspicious""}",1,1
    exclude,1,{},1,1
    stop,-,{},1,1
    "#);
    assert!(obeyed(&project, &["show", "own", "--orders"]).contains("kill_trial"));
    assert_eq!(project.sql("select count(distinct pid) = count(*) from orders"), ["1"], "each of another process");
    assert!(!project.sql("select 1 from machine where device = 'cpu' and name = 'memory_total_mb'").is_empty());

    // remarks need nobody who runs it, all else does
    obeyed(&project, &["include", "own", "--trial", "1"]);
    assert_eq!(project.sql("select best_trial from sweeps"), ["1"]);
    let nobody = refused(&project, &["enqueue", "own", "x=0.5"], 6);
    assert!(nobody.contains("own does not run: it was stopped") && nobody.contains("`sweep resume own`"), "{nobody}");

    // what was ordered is still so; the drawn trials are three, as they were to be
    let outcome = project.sweep(&["resume"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let trials = "select trial, state, asked from trials order by 1";
    assert_eq!(project.sql(trials), ["0,cancelled,0", "1,finished,1", "2,finished,1", "3,finished,0", "4,finished,0"]);
    obeyed(&project, &["tag", "--trial", "4", "late"]);
    assert_eq!(project.sql("select tags from trials where trial = 4"), [r#""[""late""]""#]);
    let finished = refused(&project, &["pause", "own"], 6);
    assert!(finished.contains("own is finished"), "{finished}");
    assert!(refused(&project, &["stop"], 6).contains("no sweep of experiments.db runs"));
}

#[test]
fn a_killed_coordinator_is_missed_and_its_socket_replaced() {
    if !has_python() {
        return;
    }
    let project = project();
    let child = project.start(&["run", "own.toml"]);
    wait_for_running(&project, 0, 0);
    obeyed(&project, &["pause"]);
    signal(child.id(), Signal::KILL);
    end(child);
    let socket = project.path("experiments/own/control.sock");
    assert!(socket.exists(), "nobody has taken it away");
    let nobody = refused(&project, &["stop", "own"], 6);
    assert!(nobody.contains("its coordinator is gone"), "{nobody}");
    assert!(nobody.contains("there is nothing to stop; `sweep resume own` goes on with it"), "{nobody}");
    obeyed(&project, &["note", "--trial", "0", "the machine went down"]);
    // whoever resumes wants it to go on
    let child = project.start(&["resume"]);
    project.wait_for("select 1 from runs where state = 'running' and attempt = 2");
    assert_eq!(project.sql("select state from sweeps"), ["running"]);
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    std::fs::remove_file(&socket).unwrap();
    let deaf = refused(&project, &["stop", "own"], 6);
    assert!(deaf.contains(&format!("process {} runs own and does not listen", child.id())), "{deaf}");
    let second = refused(&project, &["note", "own", "--trial", "0", "x"], 2);
    assert!(second.contains("is being run by another process"), "{second}");
    signal(child.id(), Signal::TERM);
    assert_eq!(end(child).code, Some(5));
}

#[test]
fn who_watches_sees_what_is_not_recorded_and_junk_does_nothing() {
    if !has_python() {
        return;
    }
    let project = project();
    let child = project.start(&["run", "own.toml"]);
    wait_for_running(&project, 0, 0);
    let path = project.path("experiments/own/control.sock");
    let connect = || UnixStream::connect(&path).unwrap();
    let silent = connect();
    let mut junk = connect();
    junk.write_all(b"\xff{\"type\":\"order\"}\n").unwrap();
    let mut answer = String::new();
    junk.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with(r#"{"type":"refused","why":"not understood"#), "{answer}");
    let mut watcher = connect();
    watcher.write_all(b"{\"type\":\"watch\"}\n").unwrap();
    let mut lines = BufReader::new(watcher).lines().map(Result::unwrap);
    let status = lines.next().unwrap();
    let run = r#"{"trial":0,"repeat":0,"fold":0,"attempt":1}"#;
    let wanted = format!(
        r#"{{"type":"status","sweep":"own","state":"running","wanted_slots":1,"slots":[{{"slot":0,"device":"cpu","run":{run}}}],"waiting":[{}]}}"#,
        run.replace("\"fold\":0", "\"fold\":1")
    );
    assert_eq!(status, wanted);
    let told =
        |line: &String| line.starts_with(r#"{"type":"progress","trial":0,"repeat":0,"fold":0,"attempt":1,"epoch":1,"#);
    assert!(lines.next().is_some_and(|line| told(&line)));
    obeyed(&project, &["pause"]);
    assert!(lines.any(|line| line.contains(r#""state":"paused""#)));
    obeyed(&project, &["kill", "--yes"]);
    assert_eq!(lines.filter(|line| line.contains(r#""state":"killing""#)).count(), 1, "then it has left");
    let outcome = end(child);
    assert_eq!(outcome.code, Some(5), "{}", outcome.err);
    assert!(outcome.out.contains("(sweep kill)"), "{}", outcome.out);
    assert_eq!(project.sql("select state from runs"), ["interrupted"]);
    drop(silent);
}
