//! What trains the runs of a sweep, made ready before the first one: documents read and encoders placed, or a program
//! found.

use std::path::Path;

use super::cache_of;
use super::check::{read, reading, summary};
use super::download::place_encoders;
use super::print::errln;
use super::progress::patiently;
use crate::driver::{FoundProgram, Launcher, Materials, Revisions, Slots};
use crate::failure::{Code, Failure};
use crate::settings::Settings;
use crate::spec::{BuiltIn, Spec, Trainer};
use crate::store::SweepRecord;

pub(super) struct Ready {
    pub(super) launcher: Launcher,
    pub(super) origin: Origin,
}

/// What the runs of a sweep come from, as far as it is known: nothing of a program's.
#[derive(Default)]
pub(super) struct Origin {
    pub(super) documents: Option<u64>,
    pub(super) data_sha256: Option<String>,
    pub(super) classes: Vec<String>,
    pub(super) encoders: Revisions,
}

impl Ready {
    /// For a sweep that begins, or goes on from its record. Says on stderr what it comes to.
    pub(super) async fn make(
        spec: &Spec,
        project: &Path,
        settings: &Settings,
        slots: &Slots,
        record: Option<&SweepRecord>,
    ) -> Result<Self, Failure> {
        match &spec.trainer {
            Trainer::BuiltIn(trainer) => Self::built_in(spec, trainer, project, settings, slots, record).await,
            Trainer::Program(program) => {
                let program = FoundProgram::find(program, project)?;
                errln!("runs are trained by {program}");
                if spec.survey.refused() > 0 {
                    errln!("{}", spec.survey);
                }
                Ok(Self { launcher: Launcher::Program(program), origin: Origin::default() })
            }
        }
    }

    async fn built_in(
        spec: &Spec,
        trainer: &BuiltIn,
        project: &Path,
        settings: &Settings,
        slots: &Slots,
        record: Option<&SweepRecord>,
    ) -> Result<Self, Failure> {
        let names = trainer.encoders(&spec.search.space);
        let placed = place_encoders(names, project, record.map(|record| &record.encoders))?;
        let encoders = placed.revisions()?;
        let mut materials =
            Materials::new(project.to_owned(), cache_of(&settings.db), spec.folds.clone(), placed, slots);
        if record.is_none() {
            read(trainer, spec, &mut materials).await?;
        }
        let material = patiently(&reading(trainer), materials.of(&trainer.config)).await?;
        let corpus = &material.corpus;
        if let Some(record) = record
            && record.data_sha256.as_deref().is_some_and(|hash| hash != corpus.data_sha256())
        {
            let path = project.join(&trainer.config.data.path);
            let what =
                format!("{} changed since {} began: old and new scores would not compare", path.display(), record.name);
            return Err(
                Failure::new(Code::BadInput, what).hint("put the old file back, or start a new sweep with `sweep run`")
            );
        }
        errln!("{}", summary(trainer, spec, &mut materials).await?);
        let origin = Origin {
            documents: Some(corpus.documents() as u64),
            data_sha256: Some(corpus.data_sha256().to_owned()),
            classes: corpus.classes().to_vec(),
            encoders,
        };
        Ok(Self { launcher: Launcher::BuiltIn(Box::new(trainer.clone()), materials), origin })
    }
}
