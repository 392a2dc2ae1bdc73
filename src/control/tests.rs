//! Real sockets, and whoever may come to them.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, spawn_blocking};

use super::*;
use crate::sweep::{Order, Stage};

/// Obeys pauses, and lets everybody watch; until it is told to stop.
fn coordinator(directory: &Path, watchers: broadcast::Sender<Arc<str>>) -> JoinHandle<Vec<String>> {
    let mut server = Server::open(directory, "box").expect("listens");
    tokio::spawn(async move {
        let mut heard = Vec::new();
        loop {
            match server.next().await {
                Call::Watch { answer } => {
                    let status = Status {
                        sweep: "lr".into(),
                        state: Stage::Running,
                        wanted_slots: 1,
                        slots: Vec::new(),
                        waiting: Vec::new(),
                    };
                    let first = serde_json::to_string(&Update::Status(status)).expect("json") + "\n";
                    let _ = answer.send(Watcher { first: first.into(), further: watchers.subscribe() });
                }
                Call::Order { order, by, answer } => {
                    assert_eq!((by.host.as_str(), by.user == here().user), ("box", true));
                    heard.push(order.to_string());
                    let _ = answer.send(Answer::done(&order));
                    if order == Order::Stop {
                        server.close().await;
                        return heard;
                    }
                }
            }
        }
    })
}

/// What is answered to some bytes, by a plain client that then says no more.
async fn answered(directory: &Path, bytes: &'static [u8]) -> String {
    let path = socket_path(directory);
    let talk = spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).expect("connects");
        // it may be answered before all of it is read
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    });
    talk.await.expect("no panic")
}

#[tokio::test]
async fn an_order_is_answered_and_the_socket_goes() {
    let directory = TempDir::new().expect("a temporary directory");
    assert!(!is_live(directory.path()).await);
    let nobody = order(directory.path(), &Order::Pause).await.expect_err("nobody is there");
    assert!(matches!(nobody, ControlError::Nobody { .. }), "{nobody}");
    let served = coordinator(directory.path(), broadcast::Sender::new(8));
    let path = socket_path(directory.path());
    assert_eq!(path.metadata().expect("is there").permissions().mode() & 0o7777, 0o600);
    assert_eq!(order(directory.path(), &Order::Pause).await.expect("is heard"), Answer::done(&Order::Pause));
    // the last answer is heard although the coordinator leaves with it
    assert_eq!(order(directory.path(), &Order::Stop).await.expect("is heard"), Answer::done(&Order::Stop));
    assert_eq!(served.await.expect("no panic"), ["pause", "stop"]);
    let left: Vec<_> = directory.path().read_dir().expect("is read").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_a_dead_coordinator_left_is_replaced() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = socket_path(directory.path());
    drop(std::os::unix::net::UnixListener::bind(&path).expect("is made"));
    assert!(path.exists() && !is_live(directory.path()).await);
    let served = coordinator(directory.path(), broadcast::Sender::new(8));
    assert!(is_live(directory.path()).await);
    order(directory.path(), &Order::Stop).await.expect("is heard");
    served.await.expect("no panic");
}

/// The address of a socket has 107 bytes.
#[tokio::test]
async fn a_long_path_is_no_obstacle() {
    let directory = TempDir::new().expect("a temporary directory");
    let deep: PathBuf = directory.path().join("长".repeat(60)).join("x".repeat(120));
    std::fs::create_dir_all(&deep).expect("is made");
    let served = coordinator(&deep, broadcast::Sender::new(8));
    assert_eq!(order(&deep, &Order::Pause).await.expect("is heard"), Answer::done(&Order::Pause));
    order(&deep, &Order::Stop).await.expect("is heard");
    served.await.expect("no panic");
    assert!(!socket_path(&deep).exists());
}

#[tokio::test]
async fn junk_is_answered_and_changes_nothing() {
    let directory = TempDir::new().expect("a temporary directory");
    let served = coordinator(directory.path(), broadcast::Sender::new(8));
    let mut answers = Vec::new();
    let junk: [&'static [u8]; 8] = [
        b"",
        b"\n",
        b"pause\n",
        b"{\"type\":\"order\"}\n",
        b"{\"type\":\"order\",\"order\":\"explode\"}\n",
        b"{\"type\":\"order\",\"order\":\"slots\",\"count\":-1}\n",
        b"\xff\xfe\0\n",
        // a whole request, though its line does not end
        b"{\"type\":\"order\",\"order\":\"pause\"}",
    ];
    for bytes in junk {
        answers.push(answered(directory.path(), bytes).await.lines().next().unwrap_or("-").to_owned());
    }
    let endless: &'static [u8] = vec![b'{'; 200_000].leak();
    let answer = answered(directory.path(), endless).await;
    assert!(answer.is_empty() || answer.contains("one line of at most 65536 bytes"), "{answer}");
    order(directory.path(), &Order::Stop).await.expect("is heard");
    assert_eq!(served.await.expect("no panic"), ["pause", "stop"]);
    insta::assert_snapshot!(answers.join("\n"), @r#"
    -
    {"type":"refused","why":"not understood: EOF while parsing a value at line 2 column 0","hint":"such as {\"type\":\"order\",\"order\":\"pause\"}: docs/steering.md lists all"}
    {"type":"refused","why":"not understood: expected value at line 1 column 1","hint":"such as {\"type\":\"order\",\"order\":\"pause\"}: docs/steering.md lists all"}
    {"type":"refused","why":"not understood: missing field `order`","hint":"such as {\"type\":\"order\",\"order\":\"pause\"}: docs/steering.md lists all"}
    {"type":"refused","why":"not understood: unknown variant `explode`, expected one of `stop`, `pause`, `unpause`, `kill`, `kill_trial`, `retry`, `restart`, `enqueue`, `exclude`, `include`, `slots`, `note`, `tag`, `untag`","hint":"such as {\"type\":\"order\",\"order\":\"pause\"}: docs/steering.md lists all"}
    {"type":"refused","why":"not understood: invalid value: integer `-1`, expected u32","hint":"such as {\"type\":\"order\",\"order\":\"pause\"}: docs/steering.md lists all"}
    {"type":"refused","why":"not understood: expected value at line 1 column 1","hint":"such as {\"type\":\"order\",\"order\":\"pause\"}: docs/steering.md lists all"}
    {"type":"done","order":"pause"}
    "#);
}

/// Clients that say nothing, leave, or do not read hold up nobody; one that falls behind is left.
#[tokio::test]
async fn nobody_holds_up_the_others() {
    let directory = TempDir::new().expect("a temporary directory");
    let watchers = broadcast::Sender::new(4);
    let served = coordinator(directory.path(), watchers.clone());
    let path = socket_path(directory.path());
    let silent: Vec<UnixStream> = (0..50).map(|_| UnixStream::connect(&path).expect("connects")).collect();
    drop(UnixStream::connect(&path).expect("connects"));
    let mut slow = UnixStream::connect(&path).expect("connects");
    slow.write_all(b"{\"type\":\"watch\"}\n").expect("is heard");
    let mut quick = watch(directory.path()).await.expect("is heard");
    let Some(Update::Status(status)) = quick.next().await.expect("is told") else { panic!("no status") };
    assert_eq!(status.sweep, "lr");
    while watchers.receiver_count() < 2 {
        tokio::task::yield_now().await;
    }
    let run = r#""trial":0,"repeat":0,"fold":0,"attempt":1,"epoch":1,"epochs":1"#;
    let line: Arc<str> = format!("{{\"type\":\"progress\",{run},\"step\":1,\"steps\":2,\"loss\":null}}\n").into();
    let padded: Arc<str> = format!("{}{}", " ".repeat(1 << 16), line).into();
    // more than a pipe takes, as fast as the quick one reads
    for _ in 0..50 {
        watchers.send(padded.clone()).expect("is heard");
        assert!(matches!(quick.next().await.expect("is told"), Some(Update::Progress { .. })));
    }
    let left = async {
        while watchers.receiver_count() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), left).await.expect("the slow one is left");
    order(directory.path(), &Order::Pause).await.expect("is heard");
    order(directory.path(), &Order::Stop).await.expect("is heard");
    assert_eq!(served.await.expect("no panic"), ["pause", "stop"]);
    drop(watchers);
    assert!(quick.next().await.expect("is told").is_none(), "the coordinator has left");
    let mut first = String::new();
    BufReader::new(slow).read_line(&mut first).expect("is read");
    assert!(first.contains("\"status\""), "{first}");
    drop(silent);
}
