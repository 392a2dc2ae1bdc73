//! The sampler alone, through the real program: a conversation, line by line, with no data and no database.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Project, repository};

#[test]
fn a_conversation_is_answered_line_by_line() {
    let project = Project::new();
    project.write(
        "search.toml",
        "[search]\nsampler = \"sobol\"\n[search.space]\nx = { low = 1e-9, high = 1.0, log = true }\nc = [\"a\", [1, 2.5]]",
    );
    let mut child =
        project.command(&["ask-tell", "search.toml"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut ask = |message: &[u8]| -> Value {
        stdin.write_all(message).unwrap();
        stdin.flush().unwrap();
        // each answer comes before the next line is written: nothing is held back
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    for trial in 0..30 {
        let answer = ask(b"{\"type\":\"ask\"}\n");
        assert_eq!((&answer["type"], &answer["trial"]), (&json!("trial"), &json!(trial)));
        let x = answer["params"]["x"].as_f64().unwrap();
        assert!((1e-9..=1.0).contains(&x));
        // what is told without a mistake is not answered: the next answer is the error of the line after it
        let told = format!("{{\"type\":\"tell\",\"trial\":{trial},\"score\":{x}}}\n");
        let error = ask(format!("{told}{told}").as_bytes());
        assert_eq!(error["why"], json!(format!("trial {trial} has its score already: {x}")));
    }
    assert_eq!(ask(b"\xff\xfe{\n")["type"], json!("error"));
    assert_eq!(ask(b"{\"type\":\"ask\"}\r\n")["trial"], json!(30));
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!project.path("experiments.db").exists());
}

#[test]
fn a_file_that_cannot_be_searched_is_refused() {
    let project = Project::new();
    project.write("search.toml", "[search]\nconstraints = [\"a > 3\"]\n[search.space]\na = [1, 2]\n[model]\nhiden = 3");
    let outcome = project.sweep(&["ask-tell", "search.toml"]);
    assert_eq!(outcome.code, Some(4));
    assert!(outcome.err.contains("model.hiden: unknown key; did you mean `hidden`?"), "{}", outcome.err);
    let outcome = project.sweep(&["ask-tell", "search.toml", "--set", "search.sampler=baies"]);
    assert_eq!(outcome.code, Some(4));
    assert_eq!(project.sweep(&["ask-tell", "nothing.toml"]).code, Some(4));
}

/// The loop of docs/protocol.md, as it stands there.
#[test]
fn the_loop_of_the_documents_runs() {
    let text = std::fs::read_to_string(repository().join("docs/protocol.md")).unwrap();
    let text = text.split("# Ask and tell").nth(1).unwrap();
    let block = |kind: &str| text.split(&format!("```{kind}\n")).nth(1).unwrap().split("```").next().unwrap();
    let project = Project::new();
    project.write("search.toml", block("toml"));
    project.write("loop.py", block("python").replace("\"sweep\"", &format!("{:?}", env!("CARGO_BIN_EXE_sweep"))));
    let python = std::process::Command::new("python3").arg("loop.py").current_dir(project.path("")).output();
    let Ok(output) = python else {
        eprintln!("skipped: there is no Python here");
        return;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let score: f64 = said.trim_start_matches('(').split(',').next().unwrap().parse().unwrap();
    assert!(score > 0.95, "{said}");
}
