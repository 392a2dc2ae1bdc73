//! Problems of `[search]` and its space, and what a look at the points shows.

use insta::assert_snapshot;

use super::*;

/// The problems of a space, under these keys of `[search]`.
fn space(search: &str, parameters: &str) -> String {
    problems_of(&format!("data.path = \"a.csv\"\n[search]\n{search}\n[search.space]\n{parameters}"))
}

const TWO: &str = "data.path = \"a.csv\"\n[search.space]\n\"train.learning_rate\" = [1e-3, 3e-3]";

fn problems_of(text: &str) -> String {
    Spec::parse("test", text, &[]).map_or_else(|problems| problems.to_string(), |_| "nothing".to_owned())
}

fn picture(cases: &[(&str, String)]) -> String {
    cases.iter().map(|(name, found)| format!("{name}\n{found}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn conditions_and_ties_with_problems() {
    let cases = [
        (
            "conditions that no one can meet",
            space(
                "",
                r#"
"model.aggregator.layers" = [0, 2]
"model.aggregator.heads" = { values = [2, 4], when = { "model.aggregator.layer" = { above = 0 } } }
"model.aggregator.norm" = { values = ["pre", "post"], when = { "model.aggregator.layers" = { above = 2 } } }
"model.keep" = { values = ["head", "tail"], when = { "model.aggregator.layers" = { equals = 1 } } }
"train.ema" = { values = [0.9], when = { "model.aggregator.layers" = { not = { in = [0, 2] } } } }
"train.epochs" = { values = [2, 3], when = { "train.batch_size" = 8 } }"#,
            ),
        ),
        (
            "conditions that are none",
            space(
                "",
                r#"
"model.aggregator.layers" = [0, 2]
"model.keep" = { values = ["head"], when = "model.aggregator.layers" }
"model.hidden" = { values = [64], when = {} }
"model.heads" = { values = [2], when = { "model.aggregator.layers" = { abov = 0 } } }
"model.layers" = { values = [2], when = { "model.aggregator.layers" = { above = "0" } } }
"train.ema" = { values = [0.9], when = { "model.aggregator.layers" = [0, 2] } }
"train.epochs" = { values = [3], when = { model.aggregator.layers = { not = { above = 0, below = 3 } } } }
"train.seed" = { values = [3], when = { "model.aggregator.layers" = { in = 2 } } }"#,
            ),
        ),
        (
            "cycles",
            space(
                "",
                r#"
"model.hidden" = { equals = "2 * model.intermediate" }
"model.intermediate" = { equals = "model.heads + model.hidden" }
"model.heads" = { values = [2, 4], when = { "model.hidden" = { above = 4 } } }"#,
            ),
        ),
        ("itself", space("", "\"train.epochs\" = { values = [1], when = { \"train.epochs\" = 1 } }")),
        (
            "tied to nothing",
            space(
                "",
                r#"
"model.hidden" = [64, 128]
"model.intermediate" = { equals = "4 * model.hiden" }
"train.epochs" = { equals = "2 *" }
"train.seed" = { equals = "model.hidden > 3" }
"train.ema" = { equals = true }
"train.beta1" = { equals = "0.5", values = [0.5] }
"train.batch_size" = { vales = [8] }"#,
            ),
        ),
        (
            "tied wrongly",
            space("", "\"model.hidden\" = [64, 128]\n\"train.epochs\" = { equals = \"model.hidden / 3\" }"),
        ),
        ("tied encoder", space("", "\"model.keep\" = [\"head\"]\n\"model.encoder\" = { equals = \"model.keep\" }")),
    ];
    assert_snapshot!(picture(&cases));
}

#[test]
fn constraints_starts_and_budgets_with_problems() {
    let cases = [
        (
            "constraints",
            space(
                r#"constraints = ["model.hidden %% 2 == 0", "model.hidden = 3", "model.hidden", "model.hidden % 3"]"#,
                "\"model.hidden\" = [64]",
            ),
        ),
        ("constraints of no list", space("constraints = \"a > b\"", "\"model.hidden\" = [64]")),
        (
            "a constraint of unknown names",
            space(r#"constraints = ["model.hidden % model.haeds == 0", "modell > 2"]"#, "\"model.hidden\" = [64]"),
        ),
        (
            "constraints against all",
            space(r#"constraints = ["model.hidden % model.segment_len == 1"]"#, "\"model.hidden\" = [64, 128]"),
        ),
        (
            "constraints against all of a range",
            space(
                "sampler = \"random\"\nconstraints = [\"train.weight_decay > 2\"]",
                "\"train.weight_decay\" = { low = 0.0, high = 1.0 }",
            ),
        ),
        (
            "a range that goes too far",
            space("sampler = \"random\"", "\"train.segment_dropout\" = { low = 0.0, high = 1.5 }"),
        ),
        (
            "start",
            space(
                r#"start = [{ "train.epochs" = 7 }, { "train.epoch" = 3 }, 3, { "train.seed" = 3 }, { model.heads = 2 }]"#,
                r#"
"train.epochs" = { low = 1, high = 5 }
"train.seed" = { equals = "train.epochs" }"#,
            ),
        ),
        (
            "starts that cannot be",
            space(
                r#"start = [{ "train.ema" = 0.9, "model.aggregator.layers" = 0 }, { "train.epochs" = 3 }, { "train.epochs" = 4, "model.aggregator.layers" = 2 }]
constraints = ["train.epochs < 4 or model.aggregator.layers == 0"]"#,
                r#"
"train.epochs" = { low = 1, high = 5 }
"model.aggregator.layers" = [0, 2]
"train.seed" = { equals = "train.epochs" }
"train.ema" = { values = [0.9], when = { "model.aggregator.layers" = 2 } }"#,
            ),
        ),
        ("starts of no list", space("start = { \"train.epochs\" = 7 }", "\"train.epochs\" = [1]")),
        ("budgets", space("trials = 0\nruns = 1.5\nseconds = -1\ndevice_seconds = \"long\"", "\"train.epochs\" = [1]")),
        (
            "names",
            space(
                "race = \"on\"\nprune = \"asah\"\nstop = \"convergence\"\nwarm_start = [\"lr\"]",
                "\"train.epochs\" = [1]",
            ),
        ),
        ("an end that never comes", space("stop = \"converged\"", "\"train.epochs\" = [1, 2]")),
        (
            "an end of one fold",
            problems_of(
                "[trainer]\ncommand = [\"true\"]\n[search]\nsampler = \"bayes\"\nobjective = \"loss\"\nstop = \"converged\"\n\
                 [search.space]\nx = { low = 0.0, high = 1.0 }",
            ),
        ),
        ("no room for a trial", space("runs = 4", "\"train.epochs\" = [1, 2]")),
        ("warm starts", space("sampler = \"bayes\"\nwarm_start = \"lr\"", "\"train.epochs\" = [1, 2]")),
        (
            "good",
            space(
                r#"sampler = "bayes"
runs = 100
stop = "converged"
race = "paired"
prune = "asha"
constraints = ["model.hidden % model.heads == 0", "model.aggregator.kind == 'transformer' or train.batch_size <= 16"]
start = [{ "model.hidden" = 64, model.heads = 2 }]"#,
                r#"
"model.hidden" = { low = 32, high = 256, step = 32 }
"model.heads" = [1, 2, 3]
"model.intermediate" = { equals = "4 * model.hidden" }
"train.batch_size" = { values = [8, 32], when = { model.heads = { in = [1, 2] } } }
"train.learning_rate" = { low = 1e-5, high = 1e-3, log = true }
"model.label_scale" = [true, false]
"text.normalize" = { values = [["nfkc"], ["nfkc", "whitespace"]] }"#,
            ),
        ),
    ];
    assert_snapshot!(picture(&cases));
}

#[test]
fn refused_points_are_counted_and_left_out() {
    let file = "data.path = \"a.csv\"\n[search]\nconstraints = [\"model.heads != 4 or model.layers == 2\"]\n[search.space]\n\
                \"model.hidden\" = [64, 96]\n\"model.heads\" = [2, 3, 4]";
    let spec = Spec::parse("x", file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_snapshot!(spec.survey, @"1 of 6 points are refused and never tried (16.7 %): 1 by the model, such as model.hidden = 64, model.heads = 3: model.heads: 3 heads must divide hidden (64)");
    let points: Vec<String> = spec.first_points(100).iter().map(ToString::to_string).collect();
    assert_eq!(spec.planned_trials(), Some(points.len() as u32));
    assert_snapshot!(points.join("\n"), @r"
    model.hidden = 64, model.heads = 2
    model.hidden = 64, model.heads = 4
    model.hidden = 96, model.heads = 2
    model.hidden = 96, model.heads = 3
    model.hidden = 96, model.heads = 4
    ");
    // model.layers is a key that is not varied: its value decides
    let change = Override::parse("model.layers=3").expect("a good override");
    let spec = Spec::parse("x", file, &[change]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_snapshot!(spec.survey, @"3 of 6 points are refused and never tried (50.0 %): 2 by constraints, 1 by the model, such as model.hidden = 64, model.heads = 3: model.heads: 3 heads must divide hidden (64)");
    let refused = Point::default().with("model.hidden", 64.into()).with("model.heads", 4.into());
    let allowed = Point::default().with("model.hidden", 64.into()).with("model.heads", 2.into());
    assert!(spec.accepts(&allowed) && !spec.accepts(&refused), "a constraint is against it");
}

#[test]
fn a_loop_of_ones_own_needs_only_a_search() {
    let only = |text: &str| SearchOnly::parse("x", text, &[]);
    let held_out =
        only("folds.holdout = 0.2\n[search.space]\n\"lr\" = [1, 2]").expect_err("nothing is held out").to_string();
    assert!(held_out.contains("folds.holdout: is for the built-in trainer"), "{held_out}");
    let good = only("[search]\nobjective = \"anything\"\n[search.space]\n\"x y\" = { low = 0.0, high = 1.0 }\nn = [1]");
    assert_snapshot!(good.expect_err("a grid of floats"), @"  search.space: x y: a grid needs values: { values = [...] }, or integers with low, high and step  (line 3)");
    let good = only(
        "[search]\nsampler = \"random\"\n[search.space]\nx-1 = { low = 0.0, high = 1.0 }\nn = [1, 2]\n[folds]\nk = 4",
    );
    let good = good.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((good.folds, good.search.budget.trials, good.search.direction), (4, None, Direction::Maximize));
    let with_model =
        only(&format!("search.sampler = \"random\"\n{TWO}")).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((with_model.folds, with_model.search.budget.trials), (5, None));
    assert!(!with_model.accepts(&Point::default().with("train.learning_rate", 0.into())));
    let problems = [
        only(""),
        only("[serach]\nsampler = \"grid\""),
        only("[search]\nconstraints = [\"a > c\"]\n[search.space]\na = [1, 2]"),
        only("[search]\nconstraints = [\"a > 2\"]\n[search.space]\na = [1, 2]"),
        only("[search]\nstart = [{ a = 3 }]\n[folds]\nk = 0\n[search.space]\na = [1, 2]"),
    ];
    let picture: Vec<String> = problems.into_iter().map(|found| found.expect_err("a problem").to_string()).collect();
    assert_snapshot!(picture.join("\n"), @r#"
    search: missing: what is searched
    serach: unknown key; did you mean `search`?  (line 1)
    search: missing: what is searched
    search.constraints: unknown name "c"; it is no parameter, and no key with a value  (line 2)
    search.constraints: all 2 points are refused: with a = 1: a > 2 does not hold  (line 2)
    search.start: point 1: a: 3 is not in its domain: one of 1, 2  (line 2)
    folds.k: expected 1 to 1000, found 0  (line 4)
    "#);
}
