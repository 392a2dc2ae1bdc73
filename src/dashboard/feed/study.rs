//! What a model of a sweep's scores says: computed beside everything else, one at a time, and not more often than it
//! takes.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, sleep_until};

use super::fetch::{Cursor, FeedError};
use crate::search::insight::{Insight, Pair, Unknown, insight, pair};
use crate::search::{self, History, Proposal, Prospect, Tried, Unforeseen};
use crate::spec::{Direction, Problems, Sampler, Search, Spec};
use crate::store::{Extent, Reader, SweepKey, SweepRecord};
use crate::sweep::FoldId;

/// What was told of a sweep when it went so far.
#[derive(Clone, Debug)]
pub struct Study<T> {
    pub extent: Extent,
    /// Trials with scores, and those of them that were used.
    pub scored: usize,
    pub used: usize,
    pub told: T,
}

/// What is to come.
#[derive(Clone, Debug)]
pub struct Outlook {
    pub next: Proposal,
    pub prospect: Result<Prospect, Unforeseen>,
}

pub type Told<T> = Study<Result<T, Unknown>>;

/// Trials with scores that a model is made of: its time grows with their third power.
const MOST: usize = 200;
/// The best ones among them; the others are spread evenly over the sweep.
const BEST: usize = 80;

/// After a computation nothing new is begun for so many times as long as it took: a training is not to be slowed down.
const REST: u32 = 4;

/// Computations at once. One that nobody wants any more cannot be ended, so that others wait for it.
static AT_ONCE: Semaphore = Semaphore::const_new(1);

/// The sweep file as it was run.
pub(super) fn spec_of(record: &SweepRecord) -> Result<Spec, Problems> {
    Spec::of_file(&record.spec_path, &record.spec, &record.overrides)
}

/// Folds of a repeat; none where the file is not understood any more.
pub(super) async fn k_of(reader: &Reader, sweep: SweepKey) -> Result<Option<u32>, FeedError> {
    let record = reader.record(sweep).await?;
    Ok(spec_of(&record).ok().map(|spec| spec.folds.k))
}

/// Folds of a repeat, as far as runs tell.
pub(super) fn seen_k(folds: impl Iterator<Item = FoldId>) -> u32 {
    folds.map(|fold| fold.fold + 1).max().unwrap_or(1).unsigned_abs()
}

pub(super) async fn outlook(reader: &Reader, sweep: SweepKey, cursor: Cursor) -> Computed<Outlook> {
    compute(reader, sweep, cursor, |spec, whole, history| {
        // a sampler without a model counts all trials, and is quick about it
        let known = if spec.search.sampler == Sampler::Bayes { history } else { whole };
        Outlook {
            next: search::propose(&spec.search, known, &|point| spec.accepts(point) && !whole.holds(point)),
            prospect: search::prospect(&spec.search, history, spec.folds.k, &|point| spec.accepts(point)),
        }
    })
    .await
}

pub(super) async fn insights(reader: &Reader, sweep: SweepKey, cursor: Cursor) -> Computed<Result<Insight, Unknown>> {
    compute(reader, sweep, cursor, |spec, _, history| insight(&spec.search, history)).await
}

pub(super) async fn pairs(
    reader: &Reader,
    sweep: SweepKey,
    [a, b]: [String; 2],
    cursor: Cursor,
) -> Computed<Result<Pair, Unknown>> {
    compute(reader, sweep, cursor, move |spec, _, history| pair(&spec.search, history, [&a, &b])).await
}

type Computed<T> = Result<(Option<Study<T>>, Cursor), FeedError>;

/// Does it where the sweep has gone on since the last time; `work` gets the whole history and the part of it to model.
async fn compute<T: Send + 'static>(
    reader: &Reader,
    sweep: SweepKey,
    cursor: Cursor,
    work: impl FnOnce(&Spec, &History, &History) -> T + Send + 'static,
) -> Computed<T> {
    if let Cursor::Extent { known, rest } = &cursor {
        if reader.extent(sweep).await? == *known {
            return Ok((None, cursor));
        }
        sleep_until(*rest).await;
    }
    let permit = AT_ONCE.acquire().await.expect("nobody closes it");
    let extent = reader.extent(sweep).await?;
    let spec = spec_of(&reader.record(sweep).await?)?;
    let whole = reader.history(sweep, &spec).await?;
    let computation = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let begun = Instant::now();
        let scored = whole.trials.iter().filter(|tried| score(tried).is_some()).count();
        let history = thinned(&spec.search, &whole);
        let told = work(&spec, &whole, &history);
        (Study { extent, scored, used: scored.min(MOST), told }, begun.elapsed())
    });
    let (study, took) = computation.await?;
    let rest = Instant::now() + (took * REST).min(Duration::from_mins(10));
    Ok((Some(study), Cursor::Extent { known: extent, rest }))
}

/// Mean of the scores that are numbers.
fn score(tried: &Tried) -> Option<f64> {
    let scores = tried.scores.iter().map(|(_, score)| *score).filter(|score| score.is_finite());
    let (count, sum) = scores.fold((0.0, 0.0), |(count, sum), score| (count + 1.0, sum + score));
    (count > 0.0).then(|| sum / count)
}

/// Of a large history the best trials and an even spread of the others; of those without scores the newest.
fn thinned(search: &Search, whole: &History) -> History {
    let scores: Vec<Option<f64>> = whole.trials.iter().map(score).collect();
    let (mut scored, bare): (Vec<usize>, Vec<usize>) = (0..scores.len()).partition(|trial| scores[*trial].is_some());
    scored.sort_by(|a, b| better_first(search.direction, scores[*a], scores[*b]).then(a.cmp(b)));
    let mut rest = scored.split_off(scored.len().min(if scored.len() > MOST { BEST } else { MOST }));
    rest.sort_unstable();
    let mut kept: BTreeSet<usize> = scored.into_iter().collect();
    let room = (MOST - kept.len()).min(rest.len());
    kept.extend((0..room).map(|place| rest[place * rest.len() / room]));
    kept.extend(bare.into_iter().rev().take(MOST));
    let asked = kept.iter().zip(0u32..).filter(|(trial, _)| whole.asked.contains(&(**trial as u32)));
    History {
        asked: asked.map(|(_, place)| place).collect(),
        trials: kept.iter().map(|trial| whole.trials[*trial].clone()).collect(),
        earlier: whole.earlier.clone(),
    }
}

fn better_first(direction: Direction, a: Option<f64>, b: Option<f64>) -> Ordering {
    let gain = |score: Option<f64>| score.map_or(f64::NEG_INFINITY, |score| direction.gain(score));
    gain(b).total_cmp(&gain(a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::TriedState;
    use crate::search::space::Point;

    #[test]
    fn a_large_history_keeps_its_best_and_an_even_spread() {
        let text = "[trainer]\ncommand = [\"true\"]\n[search]\nsampler = \"random\"\nobjective = \"loss\"\ndirection = \"minimize\"\ntrials = 9\n\
            [search.space]\nx = { low = 0.0, high = 1.0 }\n";
        let spec = Spec::parse("x", text, &[]).expect("is a sweep file");
        let tried = |trial: u32| Tried {
            point: Point::default().with("x", f64::from(trial).into()),
            scores: if trial % 10 == 9 { Vec::new() } else { vec![(0, f64::from((trial * 7919) % 5000))] },
            state: TriedState::Finished,
        };
        let mut whole = History::of((0..5000).map(tried).collect());
        whole.asked.insert(4999);
        let part = thinned(&spec.search, &whole);
        // the newest without a score is the last of what is kept
        assert_eq!(part.asked, [399].into());
        let mut scores: Vec<f64> = part.trials.iter().filter_map(score).collect();
        assert_eq!((part.trials.len(), scores.len()), (2 * MOST, MOST));
        scores.sort_by(f64::total_cmp);
        let mut all: Vec<f64> = whole.trials.iter().filter_map(score).collect();
        all.sort_by(f64::total_cmp);
        assert_eq!(scores[..BEST], all[..BEST]);
        let number = |tried: &Tried| tried.point.get("x").and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
        let late = part.trials.iter().filter(|tried| score(tried).is_some() && number(tried) >= 2500.0).count();
        assert!((80..120).contains(&late), "{late} of the second half");
        let small = History::of((0..50).map(tried).collect());
        assert_eq!(thinned(&spec.search, &small), small);
    }
}
