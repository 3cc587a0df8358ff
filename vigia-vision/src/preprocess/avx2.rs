//! The two stages that compilers do not vectorise well by themselves, for x86-64 with AVX2. Bit for bit what
//! [`super::kernels`] computes. All of them handle their tails with the plain code.
#![expect(unsafe_code, reason = "vector loads and stores take pointers")]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi16, _mm256_add_epi32, _mm256_castsi128_si256,
    _mm256_cvtepu8_epi16, _mm256_i32gather_epi32, _mm256_inserti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_mulhrs_epi16, _mm256_packs_epi32, _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_srai_epi32, _mm256_storeu_si256,
};

use super::colour::BITS;
use super::kernels;
use super::taps::{BLOCK, COLUMN_BITS, Columns};

/// [`kernels::blend`].
#[target_feature(enable = "avx2")]
pub(super) fn blend(upper: &[u8], lower: &[u8], weight: i16, out: &mut [i16]) {
    let w1 = _mm256_set1_epi16(weight);
    // 32768 - weight fits, as the weight is above 0; this wraps to it in 16 bits.
    let w0 = _mm256_set1_epi16(i16::MIN.wrapping_sub(weight));
    let (a16, a_rest) = upper.as_chunks::<BLOCK>();
    let (b16, b_rest) = lower.as_chunks::<BLOCK>();
    let (out16, out_rest) = out.as_chunks_mut::<BLOCK>();
    for ((a, b), out) in a16.iter().zip(b16).zip(out16) {
        let a = _mm256_mulhrs_epi16(widen(a), w0);
        let b = _mm256_mulhrs_epi16(widen(b), w1);
        store(_mm256_add_epi16(a, b), out);
    }
    kernels::blend(a_rest, b_rest, weight, out_rest);
}

/// [`kernels::resample`] where each four tensor pixels lie within eight samples.
#[target_feature(enable = "avx2")]
pub(super) fn resample_window(line: &[i16], columns: &Columns, out: &mut [i16]) {
    let (lefts, _) = columns.left.as_chunks::<BLOCK>();
    let (weights, _) = columns.weights.as_chunks::<8>();
    let (weights, _) = weights.as_chunks::<2>();
    let (shuffles, _) = columns.shuffles.as_chunks::<2>();
    let (shuffles, _) = shuffles.as_chunks::<2>();
    let (out, _) = out.as_chunks_mut::<BLOCK>();
    for (((left, weights), shuffles), out) in lefts.iter().zip(weights).zip(shuffles).zip(out) {
        let a = pairs(line, left[0], left[4], &shuffles[0]);
        let b = pairs(line, left[8], left[12], &shuffles[1]);
        store(mix(a, b, weights), out);
    }
}

/// [`kernels::resample`] with any distance between tensor pixels.
#[target_feature(enable = "avx2")]
pub(super) fn resample_gather(line: &[i16], columns: &Columns, out: &mut [i16]) {
    let reach = columns.left.iter().max().map_or(0, |&left| left as usize + 2);
    assert!(reach <= line.len() && reach < 1 << 30, "columns beyond the line");
    let (lefts, _) = columns.left.as_chunks::<8>();
    let (lefts, _) = lefts.as_chunks::<2>();
    let (weights, _) = columns.weights.as_chunks::<8>();
    let (weights, _) = weights.as_chunks::<2>();
    let (out, _) = out.as_chunks_mut::<BLOCK>();
    for (([a, b], weights), out) in lefts.iter().zip(weights).zip(out) {
        let (a, b) = (load(a), load(b));
        // SAFETY: four bytes at each of these samples lie within `line`: the assertion above covers the largest.
        let a = unsafe { _mm256_i32gather_epi32::<2>(line.as_ptr().cast(), a) };
        // SAFETY: as above.
        let b = unsafe { _mm256_i32gather_epi32::<2>(line.as_ptr().cast(), b) };
        store(mix(a, b, weights), out);
    }
}

/// Sixteen (left, right) pairs to sixteen samples.
#[inline]
#[target_feature(enable = "avx2")]
fn mix(a: __m256i, b: __m256i, weights: &[[[i16; 2]; 8]; 2]) -> __m256i {
    let half = _mm256_set1_epi32(1 << (COLUMN_BITS - 1));
    let a = _mm256_add_epi32(_mm256_madd_epi16(a, load(&weights[0])), half);
    let b = _mm256_add_epi32(_mm256_madd_epi16(b, load(&weights[1])), half);
    // Packing works in each half by itself: put the quarters back in order.
    let packed = _mm256_packs_epi32(
        _mm256_srai_epi32::<{ COLUMN_BITS as i32 }>(a),
        _mm256_srai_epi32::<{ COLUMN_BITS as i32 }>(b),
    );
    _mm256_permute4x64_epi64::<0b11_01_10_00>(packed)
}

/// Eight (left, right) pairs out of the windows that begin at samples `a` and `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs(line: &[i16], a: u32, b: u32, shuffle: &[[u8; 16]; 2]) -> __m256i {
    let both = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(window(line, a)), window(line, b));
    _mm256_shuffle_epi8(both, load(shuffle))
}

#[inline]
#[target_feature(enable = "avx2")]
fn window(line: &[i16], at: u32) -> __m128i {
    let eight = &line[at as usize..][..8];
    // SAFETY: the slice holds the 16 bytes; no alignment is needed.
    unsafe { _mm_loadu_si128(eight.as_ptr().cast()) }
}

/// Sixteen samples in 1/128 level.
#[inline]
#[target_feature(enable = "avx2")]
fn widen(row: &[u8; BLOCK]) -> __m256i {
    // SAFETY: the array holds the 16 bytes; no alignment is needed.
    let bytes = unsafe { _mm_loadu_si128(row.as_ptr().cast()) };
    _mm256_slli_epi16::<{ BITS as i32 }>(_mm256_cvtepu8_epi16(bytes))
}

/// Eight numbers, pairs or half shuffles: anything of 32 plain bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn load<T: Plain32>(value: &T) -> __m256i {
    const { assert!(size_of::<T>() == 32) };
    // SAFETY: the value holds 32 initialised bytes, as checked above and promised by the trait; no alignment is needed.
    unsafe { _mm256_loadu_si256(std::ptr::from_ref(value).cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(value: __m256i, out: &mut [i16; BLOCK]) {
    // SAFETY: the array holds the 32 bytes; no alignment is needed.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), value) }
}

/// Arrays of integers without padding bytes.
trait Plain32 {}
impl Plain32 for [u32; 8] {}
impl Plain32 for [[i16; 2]; 8] {}
impl Plain32 for [[u8; 16]; 2] {}
