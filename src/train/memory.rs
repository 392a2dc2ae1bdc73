//! How many tokens fit: activations are kept for as many as memory allows, longer documents go through in chunks.

use std::fs;
use std::num::NonZero;

use candle_core::Device;

use crate::model::Sizes;
use crate::spec::{self, Memory};

/// Tokens at once that are enough for full speed on the CPU.
const ENOUGH: usize = 8_192;
/// On a card, whose many cores want more.
const ENOUGH_ON_CARD: usize = 65_536;
/// Share of its memory that a run may fill with activations: weights, moments and other programs want some too.
const SHARE: usize = 4;
/// What a card is taken to have.
const CARD: usize = 16 << 30;

/// Most tokens whose activations a run keeps at once: a power of two, so that a little more or less memory changes no
/// bits.
pub(super) fn tokens(train: &spec::Train, sizes: &Sizes, trained_layers: usize, device: &Device) -> usize {
    if let Some(tokens) = train.micro_batch_tokens {
        return tokens;
    }
    let on_card = !matches!(device, Device::Cpu);
    let bytes = match train.memory {
        Memory::Megabytes(megabytes) => megabytes << 20,
        Memory::Auto if on_card => CARD / SHARE,
        // as if every core had a run of its own: the bits of sums depend on the pieces, and must not on the slots
        Memory::Auto => machine_memory() / SHARE / std::thread::available_parallelism().map_or(1, NonZero::get),
    };
    let most = (bytes / bytes_per_token(sizes, trained_layers, on_card)).max(1);
    let enough = if on_card { ENOUGH_ON_CARD } else { ENOUGH };
    (1 << most.ilog2()).min(enough)
}

/// What the blocks keep of a token for the backward pass, and what that needs besides.
fn bytes_per_token(sizes: &Sizes, trained_layers: usize, on_card: bool) -> usize {
    let (hidden, inner) = (sizes.hidden_size, sizes.intermediate_size);
    let numbers = trained_layers * (7 * hidden + inner) + 8 * hidden + 2 * inner;
    // plain operations keep every result in between
    4 * numbers * if on_card { 4 } else { 1 }
}

/// Of the machine, or of the group of processes that this one is limited with.
fn machine_memory() -> usize {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let kilobytes = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = kilobytes.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<usize>().ok());
    let machine = kilobytes.map_or(4 << 30, |kilobytes| kilobytes << 10);
    let group = read("/sys/fs/cgroup/memory.max").trim().parse::<usize>();
    group.map_or(machine, |group| group.min(machine))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Config;

    fn tokens_with(keys: &str, hidden: usize, layers: usize) -> usize {
        let train = Config::parse(&format!("data.path = \"a.csv\"\n{keys}")).expect("a good file").train;
        let sizes = Sizes { hidden_size: hidden, intermediate_size: 4 * hidden, ..Sizes::small() };
        tokens(&train, &sizes, layers, &Device::Cpu)
    }

    #[test]
    fn as_many_as_fit_and_no_more_than_enough() {
        assert_eq!(tokens_with("train.micro_batch_tokens = 777", 256, 4), 777);
        // 4 x (4 x 11 x 256 + 16 x 256) bytes a token
        assert_eq!(tokens_with("train.memory = 100", 256, 4), 1024);
        assert_eq!(tokens_with("train.memory = 100", 768, 12), 128);
        assert_eq!(tokens_with("train.memory = 100000", 256, 4), ENOUGH);
        assert_eq!(tokens_with("train.memory = 1", 4096, 40), 1);
    }
}
