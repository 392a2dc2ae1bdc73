//! The space that a sweep searches: parameters by dotted key, each with the values it may take.

mod condition;
mod domain;
mod expression;
mod point;
#[cfg(test)]
mod tests;

pub use condition::{Condition, Test};
pub use domain::Domain;
pub use expression::{Expression, Lookup, SyntaxError};
pub use point::Point;

use serde::Serialize;
use serde_json::Value;

use expression::Kind;

/// The parameters of a sweep, in the order of its file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Space {
    parameters: Vec<Parameter>,
    tied: Vec<Tied>,
    constraints: Vec<Expression>,
    /// All parameters by number, the tied ones after the free ones: each after those that it depends on.
    #[serde(skip)]
    order: Vec<usize>,
}

/// A parameter that is chosen freely.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// Dotted key of the configuration.
    pub name: String,
    pub domain: Domain,
    /// Elsewhere it has no meaning, and no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

/// A parameter that follows from others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tied {
    pub name: String,
    pub equals: Expression,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

/// Why a parameter, or a constraint by its text, cannot be of a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It depends on a name that is no parameter.
    Unknown { name: String, asks_for: String },
    /// It depends on itself: the way round.
    Cycle { name: String, way: Vec<String> },
    /// Its condition is true of no value of the other parameter.
    Never { name: String, asks_for: String },
    /// A constraint that is a number or a text, or a tied value that is a comparison.
    Kind { name: String },
}

impl Space {
    /// Parameters without ties and constraints. Whoever takes them from a user takes [`Space::build`].
    pub fn new(parameters: Vec<Parameter>) -> Self {
        let mut space = Self { parameters, ..Self::default() };
        (space.order, _) = space.sorted();
        space
    }

    /// A space whose parameters fit together, or all reasons why they do not.
    pub fn build(
        parameters: Vec<Parameter>,
        tied: Vec<Tied>,
        constraints: Vec<Expression>,
    ) -> Result<Self, Vec<Misfit>> {
        let mut space = Self { parameters, tied, constraints, order: Vec::new() };
        let mut misfits = space.misfits();
        let left;
        (space.order, left) = space.sorted();
        if let Some(way) = space.cycle(&left) {
            misfits.push(Misfit::Cycle { name: way[0].clone(), way });
        }
        if misfits.is_empty() { Ok(space) } else { Err(misfits) }
    }

    /// The parameters that are chosen freely.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    pub fn tied(&self) -> &[Tied] {
        &self.tied
    }

    pub fn constraints(&self) -> &[Expression] {
        &self.constraints
    }

    /// All parameters, the free ones first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|free| free.name.as_str()).chain(self.tied.iter().map(|tied| tied.name.as_str()))
    }

    /// The point at one `u` in 0 <= u < 1 for every parameter.
    pub fn point_at(&self, u: &[f64]) -> Point {
        self.complete(&Point::default(), u)
    }

    /// A point with some values given, and the others at their `u`.
    pub fn complete(&self, given: &Point, u: &[f64]) -> Point {
        let mut point = Point::default();
        for index in &self.order {
            let value = match self.parameters.get(*index) {
                Some(free) => {
                    let value = || given.get(&free.name).cloned().unwrap_or_else(|| free.domain.at(u[*index]));
                    free.is_active(&point).then(value)
                }
                None => self.tied[index - self.parameters.len()].value(&point).unwrap_or(None),
            };
            if let Some(value) = value {
                point.insert(self.name(*index), value);
            }
        }
        if self.order.is_sorted() { point } else { self.names().filter_map(|name| point.taken(name)).collect() }
    }

    /// What [`Space::point_at`] makes the point of: of a level the middle of its cell. None where the point has no value,
    /// or one that is not of the space.
    pub fn coordinates(&self, point: &Point) -> Vec<Option<f64>> {
        let coordinate = |free: &Parameter| free.domain.coordinate(point.get(&free.name)?);
        self.parameters.iter().map(coordinate).collect()
    }

    /// Whether the constraints let the point be. What they say of keys that are not parameters is not known here: the
    /// configuration at the point is judged with them as well.
    pub fn allows(&self, point: &Point) -> bool {
        self.refusal(point, &|_| None).is_none()
    }

    /// Why a point may not be, with the values of other keys than parameters.
    pub fn refusal(&self, point: &Point, others: Lookup<'_>) -> Option<String> {
        for tied in &self.tied {
            if let Err(why) = tied.value(point) {
                return Some(format!("{} = {}: {why}", tied.name, tied.equals));
            }
        }
        let lookup = |name: &str| if self.has(name) { point.get(name).cloned() } else { others(name) };
        self.constraints.iter().find_map(|constraint| match constraint.holds(&lookup) {
            Ok(true) => None,
            Ok(false) => Some(format!("{constraint} does not hold")),
            Err(why) => Some(format!("{constraint}: {why}")),
        })
    }

    /// Names that constraints use and that are no parameters.
    pub fn other_names(&self) -> impl Iterator<Item = &str> {
        self.constraints.iter().flat_map(Expression::names).filter(|name| !self.has(name))
    }

    /// How many points there are at most; none if a parameter is continuous or they cannot be counted.
    pub fn size(&self) -> Option<u64> {
        let levels = |free: &Parameter| free.domain.levels().map(|levels| levels as u64);
        self.parameters.iter().try_fold(1u64, |size, free| size.checked_mul(levels(free)?))
    }

    /// The first point of the grid.
    pub fn first_point(&self) -> Point {
        self.point_at(&vec![0.0; self.parameters.len()])
    }

    /// The point of the grid that follows another; the last parameter varies fastest. None after the last, and where a
    /// parameter that must change is continuous.
    pub fn successor(&self, point: &Point) -> Option<Point> {
        let free: Vec<&Parameter> = self.order.iter().filter_map(|index| self.parameters.get(*index)).collect();
        let values = |free: &[&Parameter]| -> Point {
            free.iter().filter_map(|free| Some((free.name.clone(), point.get(&free.name)?.clone()))).collect()
        };
        free.iter().enumerate().rev().find_map(|(place, changed)| {
            let level = changed.domain.level(point.get(&changed.name)?)?;
            let given = values(&free[..place]).with(&changed.name, changed.domain.value(level + 1)?);
            Some(self.complete(&given, &vec![0.0; self.parameters.len()]))
        })
    }

    fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    fn name(&self, index: usize) -> &str {
        match self.parameters.get(index) {
            Some(free) => &free.name,
            None => &self.tied[index - self.parameters.len()].name,
        }
    }

    /// The names that a parameter's value or its being there depends on.
    fn asks_for(&self, index: usize) -> Vec<&str> {
        let (when, value) = if let Some(free) = self.parameters.get(index) {
            (&free.when, None)
        } else {
            let tied = &self.tied[index - self.parameters.len()];
            (&tied.when, Some(&tied.equals))
        };
        let conditions = when.iter().flat_map(Condition::names);
        conditions.chain(value.into_iter().flat_map(Expression::names)).collect()
    }

    /// The parameters so that each comes after those that it asks for, as near to the file's order as that allows; and
    /// those for which there is no such place.
    fn sorted(&self) -> (Vec<usize>, Vec<usize>) {
        let (mut order, mut left) = (Vec::new(), (0..self.parameters.len() + self.tied.len()).collect::<Vec<_>>());
        loop {
            let waits = |index: &usize| {
                self.asks_for(*index).into_iter().any(|name| left.iter().any(|other| self.name(*other) == name))
            };
            let Some(place) = left.iter().position(|index| !waits(index)) else { return (order, left) };
            order.push(left.remove(place));
        }
    }

    /// The way round, from a parameter that depends on itself.
    fn cycle(&self, left: &[usize]) -> Option<Vec<String>> {
        let mut way = vec![*left.first()?];
        loop {
            let last = way[way.len() - 1];
            let next = left.iter().find(|index| self.asks_for(last).contains(&self.name(**index)))?;
            if let Some(begin) = way.iter().position(|index| index == next) {
                let round = way[begin..].iter().chain([next]);
                return Some(round.map(|index| self.name(*index).to_owned()).collect());
            }
            way.push(*next);
        }
    }

    fn misfits(&self) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        for index in 0..self.parameters.len() + self.tied.len() {
            for asked in self.asks_for(index).into_iter().filter(|asked| !self.has(asked)) {
                misfits.push(Misfit::Unknown { name: self.name(index).to_owned(), asks_for: asked.to_owned() });
            }
        }
        let conditions = self.parameters.iter().map(|free| (&free.name, &free.when));
        for (name, when) in conditions.chain(self.tied.iter().map(|tied| (&tied.name, &tied.when))) {
            for (asked, test) in when.iter().flat_map(|when| &when.0) {
                let other = self.parameters.iter().find(|free| free.name == *asked);
                if other.is_some_and(|other| !test.can_hold(&other.domain)) {
                    misfits.push(Misfit::Never { name: name.clone(), asks_for: asked.clone() });
                }
            }
        }
        let numbers =
            self.constraints.iter().filter(|constraint| !matches!(constraint.kind(), Kind::Truth | Kind::Open));
        misfits.extend(numbers.map(|constraint| Misfit::Kind { name: constraint.to_string() }));
        let truths = self.tied.iter().filter(|tied| tied.equals.kind() == Kind::Truth);
        misfits.extend(truths.map(|tied| Misfit::Kind { name: tied.name.clone() }));
        misfits
    }
}

impl Parameter {
    /// Whether it has a meaning beside the values that the point has so far.
    fn is_active(&self, point: &Point) -> bool {
        self.when.as_ref().is_none_or(|when| when.holds(point))
    }
}

impl Tied {
    /// Its value at a point: none where it, or what it follows from, has no meaning.
    fn value(&self, point: &Point) -> Result<Option<Value>, String> {
        if self.when.as_ref().is_some_and(|when| !when.holds(point)) {
            return Ok(None);
        }
        self.equals.value(&|name| point.get(name).cloned())
    }
}
