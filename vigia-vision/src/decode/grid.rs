//! Cells of strides 8, 16 and 32, numbered one map after the other, row by row.

use vigia_core::geometry::Size;

/// The strides of most detectors: pixels of the input per cell.
pub(super) const STRIDES: [usize; 3] = [8, 16, 32];

/// A cell of one of the maps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    /// Which map: place in [`STRIDES`].
    pub(super) level: usize,
    /// Number within its map.
    pub(super) number: usize,
    /// Column, as a float for what follows.
    pub(super) x: f32,
    /// Row.
    pub(super) y: f32,
    /// Pixels of the input per cell.
    pub(super) stride: f32,
}

/// The three maps over one input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    columns: [usize; 3],
    counts: [usize; 3],
}

impl Grid {
    /// The maps over an input whose sides are multiples of 32.
    pub(super) fn new(input: Size) -> Self {
        let columns = STRIDES.map(|s| input.width as usize / s);
        let counts = STRIDES.map(|s| cells(input, s));
        Self { columns, counts }
    }

    /// Number of cells in each map.
    pub(super) fn counts(&self) -> [usize; 3] {
        self.counts
    }

    /// Number of cells in all maps.
    pub(super) fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The cell with this number; `None` beyond the last.
    pub(super) fn cell(&self, index: usize) -> Option<Cell> {
        let mut number = index;
        for (level, stride) in STRIDES.into_iter().enumerate() {
            if number < self.counts[level] {
                let (x, y) = (number % self.columns[level], number / self.columns[level]);
                return Some(Cell { level, number, x: x as f32, y: y as f32, stride: stride as f32 });
            }
            number -= self.counts[level];
        }
        None
    }
}

/// Number of cells of one stride over an input.
pub(super) fn cells(input: Size, stride: usize) -> usize {
    (input.width as usize / stride) * (input.height as usize / stride)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbered_map_by_map_and_row_by_row() {
        let grid = Grid::new(Size::new(64, 32));
        assert_eq!(grid.counts(), [32, 8, 2]);
        assert_eq!(grid.cell(9), Some(Cell { level: 0, number: 9, x: 1.0, y: 1.0, stride: 8.0 }));
        assert_eq!(grid.cell(37), Some(Cell { level: 1, number: 5, x: 1.0, y: 1.0, stride: 16.0 }));
        assert_eq!(grid.cell(41), Some(Cell { level: 2, number: 1, x: 1.0, y: 0.0, stride: 32.0 }));
        assert_eq!(grid.cell(grid.total()), None);
    }
}
