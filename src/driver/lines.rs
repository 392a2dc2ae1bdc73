//! What a process prints, taken apart as it comes: a line that never ends fills no memory.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A line that is longer is no message.
const LONGEST: usize = 64 << 20;

/// A piece of a process's output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// A line that may be a message.
    Line(Vec<u8>),
    /// A line that is none, or a part of one.
    Log(Vec<u8>),
}

#[derive(Debug)]
pub(super) struct Lines<R> {
    from: BufReader<R>,
    line: Vec<u8>,
    /// Whether the last piece ended within its line.
    within: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from: BufReader::new(from), line: Vec::new(), within: false }
    }

    /// The next piece; none at the end. Nothing is lost if it is not waited for to its end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Output>> {
        loop {
            let read = self.from.fill_buf().await?;
            let at_end = read.is_empty();
            let newline = read.iter().position(|byte| *byte == b'\n');
            let length = newline.map_or(read.len(), |place| place + 1);
            self.line.extend_from_slice(&read[..length]);
            self.from.consume(length);
            if at_end && self.line.is_empty() {
                return Ok(None);
            }
            let is_whole = newline.is_some() || at_end;
            let may_be_message = !self.within && self.line.first() == Some(&b'{');
            if may_be_message && !is_whole && self.line.len() < LONGEST {
                continue;
            }
            self.within = !is_whole;
            let piece = std::mem::take(&mut self.line);
            return Ok(Some(if may_be_message && is_whole { Output::Line(piece) } else { Output::Log(piece) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pieces(text: &[u8]) -> Vec<Output> {
        let mut lines = Lines::new(text);
        let mut pieces = Vec::new();
        while let Some(piece) = lines.next().await.expect("memory can be read") {
            pieces.push(piece);
        }
        pieces
    }

    #[tokio::test]
    async fn lines_that_may_be_messages_come_whole() {
        let long = format!("{{{}", "x".repeat(100_000));
        let text = format!("a\n{{b}}\n\n {{c\n{long}\n{{d");
        let line = |text: &str| Output::Line(text.as_bytes().to_vec());
        let log = |text: &str| Output::Log(text.as_bytes().to_vec());
        let expected = [log("a\n"), line("{b}\n"), log("\n"), log(" {c\n"), line(&format!("{long}\n")), line("{d")];
        assert_eq!(pieces(text.as_bytes()).await, expected);
    }

    #[tokio::test]
    async fn a_line_without_end_comes_in_pieces() {
        for start in ["x", "{"] {
            let mut text = start.repeat(LONGEST + 100_000).into_bytes();
            text.extend_from_slice(b"\n{\"type\":\"hello\"}\n");
            let mut pieces = pieces(&text).await;
            assert_eq!(pieces.pop(), Some(Output::Line(b"{\"type\":\"hello\"}\n".to_vec())));
            let mut length = 0;
            for piece in pieces {
                let Output::Log(piece) = piece else { panic!("a part of a line is no message") };
                assert!(piece.len() <= LONGEST + 10_000);
                length += piece.len();
            }
            assert_eq!(length, LONGEST + 100_001);
        }
    }
}
