//! The stages that compilers do not vectorise well by themselves, for x86-64 with AVX2. Bit for bit what
//! [`super::kernels`] computes. All of them handle their tails with the plain code.
#![expect(unsafe_code, reason = "vector loads and stores take pointers")]

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi16, _mm256_add_epi32, _mm256_castsi128_si256, _mm256_cvtepu8_epi16,
    _mm256_hadd_epi32, _mm256_i32gather_epi32, _mm256_inserti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_mulhrs_epi16, _mm256_packs_epi32, _mm256_permute4x64_epi64, _mm256_permutevar8x32_epi32, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_srai_epi32,
    _mm256_storeu_si256, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

use super::colour::BITS;
use super::kernels;
use super::planes::Rows;
use super::taps::{BLOCK, COLUMN_BITS, Columns, EACH};

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

/// [`kernels::mix`].
#[target_feature(enable = "avx2")]
pub(super) fn mix(rows: Rows<'_>, weights: &[i16], out: &mut [i16]) {
    match weights.len() {
        1 | 2 => mix_of::<1>(rows, weights, out),
        3 | 4 => mix_of::<2>(rows, weights, out),
        5 | 6 => mix_of::<3>(rows, weights, out),
        7 | 8 => mix_of::<4>(rows, weights, out),
        _ => mix_of::<0>(rows, weights, out),
    }
}

/// With this many pairs of rows, the last of which may be half; 0 is any number.
#[inline]
#[target_feature(enable = "avx2")]
fn mix_of<const PAIRS: usize>(rows: Rows<'_>, weights: &[i16], out: &mut [i16]) {
    const SHIFT: i32 = (COLUMN_BITS - BITS) as i32;
    let (bytes, stride) = (rows.bytes(), rows.stride());
    let (out16, rest) = out.as_chunks_mut::<BLOCK>();
    let whole = out16.len() * BLOCK;
    let last = weights.len().saturating_sub(1);
    assert!(last * stride + whole <= bytes.len(), "rows beyond the plane");
    let pairs = if PAIRS == 0 { weights.len().div_ceil(2) } else { PAIRS };
    // What is missing of the last pair is its first row again, with weight 0.
    let pair = |at: usize| two_weights(weights[2 * at], weights.get(2 * at + 1).copied().unwrap_or(0));
    let known: [__m256i; PAIRS] = std::array::from_fn(pair);
    let half = _mm256_set1_epi32(1 << (SHIFT - 1));
    for (block, out) in out16.iter_mut().enumerate() {
        // SAFETY: the assertion above covers 16 bytes at each block of each row that has a weight.
        let row = |index: usize| unsafe { bytes16(bytes, index.min(last) * stride + block * BLOCK) };
        // Unpacking and packing both work in each half by itself: the order comes out right.
        let (mut low, mut high) = (half, half);
        for at in 0..pairs {
            let weights = known.get(at).copied().unwrap_or_else(|| pair(at));
            let (a, b) = (row(2 * at), row(2 * at + 1));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), weights));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), weights));
        }
        store(_mm256_packs_epi32(_mm256_srai_epi32::<SHIFT>(low), _mm256_srai_epi32::<SHIFT>(high)), out);
    }
    if !rest.is_empty() {
        kernels::mix(rows, weights, whole, out);
    }
}

/// [`kernels::resample`] where each four tensor pixels begin within seven samples.
#[target_feature(enable = "avx2")]
pub(super) fn resample_window(line: &[i16], columns: &Columns, out: &mut [i16]) {
    match columns.pairs {
        1 => window_of::<1>(line, columns, out),
        2 => window_of::<2>(line, columns, out),
        _ => window_of::<0>(line, columns, out),
    }
}

/// With this many pairs per tensor pixel; 0 is as many as the table says.
#[inline]
#[target_feature(enable = "avx2")]
fn window_of<const PAIRS: usize>(line: &[i16], columns: &Columns, out: &mut [i16]) {
    let (lefts, _) = columns.left.as_chunks::<BLOCK>();
    let (weights, _) = columns.weights.as_chunks::<8>();
    let (weights, _) = weights.as_chunks::<2>();
    let (shuffles, _) = columns.shuffles.as_chunks::<2>();
    let (shuffles, _) = shuffles.as_chunks::<2>();
    let (out, _) = out.as_chunks_mut::<BLOCK>();
    let (blocks, half) = (lefts.len(), _mm256_set1_epi32(1 << (COLUMN_BITS - 1)));
    let count = if PAIRS == 0 { columns.pairs } else { PAIRS };
    assert!(reach(columns, 2 * count + 6) <= line.len(), "columns beyond the line");
    for (block, ((left, shuffles), out)) in lefts.iter().zip(shuffles).zip(out).enumerate() {
        let (mut a, mut b) = (half, half);
        for at in 0..count {
            let (weights, right) = (&weights[at * blocks + block], 2 * at as u32);
            // SAFETY: the assertion above covers eight samples from each tensor pixel's last pair on.
            let p = unsafe { pairs(line, left[0] + right, left[4] + right, &shuffles[0]) };
            // SAFETY: as above.
            let q = unsafe { pairs(line, left[8] + right, left[12] + right, &shuffles[1]) };
            a = _mm256_add_epi32(a, _mm256_madd_epi16(p, load(&weights[0])));
            b = _mm256_add_epi32(b, _mm256_madd_epi16(q, load(&weights[1])));
        }
        store(narrow(a, b), out);
    }
}

/// [`kernels::resample`] with any distance between tensor pixels and any number of pairs.
#[target_feature(enable = "avx2")]
pub(super) fn resample_each(line: &[i16], columns: &Columns, out: &mut [i16]) {
    let (lefts, _) = columns.left.as_chunks::<BLOCK>();
    let (weights, _) = columns.weights.as_chunks::<EACH>();
    let (weights, _) = weights.as_chunks::<2>();
    let (weights, _) = weights.as_chunks::<{ BLOCK / 2 }>();
    let (out, _) = out.as_chunks_mut::<BLOCK>();
    let (blocks, half) = (lefts.len(), _mm256_set1_epi32(1 << (COLUMN_BITS - 1)));
    assert!(reach(columns, 2 * columns.pairs) <= line.len(), "columns beyond the line");
    // After neighbours were added twice, each half has every other one of eight tensor pixels.
    let order = load(&[0u32, 4, 1, 5, 2, 6, 3, 7]);
    for (block, (left, out)) in lefts.iter().zip(out).enumerate() {
        let mut sums = [_mm256_setzero_si256(); BLOCK / 2];
        for at in 0..columns.pairs / EACH {
            let (weights, right) = (&weights[at * blocks + block], (2 * EACH * at) as u32);
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the assertion above covers all pairs of each tensor pixel, four of which these are.
                let both = unsafe { windows(line, left[2 * i] + right, left[2 * i + 1] + right) };
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(both, load(&weights[i])));
            }
        }
        let [a, b] = [0, 4].map(|i| {
            let p = _mm256_hadd_epi32(sums[i], sums[i + 1]);
            let q = _mm256_hadd_epi32(sums[i + 2], sums[i + 3]);
            _mm256_add_epi32(_mm256_permutevar8x32_epi32(_mm256_hadd_epi32(p, q), order), half)
        });
        store(narrow(a, b), out);
    }
}

/// [`kernels::resample`] with any distance between tensor pixels of one pair each.
#[target_feature(enable = "avx2")]
pub(super) fn resample_gather(line: &[i16], columns: &Columns, out: &mut [i16]) {
    let reach = reach(columns, 2);
    assert!(reach <= line.len() && reach < 1 << 30, "columns beyond the line");
    let half = _mm256_set1_epi32(1 << (COLUMN_BITS - 1));
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
        let a = _mm256_add_epi32(_mm256_madd_epi16(a, load(&weights[0])), half);
        let b = _mm256_add_epi32(_mm256_madd_epi16(b, load(&weights[1])), half);
        store(narrow(a, b), out);
    }
}

/// Sixteen sums of products to sixteen samples.
#[inline]
#[target_feature(enable = "avx2")]
fn narrow(a: __m256i, b: __m256i) -> __m256i {
    // Packing works in each half by itself: put the quarters back in order.
    let packed = _mm256_packs_epi32(
        _mm256_srai_epi32::<{ COLUMN_BITS as i32 }>(a),
        _mm256_srai_epi32::<{ COLUMN_BITS as i32 }>(b),
    );
    _mm256_permute4x64_epi64::<0b11_01_10_00>(packed)
}

/// Eight (left, right) pairs out of the windows that begin at samples `a` and `b`.
///
/// # Safety
/// `line` holds eight samples from each of them on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pairs(line: &[i16], a: u32, b: u32, shuffle: &[[u8; 16]; 2]) -> __m256i {
    // SAFETY: the caller promises it.
    _mm256_shuffle_epi8(unsafe { windows(line, a, b) }, load(shuffle))
}

/// Eight samples each from `a` and `b` on.
///
/// # Safety
/// `line` holds them.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn windows(line: &[i16], a: u32, b: u32) -> __m256i {
    // SAFETY: the caller promises it.
    let [a, b] = [a, b].map(|at| unsafe { line.as_ptr().add(at as usize) });
    // SAFETY: as above; no alignment is needed.
    let a = unsafe { _mm_loadu_si128(a.cast()) };
    // SAFETY: as above.
    let b = unsafe { _mm_loadu_si128(b.cast()) };
    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b)
}

/// The samples that a line needs so that `count` can be read from each tensor pixel's first one on.
#[inline]
#[target_feature(enable = "avx2")]
fn reach(columns: &Columns, count: usize) -> usize {
    columns.left.iter().fold(0, |last, &left| last.max(left)) as usize + count
}

/// Sixteen samples in 1/128 level.
#[inline]
#[target_feature(enable = "avx2")]
fn widen(row: &[u8; BLOCK]) -> __m256i {
    // SAFETY: the array holds the 16 bytes; no alignment is needed.
    let bytes = unsafe { _mm_loadu_si128(row.as_ptr().cast()) };
    _mm256_slli_epi16::<{ BITS as i32 }>(_mm256_cvtepu8_epi16(bytes))
}

/// Sixteen bytes as numbers.
///
/// # Safety
/// `bytes` holds 16 bytes from `at` on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn bytes16(bytes: &[u8], at: usize) -> __m256i {
    // SAFETY: the caller promises it.
    let at = unsafe { bytes.as_ptr().add(at) };
    // SAFETY: as above; no alignment is needed.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(at.cast()) })
}

/// Two weights, eight times.
#[inline]
#[target_feature(enable = "avx2")]
fn two_weights(a: i16, b: i16) -> __m256i {
    _mm256_set1_epi32(i32::from(b) << 16 | i32::from(a) & 0xffff)
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
impl Plain32 for [[[i16; 2]; EACH]; 2] {}
impl Plain32 for [[u8; 16]; 2] {}
