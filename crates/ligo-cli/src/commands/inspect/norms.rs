use std::fmt;

use ligo_report::plot::Matrix;

/// Euclidean norms of the rows of a width matrix, those that stand for channels of the small model apart from new ones.
#[derive(Debug, Default)]
pub struct RowNorms {
    kept: Spread,
    new: Spread,
}

/// The smallest, the mean and the largest of some numbers.
#[derive(Debug)]
struct Spread {
    least: f64,
    most: f64,
    sum: f64,
    count: usize,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
            sum: 0.0,
            count: 0,
        }
    }
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        self.sum += value;
        self.count += 1;
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.sum / self.count as f64;
        write!(f, "{mean:.3} ({:.3} to {:.3})", self.least, self.most)
    }
}

impl RowNorms {
    /// Adds the rows of one matrix; rows beyond the number of columns are new channels.
    pub fn add(&mut self, matrix: &Matrix) {
        for (row, values) in matrix.values.chunks(matrix.columns.max(1)).enumerate() {
            let square: f64 = values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
            let spread = if row < matrix.columns {
                &mut self.kept
            } else {
                &mut self.new
            };
            spread.add(square.sqrt());
        }
    }
}

impl fmt::Display for RowNorms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "old {}", self.kept)?;
        if self.new.count > 0 {
            write!(f, ", new {}", self.new)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_rows_are_told_apart() {
        let values = vec![1.0, 0.0, 0.0, 1.0, 3.0, 4.0];
        let mut norms = RowNorms::default();
        norms.add(&Matrix {
            name: "hidden".into(),
            rows: 3,
            columns: 2,
            values,
        });
        assert_eq!(
            norms.to_string(),
            "old 1.000 (1.000 to 1.000), new 5.000 (5.000 to 5.000)"
        );
    }
}
