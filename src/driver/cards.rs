//! The cards of this machine as the NVIDIA driver lists them: for programs, which may use cards that this build cannot.

use std::fs;
use std::path::Path;

use super::slots::Card;

/// The cards that a program can see, numbered by their place on the bus, as NVML does. `visible` is what
/// `CUDA_VISIBLE_DEVICES` says.
pub(super) fn listed(root: &Path, visible: Option<&str>) -> Result<Vec<Card>, String> {
    let list = root.join("proc/driver/nvidia/gpus");
    let entries = fs::read_dir(&list).map_err(|_| "no NVIDIA driver".to_owned())?;
    // a directory is named for the place: 0000:3b:00.0
    let mut places: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    places.sort();
    let cards: Vec<Listed> = places
        .iter()
        .filter_map(|place| Listed::read(&fs::read_to_string(place.join("information")).ok()?))
        // in a container the driver lists all, and only some are let in
        .filter(|card| root.join(format!("dev/nvidia{}", card.minor)).exists())
        .collect();
    let card = |visible: &str| -> Option<Card> {
        let listed = match visible.parse::<usize>() {
            Ok(number) => cards.get(number),
            Err(_) => cards.iter().find(|card| visible.starts_with("GPU-") && card.uuid.starts_with(visible)),
        };
        Some(Card { visible: visible.to_owned(), description: listed?.model.clone() })
    };
    let seen: Vec<Card> = match visible {
        // as CUDA reads it: what follows a device that is not there is not seen
        Some(names) => names.split(',').map_while(|name| card(name.trim())).collect(),
        None => (0..cards.len()).filter_map(|number| card(&number.to_string())).collect(),
    };
    if seen.is_empty() { Err("no card is visible".to_owned()) } else { Ok(seen) }
}

struct Listed {
    model: String,
    uuid: String,
    minor: u32,
}

impl Listed {
    fn read(information: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = information.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
            value.map(|value| value.trim().to_owned())
        };
        Some(Self { model: field("Model")?, uuid: field("GPU UUID")?, minor: field("Device Minor")?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_those_that_a_program_can_see() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let seen = |visible: Option<&str>| match listed(root.path(), visible) {
            Ok(cards) => {
                cards.iter().map(|card| format!("{}={}", card.visible, card.description)).collect::<Vec<_>>().join(" ")
            }
            Err(why) => why,
        };
        assert_eq!(seen(None), "no NVIDIA driver");
        let card = |place: &str, minor: u32, model: &str| {
            let place = root.path().join("proc/driver/nvidia/gpus").join(place);
            fs::create_dir_all(&place).expect("made");
            let text =
                format!("Model: \t\t {model}\nIRQ:   \t\t 90\nGPU UUID: \t GPU-{minor}f-2\nDevice Minor: \t {minor}\n");
            fs::write(place.join("information"), text).expect("written");
        };
        card("0000:3b:00.0", 1, "H100");
        card("0000:18:00.0", 0, "L4");
        card("0000:af:00.0", 2, "not let in");
        fs::create_dir(root.path().join("dev")).expect("made");
        assert_eq!(seen(None), "no card is visible");
        for minor in 0..2 {
            fs::write(root.path().join(format!("dev/nvidia{minor}")), "").expect("written");
        }
        insta::assert_snapshot!([None, Some("1"), Some("1, 0"), Some("0,7,1"), Some("GPU-1f"), Some(""), Some("-1")].map(seen).join("\n"), @r"
        0=L4 1=H100
        1=H100
        1=H100 0=L4
        0=L4
        GPU-1f=H100
        no card is visible
        no card is visible
        ");
    }
}
