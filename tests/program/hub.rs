//! Models of a hub: downloaded once, checked, continued, pinned; and what is said when they cannot be had.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use insta::assert_snapshot;
use rustix::process::Signal;
use sweep::hub::{Found, Hub, HubError, Notice, Wanted};
use tempfile::TempDir;

use crate::loopback::{Loopback, git_hash, hash};
use crate::support::{Outcome, Project, SPEC, repository, signal};

const ID: &str = "tiny/bert";
const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";
const WEIGHTS: &str = "model.safetensors";

fn fixture(name: &str) -> PathBuf {
    repository().join("tests/fixtures/encoders").join(name)
}

/// A hub with one model, and what lies beside a model's files at the real one.
fn hub() -> Loopback {
    let hub = Loopback::start();
    hub.publish(ID, OLD, &fixture("bert"), &[("README.md", "# Bert"), ("tf_model.h5", "for others")]);
    hub
}

/// A machine with a cache of its own.
struct Machine {
    home: TempDir,
    endpoint: String,
    variables: Vec<(&'static str, String)>,
}

impl Machine {
    fn new(hub: &Loopback) -> Self {
        Self { home: tempfile::tempdir().unwrap(), endpoint: hub.endpoint(), variables: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn hub(&self) -> Hub {
        Hub::set_up(&|name| match name {
            "HF_HOME" => Some(self.home.path().display().to_string()),
            "HF_ENDPOINT" => Some(self.endpoint.clone()),
            _ => self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()),
        })
    }

    /// Finds and completes a model; what was said meanwhile.
    fn get(&self, wanted: Wanted<'_>) -> Result<(Found, Vec<String>), HubError> {
        let hub = self.hub();
        let mut said = Vec::new();
        let mut watch = |notice: Notice<'_>| match notice {
            Notice::Begin { files, bytes, .. } => said.push(format!("{files} files, {bytes} bytes")),
            Notice::Progress { file, bytes } => said.push(format!("{file} {bytes}")),
            Notice::End => said.push("end".to_owned()),
            Notice::Warning(what) => said.push(what),
        };
        let found = hub.find(wanted, &mut watch)?;
        hub.complete(&found, &mut watch)?;
        Ok((found, said))
    }

    fn model(&self) -> PathBuf {
        self.home.path().join("hub/models--tiny--bert")
    }

    /// The error, without what differs from run to run.
    fn refused(&self, wanted: Wanted<'_>) -> String {
        let error = self.get(wanted).map(|_| ()).unwrap_err();
        let hint = error.hint().map(|hint| format!("\n  {hint}")).unwrap_or_default();
        let text = format!("{error}{hint}").replace(&self.endpoint, "HUB");
        text.replace(&self.home.path().display().to_string(), "HOME")
    }
}

fn wanted(id: &str) -> Wanted<'_> {
    Wanted { id, revision: None, commit: None }
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_model_is_downloaded_once_into_the_layout_that_python_keeps() {
    let hub = hub();
    let machine = Machine::new(&hub);
    let (found, said) = machine.get(wanted(ID)).unwrap();
    let files = ["config.json", WEIGHTS, "tokenizer_config.json", "vocab.txt"];
    assert_eq!(found.folder, machine.model().join("snapshots").join(OLD));
    assert_eq!(names(found.folder.clone()), files);
    assert_eq!(fs::read_to_string(machine.model().join("refs/main")).unwrap(), OLD);
    assert_eq!(names(machine.model().join(".no_exist").join(OLD)), ["special_tokens_map.json"]);
    for name in files {
        let bytes = fs::read(fixture("bert").join(name)).unwrap();
        let blob = if bytes.len() > 4_000 { hash(&bytes) } else { git_hash(&bytes) };
        assert_eq!(fs::read_link(found.folder.join(name)).unwrap(), PathBuf::from("../../blobs").join(&blob), "{name}");
        assert_eq!(fs::read(machine.model().join("blobs").join(blob)).unwrap(), bytes, "{name}");
    }
    let size = |name: &str| fs::metadata(found.folder.join(name)).unwrap().len();
    let all = size(WEIGHTS) + size("vocab.txt") + size("tokenizer_config.json");
    assert_eq!(said.first().unwrap(), &format!("3 files, {all} bytes"));
    assert_eq!(said[said.len() - 2..], [format!("{WEIGHTS} {all}"), "end".to_owned()]);
    let requests = hub.requests();
    assert!(!requests.iter().any(|request| request.contains("README") || request.contains("tf_model")), "{requests:?}");

    let (again, said) = machine.get(wanted(ID)).unwrap();
    assert_eq!((again.folder, said), (found.folder, Vec::new()));
    assert_eq!(hub.requests(), [format!("GET /api/models/{ID}/revision/main?blobs=true")]);
    let models = machine.hub().cache().models();
    assert_eq!((models[0].id.as_str(), models[0].snapshots), (ID, 1));
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let hub = hub();
    let machine = Machine::new(&hub);
    let length = fs::metadata(fixture("bert").join(WEIGHTS)).unwrap().len();
    let blob = format!("/store/{}", hash(&fs::read(fixture("bert").join(WEIGHTS)).unwrap()));
    // a connection that breaks is made again; three that bring nothing are enough
    hub.break_at(WEIGHTS, &[1_000, 2_000, 0, 500, 0, 0, 0]);
    let said = machine.refused(wanted(ID));
    assert!(said.starts_with(&format!("the download of {WEIGHTS} broke at 3500 of {length} bytes: ")), "{said}");
    assert!(said.ends_with("run it again: it goes on from there"), "{said}");
    let asked: Vec<String> = hub
        .requests()
        .into_iter()
        .filter_map(|it| it.strip_prefix(&format!("GET {blob}")).map(str::to_owned))
        .collect();
    assert_eq!(asked, ["", " from 1000", " from 3000", " from 3000", " from 3500", " from 3500", " from 3500"]);
    assert!(!machine.model().join("snapshots").join(OLD).join(WEIGHTS).exists());

    hub.heal();
    let (found, said) = machine.get(wanted(ID)).unwrap();
    assert_eq!(fs::read(found.folder.join(WEIGHTS)).unwrap(), fs::read(fixture("bert").join(WEIGHTS)).unwrap());
    assert!(hub.requests().contains(&format!("GET {blob} from 3500")));
    assert!(said.contains(&format!("{WEIGHTS} 3500")), "progress begins where it broke: {said:?}");
    assert!(!names(machine.model().join("blobs")).iter().any(|name| name.ends_with(".incomplete")));
}

#[test]
fn wrong_bytes_are_refused_and_not_left_behind() {
    let hub = hub();
    let machine = Machine::new(&hub);
    let there = || (names(machine.model().join("snapshots").join(OLD)), names(machine.model().join("blobs")).len());
    hub.spoil("vocab.txt");
    let said = machine.refused(wanted(ID));
    assert!(said.contains("is not what the hub says it is: git's SHA-1 "), "{said}");
    assert_eq!(there(), (["config.json", "tokenizer_config.json"].map(str::to_owned).into(), 2));
    hub.heal();
    hub.spoil(WEIGHTS);
    let said = machine.refused(wanted(ID));
    assert!(said.contains("is not what the hub says it is: SHA-256 "), "{said}");
    assert_eq!(there(), (["config.json", "tokenizer_config.json", "vocab.txt"].map(str::to_owned).into(), 3));
    hub.heal();
    machine.get(wanted(ID)).unwrap();
}

#[test]
fn what_an_earlier_program_left_is_not_believed() {
    let hub = hub();
    let machine = Machine::new(&hub);
    let bytes = fs::read(fixture("bert").join(WEIGHTS)).unwrap();
    let blobs = machine.model().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    for garbage in [vec![7; 100], vec![7; bytes.len()], vec![7; bytes.len() + 1]] {
        fs::write(blobs.join(format!("{}.incomplete", hash(&bytes))), garbage).unwrap();
        let (found, _) = machine.get(wanted(ID)).unwrap();
        assert_eq!(fs::read(found.folder.join(WEIGHTS)).unwrap(), bytes);
        fs::remove_file(found.folder.join(WEIGHTS)).unwrap();
        fs::remove_file(blobs.join(hash(&bytes))).unwrap();
    }
}

#[test]
fn two_who_want_the_same_download_it_once() {
    let hub = hub();
    let machine = Machine::new(&hub);
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| machine.get(wanted(ID)).unwrap()));
        for one in both {
            one.join().unwrap();
        }
    });
    let downloads = hub.requests().into_iter().filter(|request| request.starts_with("GET /store/")).count();
    assert_eq!(downloads, 1);
}

#[test]
fn a_revision_is_pinned_by_its_commit() {
    let hub = hub();
    let machine = Machine::new(&hub);
    machine.get(wanted(ID)).unwrap();
    hub.publish(ID, NEW, &fixture("bert-shards"), &[]);
    hub.requests();
    // what main meant before: nobody is asked
    let (found, _) = machine.get(Wanted { commit: Some(OLD), ..wanted(ID) }).unwrap();
    assert!(found.folder.ends_with(OLD));
    let (found, _) = machine.get(Wanted { revision: Some(OLD), ..wanted(ID) }).unwrap();
    assert!(found.folder.ends_with(OLD));
    assert_eq!(hub.requests(), Vec::<String>::new());
    let (found, _) = machine.get(wanted(ID)).unwrap();
    assert!(found.folder.ends_with(NEW));
    let shards = names(found.folder).into_iter().filter(|name| name.starts_with("model-0000")).count();
    assert_eq!(shards, 2);
    // on another machine the old one is downloaded
    let other = Machine::new(&hub);
    let (found, _) = other.get(Wanted { commit: Some(OLD), ..wanted(ID) }).unwrap();
    assert!(found.folder.ends_with(OLD));
    assert!(!other.model().join("refs/main").exists(), "main means something else by now");
}

#[test]
fn without_the_hub_the_cache_does() {
    let hub = hub();
    let mut machine = Machine::new(&hub).with("HF_HUB_OFFLINE", "1");
    assert_snapshot!(machine.refused(wanted(ID)), @r"
    HF_HUB_OFFLINE is set, and HOME/hub does not hold tiny/bert (main)
      download it once with HF_HUB_OFFLINE=0, or let HF_HOME name another cache
    ");
    assert_eq!(hub.requests(), Vec::<String>::new());
    machine.variables.clear();
    machine.get(wanted(ID)).unwrap();
    hub.requests();
    let offline = machine.with("HF_HUB_OFFLINE", "yes");
    let (found, said) = offline.get(wanted(ID)).unwrap();
    assert!(found.folder.ends_with(OLD) && said.is_empty());
    assert_eq!(hub.requests(), Vec::<String>::new());

    let mut unplugged = offline;
    unplugged.variables.clear();
    hub.refuse(503, "");
    let (found, said) = unplugged.get(wanted(ID)).unwrap();
    assert!(found.folder.ends_with(OLD));
    assert!(said[0].contains("answers 503; going on with tiny/bert as it is in the cache"), "{said:?}");
    // a port that nobody listens on
    unplugged.endpoint = "http://127.0.0.1:1".to_owned();
    let (_, said) = unplugged.get(wanted(ID)).unwrap();
    assert!(said[0].starts_with("cannot reach http://127.0.0.1:1/api/models/tiny/bert/revision/main"), "{said:?}");
    let said = unplugged.refused(wanted("other/model"));
    assert!(said.starts_with("cannot reach HUB/api/models/other/model/revision/main"), "{said}");
    unplugged.endpoint = "hf-mirror.example".to_owned();
    let said = unplugged.refused(wanted("other/model"));
    assert!(said.contains("HF_ENDPOINT must begin with https:// or http://"), "{said}");
}

#[test]
fn a_mirror_may_tell_hashes_with_its_files_only() {
    let hub = hub();
    hub.be_terse();
    let machine = Machine::new(&hub);
    let (found, _) = machine.get(wanted(ID)).unwrap();
    assert_eq!(fs::read(found.folder.join(WEIGHTS)).unwrap(), fs::read(fixture("bert").join(WEIGHTS)).unwrap());
    assert!(hub.requests().contains(&format!("HEAD /{ID}/resolve/{OLD}/{WEIGHTS}")));
    let other = Machine::new(&hub);
    hub.spoil(WEIGHTS);
    assert!(other.refused(wanted(ID)).contains("is not what the hub says it is"));
}

#[test]
fn tokens_are_sent_to_the_hub_and_to_nobody_else() {
    let hub = hub();
    hub.demand_token("hf_secret");
    let machine = Machine::new(&hub);
    let mut said = vec![machine.refused(wanted(ID))];
    let machine = machine.with("HF_TOKEN", "hf_other");
    said.push(machine.refused(wanted(ID)));
    // the store asserts that it gets none
    let machine = Machine::new(&hub).with("HF_TOKEN", "hf_secret");
    assert!(machine.get(wanted(ID)).is_ok());
    assert!(!format!("{:?}", machine.hub()).contains("secret"));
    let machine = Machine::new(&hub);
    fs::write(machine.home.path().join("token"), "hf_secret\n").unwrap();
    assert!(machine.get(wanted(ID)).is_ok());
    let machine = machine.with("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    assert!(machine.get(wanted(ID)).is_err());
    assert_snapshot!(said.join("\n\n"));
}

#[test]
fn what_the_hub_does_not_give() {
    let hub = hub();
    let empty = tempfile::tempdir().unwrap();
    let config = fs::read_to_string(fixture("bert").join("config.json")).unwrap();
    let index = r#"{"weight_map":{"a":"model-00001-of-00001.safetensors"}}"#;
    let path = r#"{"weight_map":{"a":"../../../.bashrc"}}"#;
    let models: [(&str, &[(&str, &str)]); 6] = [
        ("a/b", &[("README.md", "x")]),
        ("tf/only", &[("config.json", &config), ("tf_model.h5", "x"), ("vocab.txt", "x")]),
        ("sp/only", &[("config.json", &config), (WEIGHTS, "x"), ("sentencepiece.bpe.model", "x")]),
        ("lost/shard", &[("config.json", &config), ("model.safetensors.index.json", index), ("vocab.txt", "x")]),
        (
            "bad/shard",
            &[
                ("config.json", &config),
                ("model.safetensors.index.json", path),
                ("vocab.txt", "x"),
                ("../../../.bashrc", "x"),
            ],
        ),
        ("no/index", &[("config.json", &config), ("model.safetensors.index.json", "[]"), ("vocab.txt", "x")]),
    ];
    for (id, files) in models {
        hub.publish(id, OLD, empty.path(), files);
    }
    let machine = Machine::new(&hub);
    let mut said: Vec<String> = models.iter().map(|(id, _)| machine.refused(wanted(id))).collect();
    said.push(machine.refused(wanted("tiny/bret")));
    said.push(machine.refused(Wanted { revision: Some("v9"), ..wanted(ID) }));
    said.push(machine.refused(Wanted { revision: Some(NEW), ..wanted(ID) }));
    for (status, code) in [(403, "GatedRepo"), (429, ""), (500, "")] {
        hub.refuse(status, code);
        said.push(machine.refused(wanted(ID)));
    }
    hub.heal();
    hub.babble();
    said.push(machine.refused(wanted(ID)));
    hub.heal();
    fs::write(machine.home.path().join("hub/models--tiny--bert"), "in the way").unwrap();
    said.push(machine.refused(wanted(ID)));
    assert_snapshot!(said.join("\n\n"));
}

// The program itself.

/// The small sweep with an encoder of the hub.
fn project(encoder: &str) -> Project {
    let project = Project::new();
    let spec = SPEC.replace("hidden = 8\nlayers = 1\nheads = 1\n", &format!("encoder = {encoder:?}\n"));
    project.write("hub.toml", spec);
    project
}

fn sweep(project: &Project, hub: &Loopback, arguments: &[&str]) -> Outcome {
    let output = command(project, hub, arguments).output().unwrap();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap().replace(&hub.endpoint(), "HUB");
        text.replace(project.path("").to_str().unwrap(), "DIR/")
    };
    Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn command(project: &Project, hub: &Loopback, arguments: &[&str]) -> std::process::Command {
    let mut command = project.command(arguments);
    command.env("HF_HOME", project.path("hf")).env("HF_ENDPOINT", hub.endpoint());
    command
}

#[test]
fn a_sweep_on_a_model_of_the_hub() {
    let hub = hub();
    let project = project("tiny/bert@main");
    let outcome = sweep(&project, &hub, &["check", "hub.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(
        outcome.err.starts_with(&format!("downloading {ID} (commit {OLD}) from HUB: 3 files, ")),
        "{}",
        outcome.err
    );
    let expected = format!(
        "encoder tiny/bert@main: bert, 2 layers x 16, 2 heads, vocabulary 20, 16 positions, 0.0M parameters; commit {OLD}, \
         in DIR/hf/hub/models--tiny--bert/snapshots/{OLD}"
    );
    assert!(outcome.out.contains(&expected), "{}", outcome.out);
    assert!(outcome.out.contains("model.encoder = \"tiny/bert@main\""), "{}", outcome.out);
    let told = sweep(&project, &hub, &["check", "hub.toml", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told["encoders"]["tiny/bert@main"]["commit"], OLD);
    hub.requests();

    let first = sweep(&project, &hub, &["run", "hub.toml"]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let second = sweep(&project, &hub, &["run", "hub.toml"]);
    assert_eq!(second.code, Some(0), "{}", second.err);
    let listing = format!("GET /api/models/{ID}/revision/main?blobs=true");
    assert_eq!(hub.requests(), [listing.clone(), listing], "runs ask nobody");
    let scores = |sweep: &str| {
        project.sql(&format!("select trial, fold, score from runs where sweep = '{sweep}' order by 1, 2"))
    };
    assert_eq!(scores("hub"), scores("hub-2"));
    assert_eq!(
        project.sql("select encoder, revision from encoders"),
        [format!("tiny/bert@main,{OLD}"), format!("tiny/bert@main,{OLD}")]
    );

    let found = sweep(&project, &hub, &["doctor"]).out;
    assert!(found.contains("HUB") && found.contains("tiny/bert"), "{found}");
}

#[test]
fn a_resumed_sweep_stays_with_its_commit() {
    const UNDER_WAY: &str = "select distinct r.trial from runs r join checkpoints c using (sweep, trial, repeat, fold) \
                             where r.state = 'running' and c.kind = 'last' and c.epoch < 30";
    const SCORES: &str = "select trial, fold, score from runs where state = 'finished' order by 1, 2";
    let hub = hub();
    let arguments = ["run", "hub.toml", "--set", "train.epochs=60"];
    let undisturbed = {
        let project = project(ID);
        assert_eq!(sweep(&project, &hub, &arguments).code, Some(0));
        project.sql(SCORES)
    };
    let project = project(ID);
    let child = command(&project, &hub, &arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    project.wait_for(UNDER_WAY);
    signal(child.id(), Signal::TERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(5));
    hub.publish(ID, NEW, &fixture("bert-shards"), &[]);
    hub.requests();
    let resumed = sweep(&project, &hub, &["resume"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert!(resumed.err.contains(&format!("commit {OLD}")), "{}", resumed.err);
    assert_eq!(hub.requests(), Vec::<String>::new());
    assert_eq!(project.sql(SCORES), undisturbed);
    // a new sweep takes what main means now
    assert_eq!(sweep(&project, &hub, &["run", "hub.toml"]).code, Some(0));
    let commits = project.sql("select revision from encoders order by sweep");
    assert_eq!(commits, [OLD, NEW]);
}

#[test]
fn a_resumed_sweep_stays_with_its_directory() {
    let hub = hub();
    let project = project(ID);
    for entry in fs::read_dir(fixture("bert")).unwrap().flatten() {
        project.write(&format!("{ID}/{}", entry.file_name().to_str().unwrap()), fs::read(entry.path()).unwrap());
    }
    let mut child = command(&project, &hub, &["run", "hub.toml", "--set", "train.epochs=60"]);
    let child = child.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    project.wait_for("select 1 from runs where state = 'running'");
    signal(child.id(), Signal::TERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(5));
    let recorded = project.sql("select encoder, substr(revision, 1, 7), length(revision) from encoders");
    assert_eq!(recorded, [format!("{ID},sha256:,71")]);
    fs::rename(project.path(ID), project.path("elsewhere")).unwrap();
    let outcome = sweep(&project, &hub, &["resume"]);
    assert_eq!(outcome.code, Some(4), "{}", outcome.err);
    assert!(
        outcome.err.contains("no directory DIR/tiny/bert, in which it was when the sweep began"),
        "{}",
        outcome.err
    );
    assert_eq!(hub.requests(), Vec::<String>::new());
    fs::rename(project.path("elsewhere"), project.path(ID)).unwrap();
    // one bit of one weight, and one word of the vocabulary
    for name in [WEIGHTS, "vocab.txt"] {
        let path = project.path(ID).join(name);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&path, changed).unwrap();
        let outcome = sweep(&project, &hub, &["resume"]);
        assert_eq!(outcome.code, Some(4), "{}", outcome.err);
        assert!(outcome.err.contains("the files in DIR/tiny/bert changed since the sweep began"), "{}", outcome.err);
        fs::write(&path, whole).unwrap();
    }
    project.write("tiny/bert/README.md", "nobody reads this");
    assert_eq!(sweep(&project, &hub, &["resume"]).code, Some(0));
}

#[test]
fn models_that_cannot_be_used_are_refused_before_they_are_downloaded() {
    let hub = hub();
    let config = |change: &[(&str, serde_json::Value)]| {
        let text = fs::read_to_string(fixture("bert").join("config.json")).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (key, value) in change {
            config[*key] = value.clone();
        }
        config.to_string()
    };
    let mut said = Vec::new();
    let mut refused = |encoder: &str, weights_too: bool| {
        let project = project(encoder);
        let outcome = sweep(&project, &hub, &["run", "hub.toml"]);
        let lines: Vec<&str> = outcome.err.lines().filter(|line| !line.starts_with("downloading ")).collect();
        said.push(format!("{}\n[exit code {}]", lines.join("\n"), outcome.code.unwrap()));
        assert!(!project.path("experiments.db").exists(), "{encoder}: a database was made");
        let asked = hub.requests().iter().any(|request| request.starts_with("GET /store/"));
        assert_eq!(asked, weights_too, "{encoder}: weights were downloaded");
    };
    let publish = |id: &str, config: &str, more: &[(&str, &str)]| {
        let files: Vec<(&str, &str)> = [("config.json", config)].into_iter().chain(more.iter().copied()).collect();
        hub.publish(id, OLD, &fixture("bert"), &files);
    };
    let empty = tempfile::tempdir().unwrap();
    let spm = [("config.json", &*config(&[("model_type", "t5".into())])), ("spiece.model", "x")];
    hub.publish("google/t5", OLD, empty.path(), &spm);
    refused("google/t5", false);
    for model_type in ["gpt2", "deberta-v2"] {
        publish(model_type, &config(&[("model_type", model_type.into())]), &[]);
        refused(model_type, false);
    }
    publish("relative", &config(&[("position_embedding_type", "relative_key".into())]), &[]);
    refused("relative", false);
    publish("relu", &config(&[("hidden_act", "relu".into())]), &[]);
    refused("relu", false);
    publish("deeper", &config(&[("num_hidden_layers", 3.into())]), &[]);
    refused("deeper", true);
    publish("wider", &config(&[("intermediate_size", 32.into())]), &[]);
    refused("wider", true);
    publish(
        "words",
        &config(&[]),
        &[("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\n")],
    );
    refused("words", true);
    refused("tiny/bret", false);
    refused("./models/bert", false);
    assert_snapshot!(said.join("\n\n"));
}

#[test]
fn all_encoders_of_a_sweep_are_judged_at_once() {
    let hub = hub();
    let project = Project::new();
    let spec = SPEC.replace("hidden = 8\nlayers = 1\nheads = 1\n", "encoder = \"scratch\"\n");
    let values = r#""model.encoder" = ["scratch", "tiny/bert", "no/such", "models/none/here"]"#;
    project.write("hub.toml", spec.replace("[search.space]", &format!("[search.space]\n{values}")));
    let outcome = sweep(&project, &hub, &["run", "hub.toml"]);
    assert_eq!(outcome.code, Some(4), "{}", outcome.err);
    assert!(
        outcome.err.contains("model.encoder = \"no/such\": no directory DIR/no/such, and HUB has no model \"no/such\""),
        "{}",
        outcome.err
    );
    assert!(
        outcome.err.contains("model.encoder = \"models/none/here\": no directory DIR/models/none/here"),
        "{}",
        outcome.err
    );
    assert!(!hub.requests().iter().any(|request| request.starts_with("GET /store/")), "weights were downloaded");
}
