//! What is seen while a model of the hub is downloaded: a bar on a terminal, else a line.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::print::errln;
use crate::driver::{EncoderErrors, Encoders, Revisions};
use crate::hub::{Hub, Notice};
use crate::spec::Pretrained;

/// Places the encoders of a sweep, and shows what that takes on stderr. `revisions` are those of a sweep that has begun.
pub(super) fn place_encoders(
    names: BTreeSet<Pretrained>,
    project: &Path,
    revisions: Option<&Revisions>,
) -> Result<Encoders, EncoderErrors> {
    let mut shown = Shown { bar: None };
    // the threads of the runtime have nothing else to do before a sweep starts
    let placed = tokio::task::block_in_place(|| {
        Encoders::place(names, project, &Hub::here(), revisions, &mut |notice| shown.notice(&notice))
    });
    shown.close();
    placed
}

struct Shown {
    bar: Option<ProgressBar>,
}

const STYLE: &str = "{bar:24.cyan} {bytes}/{total_bytes}  {bytes_per_sec}, {eta} to go  {wide_msg}";

impl Shown {
    fn notice(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Begin { id, commit, from, files, bytes } => {
                let size = HumanBytes(*bytes);
                errln!("downloading {id} (commit {commit}) from {from}: {files} files, {size}");
                if std::io::stderr().is_terminal() {
                    let bar = ProgressBar::with_draw_target(Some(*bytes), ProgressDrawTarget::stderr());
                    bar.set_style(ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar()));
                    self.bar = Some(bar);
                }
            }
            Notice::Progress { file, bytes } => {
                if let Some(bar) = &self.bar {
                    // what is there from an earlier download says nothing about the speed
                    if bar.position() == 0 && *bytes > 0 {
                        bar.set_position(*bytes);
                        bar.reset_eta();
                    }
                    bar.set_position(*bytes);
                    bar.set_message((*file).to_owned());
                }
            }
            Notice::End => self.close(),
            Notice::Warning(what) => errln!("warning: {what}"),
        }
    }

    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
