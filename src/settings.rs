//! Settings of the machine, not of a sweep: defaults <- user file <- project file <- `SWEEP_…` <- flags.

use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The database.
    pub db: PathBuf,
    /// What is logged to stderr, as a filter of `tracing`: `warn`, `info`, `sweep=debug`.
    pub log: String,
    /// Most megabytes of segment vectors of frozen encoders that are kept beside the database for later runs.
    pub cache_mb: u64,
    /// What the dashboard's colours are made for: `auto`, `dark` or `light`.
    pub theme: String,
    /// What the dashboard draws charts with: `auto`, `braille`, `block` or `ascii`.
    pub glyphs: String,
}

impl Default for Settings {
    fn default() -> Self {
        let auto = || "auto".to_owned();
        Self { db: "experiments.db".into(), log: "warn".into(), cache_mb: 20_000, theme: auto(), glyphs: auto() }
    }
}

/// The project's file, in the working directory.
pub const PROJECT_FILE: &str = ".sweep.toml";

impl Settings {
    /// Reads all layers but the flags.
    pub fn read() -> Result<Self, Box<figment::Error>> {
        let mut layers = Figment::from(Serialized::defaults(Self::default()));
        if let Some(user) = user_file() {
            layers = layers.merge(Toml::file(user));
        }
        layers
            .merge(Toml::file(PROJECT_FILE))
            .merge(Env::prefixed("SWEEP_").only(&["db", "log", "cache_mb", "theme", "glyphs"]))
            .extract()
            .map_err(Box::new)
    }
}

/// `~/.config/sweep/settings.toml`
pub fn user_file() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(config.join("sweep/settings.toml"))
}
