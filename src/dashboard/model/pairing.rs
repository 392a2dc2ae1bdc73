//! Whether the scores of two sweeps can be paired, fold by fold.

use crate::spec::{FoldPlan, Spec};
use crate::store::{Outline, SweepRecord};

/// What the folds of a sweep are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Folds {
    /// None: its file was written for another `sweep`, and is not understood any more.
    plan: Option<FoldPlan>,
    data_sha256: Option<String>,
    documents: Option<u64>,
}

impl Folds {
    pub(super) fn of(record: &SweepRecord) -> Self {
        let spec = Spec::of_file(&record.spec_path, &record.spec, &record.overrides);
        let plan = spec.ok().map(|spec| spec.folds);
        Self { plan, data_sha256: record.data_sha256.clone(), documents: record.documents }
    }

    /// Fold for fold the same documents, or why not.
    fn pairs_with(&self, other: &Self) -> Result<(), String> {
        let (Some(own), Some(its)) = (&self.plan, &other.plan) else {
            return Err("an old sweep file is not understood".to_owned());
        };
        if own != its {
            let with = own.stratify != its.stratify;
            return Err(format!("other folds: {}, {}", said(own, with), said(its, with)));
        }
        if (&self.data_sha256, self.documents) != (&other.data_sha256, other.documents) {
            return Err("other data".to_owned());
        }
        Ok(())
    }
}

fn said(plan: &FoldPlan, with_stratification: bool) -> String {
    let stratified = match (with_stratification, plan.stratify) {
        (false, _) => "",
        (true, true) => " stratified",
        (true, false) => " not stratified",
    };
    format!("{} x {} of seed {}{stratified}", plan.repeats, plan.k, plan.seed)
}

/// Whether trials of two sweeps are scored by the same thing on the same folds; else why not.
pub(super) fn pairs(own: (&Outline, Option<&Folds>), its: (&Outline, Option<&Folds>)) -> Result<(), String> {
    if own.0.head.key == its.0.head.key {
        return Ok(());
    }
    if (&own.0.objective, own.0.direction) != (&its.0.objective, its.0.direction) {
        return Err(format!("other objectives: {}, {}", own.0.objective, its.0.objective));
    }
    let (Some(own), Some(its)) = (own.1, its.1) else { return Err("reading …".to_owned()) };
    own.pairs_with(its)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "data.path = \"a.csv\"\n[folds]\nk = 5\n[search.space]\n\"train.learning_rate\" = [1e-3, 1e-2]";

    fn folds(file: &str, changes: &[&str], sha256: &str) -> Folds {
        let record = SweepRecord {
            key: crate::store::SweepKey(1),
            created: crate::store::Millis(0),
            name: "lr".to_owned(),
            state: crate::store::SweepState::Finished,
            spec: file.to_owned(),
            spec_path: "lr.toml".into(),
            overrides: changes.iter().map(|change| (*change).to_owned()).collect(),
            project: "/".into(),
            documents: Some(100),
            data_sha256: Some(sha256.to_owned()),
            classes: Vec::new(),
            encoders: std::collections::BTreeMap::new(),
            version: "0.1.0".to_owned(),
            host: "box".to_owned(),
        };
        Folds::of(&record)
    }

    fn check(other: &Folds, expect: Result<(), &str>) {
        let found = folds(FILE, &[], "a").pairs_with(other);
        assert_eq!(found, expect.map_err(str::to_owned));
    }

    #[test]
    fn the_same_documents_in_the_same_folds() {
        check(&folds(FILE, &["search.sampler=\"random\""], "a"), Ok(()));
        check(&folds(FILE, &["folds.seed=3"], "a"), Err("other folds: 1 x 5 of seed 17, 1 x 5 of seed 3"));
        check(&folds(FILE, &["folds.repeats=2"], "a"), Err("other folds: 1 x 5 of seed 17, 2 x 5 of seed 17"));
        check(&folds(FILE, &[], "b"), Err("other data"));
        check(&folds("name = 3", &[], "a"), Err("an old sweep file is not understood"));
    }
}
