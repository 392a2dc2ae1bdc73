//! Matrix products by AVX-512: in f32, and by its instruction for bfloat16.

pub(super) mod bf16;
pub(super) mod f32;

use std::arch::x86_64::{
    __m512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_setzero_ps,
    _mm512_shuffle_f32x4, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

/// Rows to columns.
#[inline]
#[target_feature(enable = "avx512f")]
#[expect(clippy::large_types_passed_by_value, reason = "it is inlined, and the rows stay in registers")]
fn transposed(rows: [__m512; 16]) -> [__m512; 16] {
    let mut fours = [_mm512_setzero_ps(); 16];
    for (fours, rows) in fours.as_chunks_mut::<4>().0.iter_mut().zip(rows.as_chunks::<4>().0) {
        let [a, b, c, d] = *rows;
        let [ab, cd] = [_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d)].map(|x| _mm512_castps_pd(x));
        let [ab_high, cd_high] = [_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d)].map(|x| _mm512_castps_pd(x));
        *fours = [
            _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)),
            _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high)),
        ];
    }
    // number c of fours[4 i + c]: column c of every quarter, of rows 4 i to 4 i + 3
    let mut columns = [_mm512_setzero_ps(); 16];
    for c in 0..4 {
        let even = _mm512_shuffle_f32x4::<0x88>(fours[c], fours[4 + c]);
        let odd = _mm512_shuffle_f32x4::<0xdd>(fours[c], fours[4 + c]);
        let even_below = _mm512_shuffle_f32x4::<0x88>(fours[8 + c], fours[12 + c]);
        let odd_below = _mm512_shuffle_f32x4::<0xdd>(fours[8 + c], fours[12 + c]);
        columns[c] = _mm512_shuffle_f32x4::<0x88>(even, even_below);
        columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd, odd_below);
        columns[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even, even_below);
        columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_below);
    }
    columns
}

/// Up to 16 numbers; the rest is 0.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32]) -> __m512 {
    #[expect(unsafe_code, reason = "the instruction takes a pointer")]
    // SAFETY: the mask leaves out what the slice has not.
    unsafe {
        _mm512_maskz_loadu_ps(mask(numbers), numbers.as_ptr())
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(numbers: __m512, to: &mut [f32]) {
    #[expect(unsafe_code, reason = "the instruction takes a pointer")]
    // SAFETY: the mask leaves out what the slice has not.
    unsafe {
        _mm512_mask_storeu_ps(to.as_mut_ptr(), mask(to), numbers);
    }
}

/// A bit for each of up to 16 numbers.
#[inline]
fn mask(numbers: &[f32]) -> u16 {
    if numbers.len() < 16 { (1 << numbers.len()) - 1 } else { !0 }
}
