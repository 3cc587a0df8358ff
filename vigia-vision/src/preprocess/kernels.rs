//! The row kernels, each for the best instruction set of this processor. [`scalar`](self) code here is the reference;
//! [`super::avx2`] gives the same bits.
#![expect(
    unsafe_code,
    reason = "functions compiled for an instruction set may only be called where the processor has it"
)]
#![expect(clippy::inline_always, reason = "loops must be compiled inside the functions of each instruction set")]

use super::area;
use super::colour::{self, Finish};
use super::taps::{COLUMN_BITS, Columns, Fetch, Runs};

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
    /// `sums += weight * row`.
    accumulate(sums: &mut [f32], row: &[u8], weight: f32) = accumulate;
    /// Weighted means of runs of `sums`, whose samples are `step` apart.
    average(sums: &[f32], step: usize, columns: &Runs, out: &mut [f32]) = area::average;
    /// Interpolated Y, U, V rows to the tensor.
    yuv(f: &Finish, rows: [&[i16]; 3], out: [&mut [f32]; 3]) = colour::yuv;
    /// Interpolated red, green, blue rows to the tensor.
    rgb(f: &Finish, rows: [&[i16]; 3], out: [&mut [f32]; 3]) = colour::rgb;
    /// An interpolated row of Y to the tensor.
    gray(f: &Finish, row: &[i16], out: [&mut [f32]; 3]) = colour::gray;
    /// Averaged Y, U, V rows to the tensor.
    yuv_mean(f: &Finish, rows: [&[f32]; 3], out: [&mut [f32]; 3]) = colour::yuv;
    /// Averaged red, green, blue rows to the tensor.
    rgb_mean(f: &Finish, rows: [&[f32]; 3], out: [&mut [f32]; 3]) = colour::rgb;
    /// An averaged row of Y to the tensor.
    gray_mean(f: &Finish, row: &[f32], out: [&mut [f32]; 3]) = colour::gray;
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

#[inline(always)]
fn accumulate(sums: &mut [f32], row: &[u8], weight: f32) {
    for (sum, &a) in sums.iter_mut().zip(row) {
        *sum += f32::from(a) * weight;
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

pub(super) fn resample(line: &[i16], columns: &Columns, out: &mut [i16]) {
    for ((out, &left), weights) in out.iter_mut().zip(&columns.left).zip(&columns.weights) {
        let left = left as usize;
        let sum = i32::from(line[left]) * i32::from(weights[0]) + i32::from(line[left + 1]) * i32::from(weights[1]);
        *out = ((sum + (1 << (COLUMN_BITS - 1))) >> COLUMN_BITS) as i16;
    }
}
