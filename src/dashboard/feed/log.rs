//! The end of a file that grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What of it is read: some hundred lines.
const TAIL: u64 = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTail {
    pub path: PathBuf,
    pub lines: Vec<String>,
    /// Length of the whole file.
    pub bytes: u64,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

impl LogTail {
    /// None while it is as long as it was known to be.
    pub(super) fn read(path: &Path, known: Option<u64>) -> Option<Self> {
        let tail = |lines, bytes, problem| Self { path: path.to_owned(), lines, bytes, problem };
        match read_end(path, known) {
            Ok(Some((lines, bytes))) => Some(tail(lines, bytes, None)),
            Ok(None) => None,
            Err(error) => known.is_none().then(|| tail(Vec::new(), 0, Some(error.to_string()))),
        }
    }
}

fn read_end(path: &Path, known: Option<u64>) -> io::Result<Option<(Vec<String>, u64)>> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    if known == Some(bytes) {
        return Ok(None);
    }
    let start = bytes.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.take(TAIL).read_to_end(&mut end)?;
    let text = String::from_utf8_lossy(&end);
    // the first line is whole only where the file begins with it
    let lines = text.lines().skip(usize::from(start > 0));
    Ok(Some((lines.map(plain).collect(), bytes)))
}

/// Without colours and other orders to a terminal; of a line that was written over and over, its last state.
fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let (mut kept, mut letters) = (String::new(), line.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => {
                if letters.next() == Some('[') {
                    // up to the letter that says which order it was
                    letters.find(|letter| ('@'..='~').contains(letter));
                }
            }
            '\t' => kept.push_str("    "),
            letter if letter.is_control() => {}
            letter => kept.push(letter),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_from_its_end_without_orders_to_the_terminal() {
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let path = directory.path().join("attempt-1.log");
        assert!(LogTail::read(&path, None).expect("says so").problem.is_some());
        let long = "x".repeat(70_000);
        std::fs::write(&path, format!("{long}\n\u{1b}[31mred\u{1b}[0m\n10%\r50%\r100%\n损失\t0.5\n"))
            .expect("is written");
        let tail = LogTail::read(&path, None).expect("is new");
        assert_eq!(tail.lines, ["red", "100%", "损失    0.5"]);
        assert_eq!(LogTail::read(&path, Some(tail.bytes)), None);
    }
}
