//! News of the database come by themselves, and only they.

use std::path::Path;

use super::seen::Seen;
use super::story::{Story, run, score_of};
use crate::crossval::Comparison;
use crate::dashboard::feed::{Answer, Want};
use crate::dashboard::ledger::Ledger;
use crate::dashboard::message::{Msg, Screen};
use crate::dashboard::model::update;
use crate::store::{SweepKey, TrialState};
use crate::sweep::{Fact, SweepEnd, TrialEnd, TrialId};

#[tokio::test]
async fn what_is_recorded_is_seen() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>").await;
    let (sweep, writer) = (SweepKey(1), story.store.writer(SweepKey(1)));
    let end = TrialEnd::Finished { score: 0.9, score_se: Some(0.01) };
    writer.record(story.now(), vec![Fact::TrialEnded { trial: TrialId(4), end }]).await.expect("is recorded");
    let knows = |seen: &Seen| {
        let outline = seen.model.data.outline(sweep).and_then(|outline| outline.best());
        let ledger = seen.model.data.ledger(sweep).and_then(|ledger| ledger.best());
        outline.map(|best| best.trial) == Some(TrialId(4)) && ledger.map(|best| best.id) == Some(TrialId(4))
    };
    while !knows(&seen) {
        seen.hear().await;
    }
    writer.record(story.now(), vec![Fact::SweepEnded { end: SweepEnd::Finished }]).await.expect("is recorded");
    while seen.model.animates() {
        seen.hear().await;
    }
}

/// What is folded fact by fact is what is read at once.
#[tokio::test]
async fn following_and_opening_come_to_the_same() {
    for whole in [Story::running().await, Story::failed().await, Story::finished().await] {
        let told = Story::empty().await;
        let mut seen = Seen::of(&told).await;
        for outline in whole.store.reader().outlines(None).await.expect("reads") {
            let record = whole.store.reader().record(outline.head.key).await.expect("reads");
            let copy = crate::store::NewSweep {
                name: record.name,
                spec: record.spec,
                spec_path: record.spec_path,
                overrides: record.overrides,
                project: record.project,
                sampler: outline.sampler.clone(),
                objective: outline.objective.clone(),
                direction: outline.direction,
                trials: outline.planned,
                folds: outline.folds,
                documents: record.documents,
                data_sha256: record.data_sha256,
                classes: record.classes,
                encoders: record.encoders,
                host: record.host,
            };
            let key = told.store.create_sweep(copy, outline.created).await.expect("is created").key;
            while seen.model.data.outline(key).is_none() {
                seen.hear().await;
            }
            update(&mut seen.model, Msg::OpenSweep(key));
            seen.settle().await;
            let facts = whole.store.reader().facts_since(outline.head.key, 0).await.expect("reads");
            for recorded in &facts {
                told.store.writer(key).record(recorded.at, vec![recorded.fact.clone()]).await.expect("is recorded");
            }
            let is_behind = |seen: &Seen| {
                let told = seen.model.data.ledger(key).map(Ledger::next_seq);
                let listed = seen.model.data.outline(key).map(|outline| outline.head.next_seq);
                told != Some(facts.len() as u64) || listed != Some(facts.len() as u64)
            };
            while is_behind(&seen) {
                seen.hear().await;
            }
            let followed = seen.model.data.ledger(key).expect("is open").trials.clone();
            let opened = Ledger::new(told.store.reader().snapshot(key).await.expect("reads"), 5);
            assert_eq!(followed, opened.trials);
            let listed = seen.model.data.outline(key).expect("is listed").clone();
            assert_eq!(vec![listed], told.store.reader().outlines(Some(key)).await.expect("reads"));
        }
        assert_eq!(seen.model.screen, Screen::Trials);
    }
}

/// Nobody looks for hours at a file that is not there any more.
#[tokio::test]
async fn a_database_that_is_gone_or_another_is_noticed() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>").await;
    let aside = story.path().with_extension("aside");
    move_database(&story.path(), &aside);
    while seen.model.alarm.is_none() {
        seen.hear().await;
    }
    let frame = seen.frame(100, 30).0;
    assert!(frame.contains("experiments.db is gone: this is what it said last"), "{frame}");
    assert!(frame.contains("raced out at fold 1") || frame.contains("finished"), "what was read is shown:\n{frame}");
    move_database(&aside, &story.path());
    while seen.model.alarm.is_some() {
        seen.hear().await;
    }
    assert!(seen.model.open_sweep().is_some());
    // no database at first, then one
    let other = Story::failed().await;
    move_database(&story.path(), &aside);
    std::fs::write(story.path(), "half of it").expect("is written");
    let is_unreadable = |seen: &Seen| seen.model.alarm.as_ref().is_some_and(|alarm| alarm.starts_with("another file"));
    while !is_unreadable(&seen) {
        seen.hear().await;
    }
    assert!(seen.frame(120, 30).0.contains("another file was put in place of experiments.db"));
    move_database(&other.path(), &story.path());
    while seen.model.alarm.is_some() {
        seen.hear().await;
    }
    seen.settle().await;
    let frame = seen.frame(100, 30).0;
    assert_eq!(seen.model.screen, Screen::Sweeps);
    assert!(frame.contains("大文本") && !frame.contains("contracts"), "{frame}");
}

/// What stood still while nobody ran it goes on, and ended when it was lost, not when it was resumed.
#[tokio::test]
async fn a_lost_sweep_goes_on() {
    for says_so_first in [true, false] {
        let mut story = Story::running().await;
        let mut seen = Seen::of(&story).await;
        seen.press("<enter>").await;
        let sweep = seen.model.sweep.expect("is open");
        let lost = |seen: &mut Seen, is_lost: bool| {
            let lost = if is_lost { [sweep].into() } else { [].into() };
            update(&mut seen.model, Msg::Answer(Want::Lost, Answer::Lost(lost)));
        };
        let before = seen.model.ledger().expect("is open").trials.clone();
        lost(&mut seen, true);
        let states = |seen: &Seen| -> Vec<TrialState> {
            seen.model.ledger().expect("is open").trials.iter().map(|trial| trial.state).collect()
        };
        assert!(!states(&seen).contains(&TrialState::Running));
        lost(&mut seen, false);
        assert_eq!(seen.model.ledger().expect("is open").trials, before, "it was not lost after all");
        lost(&mut seen, true);
        if says_so_first {
            lost(&mut seen, false);
        }
        story.resume(&[run(4, 1), run(4, 2)]).await;
        let facts = story.store.reader().facts_since(sweep, 0).await.expect("reads").len() as u64;
        while seen.model.ledger().map(Ledger::next_seq) != Some(facts) {
            seen.hear().await;
        }
        lost(&mut seen, false);
        let followed = seen.model.ledger().expect("is open").trials.clone();
        let opened = Ledger::new(story.store.reader().snapshot(sweep).await.expect("reads"), 5);
        assert_eq!(followed, opened.trials);
        let seconds = followed[4].runs[1].seconds(story.now()).expect("it has begun");
        assert!(seconds < 60.0, "it was lost within a minute, and not an hour later: {seconds}");
    }
}

#[tokio::test]
async fn the_folds_of_a_repeat_are_those_of_the_file() {
    let story = Story::repeated().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>").await;
    let ledger = seen.model.ledger().expect("is open");
    assert_eq!((ledger.k, ledger.folds), (5, 10));
    let [best, open] = &ledger.trials[..] else { panic!("two trials") };
    let differences: Vec<f64> = (0..2).map(|fold| score_of(1, fold) - score_of(0, fold)).collect();
    let paired = ledger.against_best(open).expect("two folds");
    assert_eq!(Some(paired), Comparison::of(&differences, 5), "two folds of five, not two of two");
    assert_eq!(best.newest_runs().count(), 10);
    let waiting: Vec<String> = seen.model.waiting().iter().map(ToString::to_string).collect();
    assert_eq!(waiting.join(" "), "1/3 1/4 1/0r1 1/1r1 1/2r1 1/3r1 1/4r1");
    seen.press(&Screen::Lanes.number().to_string()).await;
    let frame = seen.frame(120, 40).0;
    assert!(frame.contains("0r1") && frame.contains("4r1"), "{frame}");
}

/// With what `SQLite` keeps beside it.
fn move_database(from: &Path, to: &Path) {
    for suffix in ["-shm", "-wal", ""] {
        let with = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::rename(with(from), with(to)).expect("is moved");
    }
}
