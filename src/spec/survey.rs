//! What the points of a space come to, seen before anything runs: how many are refused, by what, and which values never
//! make a configuration that can run.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::problem::Problem;
use crate::search::scattered;
use crate::search::space::{Point, Space};

/// Points of a space that are looked at one by one; of a larger one a sample stands for all.
const WHOLE: usize = 2_000;
const SAMPLE: u32 = 1_000;
/// Points at the corners of a space that are looked at.
const CORNERS: usize = 64;
/// Draws with a value after which it counts as one that never fits, if that many of them got past the constraints.
const CHANCES: u32 = 200;
const REFUSALS: u32 = 20;
const SEED: u64 = 0x5eed;

/// How many points are refused. Such points are never proposed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// Points that were looked at.
    pub points: u32,
    /// Whether they are all there are.
    pub whole: bool,
    /// Refused by constraints, and by the configuration that they come to.
    pub constrained: u32,
    pub misconfigured: u32,
    /// One that is refused, and why.
    pub example: Option<String>,
}

/// What a point comes to.
pub(super) enum Verdict {
    Good,
    /// A constraint is against it.
    Constrained(String),
    /// No configuration that can run.
    Misconfigured(Vec<Problem>),
}

/// A survey and what it brought to light.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) survey: Survey,
    /// Parameters and values with which every point is refused, though others are not; with one such point and what is
    /// wrong with it.
    pub(super) useless: Vec<(String, Point, Vec<Problem>)>,
    /// Some points that are refused.
    pub(super) refused: Vec<(Point, Verdict)>,
    /// Some points that are good.
    pub(super) good: Vec<Point>,
}

/// What was seen of the values of each parameter.
type Values = BTreeMap<(String, String), Seen>;

#[derive(Default)]
struct Seen {
    good: bool,
    wrong: Option<(Point, Vec<Problem>)>,
    refused: u32,
}

/// Examples of each kind that are kept.
const KEPT: usize = 50;

impl Findings {
    /// Looks at every point of a small space, else at its corners, at a sample that is always the same, and at every listed
    /// value and end of a range.
    pub(super) fn of(space: &Space, judge: &dyn Fn(&Point) -> Verdict) -> Self {
        let mut findings = Self::default();
        let values = if let Some(points) = space.size().and_then(|_| listed(space)) {
            findings.survey.whole = true;
            findings.look_at_all(space, &points, judge)
        } else {
            findings.sample(space, judge);
            values(space, judge)
        };
        if !findings.good.is_empty() {
            let enough = if findings.survey.whole { 1 } else { REFUSALS };
            let useless = values.into_iter().filter(|(_, seen)| !seen.good && seen.refused >= enough);
            let examples = useless.filter_map(|((name, _), seen)| seen.wrong.map(|(point, what)| (name, point, what)));
            findings.useless = examples.collect();
        }
        findings
    }

    fn look_at_all(&mut self, space: &Space, points: &[Point], judge: &dyn Fn(&Point) -> Verdict) -> Values {
        let mut values = Values::new();
        for point in points {
            let verdict = judge(point);
            for free in space.parameters() {
                if let Some(value) = point.get(&free.name) {
                    values.entry((free.name.clone(), value.to_string())).or_default().note(point, &verdict);
                }
            }
            self.count(point, verdict);
        }
        values
    }

    fn sample(&mut self, space: &Space, judge: &dyn Fn(&Point) -> Verdict) {
        // the roundest numbers make the best examples
        for point in corners(space) {
            self.keep(&point, judge(&point));
        }
        for number in 0..SAMPLE {
            let point = space.point_at(&scattered(SEED, number, space.parameters().len()));
            self.count(&point, judge(&point));
        }
    }

    fn count(&mut self, point: &Point, verdict: Verdict) {
        self.survey.points += 1;
        match &verdict {
            Verdict::Good => {}
            Verdict::Constrained(_) => self.survey.constrained += 1,
            Verdict::Misconfigured(_) => self.survey.misconfigured += 1,
        }
        self.keep(point, verdict);
    }

    fn keep(&mut self, point: &Point, verdict: Verdict) {
        let example = match &verdict {
            Verdict::Good => {
                if self.good.len() < KEPT {
                    self.good.push(point.clone());
                }
                return;
            }
            Verdict::Constrained(why) => format!("{point}: {why}"),
            Verdict::Misconfigured(problems) => {
                let first = problems.first().map(|problem| format!("{}: {}", problem.key, problem.what));
                format!("{point}: {}", first.unwrap_or_default())
            }
        };
        self.survey.example.get_or_insert(example);
        if self.refused.len() < KEPT {
            self.refused.push((point.clone(), verdict));
        }
    }
}

impl Survey {
    pub fn refused(&self) -> u32 {
        self.constrained + self.misconfigured
    }

    /// Whether next to nothing is allowed: not one of the points that were looked at.
    pub(super) fn is_hopeless(&self) -> bool {
        self.refused() == self.points
    }

    /// Points that can be proposed, where all were looked at.
    pub fn allowed(&self) -> Option<u32> {
        self.whole.then(|| self.points - self.refused())
    }
}

/// `6 of 24 points are refused and never tried (25.0 %): 4 by constraints, 2 by the model, such as …`
impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { points, whole, constrained, misconfigured, example } = self;
        let refused = self.refused();
        let share = 100.0 * f64::from(refused) / f64::from((*points).max(1));
        if *whole {
            write!(f, "{refused} of {points} points are refused and never tried ({share:.1} %)")?;
        } else {
            write!(f, "{share:.1} % of the space is refused and never tried ({refused} of {points} points drawn)")?;
        }
        let parts = [(constrained, "constraints"), (misconfigured, "the model")];
        let parts = parts.iter().filter(|(count, _)| **count > 0).map(|(count, by)| format!("{count} by {by}"));
        write!(f, ": {}", parts.collect::<Vec<_>>().join(", "))?;
        example.as_ref().map_or(Ok(()), |example| write!(f, ", such as {example}"))
    }
}

impl Seen {
    fn note(&mut self, point: &Point, verdict: &Verdict) {
        match verdict {
            Verdict::Good => self.good = true,
            Verdict::Constrained(_) => {}
            Verdict::Misconfigured(problems) => {
                self.refused += 1;
                self.wrong.get_or_insert_with(|| (point.clone(), problems.clone()));
            }
        }
    }
}

/// Draws with every listed value and end of a range, until one is good.
fn values(space: &Space, judge: &dyn Fn(&Point) -> Verdict) -> Values {
    let dimensions = space.parameters().len();
    let mut values = Values::new();
    for free in space.parameters() {
        for value in free.domain.representatives() {
            let seen = values.entry((free.name.clone(), value.to_string())).or_default();
            let given = Point::default().with(&free.name, value);
            let draws = (0..CHANCES).map(|number| space.complete(&given, &scattered(SEED + 1, number, dimensions)));
            // elsewhere it has no meaning, and says nothing
            for point in draws.filter(|point| point.get(&free.name).is_some()) {
                seen.note(&point, &judge(&point));
                if seen.good {
                    break;
                }
            }
        }
    }
    values
}

/// All points of a space, if they are few.
fn listed(space: &Space) -> Option<Vec<Point>> {
    let points: Vec<Point> =
        std::iter::successors(Some(space.first_point()), |point| space.successor(point)).take(WHOLE + 1).collect();
    (points.len() <= WHOLE).then_some(points)
}

/// Points where every parameter is at one of its ends.
fn corners(space: &Space) -> impl Iterator<Item = Point> {
    let ends: Vec<[Option<Value>; 2]> = space
        .parameters()
        .iter()
        .map(|free| {
            let values = free.domain.representatives();
            [values.first().cloned(), values.last().cloned()]
        })
        .collect();
    let all = 1usize.checked_shl(ends.len() as u32).unwrap_or(usize::MAX);
    (0..all.min(CORNERS)).map(move |corner| {
        let u = scattered(SEED + 2, corner as u32, ends.len());
        let side = |index: usize| if all <= CORNERS { corner >> index & 1 } else { usize::from(u[index] < 0.5) };
        let given = space.parameters().iter().enumerate();
        let given = given.filter_map(|(index, free)| Some((free.name.clone(), ends[index][side(index)].clone()?)));
        space.complete(&given.collect(), &u)
    })
}
