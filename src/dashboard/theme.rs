//! Colours and signs: what the terminal can show, and what can be told apart.
//!
//! The colours of series and states are those of Okabe & Ito (2008), which people see apart whatever their colour vision;
//! and a colour never says alone what a sign or a word does not say too.

use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};

/// Colours that a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None: attributes only.
    Mono,
    Sixteen,
    Indexed,
    True,
}

/// The ground that is written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    Dark,
    Light,
}

/// What curves and bars are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyphs {
    /// Eight dots a cell.
    Braille,
    /// Half cells.
    Block,
    Ascii,
}

/// What the user asked for, where it is not left to the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taste {
    pub ground: Option<Ground>,
    pub glyphs: Option<Glyphs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    pub depth: Depth,
    pub ground: Ground,
    pub glyphs: Glyphs,
}

/// What a colour is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What can be done, and where one is.
    Accent,
    Good,
    Warn,
    Bad,
}

type Rgb = (u8, u8, u8);

const SKY: Rgb = (86, 180, 233);
const ORANGE: Rgb = (230, 159, 0);
const GREEN: Rgb = (0, 158, 115);
const PURPLE: Rgb = (204, 121, 167);
const YELLOW: Rgb = (240, 228, 66);
const VERMILLION: Rgb = (213, 94, 0);
const BLUE: Rgb = (0, 114, 178);

/// Of series, the first ones being farthest apart.
const ON_DARK: [(Rgb, Color); 7] = [
    (SKY, Color::LightCyan),
    (ORANGE, Color::Yellow),
    ((20, 190, 140), Color::Green),
    (PURPLE, Color::Magenta),
    (YELLOW, Color::LightYellow),
    ((235, 115, 45), Color::Red),
    ((70, 150, 225), Color::LightBlue),
];
const ON_LIGHT: [(Rgb, Color); 7] = [
    (BLUE, Color::Blue),
    (VERMILLION, Color::Red),
    (GREEN, Color::Green),
    (PURPLE, Color::Magenta),
    ((176, 112, 0), Color::Yellow),
    ((40, 130, 190), Color::Cyan),
    ((120, 112, 0), Color::DarkGray),
];

/// Cividis (Nuñez et al. 2018), from low to high: even in brightness for every eye. The darkest are left out.
const SCALE: [Rgb; 6] =
    [(66, 78, 108), (95, 99, 110), (124, 123, 120), (158, 147, 117), (200, 179, 98), (253, 234, 69)];
const SCALE_SIXTEEN: [Color; 6] =
    [Color::Blue, Color::LightBlue, Color::Cyan, Color::LightCyan, Color::Yellow, Color::LightYellow];

impl Theme {
    /// What the environment says of the terminal; `variable` is how to ask it.
    pub fn of(taste: Taste, variable: impl Fn(&str) -> Option<String>) -> Self {
        let has = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let term = variable("TERM").unwrap_or_default();
        let depth = if has("NO_COLOR") || term == "dumb" {
            Depth::Mono
        } else if term.contains("direct")
            || variable("COLORTERM").is_some_and(|it| it.contains("truecolor") || it.contains("24bit"))
        {
            Depth::True
        } else if term.contains("256") {
            Depth::Indexed
        } else {
            Depth::Sixteen
        };
        // "15;0": foreground and background by their numbers among the sixteen
        let background = variable("COLORFGBG").and_then(|it| it.rsplit(';').next()?.parse::<u8>().ok());
        let ground = if matches!(background, Some(7 | 15)) { Ground::Light } else { Ground::Dark };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name).filter(|it| !it.is_empty()));
        let is_utf8 = locale.is_none_or(|it| {
            let it = it.to_ascii_lowercase();
            it.contains("utf-8") || it.contains("utf8")
        });
        let glyphs = match (is_utf8, term.as_str()) {
            (false, _) | (_, "dumb") => Glyphs::Ascii,
            // the font of the console has half blocks, but no dots
            (true, "linux") => Glyphs::Block,
            _ => Glyphs::Braille,
        };
        Self { depth, ground: taste.ground.unwrap_or(ground), glyphs: taste.glyphs.unwrap_or(glyphs) }
    }

    /// Between a number and its error.
    pub fn plus_minus(self) -> &'static str {
        if self.glyphs == Glyphs::Ascii { "+-" } else { "±" }
    }

    pub fn text(self) -> Style {
        Style::new()
    }

    /// What is less important.
    pub fn dim(self) -> Style {
        match (self.depth, self.ground) {
            (Depth::Mono, _) => Style::new().add_modifier(Modifier::DIM),
            (Depth::Sixteen, _) => Style::new().fg(Color::DarkGray),
            (_, Ground::Dark) => Style::new().fg(self.rgb((140, 146, 156))),
            (_, Ground::Light) => Style::new().fg(self.rgb((100, 105, 112))),
        }
    }

    /// Rules, axes and what is not there.
    pub fn faint(self) -> Style {
        match (self.depth, self.ground) {
            (Depth::Mono | Depth::Sixteen, _) => self.dim(),
            (_, Ground::Dark) => Style::new().fg(self.rgb((84, 90, 100))),
            (_, Ground::Light) => Style::new().fg(self.rgb((170, 175, 182))),
        }
    }

    pub fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn role(self, role: Role) -> Style {
        let (dark, light, sixteen) = match role {
            Role::Accent => (SKY, BLUE, Color::Cyan),
            Role::Good => ((20, 190, 140), GREEN, Color::Green),
            Role::Warn => (ORANGE, (176, 112, 0), Color::Yellow),
            Role::Bad => ((240, 110, 50), VERMILLION, Color::Red),
        };
        match (self.depth, self.ground) {
            (Depth::Mono, _) if matches!(role, Role::Bad | Role::Warn) => self.bold(),
            (Depth::Mono, _) => Style::new(),
            (Depth::Sixteen, _) => Style::new().fg(sixteen),
            (_, Ground::Dark) => Style::new().fg(self.rgb(dark)),
            (_, Ground::Light) => Style::new().fg(self.rgb(light)),
        }
    }

    /// The row under the cursor.
    pub fn selected(self) -> Style {
        match (self.depth, self.ground) {
            (Depth::Mono | Depth::Sixteen, _) => Style::new().add_modifier(Modifier::REVERSED),
            (_, Ground::Dark) => Style::new().bg(self.rgb((44, 52, 64))),
            (_, Ground::Light) => Style::new().bg(self.rgb((218, 228, 240))),
        }
    }

    /// Where one is: the tab, the key of a hint.
    pub fn active(self) -> Style {
        match self.depth {
            Depth::Mono => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
            _ => self.role(Role::Accent).add_modifier(Modifier::BOLD),
        }
    }

    /// The colour of the n-th series, and around again.
    pub fn series(self, n: usize) -> Style {
        let palette = if self.ground == Ground::Dark { &ON_DARK } else { &ON_LIGHT };
        let (rgb, sixteen) = palette[n % palette.len()];
        match self.depth {
            Depth::Mono => Style::new(),
            Depth::Sixteen => Style::new().fg(sixteen),
            Depth::Indexed | Depth::True => Style::new().fg(self.rgb(rgb)),
        }
    }

    /// From 0, the worst, to 1, the best.
    pub fn scale(self, part: f64) -> Style {
        let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
        let step = (part * SCALE.len() as f64).min(SCALE.len() as f64 - 1.0) as usize;
        match (self.depth, self.ground) {
            (Depth::Mono, _) => Style::new(),
            (Depth::Sixteen, _) => Style::new().fg(SCALE_SIXTEEN[step]),
            (_, Ground::Dark) => Style::new().fg(self.rgb(SCALE[step])),
            // the best one must not fade into the ground
            (_, Ground::Light) => Style::new().fg(self.rgb(SCALE[SCALE.len() - 1 - step])),
        }
    }

    fn rgb(self, (red, green, blue): Rgb) -> Color {
        if self.depth == Depth::True {
            Color::Rgb(red, green, blue)
        } else {
            Color::Indexed(nearest((red, green, blue)))
        }
    }
}

/// Among the 256: of the cube of six levels, or of the greys.
fn nearest((red, green, blue): Rgb) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let level = |value: u8| (0..6u8).min_by_key(|level| LEVELS[usize::from(*level)].abs_diff(value)).unwrap_or(0);
    if red.abs_diff(green) < 14 && green.abs_diff(blue) < 14 {
        return 232 + (green.saturating_sub(8) / 10).min(23);
    }
    16 + 36 * level(red) + 6 * level(green) + level(blue)
}

/// `auto`, `dark` or `light`.
impl FromStr for Ground {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dark" => Ok(Self::Dark),
            "light" => Ok(Self::Light),
            _ => Err(format!("{text:?} is no theme: dark or light")),
        }
    }
}

impl FromStr for Glyphs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "braille" => Ok(Self::Braille),
            "block" => Ok(Self::Block),
            "ascii" => Ok(Self::Ascii),
            _ => Err(format!("{text:?} draws no charts: braille, block or ascii")),
        }
    }
}
