//! Where the window on a picture is, as the time of its show goes on.

use vigia_core::geometry::Size;

/// A window in a picture, in the picture's pixels, not empty and inside of it.
///
/// One that is exactly as wide as a frame, or twice as wide, begins at an even column: GStreamer 1.22 then halves planes
/// by code that ORC 0.4.33 compiles for pairs of bytes, and which crashes at odd addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) size: Size,
}

/// Where a move begins or ends.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Share of the largest window of the output's shape that fits into the picture, in each direction; never less
    /// than [`NEAREST`].
    zoom: f64,
    /// Where in the room that it has the window is, from 0 (left, top) to 1 (right, bottom).
    at: (f64, f64),
}

/// The smallest share of the fitting window that is ever shown, in each direction.
pub(super) const NEAREST: f64 = 0.62;

/// The moves, which pictures take in turns. Heads are rather in the upper half, and so are the windows.
const MOVES: [[Place; 2]; 6] = [
    [place(1.0, 0.5, 0.35), place(0.64, 0.4, 0.15)],
    [place(0.72, 0.1, 0.3), place(0.72, 0.9, 0.1)],
    [place(NEAREST, 0.6, 0.15), place(0.98, 0.5, 0.3)],
    [place(0.92, 0.9, 0.25), place(0.68, 0.3, 0.02)],
    [place(0.76, 0.8, 0.05), place(0.76, 0.2, 0.25)],
    [place(0.66, 0.25, 0.1), place(0.96, 0.6, 0.25)],
];

const fn place(zoom: f64, x: f64, y: f64) -> Place {
    Place { zoom, at: (x, y) }
}

/// The largest window of `shape`'s proportions that fits into the picture, in its pixels.
pub(super) fn fitting(picture: Size, shape: Size) -> (f64, f64) {
    let (width, height) = (f64::from(picture.width), f64::from(picture.height));
    let proportion = f64::from(shape.width) / f64::from(shape.height);
    if width > height * proportion { (height * proportion, height) } else { (width, width / proportion) }
}

/// The window of `shape`'s proportions on the picture with this number, when `done` of its show is over (0 to 1).
pub(super) fn window(picture: Size, shape: Size, number: usize, done: f64) -> Window {
    let [start, end] = MOVES[number % MOVES.len()].map(|place| edges(picture, shape, place));
    let between = |n: usize| start[n] + (end[n] - start[n]) * done.clamp(0.0, 1.0);
    // Each edge is rounded for itself: none is ever further than half a pixel from its way.
    let (x, width) = rounded(between(0), between(2), picture.width);
    let (y, height) = rounded(between(1), between(3), picture.height);
    let halves = width == shape.width || width == 2 * shape.width;
    let x = if halves { x & !1 } else { x };
    Window { x, y, size: Size::new(width, height) }
}

/// Left, top, right and bottom edge.
fn edges(picture: Size, shape: Size, place: Place) -> [f64; 4] {
    let (width, height) = fitting(picture, shape);
    let (width, height) = (width * place.zoom, height * place.zoom);
    let x = (f64::from(picture.width) - width) * place.at.0;
    let y = (f64::from(picture.height) - height) * place.at.1;
    [x, y, x + width, y + height]
}

/// Two edges in whole pixels: the first, and how far the second is from it.
fn rounded(from: f64, to: f64, limit: u32) -> (u32, u32) {
    let to = (to.round() as u32).clamp(1, limit.max(1));
    let from = (from.round() as u32).min(to - 1);
    (from, to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Size = Size::new(1280, 720);
    const PICTURES: [Size; 5] =
        [Size::new(2133, 1422), Size::new(2133, 1200), Size::new(2133, 2844), Size::new(4266, 1200), Size::new(37, 16)];

    /// Every window of a show of 90 frames.
    fn show(picture: Size, number: usize) -> Vec<Window> {
        (0..90).map(|n| window(picture, SHAPE, number, f64::from(n) / 90.0)).collect()
    }

    #[test]
    fn windows_stay_inside_and_large_enough() {
        for picture in PICTURES {
            let (width, height) = fitting(picture, SHAPE);
            for window in (0..MOVES.len()).flat_map(|number| show(picture, number)) {
                assert!(window.x + window.size.width <= picture.width, "{window:?} in {picture:?}");
                assert!(window.y + window.size.height <= picture.height, "{window:?} in {picture:?}");
                assert!(f64::from(window.size.width) + 1.0 >= width * 0.6, "{window:?} in {picture:?}");
                assert!(f64::from(window.size.height) + 1.0 >= height * 0.6, "{window:?} in {picture:?}");
            }
        }
    }

    #[test]
    fn windows_move_steadily() {
        for picture in &PICTURES[..4] {
            for number in 0..MOVES.len() {
                let windows = show(*picture, number);
                assert_ne!(windows.first(), windows.last());
                let most = picture.width.max(picture.height) / 60;
                for pair in windows.windows(2) {
                    let [a, b] = pair else { continue };
                    assert_ne!(a, b, "{number} in {picture:?}");
                    let far = [a.x.abs_diff(b.x), a.y.abs_diff(b.y), a.size.width.abs_diff(b.size.width)];
                    assert!(far.iter().all(|&pixels| pixels <= most), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn windows_whose_planes_are_halved_begin_at_even_columns() {
        let mut halved = 0;
        for (wide, number) in (1280..2800).flat_map(|wide| (0..MOVES.len()).map(move |number| (wide, number))) {
            for window in show(Size::new(wide, 1200), number) {
                if [1280, 2560].contains(&window.size.width) {
                    halved += 1;
                    assert_eq!(window.x % 2, 0, "{window:?}");
                }
            }
        }
        assert!(halved > 0);
    }

    #[test]
    fn neighbours_move_differently() {
        for number in 0..MOVES.len() {
            assert_ne!(show(PICTURES[0], number), show(PICTURES[0], (number + 1) % MOVES.len()));
        }
    }
}
