//! Real processes that say and do what workers should not.

use super::*;
use crate::spec::Direction;
use crate::sweep::{FoldId, TrialId};

/// What a shell script as a worker comes to: its messages, how it ended, and its log.
async fn converse(script: &str, stop: bool) -> (Vec<String>, Exit, String) {
    converse_for(script, stop, Patience::default()).await
}

async fn converse_for(script: &str, stop: bool, patience: Patience) -> (Vec<String>, Exit, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("run/attempt-1.log");
    let launch = Launch {
        run: RunId { trial: TrialId(0), fold: FoldId { repeat: 0, fold: 0 }, attempt: 1 },
        program: "sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("COLOUR".to_owned(), "green".to_owned())],
        working_directory: Some(directory.path().to_owned()),
        job: r#"{"the":"job"}"#.to_owned(),
        goal: Goal { objective: "macro_f1".to_owned(), direction: Direction::Maximize },
        patience,
        log: log.clone(),
    };
    let (heard, mut hearing) = mpsc::channel(16);
    let mut child = Child::start(launch, heard).expect("a process");
    let mut messages = Vec::new();
    let exit = loop {
        match hearing.recv().await.expect("an end").1 {
            Said::Message(message) => {
                messages.push(serde_json::to_string(&message).expect("json"));
                if stop {
                    child.stop("enough".to_owned());
                }
            }
            Said::Ended(exit) => break exit,
        }
    };
    (messages, exit, fs::read_to_string(log).expect("a log"))
}

const SAVED: &str = r#"echo '{"type":"checkpoint","kind":"last","path":"x","epoch":1}';"#;
const DONE: &str = r#"echo '{"type":"done","score":0.5}';"#;

fn crashed(exit: &Exit) -> &str {
    match exit {
        Exit::Crashed { why } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_message_is_log() {
    let script =
        format!("read job; echo hello; {SAVED} echo '{{\"type\":\"nonsense\"}}'; echo oops >&2; echo x; {DONE}");
    let (messages, exit, log) = converse(&script, false).await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(matches!(exit, Exit::Done(done) if done.score == 0.5));
    for line in ["hello", "{\"type\":\"nonsense\"}", "oops", "x"] {
        assert!(log.lines().any(|logged| logged == line), "{line} is not in {log:?}");
    }
}

#[tokio::test]
async fn success_takes_the_message_and_the_exit_code() {
    assert!(matches!(converse(DONE, false).await.1, Exit::Done(_)));
    assert_eq!(crashed(&converse("exit 0", false).await.1), "it ended without a result: it never said done");
    assert_eq!(crashed(&converse("exit 3", false).await.1), "exit code 3");
    assert_eq!(crashed(&converse(&format!("{DONE} exit 3"), false).await.1), "it was done, then: exit code 3");
    assert!(crashed(&converse("kill -9 $$", false).await.1).contains("signal 9"));
}

#[tokio::test]
async fn a_reason_or_another_protocol_is_final() {
    let reason = converse(r#"echo '{"type":"failed","why":"no luck"}'; exit 1"#, false).await.1;
    assert_eq!(reason, Exit::Failed { why: "no luck".into() });
    let other = converse(r#"echo '{"type":"hello","protocol":9}'; sleep 0"#, false).await.1;
    assert_eq!(other, Exit::Failed { why: "it speaks protocol 9, not 1".into() });
}

#[tokio::test]
async fn the_job_comes_in_and_a_stop_is_heard() {
    let script = format!("read job; echo $job $COLOUR; {SAVED} read order; echo \"$order\"; read more || exit 130");
    let (_, exit, log) = converse(&script, true).await;
    assert_eq!(crashed(&exit), "exit code 130");
    assert!(log.contains(r#"{"the":"job"} green"#), "{log}");
    assert!(log.contains(r#"{"type":"stop","why":"enough"}"#), "{log}");
}

#[tokio::test]
async fn who_does_not_stop_is_killed_with_its_children() {
    let script = format!("trap '' TERM INT; {SAVED} sleep 600 & while true; do sleep 600; done");
    let (_, exit, _) = converse(&script, true).await;
    assert!(crashed(&exit).contains("signal 9"), "{exit:?}");
}

/// Patience that is soon lost.
fn short() -> Patience {
    let moment = Duration::from_millis(100);
    Patience { run: None, grace: moment, leave: moment }
}

#[tokio::test]
async fn what_takes_too_long_ends() {
    let patience = Patience { run: Some(Duration::from_millis(200)), ..short() };
    let late = Exit::Failed { why: "it took longer than 0.2 s (trainer.timeout)".into() };
    assert_eq!(converse_for("trap '' TERM; while true; do sleep 600; done", false, patience).await.1, late);
    assert_eq!(converse_for("read job; cat; exit 0", false, patience).await.1, late);
    // one that has something to show when it is told to stop has made it
    let exit = converse_for(
        &format!("read job; read order; {DONE}"),
        false,
        Patience { grace: Duration::from_secs(5), ..patience },
    )
    .await
    .1;
    assert!(matches!(exit, Exit::Done(_)), "{exit:?}");
}

#[tokio::test]
async fn the_last_word_is_the_last() {
    let late = r#"echo '{"type":"failed","why":"no"}'; echo '{"type":"done","score":0.9}'; echo bye;"#;
    let (messages, exit, log) = converse(&format!("{DONE} {SAVED} {late}"), false).await;
    assert!(matches!(exit, Exit::Done(done) if done.score == 0.5));
    assert_eq!(messages.len(), 0, "{messages:?}");
    assert_eq!(log.lines().count(), 4, "{log}");
    let exit = converse_for(&format!("{DONE} sleep 600"), false, short()).await.1;
    assert_eq!(crashed(&exit), "it was done, then: it did not leave");
}

#[tokio::test]
async fn what_closed_its_output_is_ended() {
    let exit = converse_for("exec >&-; sleep 600", false, short()).await.1;
    assert_eq!(crashed(&exit), "it closed its output and did not leave");
    let exit = converse(&format!("{DONE} exec >&-; read more; exit 0"), false).await.1;
    assert!(matches!(exit, Exit::Done(_)), "{exit:?}");
    let exit = converse("exec >&-; exit 3", false).await.1;
    assert_eq!(crashed(&exit), "exit code 3");
}

#[tokio::test]
async fn what_a_process_leaves_behind_is_ended_with_it() {
    let begun = Instant::now();
    let (messages, exit, log) = converse(&format!("sleep 600 & echo $!; {SAVED} {DONE}"), false).await;
    assert!(matches!(exit, Exit::Done(_)), "{exit:?}");
    assert_eq!(messages.len(), 1);
    assert!(begun.elapsed() < Duration::from_mins(1), "nobody waits for the pipe that it holds open");
    let pid: i32 = log.trim().parse().expect("a process number");
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    while !state().is_empty() && !state().contains(") Z ") {
        assert!(begun.elapsed() < Duration::from_mins(1), "it runs on: {}", state());
        tokio::task::yield_now().await;
    }
    // one that has left the group keeps its own life, and holds nobody up
    let exit = converse(&format!("setsid sleep 3 & {DONE}"), false).await.1;
    assert!(matches!(exit, Exit::Done(_)), "{exit:?}");
}

#[tokio::test]
async fn a_job_that_is_not_read_holds_nobody_up() {
    let (_, exit, _) = converse("exec <&-; exit 3", false).await;
    assert_eq!(crashed(&exit), "exit code 3");
}
