use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::*;

/// scikit-learn's answers under its own names; what it predicted and the scores differ on purpose.
#[derive(Deserialize)]
struct Fixtures {
    multiclass: BTreeMap<String, Multiclass>,
    multilabel: Multilabel,
}

#[derive(Deserialize)]
struct Multiclass {
    y: Vec<u32>,
    pred: Vec<usize>,
    proba: Option<Vec<Vec<f64>>>,
    n: usize,
    answers: Map<String, Value>,
}

#[derive(Deserialize)]
struct Multilabel {
    y: Vec<Vec<u8>>,
    pred: Vec<Vec<f64>>,
    proba: Vec<Vec<f64>>,
    answers: Map<String, Value>,
}

/// scikit-learn's answers under our names.
#[derive(Deserialize)]
struct Named {
    single: BTreeMap<String, NamedCase<u32>>,
    multi: BTreeMap<String, NamedCase<Vec<u8>>>,
}

#[derive(Deserialize)]
struct NamedCase<T> {
    truth: Vec<T>,
    probabilities: Vec<Vec<f64>>,
    #[serde(default)]
    thresholds: Vec<f64>,
    answers: BTreeMap<String, Option<f64>>,
}

macro_rules! fixture {
    ($name:literal) => {
        parse(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $name)))
    };
}

const OF_LABELS: &[(&str, &str)] = &[
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced_accuracy"),
    ("mcc", "mcc"),
    ("kappa", "kappa"),
    ("micro_precision", "precision/micro/labels=all/zd=0"),
    ("micro_recall", "recall/micro/labels=all/zd=0"),
    ("micro_f1", "f1/micro/labels=all/zd=0"),
    ("macro_precision", "precision/macro/labels=all/zd=0"),
    ("macro_recall", "recall/macro/labels=all/zd=0"),
    ("macro_f1", "f1/macro/labels=all/zd=0"),
    ("weighted_precision", "precision/weighted/labels=all/zd=0"),
    ("weighted_recall", "recall/weighted/labels=all/zd=0"),
    ("weighted_f1", "f1/weighted/labels=all/zd=0"),
];

const OF_PROBABILITIES: &[(&str, &str)] = &[
    ("roc_auc", "auc/ovr/macro"),
    ("roc_auc_weighted", "auc/ovr/weighted"),
    ("roc_auc_ovo", "auc/ovo/macro"),
    ("log_loss", "log_loss"),
    ("brier", "brier"),
    ("ece", "ece/10"),
    ("ece_15", "ece/15"),
    ("average_precision", "ap/macro"),
];

const OF_LABEL_SETS: &[(&str, &str)] = &[
    ("micro_f1", "f1/micro/zd=0"),
    ("macro_f1", "f1/macro/zd=0"),
    ("weighted_f1", "f1/weighted/zd=0"),
    ("samples_f1", "f1/samples/zd=0"),
    ("subset_accuracy", "subset_accuracy"),
    ("hamming_loss", "hamming"),
    ("jaccard", "jaccard/samples"),
];

const OF_LABEL_RANKINGS: &[(&str, &str)] = &[
    ("roc_auc", "auc/macro"),
    ("roc_auc_weighted", "auc/weighted"),
    ("roc_auc_micro", "auc/micro"),
    ("average_precision", "ap/macro"),
    ("average_precision_micro", "ap/micro"),
    ("lrap", "lrap"),
    ("coverage_error", "coverage"),
];

#[test]
fn single_label_equals_scikit_learn() {
    let fixtures: Fixtures = fixture!("metrics.json");
    for (case, of) in &fixtures.multiclass {
        let report = single(&of.y, &one_hot(&of.pred, of.n), of.n);
        assert_answers(case, &report, OF_LABELS, &of.answers);
        let cells: Vec<Vec<u64>> = from(&of.answers["confusion"]["value"]);
        assert_eq!(report.confusion, Some(cells), "{case}");
        for (score, name) in
            [((|c| c.precision) as fn(&ClassScores) -> f64, "precision"), (|c| c.recall, "recall"), (|c| c.f1, "f1")]
        {
            let key = format!("{name}/None/labels=all/zd=0");
            assert_per_class(&format!("{case} {name}"), &report, score, &of.answers[&key]);
        }
        if let Some(proba) = &of.proba {
            let report = single(&of.y, &proba.concat(), of.n);
            assert_answers(case, &report, OF_PROBABILITIES, &of.answers);
        }
    }
}

#[test]
fn multi_label_equals_scikit_learn() {
    let Fixtures { multilabel, .. } = fixture!("metrics.json");
    let Multilabel { y, pred, proba, answers } = multilabel;
    let truth: Vec<_> = y.iter().map(|row| ids(row)).collect();
    let of_labels = multi(&truth, &pred.concat(), 4, &[0.5; 4]);
    assert_answers("labels", &of_labels, OF_LABEL_SETS, &answers);
    assert_per_class("f1", &of_labels, |c| c.f1, &answers["f1/None/zd=0"]);
    let of_rankings = multi(&truth, &proba.concat(), 4, &[0.5; 4]);
    assert_answers("rankings", &of_rankings, OF_LABEL_RANKINGS, &answers);
    assert_per_class("auc", &of_rankings, |c| c.roc_auc, &answers["auc/None"]);
    assert_per_class("ap", &of_rankings, |c| c.average_precision, &answers["ap/None"]);
}

#[test]
fn tied_thresholded_and_one_sided_inputs_equal_scikit_learn() {
    let named: Named = fixture!("metrics_named.json");
    for (case, of) in &named.single {
        let classes = of.probabilities[0].len();
        let report = single(&of.truth, &of.probabilities.concat(), classes);
        assert_named(case, &report, &of.answers);
    }
    for (case, of) in &named.multi {
        let truth: Vec<_> = of.truth.iter().map(|row| ids(row)).collect();
        let report = multi(&truth, &of.probabilities.concat(), of.thresholds.len(), &of.thresholds);
        assert_named(case, &report, &of.answers);
        assert!(report.values.keys().eq(of.answers.keys()), "{case}");
    }
}

#[test]
fn every_name_has_a_value_and_a_direction() {
    let one = single(&[0, 1], &[0.9, 0.1, 0.2, 0.8], 2);
    assert!(one.values.keys().eq(SINGLE_LABEL));
    let set = multi(&[vec![0, 4], vec![]], &[0.5; 10], 5, &[0.5; 5]);
    assert!(set.values.keys().eq(MULTI_LABEL));
    for name in SINGLE_LABEL.iter().chain(MULTI_LABEL) {
        let loss = name.ends_with("loss") || name.ends_with("error") || name.starts_with("ece");
        let smaller_is_better = loss || *name == "brier";
        assert_eq!(direction(name) == Some(Direction::Minimize), smaller_is_better, "{name}");
    }
    assert_eq!(direction("macro_f2"), None);
}

#[test]
fn classes_that_are_never_true_or_never_predicted_are_counted() {
    let report = single(&[0, 0, 1], &one_hot(&[0, 2, 0], 4), 4);
    assert_eq!(report.undefined_classes, 3);
    assert_eq!(report.per_class[1].support, 1);
    assert_eq!(report.per_class[3].f1, 0.0);
}

#[test]
fn a_diverged_model_scores_nan_throughout() {
    let report = single(&[0, 1], &[f64::NAN, f64::NAN, 0.5, 0.5], 2);
    assert!(report.values.keys().eq(SINGLE_LABEL));
    assert!(report.values.values().all(|v| v.is_nan()));
    let report = multi(&[vec![1]], &[0.5, f64::INFINITY], 2, &[0.5; 2]);
    assert!(report.values.values().all(|v| v.is_nan()));
    assert!(!report.values.contains_key("precision_at_3"));
    assert_eq!(report.per_class[1].support, 1);
}

#[test]
fn nan_survives_json() {
    let report = single(&[1], &[0.25, 0.75], 2);
    let json = serde_json::to_value(&report).expect("a report is JSON");
    assert_eq!(json["values"]["roc_auc"], Value::Null);
    assert_eq!(
        json["per_class"][0],
        json!({
            "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0,
            "roc_auc": null, "average_precision": 0.0,
        })
    );
    let back: Report = from(&json);
    assert!(back.values["roc_auc"].is_nan() && back.per_class[0].roc_auc.is_nan());
    assert_eq!(back.values["log_loss"], report.values["log_loss"]);
}

fn assert_answers(case: &str, report: &Report, names: &[(&str, &str)], answers: &Map<String, Value>) {
    for (ours, theirs) in names {
        let answer = &answers[*theirs];
        let answer = answer.get("value").unwrap_or(answer);
        assert_close(&format!("{case} {ours}"), report.values[*ours], number(answer));
    }
}

fn assert_named(case: &str, report: &Report, answers: &BTreeMap<String, Option<f64>>) {
    for (name, answer) in answers {
        let answer = answer.unwrap_or(f64::NAN);
        assert_close(&format!("{case} {name}"), report.values[name], answer);
    }
}

fn assert_per_class(case: &str, report: &Report, score: fn(&ClassScores) -> f64, answer: &Value) {
    let answers = answer["value"].as_array().expect("one answer per class");
    assert_eq!(answers.len(), report.per_class.len(), "{case}");
    for (class, answer) in report.per_class.iter().zip(answers) {
        assert_close(case, score(class), number(answer));
    }
}

fn assert_close(what: &str, ours: f64, theirs: f64) {
    let equal = (ours - theirs).abs() < 1e-9 || ours.is_nan() && theirs.is_nan();
    assert!(equal, "{what}: ours {ours}, scikit-learn's {theirs}");
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| {
        assert_eq!(value, "nan");
        f64::NAN
    })
}

fn one_hot(classes: &[usize], n: usize) -> Vec<f64> {
    let row = |&class: &usize| (0..n).map(move |c| if c == class { 1.0 } else { 0.0 });
    classes.iter().flat_map(row).collect()
}

fn ids(row: &[u8]) -> Vec<u32> {
    (0..).zip(row).filter(|&(_, &has)| has == 1).map(|(label, _)| label).collect()
}

fn parse<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).expect("the fixture has this shape")
}

fn from<T: DeserializeOwned>(json: &Value) -> T {
    T::deserialize(json).expect("the value has this shape")
}

#[test]
fn one_metric_is_what_the_report_says() {
    let (truth, probabilities) = ([0, 2, 1, 1], [0.5, 0.3, 0.2, 0.1, 0.2, 0.7, 0.3, 0.4, 0.3, 0.6, 0.3, 0.1]);
    let labels = [vec![0, 2], vec![], vec![1], vec![0, 1, 2]];
    for (multi_label, truth) in [(false, Truth::Single(&truth)), (true, Truth::Multi(&labels))] {
        let report = truth.report(&probabilities, 3, &[0.4; 3]);
        for name in names(multi_label) {
            let metric = Metric::named(name, multi_label).expect("is known");
            let alone = metric.of(truth, &probabilities, 3, &[0.4; 3]);
            let beside = report.values.get(*name).copied().unwrap_or(f64::NAN);
            assert_eq!(alone.to_bits(), beside.to_bits(), "{name}");
            assert!(metric.of(truth, &[f64::NAN; 12], 3, &[0.4; 3]).is_nan(), "{name}");
        }
        assert_eq!(Metric::named("macro_g1", multi_label), None);
    }
}
