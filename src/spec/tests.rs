use std::time::Duration;

use insta::assert_snapshot;

use super::*;

const GOOD: &str = r#"
[data]
path = "a.jsonl"
[search.space]
"train.learning_rate" = { values = [1e-3, 3e-3] }
"model.aggregator.layers" = { values = [0, 2] }
"#;

fn built_in(spec: &Spec) -> &BuiltIn {
    match &spec.trainer {
        Trainer::BuiltIn(trainer) => trainer,
        Trainer::Program(_) => panic!("a program"),
    }
}

fn problems(text: &str) -> String {
    match Spec::parse("test", text, &[]) {
        Ok(_) => "nothing".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

/// The problems of a good file with these lines added in front.
fn with(lines: &str) -> String {
    problems(&format!("{lines}{GOOD}"))
}

/// The problems of these lines and a path of documents.
fn alone(lines: &str) -> String {
    problems(&format!("data.path = \"a.csv\"\n{lines}"))
}

#[test]
fn the_designs_example_is_understood() {
    let text = r#"
name = "lr"
[data]
path = "data/articles.jsonl"
text = "text"
label = "label"
[folds]
k = 3
repeats = 1
seed = 17
[text]
normalize = ["nfkc", "whitespace"]
[model]
encoder = "scratch"
segment_len = 128
stride = 94
max_segments = 32
aggregator = { kind = "transformer", layers = 2, heads = 4 }
label_attention = "doc"
[train]
epochs = 8
batch_size = 16
learning_rate = 1e-3
early_stopping = { patience = 3 }
[search]
sampler = "grid"
objective = "macro_f1"
direction = "maximize"
[search.space]
"train.learning_rate" = { values = [1e-4, 3e-4, 1e-3, 3e-3] }
"model.aggregator.layers" = { values = [0, 2] }
[resources]
devices = "auto"
slots_per_device = 1
"#;
    let spec = Spec::parse("file", text, &[]).expect("a good file");
    assert_eq!(spec.name, "lr");
    assert_eq!(spec.search.space.size(), Some(8));
    let config = built_in(&spec).config_at(&spec.first_points(8)[3]).expect("a good point");
    let AggregatorKind::Transformer(transformer) = config.model.aggregator.kind else { panic!("a Transformer") };
    assert_eq!((config.train.learning_rate, transformer.layers), (3e-4, 2));
}

#[test]
fn defaults_are_sensible() {
    let spec = Spec::parse("stem", GOOD, &[]).expect("a good file");
    assert_eq!(spec.name, "stem");
    assert_eq!((built_in(&spec).config.model.segment_len, built_in(&spec).config.model.stride), (128, 94));
    assert_eq!((spec.folds.k, spec.search.direction), (5, Direction::Maximize));
    let config: Config =
        serde_json::from_str(&serde_json::to_string(&built_in(&spec).config).expect("serialises")).expect("comes back");
    assert_eq!(config, built_in(&spec).config);
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = r#"
[data]
path = "a.jsonl"
[folds]
k = 1
[model]
segment_len = 16
stride = 15
keep = "middle"
hiden = 12
[train]
epochs = "five"
learning_rate = 0
[search]
sampler = "random"
objective = "macrof1"
[search.space]
"train.weight_decay" = { low = 0.01, high = 0.0001, log = true }
"#;
    assert_snapshot!(problems(text));
}

#[test]
fn problems_one_by_one() {
    let cases = [
        ("toml", problems("[data\npath = 1")),
        ("missing path", problems("[search]\nsampler = \"grid\"")),
        ("format", with("").replace("nothing", "ok") + &problems("data.path = \"a.parquetx\"")),
        ("unknown section", with("trian.epochs = 3")),
        ("unknown key", with("train.learning_rat = 3")),
        ("not a table", with("train = 3")),
        ("wrong type", with("train.epochs = 2.5")),
        ("flag", with("model.label_scale = 1")),
        ("text", with("name = 7")),
        ("bad name", with("name = \"a/b\"")),
        ("date", with("train.seed = 2026-01-01")),
        ("infinite", with("train.clip_norm = inf")),
        ("two warm-ups", with("train.warmup_steps = 3\ntrain.warmup_ratio = 0.1")),
        ("both labels", problems("data = { path = \"a.csv\", label = \"a\", labels = \"b\" }")),
        ("loss", with("train.loss = \"bce\"")),
        ("smoothing", with("train.loss = \"focal\"\ntrain.label_smoothing = 0.1")),
        ("heads", with("model.hidden = 10\nmodel.heads = 3")),
        ("aggregator heads", with("model.hidden = 6\nmodel.heads = 3")),
        ("kind", with("model.aggregator = { kind = \"mean\", norm = \"pre\" }")),
        ("none", with("model.aggregator.kind = \"none\"")),
        (
            "lstm",
            alone(
                "model.hidden = 7\nmodel.heads = 1\nmodel.aggregator = { kind = \"lstm\", pooling = \"token\", heads = 2 }",
            ),
        ),
        (
            "logits",
            alone(
                "model.segment_positions = \"learned\"\nmodel.aggregator = { kind = \"logit-max\", layers = 2, dropout = 0.2 }",
            ),
        ),
        ("unread attention", alone("model.label_attention = \"label-wise\"\nmodel.aggregator.pooling = \"attention\"")),
        ("names of no labels", alone("model.label_attention = \"none\"\nmodel.label_embeddings = \"names\"")),
        ("reinitialised scratch", alone("model.reinitialize_layers = 1")),
        ("too few layers", alone("model.segment_layers = \"last-four\"\nmodel.layers = 3")),
        ("preset", alone("model.preset = \"seed_script\"")),
        ("preset heads", alone("model.preset = \"seed-script\"\nmodel.hidden = 100")),
        ("folder sizes", with("model.encoder = \"models/x\"\nmodel.hidden = 12")),
        ("freeze", with("train.freeze = { layers = 2 }")),
        ("devices", with("resources.devices = \"gpu\"")),
        ("normalization", with("text.normalize = [\"nfck\"]")),
        ("objective of the other task", with("search.objective = \"subset_accuracy\"")),
        ("holdout", with("folds.holdout = 0.6")),
        ("no holdout", with("folds.holdout = -0.1")),
        ("holdout in words", with("folds.holdout = \"15 %\"")),
        ("holdouts to choose from", problems("data.path = \"a.csv\"\n[search.space]\n\"folds.holdout\" = [0.1, 0.2]")),
        ("no such section", problems("data.path = \"a.csv\"\n[search.space]\n\"folds.k\" = [2, 3]")),
        ("misspelt parameter", problems("data.path = \"a.csv\"\n[search.space]\n\"train.learning_rte\" = [2, 3]")),
        ("bad value", problems("data.path = \"a.csv\"\n[search.space]\n\"model.stride\" = [64, 127]")),
        ("empty list", problems("data.path = \"a.csv\"\n[search.space]\n\"train.epochs\" = { values = [] }")),
        ("twice", problems("data.path = \"a.csv\"\n[search.space]\n\"train.epochs\" = { values = [1, 1] }")),
        (
            "log of zero",
            problems(
                "data.path = \"a.csv\"\n[search.space]\n\"train.weight_decay\" = { low = 0.0, high = 1.0, log = true }",
            ),
        ),
        ("half a range", problems("data.path = \"a.csv\"\n[search.space]\n\"train.epochs\" = { low = 1 }")),
        (
            "grid of floats",
            problems("data.path = \"a.csv\"\n[search.space]\n\"train.weight_decay\" = { low = 0.0, high = 1.0 }"),
        ),
        (
            "float for integer",
            problems(
                "data.path = \"a.csv\"\nsearch.sampler = \"random\"\n[search.space]\n\"train.epochs\" = { low = 1.0, high = 3.5 }",
            ),
        ),
        (
            "bad pair",
            problems(
                "data.path = \"a.csv\"\n[search.space]\n\"model.segment_len\" = [64, 128]\n\"model.stride\" = [32, 100]",
            ),
        ),
        ("sampler", with("search.sampler = \"baies\"")),
    ];
    let picture: Vec<String> = cases
        .iter()
        .map(|(name, found)| {
            format!(
                "{name}
{found}"
            )
        })
        .collect();
    assert_snapshot!(picture.join("\n"));
}

#[test]
fn overrides_change_a_key() {
    let change = |text: &str| Override::parse(text).expect("a good override");
    let spec = Spec::parse("x", GOOD, &[change("train.epochs=2"), change("model.keep = tail"), change("folds.k=3")])
        .expect("good overrides");
    assert_eq!(
        (built_in(&spec).config.train.epochs, built_in(&spec).config.model.keep, spec.folds.k),
        (2, Keep::Tail, 3)
    );
    let error = Spec::parse("x", GOOD, &[change("train.epoch=2")]).expect_err("an unknown key");
    assert_snapshot!(error, @"  train.epoch: unknown key; did you mean `epochs`?");
    assert!(Override::parse("train.epochs").is_err());
    assert!(Override::parse("=3").is_err());
}

#[test]
fn nested_and_dotted_parameters_mean_the_same() {
    let nested =
        "data.path = \"a.csv\"\n[search.space]\ntrain.epochs = { values = [1, 2] }\nmodel.keep = [\"head\", \"tail\"]";
    let spec = Spec::parse("x", nested, &[]).expect("a good file");
    let names: Vec<&str> = spec.search.space.parameters().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["train.epochs", "model.keep"]);
}

#[test]
fn resolved_keys_say_the_same_again() {
    let files = [
        GOOD.to_owned(),
        format!("train.loss = \"focal\"\ntrain.warmup_steps = 3\nmodel.encoder = \"some/folder\"\n{GOOD}"),
        "train.freeze = { embeddings = true, layers = \"all\" }\ndata = { path = \"a.csv\", labels = \"l\" }"
            .to_owned(),
        format!(
            "train.early_stopping = {{ patience = 2 }}\nmodel.aggregator = {{ pooling = \"max\", feed_forward = 9 }}\n{GOOD}"
        ),
    ];
    let kinds = ["mean", "max", "attention", "transformer", "lstm", "logit-mean", "logit-max", "none"].map(|kind| {
        let labels = match kind {
            "none" => "label-wise",
            "logit-mean" | "logit-max" => "none",
            _ => "doc",
        };
        format!("data.path = \"a.csv\"\nmodel = {{ label_attention = \"{labels}\", aggregator.kind = \"{kind}\" }}")
    });
    let presets = kinds.clone().map(|file| file.replace("model = {", "model = { preset = \"seed-script\","));
    let pretrained = "data.path = \"a.csv\"\nmodel = { encoder = \"some/folder\", reinitialize_layers = 2, segment_layers = \
                      \"last-four\", segment_pooling = \"attention\", label_embeddings = \"names\" }";
    for file in files.into_iter().chain(kinds).chain(presets).chain([pretrained.to_owned()]) {
        let spec = Spec::parse("x", &file, &[]).unwrap_or_else(|problems| panic!("{file}:\n{problems}"));
        let again: Vec<Override> =
            built_in(&spec).config.keys().into_iter().map(|(key, value)| Override { key, value }).collect();
        let empty = Spec::parse("x", "", &again).unwrap_or_else(|problems| panic!("{file}:\n{problems}"));
        assert_eq!(built_in(&empty).config, built_in(&spec).config);
        let written = serde_json::to_string(&built_in(&spec).config).expect("serialises");
        assert_eq!(serde_json::from_str::<Config>(&written).expect("comes back"), built_in(&spec).config);
    }
}

#[test]
fn a_preset_changes_defaults_and_nothing_else() {
    let file = "data.path = \"a.csv\"\nmodel.max_segments = 7\n[search.space]\n\
                \"model.preset\" = [\"default\", \"seed-script\"]\n\"model.aggregator.norm\" = [\"pre\", \"post\"]";
    let spec = Spec::parse("x", file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let keys = |index: usize| -> Vec<String> {
        let config = built_in(&spec).config_at(&spec.first_points(4)[index]).expect("a good point");
        config.keys().into_iter().map(|(key, value)| format!("{key} = {value}")).collect()
    };
    let [default, seed_script] = [keys(0), keys(2)];
    let changed: Vec<&String> = seed_script.iter().filter(|line| !default.contains(line)).collect();
    assert_snapshot!(changed.into_iter().map(String::as_str).collect::<Vec<_>>().join("\n"), @r#"
    model.preset = "seed-script"
    model.segment_len = 512
    model.stride = 255
    model.segment_positions = "none"
    model.aggregator.layers = 3
    model.aggregator.heads = 8
    model.aggregator.feed_forward = 2048
    model.aggregator.activation = "relu"
    "#);
    assert!(keys(3).contains(&"model.aggregator.norm = \"post\"".to_owned()));
    let shorter =
        Spec::parse("x", "data.path = \"a.csv\"\nmodel = { preset = \"seed-script\", segment_len = 128 }", &[]);
    assert_eq!(built_in(&shorter.expect("a good file")).config.model.stride, 63);
}

#[test]
fn a_space_is_judged_by_its_points() {
    let together = "data.path = \"a.csv\"\nmodel.stride = 300\n[search.space]\n\"model.segment_len\" = [512]\n\
                    \"model.hidden\" = [96, 192]\n\"model.heads\" = [3, 6]\n\"model.aggregator.heads\" = [3]";
    let spec = Spec::parse("x", together, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(built_in(&spec).config.model.segment_len, 512);
    let twice = "data.path = \"a.csv\"\n[search.space]\n\"train.epochs\" = [1]\ntrain.epochs = [2]";
    assert_snapshot!(problems(twice), @r#"  search.space."train.epochs": stands there twice  (line 3)"#);
    let change = Override::parse("search.space.train.learning_rate=[1e-4]").expect("a good override");
    let spec = Spec::parse("x", GOOD, &[change]).expect("a good override");
    assert_eq!(spec.search.space.size(), Some(2));
}

fn program(lines: &str) -> Result<Spec, Problems> {
    Spec::parse("x", &format!("{lines}\n[search.space]\nlr = [1, 2]\n\"net.width\" = [8]\n"), &[])
}

#[test]
fn a_program_can_be_the_trainer() {
    let text = "trainer = { command = [\"python3\", \"a b.py\"], timeout = 60, env = { A = 1 } }\nsearch.objective = \"f1\"\n\
                search.direction = \"maximize\"\n[train]\nlr = 0\nepochs = 3\n";
    let spec = program(text).unwrap_or_else(|problems| panic!("{problems}"));
    let Trainer::Program(program) = &spec.trainer else { panic!("the built-in trainer") };
    assert_eq!((program.timeout, program.grace), (Some(Duration::from_mins(1)), Duration::from_secs(5)));
    assert_eq!((spec.folds.k, spec.folds.runs(), spec.baseline), (1, 1, false));
    let point = spec.first_points(2).remove(1);
    assert_eq!(serde_json::json!(point), serde_json::json!({ "lr": 2, "net.width": 8 }));
    let tables = |point: &Point| serde_json::to_string(&program.tables_at(point)).expect("json");
    assert_eq!(tables(&point), r#"{"train":{"lr":0,"epochs":3}}"#);
    let varied: Point = [("train.lr".to_owned(), Value::from(7))].into_iter().collect();
    assert_eq!(tables(&varied), r#"{"train":{"lr":7,"epochs":3}}"#);
}

#[test]
fn programs_that_cannot_be_trainers() {
    let objective = "search.objective = \"macro_f1\"";
    let good = format!("trainer.command = [\"python3\"]\n{objective}");
    let cases = [
        ("good", good.clone()),
        ("no table", format!("trainer = \"python3 train.py\"\n{objective}")),
        ("no command", format!("trainer.timeout = 3\n{objective}")),
        ("a shell's line", format!("trainer.command = \"python3 train.py\"\n{objective}")),
        ("empty", format!("trainer.command = []\n{objective}")),
        ("no name", format!("trainer.command = [\" \", \"train.py\"]\n{objective}")),
        ("a number", format!("trainer.command = [\"python3\", 3]\n{objective}")),
        ("NUL", format!("trainer.command = [\"a\\u0000b\"]\n{objective}")),
        ("unknown key", format!("trainer.comand = [\"python3\"]\n{objective}")),
        ("times", format!("{good}\ntrainer.timeout = 0\ntrainer.grace = -1")),
        ("no times", format!("{good}\ntrainer.timeout = \"1h\"\ntrainer.grace = true")),
        ("variables", format!("{good}\ntrainer.env = {{ A = [1], \"B=\" = \"c\" }}")),
        ("no variables", format!("{good}\ntrainer.env = [\"A=b\"]")),
        ("a baseline", format!("baseline = true\n{good}")),
        ("stratified folds", format!("{good}\nfolds.stratify = true\nfolds.k = 0")),
        ("a holdout", format!("{good}\nfolds.holdout = 0.15")),
        ("no objective", "trainer.command = [\"python3\"]".to_owned()),
        ("no direction", "trainer.command = [\"python3\"]\nsearch.objective = \"loss\"".to_owned()),
        ("misspelt section", good.replace("trainer", "trainr")),
    ];
    let picture: Vec<String> = cases
        .iter()
        .map(|(name, lines)| {
            let found = program(lines).map_or_else(|problems| problems.to_string(), |_| "nothing".to_owned());
            format!("{name}\n{found}")
        })
        .collect();
    assert_snapshot!(picture.join("\n"));
}

#[test]
fn keys_without_effect_are_told() {
    let unread = |keys: &str| {
        let spec = Spec::parse("x", &format!("data.path = \"a.csv\"\n{keys}"), &[]);
        let spec = spec.unwrap_or_else(|problems| panic!("{problems}"));
        let lines = spec.unread().into_iter().map(|(key, why)| format!("{key}: {why}\n"));
        lines.collect::<Vec<_>>().concat()
    };
    let layers = "model.aggregator = { heads = 2, norm = \"post\", dropout = 0.2, layers = 0 }\n";
    let labels = "model.label_scale = false\nmodel.label_norm = true\n";
    let cases = [
        unread(layers),
        unread(&format!("{labels}model.label_attention = \"none\"")),
        unread(&format!("{labels}model.aggregator.pooling = \"max\"\nmodel.label_attention = \"label-wise\"")),
        unread("[search.space]\n\"model.label_projection\" = [true, false]\n\"model.label_attention\" = [\"none\"]"),
        unread(
            "train.threshold = 0.4\ntrain.layer_decay = 0.9\ntrain.freeze = { embeddings = true, layers = \"all\" }",
        ),
    ];
    assert_snapshot!(cases.join("\n"));
    // one point that reads them is enough
    let space = "[search.space]\n\"model.aggregator.layers\" = [0, 1]\n\"model.label_attention\" = [\"none\", \"doc\"]";
    assert_eq!(unread(&format!("{}{labels}{space}", layers.replace(", layers = 0", ""))), "");
    let defaults = "model.label_attention = \"none\"\nmodel.aggregator.layers = 0";
    assert_eq!(unread(defaults), "", "what nobody wrote needs no warning");
}

#[test]
fn a_holdout_is_a_share_or_nothing() {
    let holdout = |lines: &str| {
        let spec = Spec::parse("x", &format!("{lines}{GOOD}"), &[]).unwrap_or_else(|problems| panic!("{problems}"));
        spec.folds.held_out().map(|Holdout { share, seed, stratify }| (share, seed, stratify))
    };
    assert_eq!(holdout(""), None);
    assert_eq!(holdout("folds.holdout = 0"), None);
    assert_eq!(holdout("folds.holdout = 0.5"), Some((0.5, 17, true)));
    assert_eq!(holdout("folds = { holdout = 0.15, seed = 3, stratify = false }"), Some((0.15, 3, false)));
}
