//! From a row of samples to a row of the tensor: colour matrix, clamp, normalise.
//!
//! Samples are in 1/128 of a level, as `i16`. The loops are plain so that they
//! vectorise under any instruction set; there is no fused multiply-add, so every instruction set gives the same bits.

#![expect(clippy::inline_always, reason = "loops must be compiled inside the functions of each instruction set")]

use vigia_core::frame::{Colour, ColourMatrix, ColourRange};
use vigia_core::model::{Channels, InputSpec};

/// Sample units per level.
pub(super) const UNIT: f32 = 128.0;
/// Fractional bits of an `i16` sample.
pub(super) const BITS: u32 = 7;

/// `(level - mean) * scale` of one channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    mean: f32,
    scale: f32,
}

impl Norm {
    /// The tensor's value for a level.
    #[inline(always)]
    pub(super) fn of(self, level: f32) -> f32 {
        // Not `clamp`: min and max in this order are one instruction each and do not care for NaN.
        let level = if level > 0.0 { level } else { 0.0 };
        let level = if level < 255.0 { level } else { 255.0 };
        (level - self.mean) * self.scale
    }
}

/// What a row of samples has to go through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    /// Of red, green, blue.
    norm: [Norm; 3],
    /// Blue is the tensor's first channel.
    swap: bool,
    /// Y at black, in sample units; levels per sample unit of Y.
    black: f32,
    gain: f32,
    /// Levels per sample unit of chroma: V in red, U in green, V in green, U in blue.
    chroma: [f32; 4],
}

/// The samples at no colour.
const GREY: f32 = 128.0 * UNIT;

impl Finish {
    /// For pictures of this colour description.
    pub(super) fn new(spec: &InputSpec, colour: Colour) -> Self {
        // Rec. ITU-R BT.601-7 and BT.709-6, table 3.
        let (kr, kb) = match colour.matrix {
            ColourMatrix::Bt601 => (0.299, 0.114),
            ColourMatrix::Bt709 => (0.2126, 0.0722),
        };
        let (black, gain, spread) = match colour.range {
            ColourRange::Full => (0.0, 1.0, 1.0),
            ColourRange::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
        };
        let (red, blue) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb));
        let kg = 1.0 - kr - kb;
        let unit = f64::from(UNIT);
        let chroma = [red, -blue * kb / kg, -red * kr / kg, blue].map(|c: f64| (c * spread / unit) as f32);
        let mut norm: [Norm; 3] = std::array::from_fn(|c| Norm { mean: spec.mean[c], scale: spec.scale[c] });
        let swap = spec.channels == Channels::Bgr;
        if swap {
            norm.reverse();
        }
        Self { norm, swap, black: black * UNIT, gain: (gain / unit) as f32, chroma }
    }

    /// The tensor's values for one level in all channels, in tensor order.
    pub(super) fn level(&self, level: f32) -> [f32; 3] {
        let mut all = self.norm.map(|n| n.of(level));
        if self.swap {
            all.reverse();
        }
        all
    }

    /// The planes of the tensor as red, green, blue.
    #[inline(always)]
    fn order<'a>(&self, [a, b, c]: [&'a mut [f32]; 3]) -> [&'a mut [f32]; 3] {
        if self.swap { [c, b, a] } else { [a, b, c] }
    }
}

/// Y, U, V rows.
#[inline(always)]
pub(super) fn yuv(f: &Finish, [y, u, v]: [&[i16]; 3], out: [&mut [f32]; 3]) {
    let [red, green, blue] = f.order(out);
    let n = red.len();
    let (y, u, v, green, blue) = (&y[..n], &u[..n], &v[..n], &mut green[..n], &mut blue[..n]);
    let [vr, ug, vg, ub] = f.chroma;
    for i in 0..n {
        let luma = (f32::from(y[i]) - f.black) * f.gain;
        let (u, v) = (f32::from(u[i]) - GREY, f32::from(v[i]) - GREY);
        red[i] = f.norm[0].of(luma + v * vr);
        green[i] = f.norm[1].of(luma + u * ug + v * vg);
        blue[i] = f.norm[2].of(luma + u * ub);
    }
}

/// Red, green, blue rows.
#[inline(always)]
pub(super) fn rgb(f: &Finish, rows: [&[i16]; 3], out: [&mut [f32]; 3]) {
    for ((row, out), norm) in rows.into_iter().zip(f.order(out)).zip(f.norm) {
        for (sample, out) in row.iter().zip(out) {
            *out = norm.of(f32::from(*sample) * (1.0 / UNIT));
        }
    }
}

/// One row of Y, in all channels.
#[inline(always)]
pub(super) fn gray(f: &Finish, y: &[i16], out: [&mut [f32]; 3]) {
    for (out, norm) in f.order(out).into_iter().zip(f.norm) {
        for (sample, out) in y.iter().zip(out) {
            *out = norm.of((f32::from(*sample) - f.black) * f.gain);
        }
    }
}
