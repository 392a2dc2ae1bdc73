//! The places where runs can be: cards, or cores.

use std::path::Path;

use thiserror::Error;

use super::cards::listed;
use crate::protocol::Device;
use crate::spec::{Devices, Resources, Trainer};
use crate::sweep::{RunId, SlotId};

/// Where the runs of a sweep go, and why there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    pub places: Vec<Slot>,
    /// One of each device that a run may be on; places go round them.
    pub devices: Vec<Slot>,
    /// Cores of the machine, which the runs share.
    pub cores: usize,
    /// Threads of each run.
    pub threads: usize,
    /// What was found and chosen, in words.
    pub choice: String,
}

/// A place where one run at a time can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub device: Device,
    /// As it is called on screen and in the database.
    pub name: String,
    /// What `CUDA_VISIBLE_DEVICES` is set to for the run.
    pub visible: String,
}

impl Slot {
    pub(super) fn cpu() -> Self {
        Self { device: Device::Cpu, name: "cpu".to_owned(), visible: String::new() }
    }
}

#[derive(Debug, Error)]
pub enum SlotError {
    #[error("no card was found{0}; resources.devices = \"cpu\" runs without")]
    NoCards(String),
    #[error("there is no card {wanted}: {found} found")]
    NoSuchCard { wanted: u32, found: usize },
}

/// What the machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub cores: usize,
    /// Cards that may be used: the name for `CUDA_VISIBLE_DEVICES`, and what it is.
    pub cards: Vec<Card>,
    /// Why no card can be used, if none can.
    pub without_cards: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub visible: String,
    pub description: String,
}

impl Machine {
    /// Looks at this machine.
    pub fn here() -> Self {
        Self::with(cards())
    }

    /// Looks at this machine with the eyes of what trains: a program may use cards that this build cannot.
    pub fn of(trainer: &Trainer) -> Self {
        match trainer {
            Trainer::BuiltIn(_) => Self::here(),
            Trainer::Program(_) => {
                let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
                Self::with(listed(Path::new("/"), visible.as_deref()))
            }
        }
    }

    fn with(cards: Result<Vec<Card>, String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (cards, without_cards) = match cards {
            Ok(cards) => (cards, String::new()),
            Err(why) => (Vec::new(), why),
        };
        Self { cores, cards, without_cards }
    }
}

impl Slots {
    /// Chooses places for at most `runs` runs at once.
    pub fn choose(resources: &Resources, machine: &Machine, runs: usize) -> Result<Self, SlotError> {
        match &resources.devices {
            Devices::Cpu => Ok(Self::cores(resources, machine, runs, "")),
            Devices::Auto if machine.cards.is_empty() => {
                Ok(Self::cores(resources, machine, runs, &format!(" ({})", machine.without_cards)))
            }
            Devices::Auto => {
                Self::cards(resources, machine, &(0..machine.cards.len() as u32).collect::<Vec<_>>(), runs)
            }
            Devices::Cuda(numbers) => Self::cards(resources, machine, numbers, runs),
        }
    }

    /// Two runs of one thread each do more than one run with two: threads wait for each other.
    fn cores(resources: &Resources, machine: &Machine, runs: usize, why: &str) -> Self {
        let count = resources.slots_per_device.unwrap_or(machine.cores).min(runs).max(1);
        let threads = (machine.cores / count).max(1);
        let slot = Slot::cpu();
        let at_once = if count == 1 { "one run at a time".to_owned() } else { format!("{count} runs at once") };
        let thread_words = if threads == 1 { "one thread".to_owned() } else { format!("{threads} threads") };
        let choice = format!("CPU with {} cores{why}: {at_once}, {thread_words} each", machine.cores);
        Self { places: vec![slot.clone(); count], devices: vec![slot], cores: machine.cores, threads, choice }
    }

    fn cards(resources: &Resources, machine: &Machine, numbers: &[u32], runs: usize) -> Result<Self, SlotError> {
        if machine.cards.is_empty() {
            let why =
                if machine.without_cards.is_empty() { String::new() } else { format!(": {}", machine.without_cards) };
            return Err(SlotError::NoCards(why));
        }
        let each = resources.slots_per_device.unwrap_or(1);
        let mut one_each = Vec::new();
        for number in numbers {
            let card = machine.cards.get(*number as usize);
            let card = card.ok_or(SlotError::NoSuchCard { wanted: *number, found: machine.cards.len() })?;
            let name = format!("cuda:{number}");
            one_each.push(Slot { device: Device::Cuda, name, visible: card.visible.clone() });
        }
        // all cards once before any of them twice
        let mut places: Vec<Slot> = (0..each).flat_map(|_| one_each.iter().cloned()).collect();
        places.truncate(runs.max(1));
        let threads = (machine.cores / places.len()).max(1);
        let names: Vec<&str> =
            numbers.iter().map(|number| machine.cards[*number as usize].description.as_str()).collect();
        let choice = format!("{}: {} runs at once", names.join(", "), places.len());
        Ok(Self { places, devices: one_each, cores: machine.cores, threads, choice })
    }

    /// Where a run goes in a slot, also in one that was opened later.
    pub(super) fn place(&self, slot: SlotId, run: Option<RunId>) -> Slot {
        // a linear model needs no card, wherever it is
        let is_baseline = run.is_some_and(|run| run.trial.is_baseline());
        let device = self.devices.get(slot.0 as usize % self.devices.len().max(1)).filter(|_| !is_baseline);
        device.cloned().unwrap_or_else(Slot::cpu)
    }

    /// Threads of a run that starts while so many are wanted at once.
    pub(super) fn threads_of(&self, slots: u32) -> usize {
        if slots as usize == self.places.len() { self.threads } else { (self.cores / (slots as usize).max(1)).max(1) }
    }
}

#[cfg(not(feature = "cuda"))]
fn cards() -> Result<Vec<Card>, String> {
    Err("built without the feature cuda".to_owned())
}

/// The cards that `CUDA_VISIBLE_DEVICES` leaves of those that NVML lists.
#[cfg(feature = "cuda")]
fn cards() -> Result<Vec<Card>, String> {
    let nvml = nvml_wrapper::Nvml::init().map_err(|error| format!("no NVIDIA driver: {error}"))?;
    let count = nvml.device_count().map_err(|error| error.to_string())?;
    let describe = |visible: &str| -> Option<String> {
        let device = match visible.parse() {
            Ok(index) => nvml.device_by_index(index),
            Err(_) => nvml.device_by_uuid(visible),
        };
        let device = device.ok()?;
        let memory = device.memory_info().map_or(0, |memory| memory.total >> 30);
        Some(format!("{} ({memory} GiB)", device.name().ok()?))
    };
    let visible: Vec<String> = match std::env::var("CUDA_VISIBLE_DEVICES") {
        // as CUDA reads it: what follows a device that is not there is not seen
        Ok(list) => {
            list.split(',').map(|name| name.trim().to_owned()).take_while(|name| describe(name).is_some()).collect()
        }
        Err(_) => (0..count).map(|index| index.to_string()).collect(),
    };
    let card = |visible: String| describe(&visible).map(|description| Card { visible, description });
    let cards: Vec<Card> = visible.into_iter().filter_map(card).collect();
    if cards.is_empty() { Err("no card is visible".to_owned()) } else { Ok(cards) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(devices: Devices, slots_per_device: Option<usize>, cards: usize, runs: usize) -> String {
        let card = |index: usize| Card { visible: format!("{}", index + 4), description: format!("Card {index}") };
        let without_cards = if cards == 0 { "no driver".to_owned() } else { String::new() };
        let machine = Machine { cores: 8, cards: (0..cards).map(card).collect(), without_cards };
        match Slots::choose(&Resources { devices, slots_per_device }, &machine, runs) {
            Ok(slots) => {
                let visible: Vec<&str> = slots.places.iter().map(|slot| slot.visible.as_str()).collect();
                format!("{} | {} x {} threads, visible {visible:?}", slots.choice, slots.places.len(), slots.threads)
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn places_by_what_is_there_and_what_is_wanted() {
        let cases = [
            choose(Devices::Auto, None, 0, 12),
            choose(Devices::Cpu, Some(1), 2, 12),
            choose(Devices::Cpu, None, 0, 3),
            choose(Devices::Auto, None, 2, 12),
            choose(Devices::Cuda(vec![1]), Some(2), 2, 12),
            choose(Devices::Auto, Some(4), 2, 3),
            choose(Devices::Cuda(vec![5]), None, 2, 12),
            choose(Devices::Cuda(vec![0]), None, 0, 12),
        ];
        insta::assert_snapshot!(cases.join("\n"), @r#"
        CPU with 8 cores (no driver): 8 runs at once, one thread each | 8 x 1 threads, visible ["", "", "", "", "", "", "", ""]
        CPU with 8 cores: one run at a time, 8 threads each | 1 x 8 threads, visible [""]
        CPU with 8 cores: 3 runs at once, 2 threads each | 3 x 2 threads, visible ["", "", ""]
        Card 0, Card 1: 2 runs at once | 2 x 4 threads, visible ["4", "5"]
        Card 1: 2 runs at once | 2 x 4 threads, visible ["5", "5"]
        Card 0, Card 1: 3 runs at once | 3 x 2 threads, visible ["4", "5", "4"]
        there is no card 5: 2 found
        no card was found: no driver; resources.devices = "cpu" runs without
        "#);
    }
}
