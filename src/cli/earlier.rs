//! `search.warm_start`: the sweeps of the database that a search learns from.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::print::errln;
use crate::failure::{Code, Failure};
use crate::search::Earlier;
use crate::spec::{Lesson, Search, Spec};
use crate::store::Reader;

/// Trials of all earlier sweeps together that are learned from.
const MOST: usize = 400;

/// Reads them, and says on stderr what each tells. `values` are those of keys that the search does not vary.
pub(super) async fn earlier(db: &Path, search: &Search, values: &[(String, Value)]) -> Result<Arc<[Earlier]>, Failure> {
    let mut all = Vec::new();
    for name in &search.warm_start {
        let refused = |why: String| {
            Failure::new(Code::BadInput, format!("search.warm_start: cannot learn from {name}: {why}"))
                .hint("leave it out of the list; `sweep ls` lists the sweeps of this database")
        };
        if !db.exists() {
            return Err(refused(format!("there is no database {}", db.display())));
        }
        let reader = Reader::open(db).await?;
        let record = reader.sweep(name).await.map_err(|error| refused(error.to_string()))?;
        let spec = Spec::of_file(&record.spec_path, &record.spec, &record.overrides)
            .map_err(|problems| refused(format!("its sweep file is not understood any more\n{problems}")))?;
        let history = reader.history(record.key, &spec).await?;
        let most = MOST / search.warm_start.len();
        let lesson = spec.teach(history, search, values, most).map_err(refused)?;
        errln!("{}", about(&record.name, &lesson));
        all.push(lesson.earlier);
    }
    Ok(all.into())
}

/// `learns from lr: 12 trials, by train.learning_rate; it varied train.dropout, which is 0.1 here`
fn about(name: &str, Lesson { earlier, shared }: &Lesson) -> String {
    let here = |value: &Option<Value>| value.as_ref().map_or_else(|| "not set".to_owned(), Value::to_string);
    let fixed: Vec<String> =
        earlier.fixed.iter().map(|(other, value)| format!("{}, which is {} here", other.name, here(value))).collect();
    let varied = if fixed.is_empty() { String::new() } else { format!("; it varied {}", fixed.join(", and ")) };
    format!("learns from {name}: {} trials with scores, by {}{varied}", earlier.trials.len(), shared.join(", "))
}
