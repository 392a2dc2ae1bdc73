//! Readers for who asks ten times a second: lean, and only what is new.

use super::story::{Story, at, measured, run};
use crate::protocol::Split;
use crate::store::{SweepState, Watch};
use crate::sweep::TrialId;

#[tokio::test]
async fn a_sweep_in_a_few_numbers() {
    let story = Story::measured_against().await;
    let [outline] = &story.reader().outlines(None).await.expect("reads")[..] else { panic!("one sweep") };
    assert_eq!(story.reader().heads().await.expect("reads"), std::slice::from_ref(&outline.head));
    assert_eq!(outline.head.state, SweepState::Running);
    assert_eq!((outline.proposed, outline.finished, outline.failed, outline.given_up), (6, 3, 1, 0));
    assert_eq!(outline.baseline, Some(0.81));
    let bests: Vec<_> = outline.improvements.iter().map(|best| (best.trial.0, best.score, best.nth)).collect();
    // trial 2 and 3 are worse than the first
    assert_eq!(bests, [(0, 0.82, 1)]);
    assert_eq!(outline.open, [(TrialId(4), 1)]);
    let running: Vec<String> = outline.running.iter().map(|(run, _)| run.to_string()).collect();
    assert_eq!(running, ["4/1"]);
}

#[tokio::test]
async fn a_snapshot_is_what_the_views_say() {
    let story = Story::measured_against().await;
    let snapshot = story.reader().snapshot(story.sweep.key).await.expect("reads");
    let facts = story.reader().facts(story.sweep.key).await.expect("reads");
    assert_eq!(snapshot.next_seq, facts.len() as u64);
    let trials = story.reader().trials("lr").await.expect("reads");
    let own: Vec<_> = snapshot.trials.iter().map(|trial| (trial.trial, trial.state, trial.score)).collect();
    assert_eq!(own, trials.iter().map(|trial| (trial.trial, trial.state, trial.score)).collect::<Vec<_>>());
    let runs = story.reader().runs("lr").await.expect("reads");
    let own: Vec<_> = snapshot.runs.iter().map(|run| (run.run, run.state, run.score, run.slot)).collect();
    assert_eq!(own, runs.iter().map(|run| (run.run, run.state, run.score, run.slot)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_curve_goes_on_where_it_was() {
    let story = Story::told().await;
    let (reader, sweep) = (story.reader(), story.sweep.key);
    let samples = async |after| {
        let samples = reader.samples(sweep, run("0/0"), Split::Validation, "macro_f1", after).await.expect("reads");
        samples.into_iter().map(|sample| (sample.epoch, sample.step, sample.value)).collect::<Vec<_>>()
    };
    assert_eq!(samples(None).await, [(1, 10, 0.7), (2, 20, 0.8)]);
    assert_eq!(samples(Some((1, 10))).await, [(2, 20, 0.8)]);
    assert_eq!(samples(Some((2, 20))).await, []);
    story.store.writer(sweep).record(at(4000), vec![measured("0/0", 2, 30, 0.9)]).await.expect("is recorded");
    assert_eq!(samples(Some((2, 20))).await, [(2, 30, 0.9)]);
    let undefined = reader.samples(sweep, run("1/0#2"), Split::Validation, "macro_f1", None).await.expect("reads");
    assert!(undefined[0].value.is_nan());
    let names = reader.metric_names(sweep, run("0/0")).await.expect("reads");
    assert_eq!(names, [(Split::Validation, "loss".to_owned()), (Split::Validation, "macro_f1".to_owned())]);
    assert_eq!(reader.metric_names(sweep, run("0/9")).await.expect("reads"), []);
}

#[tokio::test]
async fn mistakes_of_finished_folds() {
    let story = Story::told().await;
    let (reader, sweep) = (story.reader(), story.sweep.key);
    let confused = reader.confusions(sweep, TrialId(0)).await.expect("reads");
    let confused: Vec<_> = confused.iter().map(|it| (it.label.as_str(), it.predicted.as_str(), it.documents)).collect();
    assert_eq!(confused, [("体育", "体育", 1), ("财经", "体育", 1), ("财经", "财经", 1)]);
    let mistakes = reader.mistakes(sweep, TrialId(0), 10).await.expect("reads");
    assert_eq!(mistakes.iter().map(|it| (it.document.as_str(), it.confidence)).collect::<Vec<_>>(), [("乙", 0.625)]);
    // its fold crashed
    assert_eq!(reader.mistakes(sweep, TrialId(1), 10).await.expect("reads"), []);
}

#[tokio::test]
async fn only_what_others_commit_is_news() {
    let story = Story::told().await;
    let mut watch: Watch = story.reader().watch().await.expect("opens");
    assert!(watch.changed().await.expect("reads"));
    assert!(!watch.changed().await.expect("reads"));
    story.store.writer(story.sweep.key).record(at(4000), vec![measured("0/0", 2, 30, 0.9)]).await.expect("is recorded");
    assert!(watch.changed().await.expect("reads"));
    assert!(!watch.changed().await.expect("reads"));
}
