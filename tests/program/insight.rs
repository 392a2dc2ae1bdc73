//! `sweep show --importance`: what a recorded sweep says of its parameters.

use serde_json::Value;

use crate::support::Project;

/// A program that needs nothing but a shell: the score is a table's entry.
const OWN: &str = r#"
[trainer]
command = ["sh", "train.sh"]
[search]
sampler = "grid"
objective = "gain"
direction = "maximize"
race = "off"
[search.space]
rate = [1, 2, 3, 4]
kind = ["flat", "steep"]
idle = [true, false]
[resources]
devices = "cpu"
slots_per_device = 2
"#;

/// 2 · rate where it is steep, and rate elsewhere.
const TRAIN: &str = r#"
read -r job
of() { printf '%s' "$job" | sed -n "s/.*\"params\": *{[^}]*\"$1\": *\"\{0,1\}\([a-z0-9]*\).*/\1/p"; }
score=$(of rate)
[ "$(of kind)" = steep ] && score=$((score * 2))
echo '{"type": "hello", "protocol": 1}'
echo "{\"type\": \"done\", \"score\": $score}"
"#;

fn project(spec: &str) -> Project {
    let project = Project::new();
    project.write("train.sh", TRAIN);
    project.write("own.toml", spec);
    let outcome = project.sweep(&["run", "own.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    project
}

fn told(project: &Project) -> (String, Value) {
    let text = project.sweep(&["show", "own", "--importance"]);
    assert_eq!(text.code, Some(0), "{}", text.err);
    let json = project.sweep(&["show", "--importance", "--format", "json"]);
    let json = serde_json::from_str(&json.out).unwrap_or_else(|error| panic!("{error}: {}", json.out));
    (text.out, json)
}

#[test]
fn a_grid_of_a_program_is_understood() {
    let project = project(OWN);
    assert_eq!(project.sql("select count(distinct score) from trials"), ["6"]);
    let (text, json) = told(&project);
    assert!(text.contains("own: what 16 scores of 16 points say of gain\n"), "{text}");
    let insight = &json["insight"];
    let names: Vec<&str> =
        insight["parameters"].as_array().unwrap().iter().map(|row| row["parameter"].as_str().unwrap()).collect();
    assert_eq!(names, ["rate", "kind", "idle"], "{text}");
    assert!(insight["parameters"][2]["total"]["median"].as_f64().unwrap() < 0.02, "{text}");
    let rate = &insight["parameters"][0];
    assert_eq!((rate["effect"].as_array().unwrap().len(), &rate["best"]), (4, &3.into()), "{rate}");
    assert_eq!(rate["effect"][3]["value"], 4);
    // the typical gain at rate 4 lies between 4 and 8
    let best = rate["effect"][3]["score"].as_f64().unwrap();
    assert!((5.0..7.0).contains(&best), "{rate}");
    assert!(text.lines().any(|line| line.contains("rate") && line.contains('▁') && line.contains('█')), "{text}");
    assert_eq!(insight["pairs"].as_array().unwrap().len(), 3);
    assert_eq!(told(&project), (text, json), "whenever it is asked");

    let both = project.sweep(&["show", "--importance", "--trial", "1"]);
    assert_eq!(both.code, Some(2));
    assert!(both.err.contains("cannot be used with"), "{}", both.err);
    assert_eq!(project.sweep(&["show", "--importance", "--format", "csv"]).code, Some(2));
}

#[test]
fn where_nothing_can_be_said_it_says_why() {
    for (change, why) in [
        ("rate = [1, 2, 3]\nkind = [\"flat\"]", "3 different points have scores; at least 4 are needed"),
        ("rate = [2]", "no parameter varies"),
        ("rate = [2]\nidle = [1, 2, 3, 4]", "all points have the same score"),
    ] {
        let begin = OWN.find("rate =").unwrap();
        let end = OWN.find("[resources]").unwrap();
        let project = project(&format!("{}{change}\n{}", &OWN[..begin], &OWN[end..]));
        let (text, json) = told(&project);
        assert!(text.contains(why), "{text}");
        assert_eq!((&json["insight"], json["why"].as_str()), (&Value::Null, Some(why)), "{json}");
    }
}
