//! A colour per class, or per track: hues a golden ratio apart, equally bright to the eye (Oklab; B. Ottosson, 2020).

use vigia_core::detection::Detection;

/// Which of the colours a detection has: that of its track, so that one object keeps it from frame to frame and two of a
/// class are told apart; else that of its class.
pub(super) fn number(detection: &Detection) -> u64 {
    detection.track.map_or(u64::from(detection.class_id), |track| track.0)
}

/// The colour of the boxes and labels of this number.
pub(super) fn strong(number: u64) -> [u8; 3] {
    // Three steps of lightness tell hues apart that come close after some numbers.
    let lightness = [0.80, 0.72, 0.65][(number % 3) as usize];
    oklch(lightness, 0.17, hue(number))
}

/// A light tint of that colour, for small things on a dark rim.
pub(super) fn light(number: u64) -> [u8; 3] {
    oklch(0.95, 0.07, hue(number))
}

/// Black or white, whichever reads better on a colour: black above the luminance at which both contrasts are equal
/// (WCAG 2.1: (1 + 0.05) / (L + 0.05) = (L + 0.05) / 0.05).
pub(super) fn text_on(colour: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = colour.map(|v| linear(f32::from(v) / 255.0));
    let luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    if luminance > 0.179 { [0; 3] } else { [255; 3] }
}

/// A number's hue in turns; 0 is a green that skin and walls do not have.
fn hue(number: u64) -> f32 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    (0.42 + number as f64 * GOLDEN).fract() as f32
}

/// A colour of given lightness 0..1, chroma and hue (turns); as much of the chroma as a screen can show.
fn oklch(lightness: f32, chroma: f32, hue: f32) -> [u8; 3] {
    let (sin, cos) = (hue * std::f32::consts::TAU).sin_cos();
    let mut chroma = chroma;
    let mut rgb = oklab(lightness, chroma * cos, chroma * sin);
    while chroma > 0.01 && rgb.iter().any(|v| !(-0.001..=1.001).contains(v)) {
        chroma *= 0.95;
        rgb = oklab(lightness, chroma * cos, chroma * sin);
    }
    rgb.map(|v| (encoded(v.clamp(0.0, 1.0)) * 255.0).round() as u8)
}

/// Oklab to linear sRGB.
fn oklab(l: f32, a: f32, b: f32) -> [f32; 3] {
    let cones = [
        l + 0.396_337_78 * a + 0.215_803_76 * b,
        l - 0.105_561_346 * a - 0.063_854_17 * b,
        l - 0.089_484_18 * a - 1.291_485_5 * b,
    ];
    let [l, m, s] = cones.map(|v| v * v * v);
    [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_38 * s,
        -0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ]
}

/// sRGB's transfer function (IEC 61966-2-1).
fn encoded(linear: f32) -> f32 {
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// The way back.
fn linear(encoded: f32) -> f32 {
    if encoded <= 0.040_45 { encoded / 12.92 } else { ((encoded + 0.055) / 1.055).powf(2.4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_and_gray_come_out() {
        assert_eq!(oklch(1.0, 0.0, 0.0), [255; 3]);
        let [r, g, b] = oklch(0.6, 0.0, 0.3);
        assert!(r == g && g == b);
    }

    #[test]
    fn eighty_classes_are_told_apart() {
        let colours: Vec<_> = (0..80).map(strong).collect();
        for (i, a) in colours.iter().enumerate() {
            for b in &colours[..i] {
                assert!(a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum::<u32>() > 3, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn letters_show() {
        assert_eq!(text_on([255; 3]), [0; 3]);
        assert_eq!(text_on([0, 0, 120]), [255; 3]);
    }
}
