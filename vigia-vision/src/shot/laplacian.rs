//! How sharp the content of a box is: the variance of the Laplacian.

use vigia_core::frame::{ColourRange, Image, PixelFormat};
use vigia_core::geometry::BBox;

use super::Region;

/// Samples per side.
const SIDE: usize = 64;
/// Pixels of an axis that are looked at: more than this many per sample are thinned out.
const MOST: usize = 4 * SIDE;
/// Pixels that one sample can be made of, per axis: 4, and one more where they do not begin on a whole one.
const TAPS: usize = 5;
/// Interleaved channels.
const RGB: usize = 3;

/// The variance of the Laplacian (4 neighbours) of the luma of a box, in squared levels of 0..255 ([Pech-Pacheco et al.,
/// 2000]); 0 for boxes that have no area in the picture, and where a number is not finite.
///
/// The part of the box that lies in the picture, grown to whole pixels, is brought to 64 × 64 samples, so that the figure
/// does not depend on the distance: per axis, as the mean of what a sample covers where the box has 64 to 256 pixels;
/// interpolated where it has fewer, so that what was enlarged counts as blurred; as the mean of 4 evenly spaced pixels
/// where it has more. That bounds the cost: 12 to 55 µs, of RGB twice that (`benches/shot.rs`). Luma is Y
/// stretched to the full range, of RGB that of ITU-R BT.601. Pixels are those of the planes: a picture that was decoded
/// reduced is as sharp as it is there.
///
/// Takes no memory but the stack's.
///
/// [Pech-Pacheco et al., 2000]: https://doi.org/10.1109/ICPR.2000.903548
pub fn sharpness(image: &Image, bbox: &BBox) -> f32 {
    let Some(region) = Region::around(image, bbox, PixelFormat::Gray) else { return 0.0 };
    let stretch = match image.colour().range {
        ColourRange::Full => 1.0,
        ColourRange::Limited => 255.0 / 219.0,
    };
    let [red, green, blue] = [0.299, 0.587, 0.114];
    let samples = match image.format() {
        PixelFormat::Rgb => samples(image, &region, [red, green, blue]),
        PixelFormat::Bgr => samples(image, &region, [blue, green, red]),
        PixelFormat::Yuv { .. } | PixelFormat::Nv12 | PixelFormat::Gray => samples(image, &region, [stretch]),
    };
    samples.map_or(0.0, |samples| variance_of_laplacian(&samples))
}

/// Which pixels of one axis make which sample.
struct Axis {
    /// The pixels that are looked at, growing; the first `count` count.
    pixels: [usize; MOST],
    count: usize,
    /// They follow each other without gaps.
    dense: bool,
    /// Per sample, the first of its pixels as an index into `pixels`, and the weights of that and the next ones.
    taps: [(usize, [f32; TAPS]); SIDE],
}

impl Axis {
    /// For pixels `from` to `to`, at least one.
    fn new((from, to): (usize, usize)) -> Self {
        let len = to - from;
        let (count, dense) = (len.min(MOST), len <= MOST);
        let mut axis = Self { pixels: [from; MOST], count, dense, taps: [(0, [0.0; TAPS]); SIDE] };
        for (index, pixel) in axis.pixels[..count].iter_mut().enumerate() {
            // The middle of as many equal parts.
            *pixel = from + (2 * index + 1) * len / (2 * count);
        }
        let step = count as f32 / SIDE as f32;
        for (sample, (first, weights)) in axis.taps.iter_mut().enumerate() {
            let start = sample as f32 * step;
            if step < 1.0 {
                let at = (start + step / 2.0 - 0.5).clamp(0.0, (count - 1) as f32);
                *first = at as usize;
                (weights[0], weights[1]) = (1.0 - at.fract(), at.fract());
            } else {
                let end = start + step;
                *first = start as usize;
                for (tap, weight) in weights.iter_mut().enumerate() {
                    let pixel = (*first + tap) as f32;
                    *weight = (end.min(pixel + 1.0) - start.max(pixel)).max(0.0) / step;
                }
            }
        }
        axis
    }
}

/// The region's luma, with what each of a pixel's channels counts; absent where the plane does not hold the region.
fn samples<const CHANNELS: usize>(
    image: &Image,
    region: &Region,
    factors: [f32; CHANNELS],
) -> Option<[[f32; SIDE]; SIDE]> {
    let (bytes, stride) = image.plane(0);
    let (x, y) = (Axis::new(region.x), Axis::new(region.y));
    let mut samples = [[0.0; SIDE]; SIDE];
    // One row of samples, its pixels not yet mixed horizontally; the end is read with weight 0.
    let mut line = [0.0; (MOST + TAPS) * RGB];
    for ((first, weights), out) in y.taps.iter().zip(&mut samples) {
        let line = &mut line[..(x.count + TAPS) * CHANNELS];
        line.fill(0.0);
        let rows = y.pixels[*first..].iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
        for (row, weight) in rows {
            let row = bytes.get(row * stride..)?.get(..region.x.1 * CHANNELS)?;
            if x.dense {
                for (sum, &value) in line.iter_mut().zip(&row[region.x.0 * CHANNELS..]) {
                    *sum += f32::from(value) * weight;
                }
            } else {
                let (pixels, _) = row.as_chunks::<CHANNELS>();
                let (sums, _) = line.as_chunks_mut::<CHANNELS>();
                for (sums, &pixel) in sums.iter_mut().zip(&x.pixels[..x.count]) {
                    for (sum, &value) in sums.iter_mut().zip(&pixels[pixel]) {
                        *sum += f32::from(value) * weight;
                    }
                }
            }
        }
        let (pixels, _) = line.as_chunks::<CHANNELS>();
        for ((first, weights), out) in x.taps.iter().zip(out) {
            for (pixel, weight) in pixels[*first..*first + TAPS].iter().zip(weights) {
                let luma: f32 = pixel.iter().zip(factors).map(|(value, factor)| value * factor).sum();
                *out += luma * weight;
            }
        }
    }
    Some(samples)
}

fn variance_of_laplacian(samples: &[[f32; SIDE]; SIDE]) -> f32 {
    const INNER: f32 = ((SIDE - 2) * (SIDE - 2)) as f32;
    let (mut sum, mut squares) = (0.0f32, 0.0f32);
    for rows in samples.windows(3) {
        let [above, row, below] = rows else { continue };
        let (mut row_sum, mut row_squares) = (0.0f32, 0.0f32);
        for x in 1..SIDE - 1 {
            let value = above[x] + below[x] + row[x - 1] + row[x + 1] - 4.0 * row[x];
            row_sum += value;
            row_squares += value * value;
        }
        sum += row_sum;
        squares += row_squares;
    }
    let mean = sum / INNER;
    (squares / INNER - mean * mean).max(0.0)
}
