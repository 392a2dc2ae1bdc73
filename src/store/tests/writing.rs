//! The writer: order, batches, endings.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::story::{Story, at, facts, measured, new_sweep, proposed, run, started, text};
use crate::protocol::Split;
use crate::store::writer::{QUEUE, write};
use crate::store::{Reader, Store, StoreError, open};
use crate::sweep::Fact;

#[tokio::test]
async fn facts_come_back_as_they_were_in_their_order() {
    let story = Story::told().await;
    let lifecycle = |fact: &Fact| !matches!(fact, Fact::Measured { .. } | Fact::Saved { .. } | Fact::Predicted { .. });
    let told: Vec<Fact> = facts().into_iter().flat_map(|(_, facts)| facts).filter(lifecycle).collect();
    assert_eq!(story.reader().facts(story.sweep.key).await.expect("are read"), told);

    let rest = story.reader().facts_since(story.sweep.key, 2).await.expect("are read");
    assert_eq!((rest[0].seq, rest[0].at, &rest[0].fact), (2, at(1), &told[2]));
    assert_eq!(rest.len(), told.len() - 2);
}

#[tokio::test]
async fn a_reopened_store_goes_on_where_the_last_one_was() {
    let Story { directory: _directory, path, store, sweep } = Story::told().await;
    let before = store.reader().facts(sweep.key).await.expect("are read").len();
    store.close().await.expect("closes");
    assert!(!path.with_extension("db-wal").exists(), "a closed database is one file");

    let store = Store::open(&path).await.expect("opens");
    let again = store.reader().sweep("lr").await.expect("is there");
    assert_eq!(
        (again.key, &again.name, &again.spec, &again.classes),
        (sweep.key, &sweep.name, &sweep.spec, &sweep.classes)
    );
    store.writer(sweep.key).record(at(5000), vec![Fact::SweepResumed]).await.expect("is recorded");
    let facts = store.reader().facts(sweep.key).await.expect("are read");
    assert_eq!((facts.len(), facts.last()), (before + 1, Some(&Fact::SweepResumed)));
}

#[tokio::test]
async fn measuring_again_replaces() {
    let story = Story::untold().await;
    let writer = story.store.writer(story.sweep.key);
    writer.record(at(0), vec![proposed(0, 1e-3), started("0/0"), measured("0/0", 1, 10, 0.1)]).await.expect("first");
    writer.record(at(1), vec![measured("0/0", 1, 10, 0.2)]).await.expect("again");
    let curve = story.reader().curves("lr", "macro_f1", Split::Validation).await.expect("is read");
    assert_eq!(curve.iter().map(|point| point.value).collect::<Vec<_>>(), [Some(0.2)]);
}

#[tokio::test]
async fn a_thousand_posts_are_few_commits() {
    let story = Story::untold().await;
    let writer = story.store.writer(story.sweep.key);
    writer.record(at(0), vec![Fact::SweepStarted, proposed(0, 1e-3), started("0/0")]).await.expect("is recorded");
    for step in 0..1000 {
        writer.post(at(1), vec![measured("0/0", 1, step, 0.5)]).await.expect("is queued");
    }
    writer.flush().await.expect("is written");
    let commits = story.store.commits();
    assert!(commits < 50, "{commits} commits");
    let metrics = story.reader().metrics("lr", run("0/0")).await.expect("are read");
    assert_eq!(metrics.len(), 2000);
}

#[tokio::test]
async fn names_are_unique() {
    let story = Story::untold().await;
    for expect in ["lr-2", "lr-3"] {
        assert_eq!(story.store.create_sweep(new_sweep("lr"), at(1)).await.expect("is created").name, expect);
    }
    assert_eq!(story.store.create_sweep(new_sweep("lr-2"), at(1)).await.expect("is created").name, "lr-2-2");
}

#[tokio::test]
async fn dropping_writes_what_was_queued() {
    let Story { directory: _directory, path, store, sweep } = Story::untold().await;
    let writer = store.writer(sweep.key);
    writer.post(at(0), vec![Fact::SweepStarted]).await.expect("is queued");
    let Store { task, requests, .. } = store;
    drop((writer, requests));
    tokio::time::timeout(Duration::from_secs(10), task).await.expect("it ends").expect("without a panic");
    let reader = Reader::open(&path).await.expect("opens");
    assert_eq!(reader.facts(sweep.key).await.expect("are read"), [Fact::SweepStarted]);
}

#[tokio::test]
async fn a_closed_store_refuses() {
    let Story { directory: _directory, store, sweep, .. } = Story::untold().await;
    let writer = store.writer(sweep.key);
    store.close().await.expect("closes");
    assert!(matches!(writer.record(at(0), vec![Fact::SweepStarted]).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_no_gap() {
    let Story { directory: _directory, path, store, sweep } = Story::untold().await;
    store.close().await.expect("closes");
    let mut connection = open::writable(&path).await.expect("opens");
    let pages = "select 'pragma max_page_count = ' || page_count from pragma_page_count";
    let limit: String = sqlx::query_scalar(pages).fetch_one(&mut connection).await.expect("counts");
    sqlx::query(sqlx::AssertSqlSafe(limit)).execute(&mut connection).await.expect("is limited");
    let (requests, queue) = tokio::sync::mpsc::channel(QUEUE);
    let commits = std::sync::Arc::default();
    let task = tokio::spawn(write(path.clone(), connection, queue, std::sync::Arc::clone(&commits)));
    let store = Store { reader: Reader::open(&path).await.expect("opens"), requests, task, commits };

    let writer = store.writer(sweep.key);
    let many = (0..200).map(|trial| proposed(trial, 1e-3)).collect();
    let error = writer.record(at(0), many).await.expect_err("no room");
    insta::assert_snapshot!(error.to_string().replace(&*path.to_string_lossy(), "experiments.db"), @"the disk of experiments.db is full: free some space, then `sweep resume`");
    assert!(matches!(writer.record(at(0), vec![Fact::SweepStarted]).await, Err(StoreError::DiskFull { .. })));
    assert_eq!(store.reader().facts(sweep.key).await.expect("are read"), []);
    assert!(matches!(store.close().await, Err(StoreError::DiskFull { .. })));
}

#[tokio::test]
async fn two_coordinators_of_one_sweep_do_not_mix() {
    let story = Story::untold().await;
    let second = Store::open(&story.path).await.expect("opens");
    let (ours, theirs) = (story.store.writer(story.sweep.key), second.writer(story.sweep.key));
    ours.record(at(0), vec![Fact::SweepStarted]).await.expect("is recorded");
    theirs.record(at(1), vec![Fact::SweepResumed]).await.expect("is recorded");
    assert!(matches!(ours.record(at(2), vec![proposed(0, 1e-3)]).await, Err(StoreError::OtherWriter { .. })));
    theirs.record(at(3), vec![proposed(0, 1e-3)]).await.expect("is recorded");
}

#[tokio::test]
async fn a_fact_about_nothing_is_refused() {
    let story = Story::untold().await;
    let writer = story.store.writer(story.sweep.key);
    let refused = writer.record(at(0), vec![started("7/0")]).await;
    assert!(matches!(refused, Err(StoreError::UnknownTrial { .. })), "{refused:?}");
}

/// What [`acknowledged_facts_outlive_kill_9`] kills: records trial after trial, and says how many are recorded.
#[tokio::test]
async fn victim() {
    let Some(path) = std::env::var_os("SWEEP_TEST_VICTIM") else {
        return;
    };
    let store = Store::open(path.as_ref()).await.expect("opens");
    let sweep = store.reader().latest().await.expect("is there");
    let writer = store.writer(sweep.key);
    for trial in 0.. {
        writer.record(at(0), vec![proposed(trial, 1e-3), started(&format!("{trial}/0"))]).await.expect("is recorded");
        writeln!(std::io::stdout(), "\nrecorded {trial}").expect("somebody listens");
    }
}

#[tokio::test]
async fn acknowledged_facts_outlive_kill_9() {
    use std::io::{BufRead, BufReader};

    let Story { directory: _directory, path, store, sweep } = Story::untold().await;
    store.close().await.expect("closes");
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "store::tests::writing::victim", "--nocapture"])
        .env("SWEEP_TEST_VICTIM", &path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
    let mut recorded = |least: i32| {
        lines.by_ref().map_while(Result::ok).find_map(|line| {
            let trial = line.strip_prefix("recorded ")?.parse::<i32>().ok()?;
            (trial >= least).then_some(trial)
        })
    };
    let last = recorded(40).expect("it records");
    child.kill().expect("is killed");
    let last = recorded(i32::MAX).unwrap_or(last);
    child.wait().expect("is dead");

    assert!(path.with_extension("db-wal").exists(), "it could not close");
    let reader = Reader::open(&path).await.expect("opens beside the -wal of the dead");
    let seen = reader.trials("lr").await.expect("are read").len();
    assert!(seen > last as usize, "{seen} of {last}");
    let store = Store::open(&path).await.expect("opens");
    store.writer(sweep.key).record(at(1), vec![Fact::SweepResumed]).await.expect("goes on");
    let facts = store.reader().facts(sweep.key).await.expect("are read");
    assert!(facts.contains(&proposed(last, 1e-3)) && facts.last() == Some(&Fact::SweepResumed));
    assert_eq!(facts.iter().filter(|fact| matches!(fact, Fact::TrialProposed { .. })).count(), seen);
    let open = store.reader().query("select count(*) from trials where state = 'running'").await.expect("answers");
    assert_eq!(text(&open), "count(*)\n0");
}
