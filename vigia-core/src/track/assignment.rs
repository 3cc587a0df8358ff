//! Which row goes with which column so that the sum of the weights is greatest.

/// Solves assignments, and keeps its memory from one to the next.
///
/// Shortest augmenting paths with potentials, O(n²m) for n rows that have a weight and m columns (Jonker and Volgenant
/// 1987; Crouse 2016).
#[derive(Debug, Default)]
pub(super) struct Assignment {
    /// Potentials of rows and columns. Places are counted from 1; column 0 is where each path begins.
    row_price: Vec<f64>,
    column_price: Vec<f64>,
    /// The row of each column, 0 where it has none.
    row_of: Vec<usize>,
    /// Per column: the one before it on the shortest path, the length of that path, and whether it is settled.
    before: Vec<usize>,
    distance: Vec<f64>,
    settled: Vec<bool>,
    pairs: Vec<(usize, usize)>,
}

impl Assignment {
    /// Pairs of row and column with the greatest sum of weights; no row and no column stands in two of them.
    ///
    /// `weights` are `rows` × `columns`, row by row. What is not above 0 and finite makes no pair.
    pub(super) fn solve(&mut self, rows: usize, columns: usize, weights: &[f32]) -> &[(usize, usize)] {
        debug_assert_eq!(weights.len(), rows * columns, "rows x columns");
        // Each row needs a column of its own, if only one of weight 0.
        let is_turned = rows > columns;
        let (short, long) = if is_turned { (columns, rows) } else { (rows, columns) };
        let weight = |row: usize, column: usize| {
            let place = if is_turned { column * columns + row } else { row * columns + column };
            weights.get(place).copied().filter(|weight| weight.is_finite() && *weight > 0.0).map_or(0.0, f64::from)
        };
        refill(&mut self.row_price, short + 1, 0.0);
        refill(&mut self.column_price, long + 1, 0.0);
        refill(&mut self.row_of, long + 1, 0);
        refill(&mut self.before, long + 1, 0);
        for row in 1..=short {
            if (0..long).any(|column| weight(row - 1, column) > 0.0) {
                self.place(row, long, |row, column| -weight(row - 1, column - 1));
            }
        }
        self.pairs.clear();
        for column in 1..=long {
            let row = self.row_of[column];
            if row > 0 && weight(row - 1, column - 1) > 0.0 {
                self.pairs.push(if is_turned { (column - 1, row - 1) } else { (row - 1, column - 1) });
            }
        }
        &self.pairs
    }

    /// Gives a row a column, by the cheapest chain of rows that each move on to another.
    fn place(&mut self, row: usize, columns: usize, cost: impl Fn(usize, usize) -> f64) {
        refill(&mut self.distance, columns + 1, f64::INFINITY);
        refill(&mut self.settled, columns + 1, false);
        self.row_of[0] = row;
        let mut here = 0;
        while self.row_of[here] != 0 {
            self.settled[here] = true;
            let row = self.row_of[here];
            let (mut shortest, mut next) = (f64::INFINITY, 0);
            for column in (1..=columns).filter(|&column| !self.settled[column]) {
                let reduced = cost(row, column) - self.row_price[row] - self.column_price[column];
                if reduced < self.distance[column] {
                    self.distance[column] = reduced;
                    self.before[column] = here;
                }
                if self.distance[column] < shortest {
                    (shortest, next) = (self.distance[column], column);
                }
            }
            for column in 0..=columns {
                if self.settled[column] {
                    self.row_price[self.row_of[column]] += shortest;
                    self.column_price[column] -= shortest;
                } else {
                    self.distance[column] -= shortest;
                }
            }
            here = next;
        }
        while here != 0 {
            let before = self.before[here];
            self.row_of[here] = self.row_of[before];
            here = before;
        }
    }
}

fn refill<T: Clone>(list: &mut Vec<T>, length: usize, value: T) {
    list.clear();
    list.resize(length, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The greatest sum, by trying everything.
    fn greatest(rows: usize, columns: usize, weights: &[f32], row: usize, taken: u32) -> f32 {
        if row == rows {
            return 0.0;
        }
        let free = (0..columns).filter(|column| taken & (1 << column) == 0);
        let pairs = free.filter(|column| weights[row * columns + column] > 0.0).map(|column| {
            weights[row * columns + column] + greatest(rows, columns, weights, row + 1, taken | (1 << column))
        });
        pairs.fold(greatest(rows, columns, weights, row + 1, taken), f32::max)
    }

    fn table(weight: impl Strategy<Value = f32> + Clone) -> impl Strategy<Value = (usize, usize, Vec<f32>)> {
        (0usize..6, 0usize..6)
            .prop_flat_map(move |(r, c)| (Just(r), Just(c), prop::collection::vec(weight.clone(), r * c)))
    }

    fn check_once(rows: usize, columns: usize, pairs: &[(usize, usize)]) {
        let is_once = |mut places: Vec<usize>, count: usize| {
            places.sort_unstable();
            places.windows(2).all(|two| two[0] < two[1]) && places.iter().all(|place| *place < count)
        };
        assert!(is_once(pairs.iter().map(|pair| pair.0).collect(), rows), "{pairs:?}");
        assert!(is_once(pairs.iter().map(|pair| pair.1).collect(), columns), "{pairs:?}");
    }

    proptest! {
        #[test]
        fn the_sum_is_the_greatest(tables in prop::collection::vec(table(prop_oneof![Just(0.0), -1.0f32..1.0, Just(0.5)]), 1..4)) {
            let mut solver = Assignment::default();
            for (rows, columns, weights) in tables {
                let pairs = solver.solve(rows, columns, &weights);
                check_once(rows, columns, pairs);
                let sum: f32 = pairs.iter().map(|(row, column)| weights[row * columns + column]).sum();
                let best = greatest(rows, columns, &weights, 0, 0);
                prop_assert!((sum - best).abs() < 1e-4, "{sum} instead of {best}: {pairs:?}");
            }
        }

        #[test]
        fn any_number_is_taken((rows, columns, weights) in table(any::<f32>())) {
            let mut solver = Assignment::default();
            let pairs = solver.solve(rows, columns, &weights);
            check_once(rows, columns, pairs);
            prop_assert!(pairs.iter().all(|(row, column)| weights[row * columns + column] > 0.0));
        }
    }

    #[test]
    fn a_greedy_choice_gives_way() {
        let mut solver = Assignment::default();
        assert_eq!(solver.solve(2, 2, &[0.9, 0.8, 0.8, 0.1]), [(1, 0), (0, 1)]);
        assert_eq!(solver.solve(2, 2, &[0.9, 0.8, 0.8, f32::NAN]), [(1, 0), (0, 1)]);
        assert_eq!(solver.solve(3, 1, &[0.2, 0.7, f32::INFINITY]), [(1, 0)]);
    }
}
