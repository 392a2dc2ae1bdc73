//! The scale on which scores meet the process.
//!
//! A bad learning rate does not score a little worse but at the level of chance: a cliff and a plateau, to which a
//! stationary process answers with short lengths everywhere. Above the median scores are left as they are; below it
//! distances grow as logarithms only. So the process keeps its eyes on differences among the good, an outlier costs
//! nothing, and gains have one unit throughout. (HEBO, Cowen-Rivers 2022, transforms by power laws to the same end;
//! those bend the good end too.)

/// More is better on both sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    median: f64,
    /// From the median to the 9th decile.
    unit: f64,
    mean: f64,
    sd: f64,
}

/// Where below the median logarithms take over, in units.
const BEND: f64 = 0.5;

/// No score is further below the median than this, once bent (about 200 units before): what has diverged can be anything,
/// and from the spread of all scores it must not take what tells the good apart.
const FLOOR: f64 = -3.0;

impl Scale {
    /// For these scores: mean 0 and variance 1 afterwards.
    pub fn of(scores: &[f64]) -> Self {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at =
            |share: f64| sorted.get((share * sorted.len() as f64) as usize).or(sorted.last()).copied().unwrap_or(0.0);
        let median = at(0.5);
        // where nearly all that is good is equal, the spread of the bad says what a difference is
        let unit = (at(0.9) - median).max(0.1 * (median - at(0.25)));
        let unit = if unit > 0.0 { unit } else { (at(1.0) - at(0.0)).max(f64::MIN_POSITIVE) };
        let bent: Vec<f64> = scores.iter().map(|score| bend((score - median) / unit)).collect();
        let mean = bent.iter().sum::<f64>() / bent.len().max(1) as f64;
        let variance = bent.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / bent.len().max(1) as f64;
        Self { median, unit, mean, sd: if variance > 0.0 { variance.sqrt() } else { 1.0 } }
    }

    pub fn to_process(self, score: f64) -> f64 {
        (bend((score - self.median) / self.unit) - self.mean) / self.sd
    }

    pub fn to_score(self, x: f64) -> f64 {
        let bent = (x * self.sd + self.mean).max(FLOOR);
        let straight = if bent >= 0.0 { bent } else { -BEND * ((-bent / BEND).exp() - 1.0) };
        self.median + self.unit * straight
    }

    /// What a difference of 1 among the good is in scores.
    pub fn gain(self) -> f64 {
        self.unit * self.sd
    }
}

fn bend(x: f64) -> f64 {
    if x >= 0.0 { x } else { (-BEND * (-x / BEND).ln_1p()).max(FLOOR) }
}
