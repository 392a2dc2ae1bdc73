//! What the trials of an earlier sweep mean to another one.

use serde_json::Value;

use super::{Search, Spec, Trainer};
use crate::search::space::Point;
use crate::search::{Earlier, History, Tried};

/// An earlier sweep as another one reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    pub earlier: Earlier,
    /// The parameters of the new sweep whose values are known of the earlier trials.
    pub shared: Vec<String>,
}

impl Spec {
    /// The values of its configuration where nothing is varied, by key; none of a program's, which are its own affair.
    pub fn values(&self) -> Vec<(String, Value)> {
        match &self.trainer {
            Trainer::BuiltIn(trainer) => trainer.config.keys(),
            Trainer::Program(_) => Vec::new(),
        }
    }

    /// What this sweep's trials (`history`) tell a `search` that has `values` for keys that it does not vary. At most
    /// `most` trials are kept, evenly over their numbers: a process slows down with the cube of what it knows. An error is
    /// why they tell nothing.
    pub fn teach(
        &self,
        history: History,
        search: &Search,
        values: &[(String, Value)],
        most: usize,
    ) -> Result<Lesson, String> {
        let own = &self.search;
        if (&own.objective, own.direction) != (&search.objective, search.direction) {
            let said = |search: &Search| format!("{} ({})", search.objective, search.direction.name());
            return Err(format!("its objective is {}, here it is {}", said(own), said(search)));
        }
        let has_scores = |tried: &Tried| tried.scores.iter().any(|(_, score)| score.is_finite());
        let scored: Vec<Tried> = history.trials.into_iter().filter(has_scores).collect();
        if scored.is_empty() {
            return Err("none of its trials has a score".to_owned());
        }
        let names: Vec<&str> = search.space.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
        let others = own.space.parameters().iter().filter(|other| search.space.names().all(|name| name != other.name));
        let here = |name: &str| values.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let fixed: Vec<_> = others.map(|other| (other.clone(), here(&other.name))).collect();
        let kept = scored.len().min(most);
        let trials: Vec<Tried> = (0..kept)
            .map(|place| &scored[place * scored.len() / kept])
            .map(|tried| {
                let known = self.values_at(&tried.point);
                let asked = names.iter().copied().chain(fixed.iter().map(|(other, _)| other.name.as_str()));
                let value = |name: &str| known.iter().find(|(key, _)| key == name).cloned();
                Tried { point: asked.filter_map(value).collect(), ..tried.clone() }
            })
            .collect();
        let is_known = |name: &&str| trials.iter().any(|tried| tried.point.get(name).is_some());
        let shared: Vec<String> = names.iter().filter(|name| is_known(name)).map(|name| (*name).to_owned()).collect();
        if shared.is_empty() {
            return Err(format!("it knows none of the parameters here: {}", names.join(", ")));
        }
        Ok(Lesson { earlier: Earlier { trials, fixed }, shared })
    }

    /// The values at a point, by key.
    fn values_at(&self, point: &Point) -> Vec<(String, Value)> {
        let varied = point.iter().map(|(name, value)| (name.clone(), value.clone()));
        let config = match &self.trainer {
            Trainer::BuiltIn(trainer) => trainer.config_at(point).ok(),
            Trainer::Program(_) => None,
        };
        varied.chain(config.into_iter().flat_map(|config| config.keys())).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::search::TriedState;

    fn spec(text: &str) -> Spec {
        Spec::parse("test", text, &[]).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn tried(values: &[(&str, Value)], score: f64) -> Tried {
        let point = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Tried { point, scores: vec![(0, score)], state: TriedState::Finished }
    }

    #[test]
    fn what_is_not_varied_has_its_value() {
        let old = spec(
            "data.path = \"a.csv\"\ntrain.epochs = 9\n[search.space]\n\"train.learning_rate\" = [1e-3, 1e-2]\n\
             \"train.weight_decay\" = [0.0, 0.1]",
        );
        let new = spec(
            "data.path = \"a.csv\"\ntrain.weight_decay = 0.05\n[search]\nsampler = \"bayes\"\n[search.space]\n\
             \"train.learning_rate\" = { low = 1e-4, high = 1e-2, log = true }\n\"train.epochs\" = [3, 9]",
        );
        let trials = vec![
            tried(&[("train.learning_rate", json!(1e-3)), ("train.weight_decay", json!(0.1))], 0.7),
            tried(&[("train.learning_rate", json!(1e-2)), ("train.weight_decay", json!(0.0))], f64::NAN),
        ];
        let lesson = old.teach(History::of(trials), &new.search, &new.values(), 100).expect("they share parameters");
        assert_eq!(lesson.shared, ["train.learning_rate", "train.epochs"]);
        let known = lesson.earlier.trials.iter().map(|tried| tried.point.to_string()).collect::<Vec<_>>();
        assert_eq!(known, ["train.learning_rate = 0.001, train.epochs = 9, train.weight_decay = 0.1"]);
        let fixed = lesson.earlier.fixed.iter().map(|(other, here)| (other.name.as_str(), here.clone()));
        assert_eq!(fixed.collect::<Vec<_>>(), [("train.weight_decay", Some(json!(0.05)))]);
    }

    #[test]
    fn many_trials_are_thinned_out_evenly() {
        let own = spec("data.path = \"a.csv\"\n[search.space]\n\"train.epochs\" = { low = 1, high = 1000 }");
        let trials = (1..=1000).map(|epochs| tried(&[("train.epochs", json!(epochs))], 0.5)).collect();
        let lesson = own.teach(History::of(trials), &own.search, &[], 4).expect("they share all");
        let kept = lesson.earlier.trials.iter().map(|tried| tried.point.get("train.epochs").and_then(Value::as_i64));
        assert_eq!(kept.collect::<Vec<_>>(), [Some(1), Some(251), Some(501), Some(751)]);
    }

    #[test]
    fn what_cannot_be_compared_teaches_nothing() {
        let text = |objective: &str, key: &str| {
            format!("data.path = \"a.csv\"\nsearch.objective = \"{objective}\"\n[search.space]\n\"{key}\" = [0.1, 0.2]")
        };
        let here = spec(&text("macro_f1", "train.learning_rate"));
        let tell = |other: &Spec, trials: Vec<Tried>| {
            other.teach(History::of(trials), &here.search, &here.values(), 100).expect_err("teaches nothing")
        };
        let some = || vec![tried(&[("train.learning_rate", json!(0.1))], 0.5)];
        let loss = spec(&text("log_loss", "train.learning_rate"));
        assert_eq!(tell(&loss, some()), "its objective is log_loss (minimize), here it is macro_f1 (maximize)");
        assert_eq!(tell(&here, Vec::new()), "none of its trials has a score");
        let program = spec(
            "trainer.command = [\"x\"]\n[search]\nobjective = \"macro_f1\"\ndirection = \"maximize\"\n\
             [search.space]\nlr = [0.1, 0.2]",
        );
        let of_program = vec![tried(&[("lr", json!(0.1))], 0.5)];
        assert_eq!(tell(&program, of_program), "it knows none of the parameters here: train.learning_rate");
    }
}
