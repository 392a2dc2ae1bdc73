//! The space that a sweep searches: parameters by dotted key, each with the values it may take.

mod condition;
mod domain;
mod point;

pub use condition::{Condition, Test};
pub use domain::Domain;
pub use point::Point;

use serde::{Deserialize, Serialize};

/// The parameters of a sweep, in the order of its file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Space {
    parameters: Vec<Parameter>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Dotted key of the configuration.
    pub name: String,
    pub domain: Domain,
    /// Elsewhere it has no meaning, and no value.
    pub when: Option<Condition>,
}

impl Space {
    pub fn new(parameters: Vec<Parameter>) -> Self {
        Self { parameters }
    }

    /// The parameters that are chosen freely.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The point at one `u` in 0 <= u < 1 for every parameter.
    pub fn point_at(&self, u: &[f64]) -> Point {
        let mut point = Point::default();
        for (parameter, u) in self.parameters.iter().zip(u) {
            if parameter.when.as_ref().is_none_or(|when| when.holds(&point)) {
                point.insert(&parameter.name, parameter.domain.at(*u));
            }
        }
        point
    }

    /// What [`Space::point_at`] makes the point of: of a level the middle of its cell. None where the point has no value,
    /// or one that is not of the space.
    pub fn coordinates(&self, point: &Point) -> Vec<Option<f64>> {
        let coordinate = |parameter: &Parameter| parameter.domain.coordinate(point.get(&parameter.name)?);
        self.parameters.iter().map(coordinate).collect()
    }

    /// Whether the constraints let the point be.
    pub fn allows(&self, _point: &Point) -> bool {
        true
    }

    /// How many points there are at most; none if a parameter is continuous or they cannot be counted.
    pub fn size(&self) -> Option<u64> {
        let levels = |parameter: &Parameter| parameter.domain.levels().map(|levels| levels as u64);
        self.parameters.iter().try_fold(1u64, |size, parameter| size.checked_mul(levels(parameter)?))
    }

    /// The first point of the grid.
    pub fn first_point(&self) -> Point {
        self.point_at(&vec![0.0; self.parameters.len()])
    }

    /// The point of the grid that follows another; the last parameter varies fastest.
    pub fn successor(&self, point: &Point) -> Option<Point> {
        let mut coordinates: Vec<f64> = self.coordinates(point).into_iter().map(|u| u.unwrap_or(0.0)).collect();
        for (index, parameter) in self.parameters.iter().enumerate().rev() {
            let Some(value) = point.get(&parameter.name) else { continue };
            let next = parameter.domain.level(value).and_then(|level| parameter.domain.value(level + 1));
            if let Some(u) = next.and_then(|next| parameter.domain.coordinate(&next)) {
                coordinates[index] = u;
                return Some(self.point_at(&coordinates));
            }
            coordinates[index] = 0.0;
        }
        None
    }
}
