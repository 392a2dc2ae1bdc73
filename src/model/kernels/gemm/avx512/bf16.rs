//! Products by AVX-512's own instruction for bfloat16, in blocks that fit the caches.
//!
//! Both operands are packed first: lines (rows of A, columns of B) in strips, of each strip pair after pair of the
//! numbers that are summed up, [strip, pair, line]. A pair is two bfloat16 numbers in the bits of an f32.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_castsi512_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps,
    _mm512_permutexvar_epi16, _mm512_set_epi16, _mm512_set1_ps, _mm512_setzero_ps,
};
use std::mem::transmute;
use std::ops::Range;
use std::sync::LazyLock;

use rayon::prelude::*;

use super::{load, store, transposed};
use crate::model::kernels::gemm::{Matrix, Target, Threads};
use crate::model::kernels::rooms::room;

/// The part of the target that is kept in registers: 12 x 2 vectors, beside 2 of B and a pair of A, of 32 registers.
const ROWS: usize = 12;
const COLUMNS: usize = 32;
/// Numbers that are summed up before the target is touched: a strip of B stays in the L1 cache.
const DEPTH: usize = 512;
/// Rows of A that are packed together: 240 kB of a core's L2 cache.
const BLOCK: usize = 20 * ROWS;
/// Strips of B that are packed by one task.
const STRIPS: usize = 8;

/// A CPU with the instructions: the functions below may be called.
#[derive(Clone, Copy)]
pub(in crate::model::kernels::gemm) struct Bf16 {
    _seen: (),
}

/// The CPU, if its products of bfloat16 are faster than those of f32.
pub(in crate::model::kernels::gemm) fn fast() -> Option<Bf16> {
    // asked once: a virtual machine answers slowly. By the maker, as no bit tells the speed.
    static FAST: LazyLock<Option<Bf16>> =
        LazyLock::new(|| Bf16::new().filter(|_| std::arch::x86_64::__cpuid(0).ebx.to_le_bytes() == *b"Auth"));
    *FAST
}

impl Bf16 {
    pub(in crate::model::kernels::gemm) fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16");
        has.then_some(Self { _seen: () })
    }

    /// target = a b, or target += a b. Sums below the smallest normal number are 0.
    pub(in crate::model::kernels::gemm) fn product(
        self,
        target: Target<'_>,
        a: Matrix<'_>,
        b: Matrix<'_>,
        by: Threads,
    ) {
        let (m, n, k) = (a.rows, b.columns, a.columns);
        let Target { numbers, row_stride: stride, add } = target;
        if k == 0 && !add {
            numbers.chunks_mut(stride).take(m).for_each(|row| row[..n].fill(0.0));
        }
        let threads = if by == Threads::All { rayon::current_num_threads() } else { 1 };
        let rows = m.div_ceil(threads).next_multiple_of(ROWS).min(BLOCK);
        let mut columns = room(n.next_multiple_of(COLUMNS) * DEPTH.min(k.next_multiple_of(2)) / 2);
        for start in (0..k).step_by(DEPTH) {
            let depth = start..(start + DEPTH).min(k);
            let pairs = depth.len().div_ceil(2);
            let columns = &mut columns[..n.next_multiple_of(COLUMNS) * pairs];
            let tasks = columns.par_chunks_mut(STRIPS * COLUMNS * pairs).with_min_len(by.fewest_tasks());
            tasks.enumerate().for_each(|(task, packed)| {
                self.pack::<COLUMNS>(b.transposed(), STRIPS * COLUMNS * task, depth.clone(), packed);
            });
            let add = add || start > 0;
            let tasks = numbers.par_chunks_mut(rows * stride).take(m.div_ceil(rows));
            tasks.with_min_len(by.fewest_tasks()).enumerate().for_each(|(task, numbers)| {
                let first = rows * task;
                let count = rows.min(m - first);
                let mut packed = room(count.next_multiple_of(ROWS) * pairs);
                self.pack::<ROWS>(a, first, depth.clone(), &mut packed);
                for (strip, b) in columns.chunks_exact(COLUMNS * pairs).enumerate() {
                    let left = COLUMNS * strip;
                    for (strip, a) in packed.chunks_exact(ROWS * pairs).enumerate() {
                        let top = ROWS * strip;
                        let mut part = Target { numbers: &mut numbers[top * stride + left..], row_stride: stride, add };
                        self.multiply(a, b, &mut part, ROWS.min(count - top), COLUMNS.min(n - left));
                    }
                }
            });
        }
    }

    /// Lines from `first` on, as many as there is room for, and of each the numbers in `depth`.
    #[expect(clippy::unused_self, reason = "the proof that the CPU has the instructions")]
    fn pack<const WIDTH: usize>(self, lines: Matrix<'_>, first: usize, depth: Range<usize>, packed: &mut [f32]) {
        #[expect(unsafe_code, reason = "not every CPU has the instructions")]
        // SAFETY: the CPU has them, or there were no `self`.
        unsafe {
            pack::<WIDTH>(lines, first, depth, packed);
        }
    }

    /// One strip of rows times one of columns.
    #[expect(clippy::unused_self, reason = "the proof that the CPU has the instructions")]
    fn multiply(self, a: &[f32], b: &[f32], target: &mut Target<'_>, rows: usize, columns: usize) {
        #[expect(unsafe_code, reason = "not every CPU has the instructions")]
        // SAFETY: the CPU has them, or there were no `self`.
        unsafe {
            multiply(a, b, target, rows, columns);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack<const WIDTH: usize>(lines: Matrix<'_>, first: usize, depth: Range<usize>, packed: &mut [f32]) {
    let pairs = depth.len().div_ceil(2);
    let along = lines.column_stride == 1;
    // lines that lie one after the other are read to their ends, lines side by side all together
    let together = if along { WIDTH * pairs } else { packed.len() };
    for (group, packed) in packed.chunks_exact_mut(together).enumerate() {
        let first = first + if along { WIDTH * group } else { 0 };
        for pair in (0..pairs).step_by(16) {
            let depth = depth.start + 2 * pair..depth.end.min(depth.start + 2 * pair + 32);
            for (strip, packed) in packed.chunks_exact_mut(WIDTH * pairs).enumerate() {
                for line in (0..WIDTH).step_by(16) {
                    let width = 16.min(WIDTH - line);
                    let start = (first + WIDTH * strip + line).min(lines.rows);
                    let there = start..(start + width).min(lines.rows);
                    let square = if along { following(lines, there, &depth) } else { beside(lines, there, &depth) };
                    let packed = packed[WIDTH * pair..].chunks_exact_mut(WIDTH);
                    for (numbers, packed) in square.into_iter().zip(packed) {
                        store(numbers, &mut packed[line..line + width]);
                    }
                }
            }
        }
    }
}

/// 16 pairs of up to 16 lines whose numbers follow each other in memory.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn following(lines: Matrix<'_>, there: Range<usize>, depth: &Range<usize>) -> [__m512; 16] {
    let mut square = [_mm512_setzero_ps(); 16];
    for (pairs, line) in square.iter_mut().zip(there) {
        let numbers = &lines.numbers[line * lines.row_stride..][depth.clone()];
        let (low, high) = numbers.split_at(numbers.len().min(16));
        *pairs = _mm512_castsi512_ps(bits(_mm512_cvtne2ps_pbh(load(high), load(low))));
    }
    transposed(square)
}

/// 16 pairs of up to 16 lines that stand side by side in memory.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn beside(lines: Matrix<'_>, there: Range<usize>, depth: &Range<usize>) -> [__m512; 16] {
    let order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1,
        16, 0,
    );
    let level = |level: usize| load(&lines.numbers[level * lines.column_stride..][there.clone()]);
    let mut square = [_mm512_setzero_ps(); 16];
    for (pairs, low) in square.iter_mut().zip(depth.clone().step_by(2)) {
        let high = if low + 1 < depth.end { level(low + 1) } else { _mm512_setzero_ps() };
        let halves = bits(_mm512_cvtne2ps_pbh(high, level(low)));
        *pairs = _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, halves));
    }
    square
}

#[target_feature(enable = "avx512f,avx512bf16")]
#[expect(clippy::needless_range_loop, reason = "by constant index, sums stay in registers")]
fn multiply(a: &[f32], b: &[f32], target: &mut Target<'_>, rows: usize, columns: usize) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLUMNS>().0) {
        let (first, second) = b.split_at(16);
        let columns = [numbers(load(first)), numbers(load(second))];
        for r in 0..ROWS {
            let pair = numbers(_mm512_set1_ps(a[r]));
            for v in 0..2 {
                sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pair, columns[v]);
            }
        }
    }
    for r in 0..ROWS {
        if r < rows {
            let row = &mut target.numbers[r * target.row_stride..][..columns];
            let (first, second) = row.split_at_mut(columns.min(16));
            for (row, mut sum) in [first, second].into_iter().zip(sums[r]) {
                if target.add {
                    sum = _mm512_add_ps(sum, load(row));
                }
                store(sum, row);
            }
        }
    }
}

#[inline]
fn bits(pairs: __m512bh) -> __m512i {
    #[expect(unsafe_code, reason = "there is no cast")]
    // SAFETY: 512 bits both, and all bits are allowed in both.
    unsafe {
        transmute(pairs)
    }
}

#[inline]
fn numbers(pairs: __m512) -> __m512bh {
    #[expect(unsafe_code, reason = "there is no cast")]
    // SAFETY: 512 bits both, and all bits are allowed in both.
    unsafe {
        transmute(pairs)
    }
}
