use insta::assert_snapshot;

use super::*;
use crate::spec::Config;

fn load(project: &Path, config: &Config) -> Result<Documents, DataError> {
    let path = project.join(&config.data.path);
    documents(&path, &super::read(&path)?, &config.data, &config.text)
}

fn read(name: &str, contents: &[u8], keys: &str) -> Result<Documents, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join(name), contents).expect("a written file");
    let config = Config::parse(&format!("[data]\npath = {name:?}\n{keys}")).expect("a good file");
    let place = format!("{}/", directory.path().display());
    load(directory.path(), &config).map_err(|e| e.to_string().replace(&place, ""))
}

fn problem(name: &str, contents: &str, keys: &str) -> String {
    read(name, contents.as_bytes(), keys).expect_err("a problem")
}

#[test]
fn the_three_formats_read_alike() {
    let json = "{\"text\":\"甲 文\",\"label\":\"a\",\"who\":1}\n\n{\"text\":\"乙\",\"label\":\"b\",\"who\":2}\r\n";
    let csv = "\u{feff}text,label,who\n\"甲 文\",a,1\n乙,b,2\n";
    let tsv = "text\tlabel\twho\n甲 文\ta\t1\n乙\tb\t2\n";
    let mut documents = [("a.jsonl", json), ("a.csv", csv), ("a.tsv", tsv)]
        .map(|(name, text)| read(name, text.as_bytes(), "group = \"who\"").expect("good documents"));
    for read in &mut documents {
        // without an id column a document's name is its line
        read.ids.clear();
    }
    assert_eq!(documents[0], documents[1]);
    assert_eq!(documents[1], documents[2]);
    assert_eq!(documents[0].labels, DocumentLabels::Single(vec![0, 1]));
    assert_eq!(documents[0].groups, Some(vec![0, 1]));
    assert_eq!(documents[0].texts, ["甲 文", "乙"]);
}

#[test]
fn several_labels_in_a_list_or_separated() {
    let json = "{\"t\":\"x\",\"tags\":[\"b\",\"a\",\"b\"]}\n{\"t\":\"y\",\"tags\":[]}\n{\"t\":\"z\",\"tags\":\"c;a\"}";
    let keys = "text = \"t\"\nlabels = \"tags\"";
    let documents = read("a.jsonl", json.as_bytes(), keys).expect("good documents");
    assert_eq!(documents.labels, DocumentLabels::Multi(vec![vec![0, 1], vec![], vec![0, 2]]));
    let csv = "t,tags\nx,b|a\ny,\n";
    let documents = read("a.csv", csv.as_bytes(), &format!("{keys}\nseparator = \"|\"")).expect("good documents");
    assert_eq!(documents.labels, DocumentLabels::Multi(vec![vec![0, 1], vec![]]));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let good = "{\"text\":\"x\",\"label\":\"a\"}\n";
    let cases = [
        (
            "empty document",
            problem("a.jsonl", &format!("{good}{}", "{\"text\":\" \\n\",\"label\":\"a\"}\n".repeat(7)), ""),
        ),
        ("no such column", problem("a.csv", "body,label\nx,a\n", "")),
        ("json", problem("a.jsonl", &format!("{good}{{\"text\": \n[1]\n"), "")),
        ("short row", problem("a.csv", "text,label\nx\n", "")),
        ("no label", problem("a.csv", "text,label\nx,\n", "")),
        ("a list as label", problem("a.jsonl", "{\"text\":\"x\",\"label\":[1]}", "")),
        ("no group", problem("a.csv", "text,label,g\nx,a,\n", "group = \"g\"")),
        ("same id", problem("a.csv", "text,label,n\nx,a,1\ny,b,1\n", "id = \"n\"")),
        ("one class", problem("a.jsonl", good, "")),
        ("no labels", problem("a.jsonl", "{\"text\":\"x\",\"label\":[]}", "labels = \"label\"")),
        ("nothing", problem("a.jsonl", "\n\n", "")),
        ("header only", problem("a.csv", "text,label\n", "")),
        ("utf-8", read("a.jsonl", b"{\"text\":\"\xff\",\"label\":\"a\"}", "").expect_err("a problem")),
        ("utf-8 in csv", read("a.csv", b"text,label\n\xff,a\n", "").expect_err("a problem")),
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
fn a_missing_file_is_named() {
    let config = Config::parse("data.path = \"no/such.csv\"").expect("a good file");
    let error = load(Path::new("/nowhere"), &config).expect_err("no file");
    assert_snapshot!(error, @"cannot read /nowhere/no/such.csv: No such file or directory (os error 2)");
}
