//! `sweep check`: what a sweep file comes to, without running it.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::download::place_encoders;
use super::earlier::earlier;
use super::print::outln;
use super::progress::patiently;
use super::{Format, SpecArgs, cache_of, render, texts};
use crate::driver::{FoundProgram, Machine, MaterialError, Materials, Slots};
use crate::failure::{Code, Failure};
use crate::settings::Settings;
use crate::spec::{BuiltIn, Model, Program, Sampler, Segmentation, Spec, Trainer};
use crate::text::Statistics;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    spec: SpecArgs,
}

/// Trials listed at most.
const LISTED: u32 = 20;

/// Validates a sweep file, and its data or its program.
pub(super) async fn check(args: CheckArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let loaded = args.spec.load()?;
    let spec = &loaded.spec;
    earlier(&settings.db, &spec.search, &spec.values()).await?;
    let trials = spec.planned_trials();
    let runs = trials.map(|trials| trials as usize * spec.folds.runs() as usize);
    let slots = Slots::choose(&spec.resources, &Machine::of(&spec.trainer), runs.unwrap_or(usize::MAX))?;
    let points = spec.first_points(LISTED);
    let Picture { trainer, json } = match &spec.trainer {
        Trainer::BuiltIn(trainer) => built_in(spec, trainer, &slots, &loaded.project, settings).await?,
        Trainer::Program(program) => of_program(spec, program, &loaded.project)?,
    };
    if format == Format::Json {
        let mut all = json!({
            "name": spec.name, "folds": spec.folds, "search": spec.search, "baseline": spec.baseline,
            "resources": spec.resources, "trials": trials, "runs": runs, "points": points,
            "survey": spec.survey, "slots": slots.places.len(), "threads": slots.threads, "devices": slots.choice,
        });
        if let (Value::Object(all), Value::Object(of_trainer)) = (&mut all, json) {
            all.extend(of_trainer);
        }
        render::json(&all)?;
        return Ok(Code::Good);
    }
    outln!("{} is good\n", args.spec.spec.display());
    outln!("{}\n", trainer.about);
    let folds = spec.folds.runs();
    match (trials, runs) {
        (Some(trials), Some(runs)) => outln!("trials: {trials} x {folds} folds = {runs} runs, {}", slots.choice),
        _ => outln!("trials: as many as the budget allows x {folds} folds, {}", slots.choice),
    }
    if spec.baseline {
        outln!("  baseline: TF-IDF and a linear model, first, on the same folds");
    }
    for (trial, point) in points.iter().enumerate() {
        outln!("  {trial}: {point}");
    }
    if spec.search.sampler == Sampler::Bayes {
        outln!("  drawn evenly over the space; the points of a Bayesian search depend on the scores");
    } else if let Some(more) = trials.and_then(|trials| trials.checked_sub(LISTED)).filter(|more| *more > 0) {
        outln!("  … and {more} more");
    } else if trials.is_none() {
        outln!("  … and so on");
    }
    if !trainer.keys.is_empty() {
        outln!("\nresolved configuration:");
    }
    for (key, value) in trainer.keys {
        outln!("  {key} = {value}");
    }
    outln!("\nnext: sweep run {}", args.spec.spec.display());
    Ok(Code::Good)
}

/// What a trainer comes to, for people and for programs.
struct Picture {
    trainer: Told,
    json: Value,
}

struct Told {
    about: String,
    /// Of the configuration, where it is known what they mean.
    keys: Vec<(String, Value)>,
}

async fn built_in(
    spec: &Spec,
    trainer: &BuiltIn,
    slots: &Slots,
    project: &Path,
    settings: &Settings,
) -> Result<Picture, Failure> {
    let encoders = place_encoders(trainer.encoders(&spec.search.space), project, None)?;
    let mut materials = Materials::new(project.to_owned(), cache_of(&settings.db), spec.folds.clone(), encoders, slots);
    let config = &trainer.config;
    read(trainer, spec, &mut materials).await?;
    let statistics = materials.of(config).await?.corpus.statistics(&config.model);
    let classes: Vec<Vec<String>> =
        statistics.classes.iter().map(|(name, count)| vec![name.clone(), count.to_string()]).collect();
    let about = [
        summary(trainer, spec, &mut materials).await?,
        texts::describe(&statistics, &config.model),
        render::table(&["class", "documents"], &classes),
    ];
    let json = json!({
        "config": config, "encoders": named(&materials), "data": statistics,
        "warnings": texts::warnings(&statistics, config, spec),
    });
    Ok(Picture { trainer: Told { about: about.join("\n\n"), keys: config.keys() }, json })
}

fn of_program(spec: &Spec, program: &Program, project: &Path) -> Result<Picture, Failure> {
    let found = FoundProgram::find(program, project)?;
    let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
    let timeout =
        program.timeout.map_or_else(|| "may take any time".to_owned(), |time| format!("may take {}", seconds(time)));
    let mut about = format!(
        "runs are trained by {found}\na run {timeout}, and has {} to leave when it is told to stop",
        seconds(program.grace)
    );
    if spec.survey.refused() > 0 {
        about = format!("{about}\n{}", spec.survey);
    }
    Ok(Picture { trainer: Told { about, keys: Vec::new() }, json: json!({ "trainer": program }) })
}

/// Reads and tokenises the documents of a sweep, which takes a moment where there are many.
pub(super) async fn read(trainer: &BuiltIn, spec: &Spec, materials: &mut Materials) -> Result<(), MaterialError> {
    patiently(&reading(trainer), materials.prepare(trainer, spec)).await
}

pub(super) fn reading(trainer: &BuiltIn) -> String {
    format!("reading and tokenising {}", trainer.config.data.path)
}

/// The pretrained encoders by their names.
fn named(materials: &Materials) -> Value {
    let encoders = materials.encoders().iter().map(|(name, encoder)| (name.to_string(), json!(encoder)));
    Value::Object(encoders.collect())
}

/// The pretrained encoders, `480 documents in 6 classes, …`, and for every window setting of the sweep what no window holds.
pub(super) async fn summary(trainer: &BuiltIn, spec: &Spec, materials: &mut Materials) -> Result<String, Failure> {
    let material = materials.of(&trainer.config).await?;
    let statistics = material.corpus.statistics(&trainer.config.model);
    let Statistics { documents, held_out, vocabulary, tokens_per_document: tokens, .. } = &statistics;
    let groups = statistics.groups.map(|groups| format!(", {groups} groups")).unwrap_or_default();
    let kind = if statistics.multi_label { "labels (several a document)" } else { "classes" };
    let encoders = materials.encoders().iter().map(|(name, encoder)| format!("encoder {name}: {encoder}"));
    let mut lines: Vec<String> = encoders.collect();
    lines.push(format!(
        "{documents} documents in {} {kind}{groups}; tokens: median {}, 90 % below {}, at most {}; vocabulary \
         {vocabulary}, unknown {:.2} %",
        statistics.classes.len(),
        tokens.median,
        tokens.p90,
        tokens.max,
        100.0 * statistics.unknown_share,
    ));
    if *held_out > 0 {
        let all = documents + held_out;
        let share = 100.0 * *held_out as f64 / all as f64;
        lines.push(format!(
            "holdout: {held_out} more documents ({share:.1} % of {all}) are in no fold; the best trial is scored on them in \
             the end"
        ));
    }
    let before = lines.len();
    let mut seen = Vec::new();
    for config in spec.first_points(SETTINGS).iter().filter_map(|point| trainer.config_at(point).ok()) {
        let material = materials.of(&config).await?;
        let Model { segmentation, segment_len, stride, max_segments, keep, .. } = config.model;
        let windows = (material.path.clone(), segmentation, [segment_len, stride, max_segments], keep);
        if seen.contains(&windows) {
            continue;
        }
        seen.push(windows);
        let line = truncation(&material.corpus.statistics(&config.model), &config.model);
        if !line.is_empty() && !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.len() == before {
        lines.push("nothing is truncated".to_owned());
    }
    if spec.survey.refused() > 0 {
        lines.push(spec.survey.to_string());
    }
    lines.extend(
        texts::warnings(&statistics, &trainer.config, spec).iter().map(|warning| format!("warning: {warning}")),
    );
    Ok(lines.join("\n"))
}

/// Points whose windows are looked at.
const SETTINGS: u32 = 200;

fn truncation(statistics: &Statistics, model: &Model) -> String {
    if statistics.truncated_documents == 0 {
        return String::new();
    }
    let Model { max_segments, segment_len, stride, .. } = model;
    let segments = match model.segmentation {
        Segmentation::Window => format!("{max_segments} segments of {segment_len} tokens, {stride} apart"),
        Segmentation::Sentence => {
            format!("{max_segments} segments of whole sentences, of {segment_len} tokens at most")
        }
        Segmentation::Paragraph => {
            format!("{max_segments} segments of whole paragraphs, of {segment_len} tokens at most")
        }
    };
    format!(
        "truncated: {} documents are longer than {segments}; {:.1} % of all tokens are not read",
        statistics.truncated_documents,
        100.0 * statistics.truncated_share,
    )
}
