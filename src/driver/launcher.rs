//! What trains the runs of a sweep, with all that it needs in place: knows how to start a run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::child::{Launch, Patience};
use super::material::Materials;
use super::slots::Slot;
use super::verdict::Goal;
use crate::protocol::{Device, Job, ProgramJob, Task};
use crate::spec::{BuiltIn, Program};

#[derive(Debug)]
pub enum Launcher {
    BuiltIn(Box<BuiltIn>, Materials),
    Program(FoundProgram),
}

/// A program that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundProgram {
    program: Program,
    path: PathBuf,
    /// Its working directory.
    project: PathBuf,
}

#[derive(Debug, Error)]
pub enum ProgramError {
    #[error("trainer.command: there is no {}", .0.display())]
    NoFile(PathBuf),
    #[error("trainer.command: {} is no file that can be executed", .0.display())]
    NotExecutable(PathBuf),
    #[error("trainer.command: there is no {name} in the PATH")]
    NotInPath { name: String },
}

/// Why a run did not start.
pub(super) enum Unstarted {
    /// Its configuration cannot run.
    Configuration(String),
    Process(io::Error),
}

impl Unstarted {
    pub(super) fn configuration(error: impl fmt::Display) -> Self {
        Self::Configuration(error.to_string())
    }
}

impl FoundProgram {
    /// Finds a program: a path relative to the project, or a name in the PATH.
    pub fn find(program: &Program, project: &Path) -> Result<Self, ProgramError> {
        let name = program.command.first().map_or("", String::as_str);
        let path = if name.contains('/') {
            let path = project.join(name);
            match is_executable(&path) {
                None => return Err(ProgramError::NoFile(path)),
                Some(false) => return Err(ProgramError::NotExecutable(path)),
                Some(true) => path,
            }
        } else {
            let places = program.env.get("PATH").map(Into::into).or_else(|| std::env::var_os("PATH"));
            let places = places.unwrap_or_default();
            let found = std::env::split_paths(&places).map(|place| project.join(place).join(name));
            let found = found.into_iter().find(|path| is_executable(path) == Some(true));
            found.ok_or_else(|| ProgramError::NotInPath { name: name.to_owned() })?
        };
        Ok(Self { program: program.clone(), path, project: project.to_owned() })
    }

    /// Its variables: ours, those of the sweep file, and what must be so for its slot.
    fn environment(&self, slot: &Slot, threads: usize) -> Vec<(String, String)> {
        let threads = threads.to_string();
        let mut environment = BTreeMap::from([
            // read by OpenMP, and so by PyTorch, NumPy's libraries and scikit-learn
            ("OMP_NUM_THREADS".to_owned(), threads.clone()),
            ("RAYON_NUM_THREADS".to_owned(), threads),
            // Python holds back what it prints to a pipe: metrics would come in lumps, and be lost with a crash
            ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
        ]);
        environment.extend(cards(slot));
        environment.extend(self.program.env.clone());
        if slot.device == Device::Cuda {
            // two runs would share a card
            environment.extend(cards(slot));
        }
        environment.into_iter().collect()
    }
}

/// `python3 train.py (/usr/bin/python3), in /home/me/project`
impl fmt::Display for FoundProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.program.command.join(" ");
        write!(f, "{command} ({}), in {}", self.path.display(), self.project.display())
    }
}

/// Whether it is a file that can be executed; none if there is nothing.
fn is_executable(path: &Path) -> Option<bool> {
    let about = path.metadata().ok()?;
    Some(about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// The cards that a run sees, numbered as NVML does.
fn cards(slot: &Slot) -> [(String, String); 2] {
    [("CUDA_DEVICE_ORDER", "PCI_BUS_ID"), ("CUDA_VISIBLE_DEVICES", slot.visible.as_str())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

impl Launcher {
    /// How a run is started on a slot. `worker` is this program's own file, `log` where the run's log goes.
    pub(super) async fn launch(
        &mut self,
        task: Task,
        slot: &Slot,
        worker: &Path,
        log: PathBuf,
    ) -> Result<Launch, Unstarted> {
        let run = task.run;
        let goal = Goal { objective: task.objective.clone(), direction: task.direction };
        let threads = task.threads;
        match self {
            Self::BuiltIn(trainer, materials) => {
                let job = built_in_job(trainer, materials, task).await?;
                let threads = threads.to_string();
                let ours = [
                    // both pools that candle computes with
                    ("RAYON_NUM_THREADS", threads.as_str()),
                    ("CANDLE_NUM_THREADS", &threads),
                    // a step frees and takes the same memory again: giving it back in between costs a fifth of the time
                    ("MIMALLOC_PURGE_DELAY", "-1"),
                ];
                let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
                Ok(Launch {
                    run,
                    program: worker.to_owned(),
                    arguments: vec!["worker".into()],
                    environment: ours.into_iter().chain(cards(slot)).collect(),
                    working_directory: None,
                    job: serde_json::to_string(&job).map_err(Unstarted::configuration)?,
                    goal,
                    patience: Patience::default(),
                    log,
                })
            }
            Self::Program(found) => {
                let FoundProgram { program, path, project } = &*found;
                let job = ProgramJob { config: program.tables_at(&task.params), task };
                Ok(Launch {
                    run,
                    program: worker.to_owned(),
                    arguments: ["tether".into(), "--".into(), path.into()]
                        .into_iter()
                        .chain(program.command[1..].iter().map(OsString::from))
                        .collect(),
                    environment: found.environment(slot, threads),
                    working_directory: Some(project.clone()),
                    job: serde_json::to_string(&job).map_err(Unstarted::configuration)?,
                    goal,
                    patience: Patience { run: program.timeout, grace: program.grace, ..Patience::default() },
                    log,
                })
            }
        }
    }
}

async fn built_in_job(trainer: &BuiltIn, materials: &mut Materials, task: Task) -> Result<Job, Unstarted> {
    let is_baseline = task.run.trial.is_baseline();
    let config = if is_baseline { Ok(trainer.config.clone()) } else { trainer.config_at(&task.params) };
    let config = config.map_err(Unstarted::configuration)?;
    let material = materials.of(&config).await.map_err(Unstarted::configuration)?;
    let mut config = materials.encoders().located(&config);
    if is_baseline {
        // the only run that reads the text itself
        config.data.path = materials.project().join(&config.data.path).to_string_lossy().into_owned();
    }
    let (train, validation) = material.split(task.run.fold);
    Ok(Job { task, config, documents: material.path.to_string_lossy().into_owned(), train, validation })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::spec::{Spec, Trainer};

    fn program(keys: &str) -> Program {
        let text = format!("[trainer]\n{keys}\n[search]\nobjective = \"accuracy\"\n");
        match Spec::parse("x", &text, &[]).unwrap_or_else(|problems| panic!("{problems}")).trainer {
            Trainer::Program(program) => program,
            Trainer::BuiltIn(_) => panic!("not a program"),
        }
    }

    #[test]
    fn programs_are_found_before_they_are_run() {
        let project = tempfile::tempdir().expect("a temporary directory");
        fs::write(project.path().join("plain.py"), "").expect("written");
        fs::create_dir(project.path().join("folder")).expect("made");
        let find = |keys: &str| {
            FoundProgram::find(&program(keys), project.path())
                .map_err(|error| error.to_string().replace(project.path().to_str().expect("UTF-8"), "DIR"))
        };
        let path = find("command = [\"sh\"]").expect("every system has it").path;
        assert!(path.is_absolute() && path.ends_with("sh"));
        let error = |keys: &str| find(keys).expect_err("not there");
        insta::assert_snapshot!([
            error("command = [\"./none.sh\"]"),
            error("command = [\"./plain.py\"]"),
            error("command = [\"./folder\"]"),
            error("command = [\"no-such-program\"]"),
            error("command = [\"sh\"]\nenv = { PATH = \"folder\" }"),
        ].join("\n"), @r"
        trainer.command: there is no DIR/./none.sh
        trainer.command: DIR/./plain.py is no file that can be executed
        trainer.command: DIR/./folder is no file that can be executed
        trainer.command: there is no no-such-program in the PATH
        trainer.command: there is no sh in the PATH
        ");
    }

    #[test]
    fn a_slot_is_a_slot_whatever_the_file_says() {
        let program =
            program("command = [\"sh\"]\nenv = { OMP_NUM_THREADS = 7, CUDA_VISIBLE_DEVICES = \"0,1\", A = \"b\" }");
        let found = FoundProgram::find(&program, Path::new("/")).expect("every system has it");
        let slot = Slot { device: Device::Cuda, name: "cuda:1".to_owned(), visible: "1".to_owned() };
        let lines: Vec<String> =
            found.environment(&slot, 2).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        A=b
        CUDA_DEVICE_ORDER=PCI_BUS_ID
        CUDA_VISIBLE_DEVICES=1
        OMP_NUM_THREADS=7
        PYTHONUNBUFFERED=1
        RAYON_NUM_THREADS=2
        ");
    }
}
