//! The row kernels, each for the best instruction set of this processor. [`scalar`](self) code here is the reference;
//! [`super::avx2`] gives the same bits.
#![expect(
    unsafe_code,
    reason = "functions compiled for an instruction set may only be called where the processor has it"
)]
#![expect(clippy::inline_always, reason = "loops must be compiled inside the functions of each instruction set")]

use super::colour::{self, Finish};
use super::planes::Rows;
use super::taps::{BLOCK, COLUMN_BITS, Columns, EACH, Fetch};

#[cfg(target_arch = "x86_64")]
use super::avx2;

/// An instruction set that this processor has: only [`Isa::detect`] makes one that is not scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Isa {
    /// What every processor of this architecture has.
    pub(super) const BASELINE: Self = Self(Level::Baseline);

    /// The best that this processor has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Self(Level::Avx2);
        }
        Self::BASELINE
    }

    /// Mixes two rows of samples: `out = (upper * (1 - w) + lower * w)` in 1/128 level, w in 1/32768, above 0.
    pub(super) fn blend(self, upper: &[u8], lower: &[u8], weight: i16, out: &mut [i16]) {
        match self.0 {
            Level::Baseline => blend(upper, lower, weight, out),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` found AVX2 before it made this level.
            Level::Avx2 => unsafe { avx2::blend(upper, lower, weight, out) },
        }
    }

    /// Adds up rows of samples: `out` is the sum of each row times its weight in 1/16384, in 1/128 level. The weights add up
    /// to 1.
    pub(super) fn mix(self, rows: Rows<'_>, weights: &[i16], out: &mut [i16]) {
        match self.0 {
            Level::Baseline => mix(rows, weights, 0, out),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` found AVX2 before it made this level.
            Level::Avx2 => unsafe { avx2::mix(rows, weights, out) },
        }
    }

    /// Mixes neighbours of a line into tensor pixels. `out` holds whole blocks, at least as many as `columns`.
    pub(super) fn resample(self, line: &[i16], columns: &Columns, out: &mut [i16]) {
        match (self.0, columns.fetch) {
            (Level::Baseline, _) | (_, Fetch::Direct) => resample(line, columns, out),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` found AVX2 before it made this level.
            (Level::Avx2, Fetch::Window) => unsafe { avx2::resample_window(line, columns, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` found AVX2 before it made this level.
            (Level::Avx2, Fetch::Gather) => unsafe { avx2::resample_gather(line, columns, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` found AVX2 before it made this level.
            (Level::Avx2, Fetch::Each) => unsafe { avx2::resample_each(line, columns, out) },
        }
    }
}

/// Makes methods of [`Isa`] out of plain loops, compiled once per instruction set.
macro_rules! for_each_isa {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) = $body:path;)*) => {
        impl Isa {
            $($(#[$doc])*
            pub(super) fn $name(self, $($arg: $ty),*) {
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2")]
                fn with_avx2($($arg: $ty),*) {
                    $body($($arg),*);
                }
                match self.0 {
                    Level::Baseline => $body($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: `detect` found AVX2 before it made this level.
                    Level::Avx2 => unsafe { with_avx2($($arg),*) },
                }
            })*
        }
    };
}

for_each_isa! {
    /// Samples in 1/128 level.
    widen(row: &[u8], out: &mut [i16]) = widen;
    /// Takes pairs apart.
    split2(mixed: &[i16], a: &mut [i16], b: &mut [i16]) = split2;
    /// Takes triples apart.
    split3(mixed: &[i16], a: &mut [i16], b: &mut [i16], c: &mut [i16]) = split3;
    /// Y, U, V rows to the tensor.
    yuv(f: &Finish, rows: [&[i16]; 3], out: [&mut [f32]; 3]) = colour::yuv;
    /// Red, green, blue rows to the tensor.
    rgb(f: &Finish, rows: [&[i16]; 3], out: [&mut [f32]; 3]) = colour::rgb;
    /// A row of Y to the tensor.
    gray(f: &Finish, row: &[i16], out: [&mut [f32]; 3]) = colour::gray;
}

#[inline(always)]
fn widen(row: &[u8], out: &mut [i16]) {
    for (out, &a) in out.iter_mut().zip(row) {
        *out = i16::from(a) << colour::BITS;
    }
}

#[inline(always)]
fn split2(mixed: &[i16], a: &mut [i16], b: &mut [i16]) {
    for ((pair, a), b) in mixed.chunks_exact(2).zip(a).zip(b) {
        (*a, *b) = (pair[0], pair[1]);
    }
}

#[inline(always)]
fn split3(mixed: &[i16], a: &mut [i16], b: &mut [i16], c: &mut [i16]) {
    for (((triple, a), b), c) in mixed.chunks_exact(3).zip(a).zip(b).zip(c) {
        (*a, *b, *c) = (triple[0], triple[1], triple[2]);
    }
}

pub(super) fn blend(upper: &[u8], lower: &[u8], weight: i16, out: &mut [i16]) {
    // One product of `pmulhrsw`: rounded to the nearest, halves up.
    let part = |a: u8, w: i32| ((i32::from(a) << colour::BITS) * w + (1 << 14)) >> 15;
    let weight = i32::from(weight);
    for ((out, &a), &b) in out.iter_mut().zip(upper).zip(lower) {
        *out = (part(a, (1 << 15) - weight) + part(b, weight)) as i16;
    }
}

/// Makes the columns from `start` on.
pub(super) fn mix(rows: Rows<'_>, weights: &[i16], start: usize, out: &mut [i16]) {
    const SHIFT: u32 = COLUMN_BITS - colour::BITS;
    const HALF: i32 = 1 << (SHIFT - 1);
    let (blocks, rest) = out[start..].as_chunks_mut::<BLOCK>();
    let tail = start + blocks.len() * BLOCK;
    for (x, out) in (start..).step_by(BLOCK).zip(blocks) {
        let mut sums = [HALF; BLOCK];
        for (index, &weight) in weights.iter().enumerate() {
            let row = &rows.bytes()[index * rows.stride() + x..][..BLOCK];
            for (sum, &a) in sums.iter_mut().zip(row) {
                *sum += i32::from(a) * i32::from(weight);
            }
        }
        *out = sums.map(|sum| (sum >> SHIFT) as i16);
    }
    for (x, out) in (tail..).zip(rest) {
        let column = rows.bytes()[x..].iter().step_by(rows.stride()).zip(weights);
        *out = (column.fold(HALF, |sum, (&a, &weight)| sum + i32::from(a) * i32::from(weight)) >> SHIFT) as i16;
    }
}

/// Plain code for any columns.
pub(super) fn resample(line: &[i16], columns: &Columns, out: &mut [i16]) {
    match (columns.fetch, columns.pairs) {
        (Fetch::Each, _) => resample_each(line, columns, out),
        (_, 1) => resample_pairs::<1>(line, columns, out),
        (_, 2) => resample_pairs::<2>(line, columns, out),
        _ => resample_any(line, columns, out),
    }
}

/// With this many pairs per tensor pixel.
fn resample_pairs<const PAIRS: usize>(line: &[i16], columns: &Columns, out: &mut [i16]) {
    let all = columns.left.len();
    let weights: [_; PAIRS] = std::array::from_fn(|at| &columns.weights[at * all..][..all]);
    for (i, (out, &left)) in out.iter_mut().zip(&columns.left).enumerate() {
        let mut sum = 0;
        for (at, weights) in weights.iter().enumerate() {
            let left = left as usize + 2 * at;
            sum += products((&[line[left], line[left + 1]], &weights[i]));
        }
        *out = scale(sum);
    }
}

/// With any number of pairs per tensor pixel.
fn resample_any(line: &[i16], columns: &Columns, out: &mut [i16]) {
    let all = columns.left.len();
    for (i, (out, &left)) in out.iter_mut().zip(&columns.left).enumerate() {
        let (samples, _) = line[left as usize..].as_chunks::<2>();
        let weights = columns.weights[i..].iter().step_by(all);
        *out = scale(samples.iter().zip(weights).map(products).sum());
    }
}

/// With the weights of some pairs of a tensor pixel side by side.
fn resample_each(line: &[i16], columns: &Columns, out: &mut [i16]) {
    let all = columns.left.len();
    let (weights, _) = columns.weights.as_chunks::<EACH>();
    for (i, (out, &left)) in out.iter_mut().zip(&columns.left).enumerate() {
        let (samples, _) = line[left as usize..].as_chunks::<2>();
        let (samples, _) = samples.as_chunks::<EACH>();
        let groups = samples.iter().zip(weights[i..].iter().step_by(all));
        *out = scale(groups.map(|(pairs, weights)| pairs.iter().zip(weights).map(products).sum::<i32>()).sum());
    }
}

/// Two samples times their weights.
#[inline(always)]
fn products((samples, weights): (&[i16; 2], &[i16; 2])) -> i32 {
    i32::from(samples[0]) * i32::from(weights[0]) + i32::from(samples[1]) * i32::from(weights[1])
}

/// A sum of products to a sample, rounded to the nearest, halves up.
#[inline(always)]
fn scale(sum: i32) -> i16 {
    ((sum + (1 << (COLUMN_BITS - 1))) >> COLUMN_BITS) as i16
}
