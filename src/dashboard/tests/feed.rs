//! News of the database come by themselves, and only they.

use std::path::Path;

use super::seen::Seen;
use super::story::Story;
use crate::dashboard::ledger::Ledger;
use crate::dashboard::message::Msg;
use crate::dashboard::message::Screen;
use crate::dashboard::model::update;
use crate::store::SweepKey;
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
    assert!(frame.contains("experiments.db was deleted or moved: this is what it said last"), "{frame}");
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

/// With what `SQLite` keeps beside it.
fn move_database(from: &Path, to: &Path) {
    for suffix in ["-shm", "-wal", ""] {
        let with = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::rename(with(from), with(to)).expect("is moved");
    }
}
