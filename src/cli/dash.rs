//! `sweep dash`.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;

use crate::dashboard::theme::{Glyphs, Ground, Taste, Theme};
use crate::dashboard::{DashboardError, Ended, Remark};
use crate::failure::{Code, Failure};
use crate::settings::Settings;
use crate::store::{Reader, SweepKey};

#[derive(Debug, Args)]
pub(super) struct DashArgs {
    /// Name of the sweep [default: the list of all]
    sweep: Option<String>,
    /// Colours for a dark or a light terminal [default: as the terminal says]
    #[arg(long, value_name = "dark|light")]
    theme: Option<Ground>,
    /// What charts are drawn with [default: as the terminal can]
    #[arg(long, value_name = "braille|block|ascii")]
    glyphs: Option<Glyphs>,
}

/// Shows the dashboard until the user leaves it.
pub(super) async fn dash(args: DashArgs, settings: &Settings) -> Result<Code, Failure> {
    let reader = Reader::open(&settings.db).await?;
    let sweep = match &args.sweep {
        Some(name) => Some(reader.sweep(name).await?.key),
        None => None,
    };
    show(reader, sweep, (args.theme, args.glyphs), settings, false).await
}

/// The dashboard on a sweep, while this process conducts it.
pub(super) fn beside(settings: &Settings, sweep: SweepKey) -> JoinHandle<Result<Code, Failure>> {
    let (settings, runtime) = (settings.clone(), Handle::current());
    // on a thread of its own: drawing must not hold up the sweep
    tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            let reader = Reader::open(&settings.db).await?;
            show(reader, Some(sweep), (None, None), &settings, true).await
        })
    })
}

/// Before anything is begun: whether there is something to draw the dashboard on, if it is wanted.
pub(super) fn needs_terminal(is_wanted: bool) -> Result<(), Failure> {
    if is_wanted && !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(
            no_terminal().hint("without --watch the sweep needs none; `sweep dash` can watch it from elsewhere")
        );
    }
    Ok(())
}

fn no_terminal() -> Failure {
    Failure::new(Code::Usage, DashboardError::NoTerminal.to_string())
}

async fn show(
    reader: Reader,
    sweep: Option<SweepKey>,
    (ground, glyphs): (Option<Ground>, Option<Glyphs>),
    settings: &Settings,
    conducts: bool,
) -> Result<Code, Failure> {
    let ground = ground.map_or_else(|| setting("theme", &settings.theme), |ground| Ok(Some(ground)))?;
    let glyphs = glyphs.map_or_else(|| setting("glyphs", &settings.glyphs), |glyphs| Ok(Some(glyphs)))?;
    let taste = Taste { ground, glyphs };
    let theme = Theme::of(taste, |name| std::env::var(name).ok());
    match crate::dashboard::open(reader, sweep, theme, (conducts, remark(settings))).await {
        Ok(Ended::Left) => Ok(Code::Good),
        Ok(Ended::Interrupted) => Ok(Code::Interrupted),
        Err(DashboardError::Store(error)) => Err(error.into()),
        Err(DashboardError::NoTerminal) => Err(no_terminal().hint("`sweep ls` and `sweep show` print what it shows")),
        Err(DashboardError::Terminal(error)) => {
            Err(Failure::new(Code::Broken, format!("cannot draw on the terminal: {error}")))
        }
    }
}

/// What is said of trials that nobody runs is written down as the commands do.
fn remark(settings: &Settings) -> Remark {
    let settings = Arc::new(settings.clone());
    Arc::new(move |sweep, order| {
        let settings = Arc::clone(&settings);
        Box::pin(async move {
            let runtime = Handle::current();
            // it replays the whole sweep: the loop of the dashboard must not wait for that
            let work = move || runtime.block_on(super::steer::remark_on(&sweep, order, &settings));
            let answer = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
            answer.map_err(|failure| failure.what)
        })
    })
}

/// A setting that may be left to the terminal.
fn setting<T: FromStr<Err = String>>(name: &str, value: &str) -> Result<Option<T>, Failure> {
    if value == "auto" {
        return Ok(None);
    }
    let wrong = |error| Failure::new(Code::Usage, format!("settings: {name}: {error}")).hint("or auto");
    value.parse().map(Some).map_err(wrong)
}

/// Logs would be drawn over the screen: they go to `~/.local/state/sweep/dashboard.log`, or nowhere where that cannot be
/// written.
pub(super) fn log_to_file(filter: EnvFilter) {
    let Some(path) = log_file() else { return };
    let file = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
        // of the last dashboards only: nobody tidies up there
        let is_long = fs::metadata(&path).is_ok_and(|log| log.len() > 1_000_000);
        fs::OpenOptions::new().create(true).append(!is_long).write(true).truncate(is_long).open(&path)
    });
    if let Ok(file) = file {
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Arc::new(file)).init();
    }
}

fn log_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("sweep/dashboard.log"))
}
