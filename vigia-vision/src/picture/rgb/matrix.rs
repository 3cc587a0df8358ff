//! The way from Y, U, V to R, G, B in fixed point.
#![expect(clippy::inline_always, reason = "loops must be compiled inside the functions of each instruction set")]

use vigia_core::frame::{Colour, ColourMatrix, ColourRange};

/// Factors of a picture's colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    /// What is black in Y.
    black: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Matrix {
    /// Binary places.
    const PLACES: u32 = 16;

    /// ITU-R BT.601-7, 2.5.1 and BT.709-6, 3: R = Y + 2 (1 - Kr) V and so on, U and V around 0.
    pub(super) fn of(colour: Colour) -> Self {
        let (kr, kb) = match colour.matrix {
            ColourMatrix::Bt601 => (0.299, 0.114),
            ColourMatrix::Bt709 => (0.2126, 0.0722),
        };
        let (black, luma, chroma) = match colour.range {
            ColourRange::Full => (0, 1.0, 1.0),
            ColourRange::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
        };
        let kg = 1.0 - kr - kb;
        let fixed = |x: f64| (x * f64::from(1 << Self::PLACES)).round() as i32;
        // Chroma comes in quarters.
        let chroma = |x: f64| fixed(2.0 * x * chroma / 4.0);
        Self {
            black,
            luma: fixed(luma),
            red_v: chroma(1.0 - kr),
            green_u: chroma(-(1.0 - kb) * kb / kg),
            green_v: chroma(-(1.0 - kr) * kr / kg),
            blue_u: chroma(1.0 - kb),
        }
    }

    /// One pixel; U and V around 0, in quarters.
    #[inline(always)]
    pub(super) fn rgb(&self, y: u8, u: i16, v: i16) -> [u8; 3] {
        let luma = (i32::from(y) - self.black) * self.luma + (1 << (Self::PLACES - 1));
        let (u, v) = (i32::from(u), i32::from(v));
        [self.red_v * v, self.green_u * u + self.green_v * v, self.blue_u * u]
            .map(|chroma| ((luma + chroma) >> Self::PLACES).clamp(0, 255) as u8)
    }
}
