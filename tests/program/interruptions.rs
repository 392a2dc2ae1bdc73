//! Whatever dies, a sweep goes on: no run twice, none lost, the same scores.

use std::io::{BufRead, BufReader};
use std::process::Child;

use rustix::process::Signal;

use crate::support::{Outcome, Project, signal};

const SCORES: &str = "select trial, fold, score, best_epoch, epochs from runs where state = 'finished' order by 1, 2";
/// Runs that have a checkpoint to go on from, and their processes.
const UNDER_WAY: &str = "select distinct r.trial, r.fold, r.pid from runs r join checkpoints c using (sweep, trial, repeat, fold) \
                         where r.state = 'running' and c.kind = 'last' and c.epoch < 30";

/// Long enough to be caught in the middle.
const LONG: [&str; 4] = ["run", "small.toml", "--set", "train.epochs=60"];

fn end(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The scores of a sweep that nothing happened to.
fn undisturbed() -> Vec<String> {
    let project = Project::new();
    let outcome = project.sweep(&LONG);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    project.sql(SCORES)
}

fn pid_of(row: &str) -> u32 {
    row.rsplit(',').next().unwrap().parse().unwrap()
}

#[test]
fn a_killed_worker_is_tried_again_from_its_checkpoint() {
    let project = Project::new();
    let child = project.start(&LONG);
    let row = project.wait_for(UNDER_WAY).remove(0);
    signal(pid_of(&row), Signal::KILL);
    let outcome = end(child);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.err.contains("killed by signal 9"), "{}", outcome.err);
    let again = "select attempt, state from runs where attempt > 1 or state = 'failed' order by 1";
    assert_eq!(project.sql(again), ["1,failed", "2,finished"]);
    let first = "select min(epoch) > 1 from metrics where attempt = 2";
    assert_eq!(project.sql(first), ["1"], "the second attempt does not begin at the first epoch");
    assert_eq!(project.sql(SCORES), undisturbed());
}

#[test]
fn a_killed_coordinator_leaves_a_sweep_that_resumes() {
    let project = Project::new();
    let child = project.start(&LONG);
    project.wait_for(UNDER_WAY);
    signal(child.id(), Signal::KILL);
    end(child);
    let before = project.sql(SCORES);
    let outcome = project.sweep(&["resume"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.err.contains("interrupted: lost"), "{}", outcome.err);
    let after = project.sql(SCORES);
    assert!(before.iter().all(|row| after.contains(row)), "finished folds are kept");
    assert_eq!(after, undisturbed());
    let twice = "select trial, fold from runs where state = 'finished' group by trial, fold having count(*) > 1";
    assert_eq!(project.sql(twice), Vec::<String>::new());
    assert_eq!(project.sweep(&["resume"]).code, Some(2), "nothing is left to resume");
}

#[test]
fn the_first_ctrl_c_drains_the_second_ends() {
    let project = Project::new();
    let mut child = project.start(&LONG);
    project.wait_for(UNDER_WAY);
    signal(child.id(), Signal::INT);
    let outcome = end(child);
    assert_eq!(outcome.code, Some(5), "{}", outcome.err);
    assert!(outcome.err.contains("runs come to their end"), "{}", outcome.err);
    assert!(outcome.out.contains("next: sweep resume small"), "{}", outcome.out);
    assert_eq!(project.sql("select distinct state from runs"), ["finished"]);
    assert_eq!(project.sql("select state, why from sweeps"), ["stopped,Ctrl-C"]);

    child = project.start(&["resume"]);
    project.wait_for(UNDER_WAY);
    signal(child.id(), Signal::INT);
    // the second is sent once the first was understood
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("Ctrl-C again ends them now")));
    signal(child.id(), Signal::INT);
    assert!(said.any(|line| line.unwrap().contains("interrupted: Ctrl-C")));
    assert_eq!(end(child).code, Some(5));
    assert_eq!(project.sql("select distinct state from runs order by 1"), ["finished", "interrupted"]);

    assert_eq!(project.sweep(&["resume"]).code, Some(0));
    assert_eq!(project.sql(SCORES), undisturbed());
}

#[test]
fn two_coordinators_never_share_a_sweep() {
    let project = Project::new();
    let child = project.start(&LONG);
    project.wait_for(UNDER_WAY);
    let second = project.sweep(&["resume", "small"]);
    assert_eq!(second.code, Some(2), "{}", second.err);
    assert!(
        second.err.contains(&format!("small is being run by another process (pid {})", child.id())),
        "{}",
        second.err
    );
    signal(child.id(), Signal::TERM);
    assert_eq!(end(child).code, Some(5));
}

#[test]
fn a_damaged_checkpoint_is_not_used() {
    let project = Project::new();
    let child = project.start(&LONG);
    project.wait_for(UNDER_WAY);
    signal(child.id(), Signal::KILL);
    end(child);
    for path in project.sql("select path from checkpoints where kind = 'last'") {
        let path = project.path(&path);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    assert_eq!(project.sweep(&["resume"]).code, Some(0));
    assert_eq!(project.sql(SCORES), undisturbed());
}

#[test]
fn a_new_database_does_not_take_over_old_checkpoints() {
    let project = Project::new();
    assert_eq!(project.sweep(&["run", "small.toml"]).code, Some(0));
    std::fs::remove_file(project.path("experiments.db")).unwrap();
    let outcome = project.sweep(&["run", "small.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(project.sql("select sweep from sweeps"), ["small-2"], "the files of the old sweep are left alone");
    let measured = "select count(*) from metrics where name = 'macro_f1' and split = 'validation'";
    assert_eq!(project.sql(measured), ["8"], "every epoch of every fold was trained");
}

#[test]
fn a_reader_who_has_heard_enough_is_no_panic() {
    let project = Project::new();
    assert_eq!(project.sweep(&["run", "small.toml"]).code, Some(0));
    let program = env!("CARGO_BIN_EXE_sweep");
    let script = format!("{program} sql 'select a.* from metrics a, metrics b' | head -1; {program} ls | true");
    let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(project.path("")).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// One long epoch after the other, with a checkpoint after every batch.
const SLOW: [&str; 8] = [
    "run",
    "small.toml",
    "--set",
    "train.epochs=2",
    "--set",
    "train.batch_size=1",
    "--set",
    "train.checkpoint_seconds=0",
];
/// Runs in the middle of their first epoch.
const WITHIN: &str = "select distinct r.trial, r.fold, r.pid from runs r join checkpoints c using (sweep, trial, repeat, fold) \
                      where r.state = 'running' and c.kind = 'last' and c.epoch = 0";

/// A project whose epochs last.
fn slow_project() -> Project {
    let project = Project::new();
    project.write("docs.jsonl", crate::support::documents(240));
    project
}

fn undisturbed_slow() -> Vec<String> {
    let project = slow_project();
    let outcome = project.sweep(&SLOW);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    project.sql(SCORES)
}

/// The log of a run with all its attempts.
fn log_of(project: &Project, row: &str) -> String {
    project.sweep(&["logs", "small", &directory_of(row)]).out
}

#[test]
fn a_run_goes_on_in_the_middle_of_an_epoch() {
    let project = slow_project();
    let child = project.command(&SLOW).env("SWEEP_LOG", "info").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let row = project.wait_for(WITHIN).remove(0);
    signal(pid_of(&row), Signal::KILL);
    let outcome = end(child);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let log = log_of(&project, &row);
    assert!(log.contains("resumed in epoch 1 after ") && !log.contains("after 0 batches"), "{log}");
    assert_eq!(project.sql(SCORES), undisturbed_slow());
}

#[test]
fn of_a_damaged_checkpoint_the_one_before_is_used() {
    let project = slow_project();
    let child = project.start(&SLOW);
    // two checkpoints at least: the first has none before it
    let rows = project.wait_for(WITHIN);
    let directories: Vec<_> =
        rows.iter().map(|row| project.path("experiments/small").join(directory_of(row))).collect();
    let both = |directory: &std::path::PathBuf| directory.join("last.previous.safetensors").exists();
    let begun = std::time::Instant::now();
    while !directories.iter().any(both) {
        assert!(begun.elapsed().as_secs() < 60, "no second checkpoint in {directories:?}");
        std::thread::yield_now();
    }
    signal(child.id(), Signal::KILL);
    end(child);
    let mut damaged = Vec::new();
    for (row, directory) in rows.iter().zip(&directories).filter(|(_, directory)| both(directory)) {
        // its worker has heard of the end, and is on its way out
        std::fs::File::open(directory.join("lock")).unwrap().lock().unwrap();
        // one bit of one weight
        let path = directory.join("last.safetensors");
        let Ok(mut bytes) = std::fs::read(&path) else { continue };
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        // the one before may still be another name of the same file
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        damaged.push(row);
    }
    let outcome = project.command(&["resume"]).env("SWEEP_LOG", "info").output().unwrap();
    assert_eq!(outcome.status.code(), Some(0));
    assert!(!damaged.is_empty());
    for row in damaged {
        let log = log_of(&project, row);
        assert!(log.contains("its numbers are not those that were written"), "{log}");
        assert!(log.contains("resumed in epoch"), "{log}");
    }
    assert_eq!(project.sql(SCORES), undisturbed_slow());
}

/// `TRIAL/FOLD` of a row that begins with them.
fn directory_of(row: &str) -> String {
    row.split(',').take(2).collect::<Vec<_>>().join("/")
}

#[test]
fn data_that_changed_are_not_mixed_in() {
    let project = Project::new();
    let child = project.start(&LONG);
    project.wait_for(UNDER_WAY);
    signal(child.id(), Signal::KILL);
    end(child);
    project.write("docs.jsonl", crate::support::documents(27));
    let outcome = project.sweep(&["resume"]);
    assert_eq!(outcome.code, Some(4), "{}", outcome.err);
    assert!(outcome.err.contains("changed since small began"), "{}", outcome.err);
}

/// A disk that fills up at a checkpoint: the run fails and says so, the database stays whole, and once there is room
/// the trial is tried again.
#[test]
fn a_full_disk_fails_the_run_and_loses_nothing() {
    let project = Project::new();
    std::fs::create_dir_all(project.path("experiments")).unwrap();
    let sweep = |size: &str, arguments: &str| {
        let program = env!("CARGO_BIN_EXE_sweep");
        let script = format!("mount -t tmpfs -o size={size} tmpfs experiments && exec {program} {arguments}");
        let mut command = std::process::Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script]).current_dir(project.path(""));
        let output = command.env("XDG_CONFIG_HOME", project.path("config")).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = sweep("64k", "run small.toml");
    if err.contains("unshare") || err.contains("mount:") {
        // without the right to mount there is no small disk to fill
        eprintln!("skipped: {err}");
        return;
    }
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("cannot write the checkpoint") && err.contains("No space left on device"), "{err}");
    assert_eq!(project.sql("select count(*) from trials where state = 'failed'"), ["2"]);
    let (code, err) = sweep("64m", "resume --retry-failed");
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(project.sql("select state, finished from sweeps"), ["finished,2"]);
}
