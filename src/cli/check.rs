//! `sweep check`: what a sweep file comes to, without running it.

use clap::Args;
use serde_json::json;

use super::{Format, SpecArgs, cache_of, render};
use crate::driver::{Machine, Materials, Slots};
use crate::failure::{Code, Failure};
use crate::search;
use crate::settings::Settings;
use crate::spec::Model;
use crate::text::Statistics;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    spec: SpecArgs,
}

/// Trials listed at most.
const LISTED: u32 = 20;

/// Validates a sweep file and its data.
pub(super) async fn check(args: CheckArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let loaded = args.spec.load()?;
    let spec = &loaded.spec;
    let trials = search::planned_trials(&spec.search);
    let runs = trials as usize * spec.folds.runs() as usize;
    let slots = Slots::choose(&spec.resources, &Machine::here(), runs)?;
    let mut materials = Materials::new(loaded.project.clone(), cache_of(&settings.db), spec.folds.clone());
    materials.prepare(spec).await?;
    let material = materials.of(&spec.config).await?;
    let statistics = material.corpus.statistics(&spec.config.model);
    let points: Vec<_> = (0..trials.min(LISTED)).map_while(|trial| search::propose(&spec.search, trial)).collect();
    if format == Format::Json {
        render::json(&json!({
            "name": spec.name, "config": spec.config, "folds": spec.folds, "search": spec.search,
            "resources": spec.resources, "trials": trials, "runs": runs, "points": points,
            "slots": slots.places.len(), "threads": slots.threads, "devices": slots.choice, "data": statistics,
        }))?;
        return Ok(Code::Good);
    }
    println!("{} is good\n", args.spec.spec.display());
    println!("{}\n", summary(&statistics, &spec.config.model));
    let classes: Vec<Vec<String>> =
        statistics.classes.iter().map(|(name, count)| vec![name.clone(), count.to_string()]).collect();
    println!("{}\n", render::table(&["class", "documents"], &classes));
    println!("trials: {trials} x {} folds = {runs} runs, {}", spec.folds.runs(), slots.choice);
    for (trial, point) in points.iter().enumerate() {
        println!("  {trial}: {point}");
    }
    if trials > LISTED {
        println!("  … and {} more", trials - LISTED);
    }
    println!("\nresolved configuration:");
    let config = json!({ "data": spec.config.data, "text": spec.config.text, "model": spec.config.model, "train": spec.config.train });
    print_flat("", &config);
    println!("\nnext: sweep run {}", args.spec.spec.display());
    Ok(Code::Good)
}

/// `480 documents in 6 classes, …`, with what no window holds.
pub(super) fn summary(statistics: &Statistics, model: &Model) -> String {
    let Statistics { documents, tokens_median, tokens_p90, tokens_max, truncated_documents, .. } = statistics;
    let groups = statistics.groups.map(|groups| format!(", {groups} groups")).unwrap_or_default();
    let kind = if statistics.multi_label { "labels (several a document)" } else { "classes" };
    let text = format!(
        "{documents} documents in {} {kind}{groups}; tokens: median {tokens_median}, 90 % below {tokens_p90}, at most {tokens_max}; \
         vocabulary {}, unknown {:.2} %",
        statistics.classes.len(),
        statistics.vocabulary,
        100.0 * statistics.unknown_share,
    );
    let truncation = if *truncated_documents > 0 {
        format!(
            "truncated: {truncated_documents} documents are longer than {} segments of {}; {:.1} % of all tokens are not read",
            model.max_segments,
            model.segment_len,
            100.0 * statistics.truncated_share,
        )
    } else {
        "nothing is truncated".to_owned()
    };
    format!("{text}\n{truncation}")
}

/// `train.epochs = 8`, one a line.
fn print_flat(path: &str, value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                print_flat(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value);
            }
        }
        value => println!("  {path} = {value}"),
    }
}
