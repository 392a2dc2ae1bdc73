//! What a sweep has found out of its space: pages of one screen, each with a cursor of its own.

use super::Data;
use crate::dashboard::feed::Want;
use crate::dashboard::ledger::{Ledger, Trial};
use crate::dashboard::message::{Move, Msg};
use crate::search::insight::{Insight, Pair, Unknown};
use crate::search::space::Space;
use crate::spec::Spec;
use crate::store::SweepKey;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SearchMsg {
    Panel(Panel),
    NextPanel,
    PreviousPanel,
    /// Goes into what is under the cursor.
    Open,
    /// The cursor to a trial, by its place among those of the space.
    TrialAt(usize),
    Regret,
    Swap,
    Brush,
    Widen,
    Narrow,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Panel {
    #[default]
    Overview,
    Importance,
    Slice,
    Contour,
    Parallel,
}

impl Panel {
    pub const ALL: [Self; 5] = [Self::Overview, Self::Importance, Self::Slice, Self::Contour, Self::Parallel];

    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Importance => "importance",
            Self::Slice => "slice",
            Self::Contour => "contour",
            Self::Parallel => "parallel",
        }
    }

    fn shifted(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// Of an axis, for a step of the range that is chosen on it, and its width at first.
const BRUSH_STEP: f64 = 0.05;
const BRUSH_WIDTH: f64 = 0.25;

#[derive(Debug, Default)]
pub struct SearchView {
    pub panel: Panel,
    /// A place among the trials of the space; none: no cursor.
    pub trial: Option<usize>,
    /// Whether regret is drawn in place of scores.
    pub is_regret: bool,
    /// None: the most important one.
    parameter: Option<String>,
    /// Across and up; none: the most important ones.
    pair: [Option<String>; 2],
    /// Of the parallel axes; the last one is the score.
    pub axis: usize,
    /// A range on that axis, in parts of it.
    pub brush: Option<(f64, f64)>,
}

impl SearchView {
    /// Whether a key means anything on this page.
    pub(in crate::dashboard) fn heeds(&self, msg: &SearchMsg) -> bool {
        match msg {
            SearchMsg::Regret => self.panel == Panel::Overview,
            SearchMsg::Swap => self.panel == Panel::Contour,
            SearchMsg::Brush | SearchMsg::Widen | SearchMsg::Narrow => self.panel == Panel::Parallel,
            _ => true,
        }
    }

    /// What this page needs besides the sweep's trials.
    pub(super) fn wants(&self, data: &Data, sweep: SweepKey) -> Vec<Want> {
        let mut wants = vec![Want::Spec(sweep)];
        if spec(data, sweep).is_none() {
            return wants;
        }
        match self.panel {
            Panel::Overview => wants.push(Want::Outlook(sweep)),
            Panel::Importance | Panel::Slice => wants.push(Want::Insight(sweep)),
            Panel::Contour => {
                wants.push(Want::Insight(sweep));
                // of the most important ones it is told already
                let insight = data.insight(sweep).and_then(|insight| insight.told.as_ref().ok());
                if let Some((insight, names)) = insight.zip(self.pair(data, sweep))
                    && of_pair(insight, &names).is_none()
                {
                    wants.push(want_of(sweep, &names));
                }
            }
            Panel::Parallel => {}
        }
        wants
    }

    /// Parameters that vary, the most important first as far as that is known.
    pub fn parameters(data: &Data, sweep: SweepKey) -> Vec<String> {
        if let Some(Ok(insight)) = data.insight(sweep).map(|insight| &insight.told) {
            return insight.parameters.iter().map(|importance| importance.parameter.clone()).collect();
        }
        let space = spec(data, sweep).map(|spec| &spec.search.space);
        space.into_iter().flat_map(Space::parameters).map(|free| free.name.clone()).collect()
    }

    /// The one that is looked at, by its place among [`SearchView::parameters`].
    pub fn parameter(&self, parameters: &[String]) -> usize {
        parameters.iter().position(|name| Some(name) == self.parameter.as_ref()).unwrap_or(0)
    }

    /// The two that are looked at together, across and up.
    pub fn pair(&self, data: &Data, sweep: SweepKey) -> Option<[String; 2]> {
        let known = Self::parameters(data, sweep);
        let chosen = |place: usize| self.pair[place].as_ref().filter(|name| known.contains(name));
        let across = chosen(0).or_else(|| known.iter().find(|name| Some(*name) != chosen(1)))?;
        let up = chosen(1).filter(|name| *name != across).or_else(|| known.iter().find(|name| *name != across))?;
        Some([across.clone(), up.clone()])
    }

    pub(super) fn update(&mut self, msg: &SearchMsg, data: &Data, sweep: SweepKey, ledger: &Ledger) -> Option<Msg> {
        match msg {
            SearchMsg::Panel(panel) => self.panel = *panel,
            SearchMsg::NextPanel => self.panel = self.panel.shifted(1),
            SearchMsg::PreviousPanel => self.panel = self.panel.shifted(Panel::ALL.len() - 1),
            SearchMsg::Open => return self.open(data, sweep, ledger),
            SearchMsg::TrialAt(place) => self.trial = Some(*place),
            SearchMsg::Regret => self.is_regret = !self.is_regret,
            SearchMsg::Swap => {
                if let Some([across, up]) = self.pair(data, sweep) {
                    self.pair = [Some(up), Some(across)];
                }
            }
            SearchMsg::Brush => {
                self.brush = if self.brush.is_some() { None } else { Some((1.0 - BRUSH_WIDTH, 1.0)) };
            }
            SearchMsg::Widen => self.resize(BRUSH_STEP),
            SearchMsg::Narrow => self.resize(-BRUSH_STEP),
        }
        None
    }

    fn open(&mut self, data: &Data, sweep: SweepKey, ledger: &Ledger) -> Option<Msg> {
        match self.panel {
            Panel::Overview => {
                let trial = self.trial.and_then(|place| of_space(ledger).nth(place)).or(ledger.best())?;
                return Some(Msg::OpenTrial(trial.id));
            }
            Panel::Importance => self.panel = Panel::Slice,
            Panel::Slice => {
                let known = Self::parameters(data, sweep);
                let across = known.get(self.parameter(&known))?.clone();
                self.pair = [Some(across), None];
                self.panel = Panel::Contour;
            }
            Panel::Contour | Panel::Parallel => {}
        }
        None
    }

    pub(super) fn step(&mut self, to: Move, data: &Data, sweep: SweepKey, ledger: &Ledger) {
        match self.panel {
            Panel::Overview => {
                let last = of_space(ledger).count().saturating_sub(1);
                let best = || of_space(ledger).position(|trial| ledger.best().is_some_and(|best| best.id == trial.id));
                let here = self.trial.or_else(best).unwrap_or(0);
                self.trial = Some(moved(here, to, last, 10));
            }
            Panel::Importance | Panel::Slice => {
                let known = Self::parameters(data, sweep);
                let next = moved(self.parameter(&known), to, known.len().saturating_sub(1), known.len());
                self.parameter = known.get(next).cloned();
            }
            Panel::Contour => {
                let (known, Some(shown)) = (Self::parameters(data, sweep), self.pair(data, sweep)) else { return };
                match to {
                    Move::Left => self.pair = [another(&known, &shown, 0, false), Some(shown[1].clone())],
                    Move::Right => self.pair = [another(&known, &shown, 0, true), Some(shown[1].clone())],
                    Move::Up => self.pair = [Some(shown[0].clone()), another(&known, &shown, 1, false)],
                    Move::Down => self.pair = [Some(shown[0].clone()), another(&known, &shown, 1, true)],
                    _ => {}
                }
            }
            Panel::Parallel => {
                let axes = Self::parameters(data, sweep).len();
                match to {
                    Move::Left => self.choose_axis(self.axis.min(axes).saturating_sub(1)),
                    Move::Right => self.choose_axis((self.axis + 1).min(axes)),
                    Move::First => self.choose_axis(0),
                    Move::Last => self.choose_axis(axes),
                    Move::To(axis) => self.choose_axis(axis.min(axes)),
                    Move::Up => self.shift(BRUSH_STEP),
                    Move::Down => self.shift(-BRUSH_STEP),
                    Move::Rows(rows) => self.shift(-BRUSH_STEP * rows as f64),
                    Move::PageUp => self.shift(BRUSH_WIDTH),
                    Move::PageDown => self.shift(-BRUSH_WIDTH),
                }
            }
        }
    }

    fn choose_axis(&mut self, axis: usize) {
        if axis != self.axis {
            (self.axis, self.brush) = (axis, None);
        }
    }

    fn shift(&mut self, by: f64) {
        if let Some((low, high)) = &mut self.brush {
            let by = by.clamp(-*low, 1.0 - *high);
            (*low, *high) = (*low + by, *high + by);
        }
    }

    fn resize(&mut self, by: f64) {
        if let Some((low, high)) = &mut self.brush {
            let (middle, half) = (f64::midpoint(*low, *high), ((*high - *low) / 2.0 + by).clamp(BRUSH_STEP / 2.0, 0.5));
            let middle = middle.clamp(half, 1.0 - half);
            (*low, *high) = (middle - half, middle + half);
        }
    }
}

/// What is known of two parameters, and whether it is told the other way round.
pub fn told<'d>(data: &'d Data, sweep: SweepKey, names: &[String; 2]) -> Option<Result<(&'d Pair, bool), Unknown>> {
    let insight = data.insight(sweep).and_then(|insight| insight.told.as_ref().ok());
    let pair = match insight.and_then(|insight| of_pair(insight, names)) {
        Some(pair) => Ok(pair),
        None => data.pair(&want_of(sweep, names))?.told.as_ref().map_err(|why| *why),
    };
    Some(pair.map(|pair| (pair, pair.parameters != *names)))
}

fn of_pair<'i>(insight: &'i Insight, names: &[String; 2]) -> Option<&'i Pair> {
    insight.pairs.iter().find(|pair| sorted(&pair.parameters) == sorted(names))
}

/// One want for both orders of two parameters.
fn want_of(sweep: SweepKey, names: &[String; 2]) -> Want {
    Want::Pair(sweep, sorted(names).map(Clone::clone))
}

fn sorted(names: &[String; 2]) -> [&String; 2] {
    let [a, b] = names;
    if a <= b { [a, b] } else { [b, a] }
}

/// The sweep file, where it can be understood.
pub fn spec(data: &Data, sweep: SweepKey) -> Option<&Spec> {
    data.spec(sweep)?.as_ref().ok().map(AsRef::as_ref)
}

/// All trials but the baseline.
pub fn of_space(ledger: &Ledger) -> impl Iterator<Item = &Trial> {
    ledger.trials.iter().filter(|trial| !trial.id.is_baseline())
}

/// The parameter after or before one of the two, which the other is not.
fn another(known: &[String], shown: &[String; 2], which: usize, forward: bool) -> Option<String> {
    let place = known.iter().position(|name| *name == shown[which])?;
    let by = if forward { 1 } else { known.len() - 1 };
    let mut round = (1..known.len()).map(|step| &known[(place + step * by) % known.len()]);
    round.find(|name| **name != shown[1 - which]).or(known.get(place)).cloned()
}

fn moved(here: usize, to: Move, last: usize, page: usize) -> usize {
    let next = match to {
        Move::Left | Move::Up => here.saturating_sub(1),
        Move::Right | Move::Down => here + 1,
        Move::PageUp => here.saturating_sub(page),
        Move::PageDown => here + page,
        Move::First => 0,
        Move::Last => last,
        Move::Rows(rows) => here.saturating_add_signed(rows),
        Move::To(place) => place,
    };
    next.min(last)
}
