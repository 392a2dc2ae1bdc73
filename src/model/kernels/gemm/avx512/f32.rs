//! Products in f32, in blocks that fit the caches.
//!
//! The right operand is packed in strips of columns, once for all who multiply by it. Rows of the left one are copied to
//! a row stride that the compiler knows and no cache has trouble with (rows 4 kB apart would share one set). While a
//! strip is multiplied from the L1 cache, the next is fetched: 164 instead of 157 GFLOP/s a core. Every number of the target is one sum in the order of its terms, from the same start, wherever its row stands.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _mm512_fmadd_ps, _mm512_set1_ps, _mm512_setzero_ps};
use std::array::from_fn;
use std::ops::Range;
use std::sync::LazyLock;

use rayon::prelude::*;

use super::{load, store, transposed};
use crate::model::kernels::gemm::{IN_PLACE, Matrix, STRIDE_IN_PLACE, Start, Target, Threads};
use crate::model::kernels::rooms::{Room, room};

/// Most rows of the part of the target that is kept in registers: 14 x 2 vectors, beside 2 of the right operand and a
/// number of the left one, of 32 registers.
const ROWS: usize = 14;
const COLUMNS: usize = 32;
/// Terms that are summed up before the target is touched: a strip of the right operand stays in the L1 cache.
const DEPTH: usize = IN_PLACE;
/// Numbers between copied rows.
const STRIDE: usize = STRIDE_IN_PLACE;
/// Rows that are copied together: 270 kB of a core's L2 cache.
const BLOCK: usize = 18 * ROWS;
/// Terms between two prefetches, and numbers of the next strip that are fetched meanwhile.
const GROUP: usize = 8;
const AHEAD: usize = DEPTH / GROUP * 16;
/// Terms of a long sum whose right operand is packed at once.
const SPAN: usize = 16 * DEPTH;

/// A CPU with the instructions: the functions below may be called.
#[derive(Clone, Copy, Debug)]
pub(in crate::model::kernels::gemm) struct F32 {
    _seen: (),
}

/// A right operand in slices of `DEPTH` terms, of these in strips of columns: [slice, strip, term, column].
#[derive(Debug)]
pub(in crate::model::kernels::gemm) struct Packed {
    numbers: Room,
    terms: usize,
    columns: usize,
}

impl F32 {
    pub(in crate::model::kernels::gemm) fn new() -> Option<Self> {
        // asked once: a virtual machine answers slowly
        static SEEN: LazyLock<bool> = LazyLock::new(|| is_x86_feature_detected!("avx512f"));
        SEEN.then_some(Self { _seen: () })
    }

    pub(in crate::model::kernels::gemm) fn packed(self, b: Matrix<'_>, by: Threads) -> Packed {
        let (terms, columns) = (b.rows, b.columns);
        let width = columns.next_multiple_of(COLUMNS);
        let mut numbers = room(terms * width);
        let slices = numbers.par_chunks_mut((DEPTH * width).max(1)).with_min_len(by.fewest_tasks()).enumerate();
        slices.for_each(|(slice, numbers)| {
            let depth = slice * DEPTH..(slice * DEPTH + DEPTH).min(terms);
            let strips = numbers.par_chunks_mut(depth.len() * COLUMNS).with_min_len(by.fewest_tasks()).enumerate();
            strips.for_each(|(strip, numbers)| {
                let left = strip * COLUMNS..(strip * COLUMNS + COLUMNS).min(columns);
                if left.len() < COLUMNS {
                    numbers.fill(0.0);
                }
                self.copy(b.part(depth.clone(), left), numbers, COLUMNS);
            });
        });
        Packed { numbers, terms, columns }
    }

    /// target = a b, or target += a b.
    pub(in crate::model::kernels::gemm) fn product(
        self,
        target: Target<'_>,
        a: Matrix<'_>,
        b: Matrix<'_>,
        by: Threads,
    ) {
        let Target { numbers, row_stride, add } = target;
        // once at least, as nothing to sum is 0
        for first in (0..a.columns.max(1)).step_by(SPAN) {
            let span = first..(first + SPAN).min(a.columns);
            let start = if add || first > 0 { Start::There } else { Start::Zero };
            let b = self.packed(b.part(span.clone(), 0..b.columns), by);
            self.product_of_packed(numbers, row_stride, start, a.part(0..a.rows, span), &b, by);
        }
    }

    /// The rows of a left operand, in slices of `DEPTH` terms: [slice, row, term], rows `STRIDE` apart. None if they
    /// stand so already.
    pub(in crate::model::kernels::gemm) fn copied(self, a: Matrix<'_>) -> Option<Room> {
        let Matrix { rows, columns: terms, .. } = a;
        if a.column_stride == 1 && a.row_stride == STRIDE && terms <= DEPTH && a.numbers.len() >= rows * STRIDE {
            return None;
        }
        let mut copies = room(terms.div_ceil(DEPTH).max(1) * rows * STRIDE);
        for (slice, copies) in copies.chunks_exact_mut((rows * STRIDE).max(1)).enumerate() {
            let depth = slice * DEPTH..(slice * DEPTH + DEPTH).min(terms);
            self.copy(a.part(0..rows, depth), copies, STRIDE);
        }
        Some(copies)
    }

    /// `numbers` = start + a b with `rows` copied rows of a, in rows `row_stride` numbers apart.
    pub(in crate::model::kernels::gemm) fn product_of_copied(
        self,
        numbers: &mut [f32],
        row_stride: usize,
        start: Start<'_>,
        (copies, rows): (&[f32], usize),
        b: &Packed,
    ) {
        // once at least, as the start is written with the first sums
        for first in (0..b.terms.max(1)).step_by(DEPTH) {
            let start = if first > 0 { Start::There } else { start };
            self.slice(numbers, row_stride, start, (&copies[first / DEPTH * rows * STRIDE..], rows), b, first);
        }
    }

    fn product_of_packed(
        self,
        numbers: &mut [f32],
        row_stride: usize,
        start: Start<'_>,
        a: Matrix<'_>,
        b: &Packed,
        by: Threads,
    ) {
        let threads = if by == Threads::All { rayon::current_num_threads() } else { 1 };
        let blocks = a.rows.div_ceil(BLOCK).next_multiple_of(threads);
        let rows = a.rows.div_ceil(blocks);
        let tasks = numbers.par_chunks_mut(rows * row_stride).take(a.rows.div_ceil(rows));
        tasks.with_min_len(by.fewest_tasks()).enumerate().for_each(|(task, numbers)| {
            let a = a.part(task * rows..(task * rows + rows).min(a.rows), 0..a.columns);
            let mut copies = room(a.rows * STRIDE);
            // once at least, as above
            for first in (0..b.terms.max(1)).step_by(DEPTH) {
                let start = if first > 0 { Start::There } else { start };
                self.copy(a.part(0..a.rows, first..(first + DEPTH).min(b.terms)), &mut copies, STRIDE);
                self.slice(numbers, row_stride, start, (&copies, a.rows), b, first);
            }
        });
    }

    /// Some copied rows times the slice of the right operand from term `first` on.
    fn slice(
        self,
        numbers: &mut [f32],
        row_stride: usize,
        start: Start<'_>,
        (copies, rows): (&[f32], usize),
        b: &Packed,
        first: usize,
    ) {
        let width = b.columns.next_multiple_of(COLUMNS);
        let depth = DEPTH.min(b.terms - first);
        for left in (0..b.columns).step_by(COLUMNS) {
            let columns = left..(left + COLUMNS).min(b.columns);
            let start = match start {
                Start::Row(row) => Start::Row(&row[columns.clone()]),
                start => start,
            };
            let (strip, ahead) = b.numbers[first * width + left * depth..].split_at(depth * COLUMNS);
            let mut ahead = ahead.chunks(AHEAD);
            for rows in evenly(rows) {
                let target = Part {
                    numbers: &mut numbers[rows.start * row_stride + left..],
                    row_stride,
                    columns: columns.len(),
                };
                let copies = &copies[rows.start * STRIDE..rows.end * STRIDE];
                self.multiply(copies, strip, target, start, ahead.next().unwrap_or_default());
            }
        }
    }

    /// Row after row, `row_stride` numbers apart.
    #[expect(clippy::unused_self, reason = "the proof that the CPU has the instructions")]
    fn copy(self, from: Matrix<'_>, to: &mut [f32], row_stride: usize) {
        if from.column_stride == 1 {
            for (row, to) in to.chunks_mut(row_stride).take(from.rows).enumerate() {
                to[..from.columns].copy_from_slice(&from.numbers[row * from.row_stride..][..from.columns]);
            }
            return;
        }
        #[expect(unsafe_code, reason = "not every CPU has the instructions")]
        // SAFETY: the CPU has them, or there were no `self`.
        unsafe {
            copy_across(from, to, row_stride);
        }
    }

    /// Some copied rows times one strip of columns, while the next is fetched.
    #[expect(clippy::unused_self, reason = "the proof that the CPU has the instructions")]
    fn multiply(self, a: &[f32], b: &[f32], target: Part<'_>, start: Start<'_>, ahead: &[f32]) {
        let multiply = MULTIPLY[a.len() / STRIDE - 1];
        #[expect(unsafe_code, reason = "not every CPU has the instructions")]
        // SAFETY: the CPU has them, or there were no `self`.
        unsafe {
            multiply(a, b, target, start, ahead);
        }
    }
}

/// The part of the target that is kept in registers.
struct Part<'a> {
    numbers: &'a mut [f32],
    row_stride: usize,
    columns: usize,
}

/// Rows in parts of nearly the same size, as few as registers allow.
fn evenly(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = rows.div_ceil(ROWS);
    (0..parts).map(move |part| rows * part / parts..rows * (part + 1) / parts)
}

/// Of columns that follow each other in memory.
#[target_feature(enable = "avx512f")]
fn copy_across(from: Matrix<'_>, to: &mut [f32], row_stride: usize) {
    for top in (0..from.rows).step_by(16) {
        let height = 16.min(from.rows - top);
        for left in (0..from.columns).step_by(16) {
            let width = 16.min(from.columns - left);
            let mut square = [_mm512_setzero_ps(); 16];
            for (column, numbers) in square.iter_mut().zip(left..left + width) {
                *column = load(&from.numbers[numbers * from.column_stride + top..][..height]);
            }
            for (row, numbers) in (top..top + height).zip(transposed(square)) {
                store(numbers, &mut to[row * row_stride + left..][..width]);
            }
        }
    }
}

type Multiply = unsafe fn(&[f32], &[f32], Part<'_>, Start<'_>, &[f32]);

/// By the number of rows.
const MULTIPLY: [Multiply; ROWS] = [
    multiply::<1>,
    multiply::<2>,
    multiply::<3>,
    multiply::<4>,
    multiply::<5>,
    multiply::<6>,
    multiply::<7>,
    multiply::<8>,
    multiply::<9>,
    multiply::<10>,
    multiply::<11>,
    multiply::<12>,
    multiply::<13>,
    multiply::<14>,
];

#[target_feature(enable = "avx512f")]
fn multiply<const ROWS: usize>(a: &[f32], b: &[f32], target: Part<'_>, start: Start<'_>, ahead: &[f32]) {
    let Part { numbers, row_stride, columns } = target;
    let split = columns.min(16);
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    match start {
        Start::Zero => {}
        Start::There => {
            for r in 0..ROWS {
                let (first, second) = numbers[r * row_stride..][..columns].split_at(split);
                sums[r] = [load(first), load(second)];
            }
        }
        Start::Row(row) => {
            let (first, second) = row.split_at(split);
            sums = [[load(first), load(second)]; ROWS];
        }
    }
    let rows: [&[f32; DEPTH]; ROWS] = from_fn(|r| a[r * STRIDE..].first_chunk().expect("a whole row"));
    for (group, b) in b.chunks(GROUP * COLUMNS).enumerate().take(DEPTH / GROUP) {
        prefetch(ahead, 16 * group);
        for (term, b) in b.as_chunks::<COLUMNS>().0.iter().enumerate() {
            let (first, second) = b.split_at(16);
            let columns = [load(first), load(second)];
            for r in 0..ROWS {
                let number = _mm512_set1_ps(rows[r][(GROUP * group + term) % DEPTH]);
                for v in 0..2 {
                    sums[r][v] = _mm512_fmadd_ps(number, columns[v], sums[r][v]);
                }
            }
        }
    }
    for r in 0..ROWS {
        let (first, second) = numbers[r * row_stride..][..columns].split_at_mut(split);
        store(sums[r][0], first);
        store(sums[r][1], second);
    }
}

/// Brings the line of the cache with one of the numbers nearer, if there is such a number.
#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch(numbers: &[f32], number: usize) {
    if let Some(number) = numbers.get(number) {
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(number).cast());
    }
}
