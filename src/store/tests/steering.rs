//! What people say, as the views show it; and what was seen of the machine.

use super::story::{Story, at, ended, proposed, started, text};
use crate::store::Reading;
use crate::sweep::{Fact, Order, RunEnd, TrialEnd, TrialId, Who};

fn ordered(order: Order) -> Fact {
    Fact::Ordered { order, by: Who { user: "li".into(), host: "box".into(), pid: 7 } }
}

async fn view(story: &Story, sql: &str) -> String {
    text(&story.reader().query(sql).await.expect(sql))
}

#[tokio::test]
async fn orders_are_seen_with_what_follows() {
    let story = Story::untold().await;
    let writer = story.store.writer(story.sweep.key);
    let trial = TrialId(0);
    let done = RunEnd::Finished { score: 0.9, best_epoch: 1, epochs: 2, peak_memory_mb: 1 };
    let tag = |tag: &str| ordered(Order::Tag { trial, tag: tag.into() });
    let facts = vec![
        Fact::SweepStarted,
        proposed(0, 1e-3),
        started("0/0"),
        ended("0/0", done),
        Fact::TrialEnded { trial, end: TrialEnd::Finished { score: 0.9, score_se: None } },
        proposed(1, 1e-2),
        Fact::TrialEnded { trial: TrialId(1), end: TrialEnd::Finished { score: 0.8, score_se: None } },
        proposed(2, 1e-2),
        Fact::TrialEnded { trial: TrialId(2), end: TrialEnd::Dropped { why: "raced out".into() } },
        ordered(Order::Retry { trial: Some(TrialId(2)) }),
        Fact::TrialReopened { trial: TrialId(2) },
        ordered(Order::KillTrial { trial: TrialId(2) }),
        Fact::TrialEnded { trial: TrialId(2), end: TrialEnd::Cancelled { why: "killed by li".into() } },
        tag("z"),
        tag("a\"b"),
        tag("z"),
        tag("m"),
        ordered(Order::Untag { trial, tag: "m".into() }),
        ordered(Order::Note { trial, text: "first".into() }),
        ordered(Order::Note { trial, text: "it's 好".into() }),
        ordered(Order::Exclude { trial }),
    ];
    writer.record(at(1), facts).await.expect("is recorded");
    let trials = "select trial, state, why, given_up, excluded, note, tags, asked from trials order by trial";
    let sweeps = "select state, best_trial, best_score, finished, excluded from sweeps";
    insta::assert_snapshot!(view(&story, trials).await, @r#"
    trial | state | why | given_up | excluded | note | tags | asked
    0 | finished | - | - | 1 | it's 好 | ["a\"b","z"] | 0
    1 | finished | - | - | 0 | - | [] | 0
    2 | cancelled | killed by li | - | 0 | - | [] | 0
    "#);
    insta::assert_snapshot!(view(&story, sweeps).await, @r"
    state | best_trial | best_score | finished | excluded
    running | 1 | 0.8 | 2 | 1
    ");
    insta::assert_snapshot!(view(&story, "select rank, trial from leaderboard").await, @r"
    rank | trial
    1 | 1
    ");
    let row = story.reader().trials("lr").await.expect("is read").remove(0);
    assert_eq!(
        (row.excluded, row.note.as_deref(), row.tags),
        (true, Some("it's 好"), vec!["a\"b".to_owned(), "z".into()])
    );

    let point = crate::search::space::Point::default().with("train.learning_rate", 0.5.into());
    let later = vec![
        ordered(Order::Include { trial }),
        ordered(Order::Note { trial, text: String::new() }),
        ordered(Order::Enqueue { point: point.clone(), from: Some(trial) }),
        Fact::TrialEnqueued { trial: TrialId(3), point },
        ordered(Order::Slots { count: 4 }),
        ordered(Order::Pause),
    ];
    writer.record(at(2), later).await.expect("is recorded");
    insta::assert_snapshot!(view(&story, &trials.replace("order by", "where trial in (0, 3) order by")).await, @r#"
    trial | state | why | given_up | excluded | note | tags | asked
    0 | finished | - | - | 0 | - | ["a\"b","z"] | 0
    3 | waiting | - | - | 0 | - | [] | 1
    "#);
    insta::assert_snapshot!(view(&story, sweeps).await, @r"
    state | best_trial | best_score | finished | excluded
    paused | 0 | 0.9 | 2 | 0
    ");
    insta::assert_snapshot!(view(&story, "select * from orders where at >= '2026-11-23T09:39:02'").await, @r#"
    sweep | at | by | command | trial | params | pid
    lr | 2026-11-23T09:39:02.123Z | li@box | include | 0 | {} | 7
    lr | 2026-11-23T09:39:02.123Z | li@box | note | 0 | {"text":""} | 7
    lr | 2026-11-23T09:39:02.123Z | li@box | enqueue | - | {"point":{"train.learning_rate":0.5},"from":0} | 7
    lr | 2026-11-23T09:39:02.123Z | li@box | slots | - | {"count":4} | 7
    lr | 2026-11-23T09:39:02.123Z | li@box | pause | - | {} | 7
    "#);
    let last = story.reader().orders("lr").await.expect("is read").pop().expect("there are some");
    assert_eq!((last.command.as_str(), last.trial, last.params.as_str(), last.pid), ("pause", None, "{}", 7));
    writer.record(at(3), vec![ordered(Order::Stop)]).await.expect("is recorded");
    assert!(view(&story, sweeps).await.contains("running"), "the last runs come to their end");
}

/// A note on a sweep whose coordinator was killed is no sign of its life.
#[tokio::test]
async fn a_remark_is_no_sign_of_life() {
    let story = Story::untold().await;
    let writer = story.store.writer(story.sweep.key);
    writer.record(at(10), vec![Fact::SweepStarted, proposed(0, 1e-3), started("0/0")]).await.expect("is recorded");
    let before = view(&story, "select seconds from sweeps").await;
    let note = ordered(Order::Note { trial: TrialId(0), text: "died".into() });
    writer.record(at(500), vec![note]).await.expect("is recorded");
    assert_eq!(view(&story, "select seconds from sweeps").await, before);
}

/// Two days of a sample every two seconds would be 86,400 rows.
#[tokio::test]
async fn samples_are_thinned_and_forgotten() {
    let story = Story::untold().await;
    let writer = story.store.writer(story.sweep.key);
    for look in 0..(30 * 3600 / 20) {
        let lasting = look % 15 == 0;
        let sample = Reading { device: "cpu".into(), name: "utilisation", value: 0.5, lasting };
        let broken = Reading { name: "memory_used_mb", value: f64::NAN, ..sample.clone() };
        writer.sample(at(look * 20), vec![sample, broken]).await.expect("is queued");
    }
    writer.flush().await.expect("is recorded");
    let first = "select device, name, value from machine limit 1";
    insta::assert_snapshot!(view(&story, first).await, @r"
    device | name | value
    cpu | utilisation | 0.5
    ");
    // of the last hour all 180 or so, of the day before one in 15 of 4320
    let Some(crate::store::Cell::Integer(rows)) =
        story.reader().query("select count(*) from machine").await.expect("answers").rows[0].first().cloned()
    else {
        panic!("no number")
    };
    assert!((440..480).contains(&rows), "{rows} rows");
}
