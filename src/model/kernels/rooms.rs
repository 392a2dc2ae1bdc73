//! Memory for numbers, handed on from one use to the next: fresh memory costs a page fault every 4 kB, and zeroing what
//! is written anyway costs as much as writing it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Some numbers; after use they go to whoever needs as many next.
#[derive(Debug)]
pub struct Room {
    numbers: Vec<f32>,
    len: usize,
}

/// By size.
static SPARE: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// Room for `len` numbers, whose values are those of an earlier use.
pub(super) fn room(len: usize) -> Room {
    let mut spare = lock();
    let found = spare.range_mut(len..=2 * len).find_map(|(_, rooms)| rooms.pop());
    if found.is_none() {
        // a bigger one takes the place of the biggest that is too small: batches grow, what they used must not pile up
        drop(spare.range_mut(..len).rev().find_map(|(_, rooms)| rooms.pop()));
    }
    drop(spare);
    // sizes in steps of an eighth: batches of nearly the same size share rooms
    let numbers = found.unwrap_or_else(|| vec![0.0; len.next_multiple_of((len.next_power_of_two() / 8).max(64))]);
    Room { numbers, len }
}

/// Room for `len` zeros.
pub(in crate::model) fn zeros(len: usize) -> Room {
    let mut room = room(len);
    room.fill(0.0);
    room
}

impl Deref for Room {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[..self.len]
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.len]
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let numbers = std::mem::take(&mut self.numbers);
        lock().entry(numbers.len()).or_default().push(numbers);
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<usize, Vec<Vec<f32>>>> {
    // whoever panicked held whole vectors
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}
