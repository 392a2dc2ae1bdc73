use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn lookup(name: &str) -> Option<Value> {
    match name {
        "a" => Some(json!(7)),
        "b" => Some(json!(2)),
        "half" => Some(json!(0.5)),
        "model.kind" => Some(json!("lstm")),
        "flag" => Some(json!(true)),
        "learning-rate" => Some(json!(1e-3)),
        _ => None,
    }
}

fn evaluated(text: &str) -> String {
    match Expression::parse(text) {
        Err(error) => error.to_string(),
        Ok(expression) => match expression.value(&lookup) {
            Ok(Some(value)) => value.to_string(),
            Ok(None) => "open".to_owned(),
            Err(why) => format!("error: {why}"),
        },
    }
}

#[test]
fn values() {
    let cases = [
        "1 + 2 * 3",
        "(1 + 2) * 3",
        "10 - 4 - 3",
        "a % b == 1",
        "-a % 4",
        "a / b",
        "6 / b",
        "4 * half",
        "1e3 + 1_000",
        "--a",
        "`learning-rate` * 10",
        "a > 3 and b > 3",
        "a > 3 or nothing > 3",
        "a < 3 and nothing > 3",
        "a > 3 and nothing > 3",
        "not a > 3",
        "not not flag",
        "not (a > 3 and b > 3) == flag",
        "model.kind == 'lstm' or a % 2 == 0",
        "model.kind != \"mean\"",
        "1 == 1.0",
        "a / 0",
        "a % (b - 2)",
        "b > 0 or a / 0 > 1",
        "model.kind * 2",
        "a and flag",
        "1e308 * 10",
        "nothing + 1",
        "9007199254740993",
    ];
    let picture: Vec<String> = cases.iter().map(|case| format!("{case}  ->  {}", evaluated(case))).collect();
    assert_snapshot!(picture.join("\n"));
}

#[test]
fn mistakes_are_said_with_their_place() {
    let deep = format!("{}1{}", "(".repeat(60), ")".repeat(60));
    let long = "a + ".repeat(600) + "a";
    let cases = [
        "",
        "a +",
        "* a",
        "a b",
        "(a",
        "a)",
        "1 < a < 3",
        "a == b == 1",
        "a = 1",
        "a && b",
        "a || b",
        "!a",
        "a ** 2",
        "a // 2",
        "1.2.3",
        "0x10",
        "1e",
        "'lstm",
        "a # b",
        "not",
        "a + not b",
        "3 and flag",
        "a + (b > 1)",
        "'x' < 3",
        "'x' + 1",
        "-'x'",
        "not 3",
        "(a > 1) == 3",
        "..",
        "a.b.c d",
        "数 $ 1",
    ];
    let picture: Vec<String> = cases
        .iter()
        .copied()
        .chain([&*deep, &*long])
        .map(|case| {
            let shown: String = case.chars().take(20).collect();
            format!("{shown}  ->  {}", evaluated(case))
        })
        .collect();
    assert_snapshot!(picture.join("\n"));
}

proptest! {
    /// Whatever is written, the answer is a tree or a place: no panic, and evaluation ends.
    #[test]
    fn any_text_is_answered(text in "[ab0-9.'`()+*/%<>=!&|\\- notandr]{0,40}") {
        match Expression::parse(&text) {
            Ok(expression) => { let _ = expression.value(&lookup); }
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.at)),
        }
    }

    #[test]
    fn arithmetic_is_that_of_floats(x in -1000i32..1000, y in -1000i32..1000, z in 1i32..50) {
        let text = format!("({x} + {y}) * {z} - {x} % {z}");
        let wanted = (x + y) * z - x.rem_euclid(z);
        prop_assert_eq!(evaluated(&text), wanted.to_string());
    }
}
