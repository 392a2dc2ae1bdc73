//! Hyperparameters by maximum a posteriori.

use super::data::Data;
use super::lbfgs::minimize;
use super::likelihood::Target;
use super::posterior::Posterior;
use super::prior::{Hyperparameters, Priors};

/// Steps from each start: lengths change little after them.
const ITERATIONS: usize = 25;

/// Settings that hyperparameters are learned from: a factorisation costs the cube of their number.
const MOST: usize = 300;

/// The best hyperparameters that are found, and the posterior of all data with them. None if no start leads anywhere:
/// scores that are not numbers.
pub fn fit(data: &Data, priors: &Priors) -> Option<(Hyperparameters, Posterior)> {
    let axes = data.axes().len();
    let some = (data.settings().len() > MOST).then(|| data.only(&telling(data)));
    let learned = some.as_ref().unwrap_or(data);
    let target = Target::new(learned, priors);
    let starts = Priors::starts(axes).into_iter();
    let found =
        starts.filter_map(|start| minimize(start.to_row(learned.folds() > 0), ITERATIONS, |row| target.at(row)));
    let (_, row) = found.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let hyperparameters = Hyperparameters::from_row(&row, axes);
    let posterior = Posterior::new(data, &hyperparameters)?;
    Some((hyperparameters, posterior))
}

/// The best third of what may be learned from, and the others evenly through the ranks.
fn telling(data: &Data) -> Vec<usize> {
    let mut order: Vec<usize> = (0..data.settings.len()).collect();
    order.sort_by(|a, b| data.means[*b].total_cmp(&data.means[*a]).then(a.cmp(b)));
    let (best, rest) = order.split_at(MOST / 3);
    let others = MOST - best.len();
    let spread = (0..others).map(|place| rest[place * rest.len() / others]);
    let mut some: Vec<usize> = best.iter().copied().chain(spread).collect();
    some.sort_unstable();
    some
}
