//! `sweep ask-tell`: the sampler alone, for somebody else's loop.

use std::io::{BufRead, Write};

use clap::Args;

use super::SpecArgs;
use super::earlier::earlier;
use super::print::{errln, out};
use crate::failure::{Code, Failure};
use crate::search::ask_tell::AskTell;
use crate::settings::Settings;
use crate::spec::{Override, SearchOnly};

#[derive(Debug, Args)]
pub(super) struct AskTellArgs {
    #[command(flatten)]
    spec: SpecArgs,
}

/// Answers line by line, until nobody asks any more.
pub(super) async fn ask_tell(args: &AskTellArgs, settings: &Settings) -> Result<Code, Failure> {
    let text = args.spec.text()?;
    let parsed = Override::parse_all(&args.spec.set).and_then(|set| SearchOnly::parse(&args.spec.stem(), &text, &set));
    let only = parsed.map_err(|problems| args.spec.cannot_use(&problems))?;
    if only.survey.refused() > 0 {
        errln!("{}", only.survey);
    }
    let accepts = |point: &_| only.accepts(point);
    let earlier = earlier(&settings.db, &only.search, &only.values()).await?;
    let mut conversation = AskTell::new(only.search.clone(), only.folds, &accepts).after(earlier);
    let mut stdin = std::io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = stdin.read_until(b'\n', &mut line);
        if read.map_err(|error| Failure::new(Code::Broken, format!("cannot read stdin: {error}")))? == 0 {
            return Ok(Code::Good);
        }
        if let Some(answer) = conversation.answer(&String::from_utf8_lossy(&line)) {
            let answer = serde_json::to_string(&answer)
                .map_err(|error| Failure::new(Code::Broken, format!("cannot write JSON: {error}")))?;
            out(format_args!("{answer}\n"));
            // whoever asked waits for it
            let _ = std::io::stdout().lock().flush();
        }
    }
}
