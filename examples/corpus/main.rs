//! Writes the example corpus: `cargo run --example corpus [directory]` makes
//! `articles.jsonl` (one label a document) and `topics.jsonl` (any number) in
//! `data`, the same bytes on each run. `data/README.md` says what they are.

mod document;
mod grammar;
mod rng;

use clap::Parser;
use document::{Author, Grammars};
use grammar::Grammar;
use rng::Rng;
use serde::Serialize;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

const ARTICLES: usize = 480;
const TOPICS: usize = 240;
const AUTHORS: usize = 40;
/// Any number would do; with another the figures in `data/README.md` change.
const SEED: u64 = 20_250_601;

/// The classes of the articles, each with its grammar. The topics have the first
/// five as labels; the last is there only named in passing.
const CLASSES: [(&str, &str); 6] = [
    ("财经", include_str!("grammar/finance.txt")),
    ("科技", include_str!("grammar/technology.txt")),
    ("医疗", include_str!("grammar/medicine.txt")),
    ("教育", include_str!("grammar/education.txt")),
    ("法律", include_str!("grammar/law.txt")),
    ("体育", include_str!("grammar/sport.txt")),
];
const LABELS: usize = 5;
/// Articles of each class, slightly uneven, as counts out of `ARTICLES`.
const SHARES: [usize; 6] = [88, 84, 82, 79, 75, 72];

#[derive(Serialize)]
struct Article {
    id: String,
    text: String,
    label: &'static str,
    author: String,
}

#[derive(Serialize)]
struct Topic {
    id: String,
    text: String,
    labels: Vec<&'static str>,
    author: String,
}

/// Writes the example corpus, the same bytes on each run.
#[derive(Parser)]
struct Args {
    /// The directory for articles.jsonl and topics.jsonl
    #[arg(default_value = "data")]
    directory: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Args { directory } = Args::parse();
    fs::create_dir_all(&directory)?;

    let grammars = Grammars {
        neutral: Grammar::parse(include_str!("grammar/neutral.txt")),
        aside: Grammar::parse(include_str!("grammar/aside.txt")),
        classes: CLASSES.map(|(_, text)| Grammar::parse(text)).to_vec(),
    };
    let mut rng = Rng::new(SEED);
    let authors: Vec<Author<'_>> =
        (1..=AUTHORS).map(|i| Author::new(format!("author-{i:02}"), &grammars.neutral, &mut rng)).collect();

    let articles = articles(&grammars, &authors, &mut rng);
    write_lines(&directory.join("articles.jsonl"), &articles)?;
    // A generator of its own: the topics stay the same when articles are added.
    let topics = topics(&grammars, &authors, &mut Rng::new(SEED + 1));
    write_lines(&directory.join("topics.jsonl"), &topics)
}

fn articles(grammars: &Grammars<'_>, authors: &[Author<'_>], rng: &mut Rng) -> Vec<Article> {
    let mut classes: Vec<usize> =
        (0..CLASSES.len()).flat_map(|class| std::iter::repeat_n(class, SHARES[class])).collect();
    assert_eq!(classes.len(), ARTICLES, "the shares add up to the articles");
    rng.shuffle(&mut classes);
    let mut written = Vec::new();
    for (i, class) in classes.into_iter().enumerate() {
        let author = author_of(class, authors, rng);
        let length = length_between(530, 2_850, rng);
        written.push(Article {
            id: format!("article-{:04}", i + 1),
            text: document::write(&[class], length, author, grammars, rng),
            label: CLASSES[class].0,
            author: author.name.clone(),
        });
    }
    written
}

fn topics(grammars: &Grammars<'_>, authors: &[Author<'_>], rng: &mut Rng) -> Vec<Topic> {
    let all: Vec<usize> = (0..LABELS).collect();
    let mut written = Vec::new();
    for i in 1..=TOPICS {
        let count = match rng.below(100) {
            0..4 => 0,
            4..46 => 1,
            46..86 => 2,
            _ => 3,
        };
        let mut classes = rng.sample(&all, count);
        classes.sort_unstable();
        let author = rng.pick(authors);
        let length = length_between(530, 1_380, rng);
        written.push(Topic {
            id: format!("topic-{i:04}"),
            text: document::write(&classes, length, author, grammars, rng),
            labels: classes.iter().map(|&class| CLASSES[class].0).collect(),
            author: author.name.clone(),
        });
    }
    written
}

/// Each author writes about four of the six classes: author and label are
/// related, as they are in life, and neither tells the other.
fn author_of<'a, 'g>(class: usize, authors: &'a [Author<'g>], rng: &mut Rng) -> &'a Author<'g> {
    loop {
        let i = rng.below(authors.len());
        if (i + class) % CLASSES.len() < 4 {
            return &authors[i];
        }
    }
}

fn length_between(low: usize, high: usize, rng: &mut Rng) -> usize {
    loop {
        let length = rng.log_normal(960);
        if (low..=high).contains(&length) {
            return length;
        }
    }
}

fn write_lines<T: Serialize>(path: &Path, records: &[T]) -> Result<(), Box<dyn Error>> {
    let mut file = BufWriter::new(File::create(path)?);
    for record in records {
        serde_json::to_writer(&mut file, record)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(())
}
