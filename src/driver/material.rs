//! What runs are made of: tokenised documents and folds, made once for all trials that share them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::encoders::Encoders;
use super::slots::Slots;
use crate::protocol::Device;
use crate::search::space::Point;
use crate::spec::{BuiltIn, Config, Encoder, FoldPlan, Precision, Problems, Spec};
use crate::sweep::FoldId;
use crate::text::folds::{FoldError, Folds, Labels};
use crate::text::{Corpus, CorpusError, prepare};

#[derive(Debug, Error)]
pub enum MaterialError {
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error("{}{}", explain(reason, classes), if *held_out > 0 { format!("; {held_out} are held out") } else { String::new() })]
    Folds { reason: FoldError, classes: Vec<String>, held_out: usize },
    #[error("model.{key}: {what}")]
    Model { key: &'static str, what: String },
    #[error("train.{key}: {what}")]
    Train { key: &'static str, what: String },
    #[error("the configuration at {point} cannot run:\n{problems}")]
    Point { point: Point, problems: Problems },
    #[error("with {point}: {source}")]
    At { point: Point, source: Box<MaterialError> },
    #[error("search.objective: {objective} needs {needed} classes, the documents have {found}")]
    Objective { objective: String, needed: usize, found: usize },
    #[error("preparing the documents ended early")]
    Lost,
}

fn explain(error: &FoldError, classes: &[String]) -> String {
    let name = |class: u32| classes.get(class as usize).map_or("?", String::as_str);
    match error {
        FoldError::TooFewOfClass { class, documents, k } => {
            let class = name(*class);
            format!(
                "folds.k: class {class:?} has fewer documents ({documents}) than there are folds ({k}); lower folds.k, add \
                 documents, or set folds.stratify = false"
            )
        }
        FoldError::UnseenClass { class, groups, k } => {
            let class = name(*class);
            format!(
                "folds.k: class {class:?} lies in too few groups ({groups}) for {k} folds: one would be trained without \
                 it; lower folds.k, or set folds.stratify = false"
            )
        }
        other => format!("folds.k: {other}"),
    }
}

/// Documents and folds of one configuration.
#[derive(Debug)]
pub struct Material {
    pub corpus: Corpus,
    pub path: PathBuf,
    /// Of the places in `rest`.
    folds: Folds,
    /// The documents that are not held out, ascending.
    rest: Vec<u32>,
}

impl Material {
    /// The documents to train on and those to be scored on, both ascending: of a fold, or of the holdout.
    pub fn split(&self, fold: FoldId) -> (Vec<u32>, Vec<u32>) {
        if fold.is_holdout() {
            return (self.rest.clone(), self.corpus.holdout().to_vec());
        }
        let (train, validation) = self.folds.split(fold.repeat, fold.fold as u32);
        let documents = |places: Vec<u32>| places.into_iter().map(|place| self.rest[place as usize]).collect();
        (documents(train), documents(validation))
    }
}

/// All materials of a sweep, by what they are made from.
#[derive(Debug)]
pub struct Materials {
    project: PathBuf,
    cache: PathBuf,
    plan: FoldPlan,
    encoders: Encoders,
    /// Whether runs are on cards.
    on_cards: bool,
    known: BTreeMap<String, Arc<Material>>,
}

/// Points that are prepared before anything runs; a longer sweep meets its later points when it gets there.
const PREPARED: u32 = 1_000;

impl Materials {
    /// Paths of configurations are relative to `project`; files go to `cache`.
    pub fn new(project: PathBuf, cache: PathBuf, plan: FoldPlan, encoders: Encoders, slots: &Slots) -> Self {
        let on_cards = slots.places.iter().all(|slot| slot.device == Device::Cuda);
        Self { project, cache, plan, encoders, on_cards, known: BTreeMap::new() }
    }

    pub fn encoders(&self) -> &Encoders {
        &self.encoders
    }

    pub(super) fn project(&self) -> &Path {
        &self.project
    }

    /// Prepares what the points of a sweep will need, so that what cannot run is known before anything runs.
    pub async fn prepare(&mut self, trainer: &BuiltIn, spec: &Spec) -> Result<(), MaterialError> {
        let material = self.of(&trainer.config).await?;
        check_labels(&trainer.config, &material.corpus)?;
        let (objective, found) = (&spec.search.objective, material.corpus.classes().len());
        let needed = objective.strip_prefix("precision_at_").and_then(|k| k.parse().ok()).unwrap_or(0);
        if found < needed {
            return Err(MaterialError::Objective { objective: objective.clone(), needed, found });
        }
        for point in spec.first_points(PREPARED) {
            let config = trainer.config_at(&point);
            let config = config.map_err(|problems| MaterialError::Point { point: point.clone(), problems })?;
            let checked = self.of(&config).await.and_then(|material| check_labels(&config, &material.corpus));
            checked.map_err(|source| MaterialError::At { point, source: Box::new(source) })?;
        }
        Ok(())
    }

    /// The material of a configuration.
    pub async fn of(&mut self, config: &Config) -> Result<Arc<Material>, MaterialError> {
        self.check_model(config)?;
        let config = self.encoders.located(config);
        let key = material_key(&config);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let (project, cache, plan) = (self.project.clone(), self.cache.clone(), self.plan.clone());
        let made = tokio::task::spawn_blocking(move || make(&project, &cache, &plan, &config));
        let made = Arc::new(made.await.map_err(|_| MaterialError::Lost)??);
        self.known.insert(key, made.clone());
        Ok(made)
    }

    /// What only the encoder's own files and the machine can tell.
    fn check_model(&self, config: &Config) -> Result<(), MaterialError> {
        let model = &config.model;
        if config.train.precision == Precision::F16 && !self.on_cards {
            let what = "\"f16\" is for cards; on the CPU use \"f32\" or \"bf16\"".to_owned();
            return Err(MaterialError::Train { key: "precision", what });
        }
        let (layers, hidden) = match &model.encoder {
            Encoder::Scratch(scratch) => (scratch.layers, scratch.hidden),
            Encoder::Pretrained(name) => {
                let sizes = &self.encoders.of(name).description.sizes;
                if model.segment_len > sizes.max_position_embeddings {
                    let (length, most) = (model.segment_len, sizes.max_position_embeddings);
                    let what = format!("{length} is more than the {most} positions of {name}");
                    return Err(MaterialError::Model { key: "segment_len", what });
                }
                (sizes.num_hidden_layers, sizes.hidden_size)
            }
        };
        if let Some((key, what)) = model.misfits(layers, hidden, config.train.freeze).into_iter().next() {
            return Err(MaterialError::Model { key, what });
        }
        let frozen = config.train.freeze.layers;
        if frozen != usize::MAX && frozen > layers {
            let what = format!("{frozen} is more than the layers of the encoder ({layers}); \"all\" freezes all");
            return Err(MaterialError::Train { key: "freeze.layers", what });
        }
        Ok(())
    }
}

/// Labels that the sweep file names must be those of the documents.
fn check_labels(config: &Config, corpus: &Corpus) -> Result<(), MaterialError> {
    let classes = corpus.classes();
    let named = config.train.thresholds.keys().filter(|label| !classes.contains(label));
    let unknown: Vec<String> = named.map(|label| format!("{label:?}")).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let what = format!("no document has the label {}; labels: {}", unknown.join(" or "), classes.join(", "));
    Err(MaterialError::Train { key: "thresholds", what })
}

fn make(project: &Path, cache: &Path, plan: &FoldPlan, config: &Config) -> Result<Material, MaterialError> {
    let path = prepare(project, cache, config, plan.held_out())?;
    let corpus = Corpus::open(&path)?;
    let rest = corpus.rest();
    let documents = rest.iter().map(|document| *document as usize);
    let classes = corpus.classes().len();
    let folds = if corpus.is_multi_label() {
        let of: Vec<Vec<u32>> = documents.map(|document| corpus.labels(document).to_vec()).collect();
        plan_folds(Labels::Multi { of: &of, classes }, &corpus, &rest, plan)
    } else {
        let of: Vec<u32> = documents.map(|document| corpus.labels(document)[0]).collect();
        plan_folds(Labels::Single { of: &of, classes }, &corpus, &rest, plan)
    }?;
    Ok(Material { corpus, path, folds, rest })
}

fn plan_folds(labels: Labels<'_>, corpus: &Corpus, rest: &[u32], plan: &FoldPlan) -> Result<Folds, MaterialError> {
    let groups: Option<Vec<u32>> =
        corpus.groups().map(|groups| rest.iter().map(|document| groups[*document as usize]).collect());
    let failed = |reason| {
        let (classes, held_out) = (corpus.classes().to_vec(), corpus.holdout().len());
        MaterialError::Folds { reason, classes, held_out }
    };
    Folds::plan(labels, groups.as_deref(), plan.k, plan.repeats, plan.stratify, plan.seed).map_err(failed)
}

/// What tokens and folds are made from.
fn material_key(config: &Config) -> String {
    let encoder = match &config.model.encoder {
        Encoder::Scratch(scratch) => format!("{:?} {}", scratch.tokenizer, scratch.vocabulary),
        Encoder::Pretrained(at) => at.name.clone(),
    };
    serde_json::json!([config.data, config.text, encoder]).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Thirty documents of two classes, in groups of three.
    fn material(keys: &str) -> Result<(tempfile::TempDir, Arc<Material>), MaterialError> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let row = |n: u32| serde_json::json!({ "text": "甲乙", "label": n % 2, "who": n / 3 }).to_string();
        let rows: Vec<String> = (0..30).map(row).collect();
        std::fs::write(directory.path().join("a.jsonl"), rows.join("\n")).expect("written");
        let text = format!("data.path = \"a.jsonl\"\n{keys}\nfolds.k = 3\nfolds.repeats = 2\n");
        let spec = Spec::parse("x", &text, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let config = Config::parse(&text).expect("a good file");
        let made = make(directory.path(), &directory.path().join("cache"), &spec.folds, &config)?;
        Ok((directory, Arc::new(made)))
    }

    fn folds() -> impl Iterator<Item = FoldId> {
        (0..2).flat_map(|repeat| (0..3).map(move |fold| FoldId { repeat, fold }))
    }

    #[test]
    fn no_fold_sees_the_holdout() {
        for keys in ["", "data.group = \"who\"", "folds.stratify = false"] {
            let (_directory, material) = material(&format!("{keys}\nfolds.holdout = 0.2")).expect("is made");
            let (rest, held) = material.split(FoldId::HOLDOUT);
            let all: BTreeSet<u32> = rest.iter().chain(&held).copied().collect();
            assert_eq!((rest.len() + held.len(), all.len(), held.len()), (30, 30, 6), "{keys}");
            for fold in folds() {
                let (train, validation) = material.split(fold);
                let mut seen: Vec<u32> = train.into_iter().chain(validation).collect();
                seen.sort_unstable();
                assert_eq!(seen, rest, "{keys}: {fold}");
            }
            if keys.contains("group") {
                let groups: BTreeSet<u32> = held.iter().map(|document| document / 3).collect();
                assert_eq!(groups.len(), 2, "whole groups");
            }
        }
    }

    #[test]
    fn without_a_holdout_all_documents_are_in_the_folds() {
        let (_directory, material) = material("").expect("is made");
        for fold in folds() {
            let (train, validation) = material.split(fold);
            assert_eq!((train.len(), validation.len()), (20, 10));
        }
    }

    #[test]
    fn too_few_documents_beside_the_holdout_are_said_to_be() {
        let error = material("folds.holdout = 0.5\ndata.label = \"who\"").expect_err("three a class").to_string();
        insta::assert_snapshot!(error, @r#"folds.k: class "0" has fewer documents (1) than there are folds (3); lower folds.k, add documents, or set folds.stratify = false; 15 are held out"#);
    }
}
