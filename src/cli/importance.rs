//! `sweep show --importance`: what the scores say of the parameters.

use serde::Serialize;
use serde_json::Value;

use super::print::outln;
use super::{Format, render};
use crate::failure::{Code, Failure};
use crate::search::insight::{Importance, Insight, Interval, Pair, Place, Predicted, Unknown, insight};
use crate::search::space::Domain;
use crate::spec::{Direction, Search, Spec};
use crate::store::{Reader, SweepRecord};

/// All that is said.
#[derive(Serialize)]
struct Report<'r> {
    sweep: &'r str,
    objective: &'r str,
    direction: Direction,
    /// None where nothing can be said.
    insight: Option<&'r Insight>,
    why: Option<String>,
}

/// Parameters whose effects are drawn.
const DRAWN: usize = 6;
/// Shares of the variance that are worth a line.
const NOTABLE: f64 = 0.01;
/// Below it, what is told is mostly what was believed before.
const LITTLE: f64 = 0.5;

pub(super) async fn show(reader: &Reader, record: &SweepRecord, format: Format) -> Result<Code, Failure> {
    let name = &record.name;
    let spec = Spec::of_file(&record.spec_path, &record.spec, &record.overrides)
        .map_err(|problems| Failure::spec(&format!("the sweep file that {name} was started with"), &problems))?;
    let history = reader.history(record.key, &spec).await?;
    let told = insight(&spec.search, &history);
    let Search { objective, direction, .. } = &spec.search;
    if format == Format::Json {
        let why = told.as_ref().err().map(Unknown::to_string);
        let insight = told.as_ref().ok();
        render::json(&Report { sweep: name, objective, direction: *direction, insight, why })?;
        return Ok(Code::Good);
    }
    match told {
        Ok(insight) => print(name, &spec.search, &insight),
        Err(why) => outln!("{name}: nothing can be said of its parameters{}: {why}", so_far(why)),
    }
    Ok(Code::Good)
}

fn so_far(why: Unknown) -> &'static str {
    if matches!(why, Unknown::Few { .. } | Unknown::Flat) { " so far" } else { "" }
}

fn print(name: &str, search: &Search, insight: &Insight) {
    let Search { objective, direction, .. } = search;
    let Insight { points, scores, known, noise, parameters, interactions, pairs } = insight;
    let note = if *direction == Direction::Minimize { " (lower is better)" } else { "" };
    outln!("{name}: what {scores} scores of {points} points say of {objective}{note}\n");
    outln!("{}", shares(parameters));
    outln!("\ninteractions: {} of the variance belong to no parameter alone", percents(*interactions));
    for Pair { parameters: [a, b], interaction, .. } in pairs.iter().filter(|pair| pair.interaction.low > NOTABLE) {
        outln!("  {} x {}: {}", a, b, percents(*interaction));
    }
    outln!("noise: {} of the variance of one fold's score", percent(*noise));
    if *known < LITTLE {
        outln!(
            "\nlittle is known: these scores tell {} of the variance, the rest is left open; more trials would tell",
            percent(*known)
        );
    }
    outln!("\n{}", effects(objective, parameters));
    outln!("\n5 to 95 % in brackets; docs/insight.md says how to read this");
}

fn shares(parameters: &[Importance]) -> String {
    let row = |importance: &Importance| {
        let Importance { parameter, alone, total, active, .. } = importance;
        let part = if *active < 0.995 { percent(*active) } else { String::new() };
        vec![parameter.clone(), bar(total.median), percents(*total), percents(*alone), part]
    };
    let is_partial = parameters.iter().any(|importance| importance.active < 0.995);
    let mut rows: Vec<Vec<String>> = parameters.iter().map(row).collect();
    let mut header = vec!["parameter", "share of the variance", "with others", "alone", "has a value in"];
    if !is_partial {
        header.pop();
        for row in &mut rows {
            row.truncate(header.len());
        }
    }
    render::table(&header, &rows)
}

fn effects(objective: &str, parameters: &[Importance]) -> String {
    let row = |importance: &Importance| {
        let best = importance.effect.get(importance.best)?;
        let Predicted { score, low, high } = best.predicted;
        let there = format!("{} ({} to {})", figure(score), figure(low), figure(high));
        let drawn = sparkline(&importance.effect, importance.best);
        Some(vec![importance.parameter.clone(), drawn, range(importance), value(&best.value), there])
    };
    let rows: Vec<Vec<String>> = parameters.iter().take(DRAWN).filter_map(row).collect();
    let there = format!("typical {objective} there");
    render::table(&["parameter", "effect (higher: better)", "over", "best at", &there], &rows)
}

/// Twenty places long at 100 %.
fn bar(share: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share * 160.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

/// A block a value, the better the higher, from the worst to the best of this parameter.
fn sparkline(effect: &[Place], best: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some(best) = effect.get(best).map(|place| place.predicted.score) else { return String::new() };
    let distance = |place: &Place| (place.predicted.score - best).abs();
    let most = effect.iter().map(distance).fold(0.0, f64::max);
    let height = |place: &Place| if most > 0.0 { 1.0 - distance(place) / most } else { 1.0 };
    effect.iter().map(|place| BLOCKS[((height(place) * 7.0).round() as usize).min(7)]).collect()
}

/// `0.00001 to 0.01 (log)`, or all names.
fn range(importance: &Importance) -> String {
    let values: Vec<String> = importance.effect.iter().map(|place| value(&place.value)).collect();
    let is_log = matches!(importance.domain, Domain::Float { log: true, .. } | Domain::Integer { log: true, .. });
    match values.as_slice() {
        [first, .., last] if values.len() > 4 || is_log => {
            format!("{first} to {last}{}", if is_log { " (log)" } else { "" })
        }
        _ => values.join(" "),
    }
}

/// Numbers to three digits.
fn value(value: &Value) -> String {
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(x) => render::value(&Value::from(format!("{x:.2e}").parse().unwrap_or(x))),
        None => render::value(value),
    }
}

/// A score: four places behind the point, or four digits of what is small or large.
fn figure(score: f64) -> String {
    if score == 0.0 || (0.01..1e5).contains(&score.abs()) { format!("{score:.4}") } else { format!("{score:.3e}") }
}

fn percents(Interval { low, median, high }: Interval) -> String {
    format!("{} ({:.0} to {:.0})", percent(median), low * 100.0, high * 100.0)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!([0.0, 1.0, 0.5, 0.333].map(bar), ["", &"█".repeat(20), &"█".repeat(10), "██████▋"]);
        let values = [json!(0.001_234_567), json!(7), json!("mean"), json!(12_345.678), json!(1e-9), json!([1])];
        assert_eq!(values.each_ref().map(value), ["0.00123", "7", "mean", "12300.0", "1e-9", "[1]"]);
        assert_eq!([0.0, 0.123_456_7, -0.001_234_567, 2.5e7].map(figure), ["0.0000", "0.1235", "-1.235e-3", "2.500e7"]);
    }

    #[test]
    fn the_better_the_higher() {
        let place = |score: f64| Place {
            value: json!(score),
            share: 0.25,
            predicted: Predicted { score, low: score, high: score },
        };
        let effect = [0.1, 0.5, 0.9, 0.3].map(place);
        assert_eq!(sparkline(&effect, 2), "▁▅█▃");
        assert_eq!(sparkline(&effect, 0), "█▅▁▆");
        assert_eq!(sparkline(&[0.5, 0.5].map(place), 0), "██");
    }
}
