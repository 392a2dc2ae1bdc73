//! Products of all kinds against sums in f64 of operands that were rounded one by one.

use proptest::prelude::*;

use super::*;

type Product = fn(Target<'_>, Matrix<'_>, Matrix<'_>, Threads);
type Round = fn(f32) -> f64;

/// Every way to multiply that this CPU has.
fn products() -> Vec<(&'static str, Product, Round)> {
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "nothing to add"))]
    let mut all: Vec<(_, Product, Round)> =
        vec![("f32", |target, a, b, by| product(target, a, b, by, Precision::F32), f64::from)];
    // where the CPU has something better, for one row and few columns only
    all.push(("f32 by the crate", product_by_crate, f64::from));
    #[cfg(target_arch = "x86_64")]
    if avx512::f32::F32::new().is_some() {
        // also where packing is not worth it
        all.push((
            "f32 by the CPU",
            |target, a, b, by| avx512::f32::F32::new().expect("seen above").product(target, a, b, by),
            f64::from,
        ));
    }
    for (name, product, round) in [
        ("f32 packed once", by_right::<false> as Product, f64::from as Round),
        ("bf16 packed once", by_right::<true>, bf16),
    ] {
        all.push((name, product, round));
    }
    all.extend(products_bf16().into_iter().map(|(name, product)| (name, product, bf16 as Round)));
    all
}

fn products_bf16() -> Vec<(&'static str, Product)> {
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "nothing to add"))]
    let mut all: Vec<(_, Product)> = vec![
        ("bf16", |target, a, b, by| product(target, a, b, by, Precision::Bf16)),
        ("bf16 by rounded copies", bf16::product_of_rounded),
    ];
    #[cfg(target_arch = "x86_64")]
    if avx512::bf16::Bf16::new().is_some() {
        // also where it is slow
        all.push(("bf16 by the CPU", |target, a, b, by| {
            avx512::bf16::Bf16::new().expect("seen above").product(target, a, b, by);
        }));
    }
    all
}

/// By one thread, whatever is asked for.
fn by_right<const BF16: bool>(target: Target<'_>, a: Matrix<'_>, b: Matrix<'_>, by: Threads) {
    let precision = if BF16 { Precision::Bf16 } else { Precision::F32 };
    Right::new(b, by, precision).product(target, &Left::new(a, precision));
}

/// By arithmetic, not by bits: 8 bits of a fraction in [1, 2).
fn bf16(x: f32) -> f64 {
    let x = f64::from(x);
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let step = (x.abs().log2().floor() - 7.0).exp2();
    (x / step).round_ties_even() * step
}

/// Numbers in [-1, 1), the same for the same seed.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mix = |i: u64| {
        let x = (i ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        x ^ x >> 32
    };
    (0..count as u64).map(|i| (mix(i) >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
}

/// An operand [rows, columns] in memory, transposed there or not, with a gap after every row but the last.
#[derive(Clone, Debug)]
struct Operand {
    numbers: Vec<f32>,
    rows: usize,
    columns: usize,
    gap: usize,
    transposed: bool,
}

impl Operand {
    fn new(rows: usize, columns: usize, gap: usize, transposed: bool, seed: u64) -> Self {
        let (outer, inner) = if transposed { (columns, rows) } else { (rows, columns) };
        let count = (outer * (inner + gap)).saturating_sub(gap);
        Self { numbers: numbers(count, seed), rows, columns, gap, transposed }
    }

    fn matrix(&self) -> Matrix<'_> {
        if self.transposed {
            Matrix::new(&self.numbers, self.columns, self.rows, self.rows + self.gap).transposed()
        } else {
            Matrix::new(&self.numbers, self.rows, self.columns, self.columns + self.gap)
        }
    }

    fn place(&self, row: usize, column: usize) -> usize {
        if self.transposed { column * (self.rows + self.gap) + row } else { row * (self.columns + self.gap) + column }
    }

    fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        (0..self.columns).map(move |column| self.numbers[self.place(row, column)])
    }

    fn column(&self, column: usize) -> impl Iterator<Item = f32> {
        (0..self.rows).map(move |row| self.numbers[self.place(row, column)])
    }
}

/// After every row of a target, which must stay as it was.
const GAP: usize = 3;

/// The product in a target with gaps.
fn multiply(product: Product, a: &Operand, b: &Operand, add: bool, by: Threads) -> Vec<f32> {
    let (m, n) = (a.rows, b.columns);
    let before = numbers(m * (n + GAP), 77);
    let mut target = before.clone();
    product(Target { numbers: &mut target, row_stride: n + GAP, add }, a.matrix(), b.matrix(), by);
    let gaps = (0..target.len()).filter(|i| i % (n + GAP) >= n);
    gaps.for_each(|i| assert_eq!(target[i], before[i], "a number beside the target"));
    target
}

fn check(a: &Operand, b: &Operand, add: bool) {
    let (m, n) = (a.rows, b.columns);
    for (name, product, round) in products() {
        let found = multiply(product, a, b, add, Threads::One);
        let before = numbers(m * (n + GAP), 77);
        let columns: Vec<Vec<f64>> = (0..n).map(|j| b.column(j).map(round).collect()).collect();
        for i in 0..m {
            let row: Vec<f64> = a.row(i).map(round).collect();
            for (j, column) in columns.iter().enumerate() {
                let at = i * (n + GAP) + j;
                let start = if add { f64::from(before[at]) } else { 0.0 };
                let terms = || row.iter().zip(column).map(|(a, b)| a * b);
                let (sum, size) = (start + terms().sum::<f64>(), start.abs() + terms().map(f64::abs).sum::<f64>());
                let error = (f64::from(found[at]) - sum).abs();
                assert!(error <= 2e-6 * size + 1e-30, "{name} [{i}, {j}]: {}, expected {sum}, off {error}", found[at]);
            }
        }
    }
}

#[test]
fn shapes_on_both_sides_of_every_block() {
    for (m, k, n) in [
        (1, 1, 1),
        (1, 300, 1),
        (12, 32, 32),
        (13, 31, 33),
        (11, 2, 15),
        (24, 33, 16),
        (5, 255, 48),
        (4, 513, 65),
        (239, 12, 4),
        (241, 64, 20),
        (3, 1023, 40),
        (2, 1025, 16),
        (3, 40, 257),
        (2, 6, 1025),
        (500, 3, 9),
    ] {
        for turned in 0..4 {
            let a = Operand::new(m, k, turned, turned & 1 == 1, 1);
            let b = Operand::new(k, n, 3 - turned, turned & 2 == 2, 2);
            check(&a, &b, turned == 0);
        }
    }
}

#[test]
fn single_rows_and_columns_in_either_order() {
    for turned in 0..4 {
        for (m, k, n) in [(1, 40, 33), (9, 40, 1), (1, 40, 1), (9, 1, 33)] {
            check(&Operand::new(m, k, 0, turned & 1 == 1, 1), &Operand::new(k, n, 0, turned & 2 == 2, 2), false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shape(
        (m, k, n) in (1usize..60, 0usize..300, 1usize..80),
        gaps in (0usize..5, 0usize..5),
        turned in any::<(bool, bool)>(),
        add: bool,
        seed in 0u64..1000,
    ) {
        check(&Operand::new(m, k, gaps.0, turned.0, seed), &Operand::new(k, n, gaps.1, turned.1, seed + 1), add);
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let pools =
        [1, 2, 3, 7].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool"));
    for (m, k, n) in [(500, 700, 130), (9, 1500, 600), (1, 40, 33), (256, 2048, 64)] {
        for turned in [false, true] {
            let a = Operand::new(m, k, 0, turned, 5);
            let b = Operand::new(k, n, 0, !turned, 6);
            for (name, product, _) in products() {
                let alone = multiply(product, &a, &b, true, Threads::One);
                for pool in &pools {
                    let together = pool.install(|| multiply(product, &a, &b, true, Threads::All));
                    let same = alone.iter().zip(&together).all(|(x, y)| x.to_bits() == y.to_bits());
                    assert!(same, "{name} of [{m}, {k}, {n}] on {} threads", pool.current_num_threads());
                }
            }
        }
    }
}

/// What a row's result is must not depend on the rows beside it.
#[test]
#[cfg(target_arch = "x86_64")]
fn rows_do_not_see_each_other() {
    if avx512::f32::F32::new().is_none() {
        return;
    }
    for (k, n) in [(300, 40), (256, 32), (5, 70)] {
        let (a, b) = (Operand::new(270, k, 0, false, 5), Operand::new(k, n, 0, true, 6));
        let ours = |name: &str| name == "f32 by the CPU" || name == "f32 packed once";
        for (name, product, _) in products().into_iter().filter(|(name, ..)| ours(name)) {
            let all = multiply(product, &a, &b, false, Threads::One);
            for rows in [0..1, 3..5, 13..27, 100..270, 269..270] {
                let part = Operand { numbers: a.numbers[rows.start * k..rows.end * k].to_vec(), rows: rows.len(), ..a };
                let alone = multiply(product, &part, &b, false, Threads::One);
                for (row, alone) in rows.zip(alone.chunks(n + GAP)) {
                    assert_eq!(alone[..n], all[row * (n + GAP)..][..n], "{name}: row {row} of [{k}, {n}]");
                }
            }
        }
    }
}

/// As rows that start from a bias: the same sums as from copies of it in the target.
#[test]
fn sums_start_from_a_bias() {
    for (m, k, n) in [(1, 3, 5), (13, 256, 33), (29, 600, 70), (4, 0, 17)] {
        let b = Operand::new(k, n, 2, true, 6);
        let bias = numbers(n, 9);
        for precision in [Precision::F32, Precision::Bf16] {
            let right = Right::new(b.matrix(), Threads::One, precision);
            let a = Operand::new(m, k, 1, false, 5);
            let left = Left::new(a.matrix(), precision);
            let (mut found, mut expected) = (numbers(m * (n + GAP), 77), numbers(m * (n + GAP), 77));
            expected.chunks_mut(n + GAP).for_each(|row| row[..n].copy_from_slice(&bias));
            right.product(Target { numbers: &mut expected, row_stride: n + GAP, add: true }, &left);
            right.affine(&bias, &mut found, n + GAP, &left);
            assert_eq!(found, expected, "[{m}, {k}, {n}] in {precision:?}");
        }
    }
}

/// Rows at the stride that needs no copies, with numbers between them that must not matter.
#[test]
fn rows_are_multiplied_where_they_are() {
    for (m, k, n) in [(1, 1, 9), (15, 200, 40), (30, IN_PLACE, 33)] {
        let there = Operand::new(m, k, STRIDE_IN_PLACE - k, false, 5);
        let mut behind = there.numbers.clone();
        behind.resize(m * STRIDE_IN_PLACE, f32::NAN);
        let b = Operand::new(k, n, 0, false, 6);
        let right = Right::new(b.matrix(), Threads::One, Precision::F32);
        let product = |a: Matrix<'_>| {
            let mut y = vec![0.0; m * n];
            right.product(Target { numbers: &mut y, row_stride: n, add: false }, &Left::new(a, Precision::F32));
            y
        };
        let dense: Vec<f32> = (0..m).flat_map(|row| there.row(row).collect::<Vec<_>>()).collect();
        let expected = product(Matrix::new(&dense, m, k, k));
        assert_eq!(product(Matrix::new(&behind, m, k, STRIDE_IN_PLACE)), expected, "[{m}, {k}, {n}]");
        assert_eq!(product(there.matrix()), expected, "[{m}, {k}, {n}] without numbers behind the last");
    }
}

#[test]
fn products_at_the_same_time_keep_apart() {
    use rayon::prelude::*;
    let (a, b) = (Operand::new(64, 300, 0, false, 5), Operand::new(300, 64, 0, false, 6));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    for (name, product, _) in products() {
        let alone = multiply(product, &a, &b, false, Threads::One);
        let by = |i: usize| if i.is_multiple_of(2) { Threads::All } else { Threads::One };
        let many: Vec<Vec<f32>> =
            pool.install(|| (0..50).into_par_iter().map(|i| multiply(product, &a, &b, false, by(i))).collect());
        assert!(many.iter().all(|one| *one == alone), "{name}");
    }
}

#[test]
fn nothing_to_sum_or_nowhere_to_put_it() {
    for precision in [Precision::F32, Precision::Bf16] {
        for (m, n) in [(0, 5), (3, 0), (0, 0)] {
            let mut nothing = [1.0, 2.0];
            let target = Target { numbers: &mut nothing, row_stride: n, add: false };
            product(target, Matrix::new(&[], m, 0, 0), Matrix::new(&[], 0, n, n), Threads::All, precision);
            assert_eq!(nothing, [1.0, 2.0]);
        }
    }
    for (name, product, _) in products() {
        let (a, b) = (Operand::new(3, 0, 0, false, 1), Operand::new(0, 5, 0, false, 2));
        let row = |x: &[f32]| x[..5].to_vec();
        assert_eq!(row(&multiply(product, &a, &b, false, Threads::One)), [0.0; 5], "{name}");
        assert_eq!(row(&multiply(product, &a, &b, true, Threads::All)), row(&numbers(24, 77)), "{name}");
    }
}

#[test]
fn what_is_not_finite_stays_so_and_where_it_is() {
    for (bad, turned, place) in [f32::NAN, f32::from_bits(0x7f80_0001), f32::INFINITY, f32::NEG_INFINITY]
        .into_iter()
        .flat_map(|bad| [(bad, false, 0), (bad, true, 31), (bad, false, 32), (bad, true, 36)])
    {
        let (mut a, mut b) = (Operand::new(14, 37, 0, turned, 1), Operand::new(37, 18, 0, turned, 2));
        let at = a.place(13, place);
        let good = std::mem::replace(&mut a.numbers[at], bad);
        for (name, product, _) in products() {
            let c = multiply(product, &a, &b, false, Threads::One);
            for (i, row) in c.chunks(18 + GAP).enumerate() {
                assert!(row[..18].iter().all(|x| x.is_finite() == (i != 13)), "{name}: {bad} spreads or is lost");
            }
        }
        a.numbers[at] = good;
        let at = b.place(place, 17);
        b.numbers[at] = bad;
        for (name, product, _) in products() {
            for row in multiply(product, &a, &b, false, Threads::One).chunks(18 + GAP) {
                assert!(row[..17].iter().all(|x| x.is_finite()) && !row[17].is_finite(), "{name}: {bad}");
            }
        }
    }
}

/// 1 x 1 products show how one number is rounded.
#[test]
fn single_numbers_round_like_bfloat16() {
    let odd = f32::from_bits;
    for (x, expected) in [
        (1.0, 1.0),
        (-0.0, 0.0),
        // ties go to even
        (odd(0x3f80_8000), 1.0),
        (odd(0x3f81_8000), odd(0x3f82_0000)),
        (odd(0x3f80_8001), odd(0x3f81_0000)),
        (-odd(0x3f80_8001), -odd(0x3f81_0000)),
        (f32::MAX, f32::INFINITY),
        (f32::MIN, f32::NEG_INFINITY),
        (f32::MIN_POSITIVE, f32::MIN_POSITIVE),
    ] {
        for (name, product) in products_bf16() {
            let mut y = [7.0];
            let target = Target { numbers: &mut y, row_stride: 1, add: false };
            product(target, Matrix::new(&[x], 1, 1, 1), Matrix::new(&[1.0], 1, 1, 1), Threads::One);
            assert_eq!(y[0], expected, "{name} of {x:e}");
        }
    }
}

#[test]
#[should_panic(expected = "a product beyond its target")]
fn a_target_that_is_too_small_is_refused() {
    let (a, b) = (Operand::new(3, 4, 0, false, 1), Operand::new(4, 5, 0, false, 2));
    let target = Target { numbers: &mut [0.0; 14], row_stride: 5, add: false };
    product(target, a.matrix(), b.matrix(), Threads::One, Precision::Bf16);
}
