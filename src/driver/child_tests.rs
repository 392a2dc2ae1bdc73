//! Real processes that say and do what workers should not.

use super::*;
use crate::protocol::Device;
use crate::spec::{Direction, Spec};
use crate::sweep::{FoldId, TrialId};

/// What a shell script as a worker comes to: its messages, how it ended, and its log.
async fn converse(script: &str, stop: bool) -> (Vec<String>, Exit, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("run/attempt-1.log");
    let run = RunId { trial: TrialId(0), fold: FoldId { repeat: 0, fold: 0 }, attempt: 1 };
    let job = Job {
        protocol: PROTOCOL,
        sweep: "x".into(),
        identity: "x 1".into(),
        run,
        params: crate::search::space::Point::default(),
        config: Spec::parse("x", "data.path = \"a.csv\"", &[]).expect("a good file").config,
        objective: "macro_f1".into(),
        direction: Direction::Maximize,
        device: Device::Cpu,
        threads: 1,
        directory: String::new(),
        documents: String::new(),
        train: vec![0],
        validation: vec![1],
    };
    let slot = Slot { device: Device::Cpu, name: "cpu".into(), visible: String::new() };
    let arguments = vec!["-c".to_owned(), script.to_owned()];
    let launch = Launch { program: "sh".into(), arguments, job, slot, log: log.clone() };
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
    assert_eq!(crashed(&converse("exit 0", false).await.1), "it ended without a result");
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
    let script = format!("read job; {SAVED} read order; echo \"$order\"; exit 130");
    let (_, exit, log) = converse(&script, true).await;
    assert_eq!(crashed(&exit), "exit code 130");
    assert!(log.contains(r#"{"type":"stop","why":"enough"}"#), "{log}");
}

#[tokio::test]
async fn who_does_not_stop_is_killed_with_its_children() {
    let script = format!("trap '' TERM INT; {SAVED} sleep 600 & while true; do sleep 600; done");
    let (_, exit, _) = converse(&script, true).await;
    assert!(crashed(&exit).contains("signal 9"), "{exit:?}");
}
