use crate::Error;

/// One evaluation of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// What the run had cost until then: FLOPs, seconds, tokens, joules; the caller's unit.
    pub cost: f64,
    /// The validation loss. May be NaN or infinite where a run diverged.
    pub loss: f64,
}

/// A run's validation loss over its cost. Has at least one point, and costs that grow.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    points: Vec<Point>,
}

/// What it cost to reach a loss. Not reaching it is an answer of its own and never a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CostToReach {
    /// Reached at this cost.
    At(f64),
    /// Not reached by the end of the run.
    Never {
        /// The lowest loss the run saw; infinite if it saw no finite one.
        best_loss: f64,
        /// What the run had cost when it ended.
        spent: f64,
    },
}

impl CostToReach {
    /// The cost, if the loss was reached.
    #[must_use]
    pub fn cost(self) -> Option<f64> {
        match self {
            Self::At(cost) => Some(cost),
            Self::Never { .. } => None,
        }
    }
}

impl Curve {
    /// A curve from `(cost, loss)` pairs in the order of the run.
    ///
    /// # Errors
    /// [`Error::EmptyCurve`] without points, [`Error::BadCost`] for a cost that is not a finite number of 0 or more,
    /// [`Error::CostNotIncreasing`] for one that is not more than the one before it.
    pub fn new(points: impl IntoIterator<Item = (f64, f64)>) -> Result<Self, Error> {
        let points: Vec<Point> = points.into_iter().map(|(cost, loss)| Point { cost, loss }).collect();
        if points.is_empty() {
            return Err(Error::EmptyCurve);
        }
        for (index, point) in points.iter().enumerate() {
            let cost = point.cost;
            if !cost.is_finite() || cost < 0.0 {
                return Err(Error::BadCost { index, cost });
            }
        }
        for (index, pair) in points.windows(2).enumerate() {
            let (previous, cost) = (pair[0].cost, pair[1].cost);
            if cost <= previous {
                return Err(Error::CostNotIncreasing {
                    index: index + 1,
                    cost,
                    previous,
                });
            }
        }
        Ok(Self { points })
    }

    /// The evaluations, in the order of the run.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The loss at the last evaluation.
    #[must_use]
    pub fn final_loss(&self) -> f64 {
        self.last().loss
    }

    /// The lowest finite loss; infinite if there is none.
    #[must_use]
    pub fn best_loss(&self) -> f64 {
        self.running_minimum().last().map_or(f64::INFINITY, |point| point.loss)
    }

    /// What the whole run cost.
    #[must_use]
    pub fn total_cost(&self) -> f64 {
        self.last().cost
    }

    /// The curve with each loss replaced by the lowest one so far. Losses that are not finite count as no progress.
    pub fn running_minimum(&self) -> impl Iterator<Item = Point> + '_ {
        self.points.iter().scan(f64::INFINITY, |lowest, point| {
            if point.loss.is_finite() {
                *lowest = lowest.min(point.loss);
            }
            Some(Point {
                cost: point.cost,
                loss: *lowest,
            })
        })
    }

    /// What it cost to reach `target` for the first time.
    ///
    /// Validation loss is noisy, so the [running minimum](Self::running_minimum) is searched: the first evaluation at or
    /// below the target counts, even if a later one is above it again. Between that evaluation and the one before it the
    /// running minimum is taken as a straight line. A run that starts at or below the target reached it at its first
    /// evaluation's cost. No run reaches a NaN.
    #[must_use]
    pub fn cost_to_reach(&self, target: f64) -> CostToReach {
        let mut before: Option<Point> = None;
        for point in self.running_minimum() {
            if point.loss <= target {
                return CostToReach::At(match before {
                    Some(before) if before.loss.is_finite() => {
                        let part = (before.loss - target) / (before.loss - point.loss);
                        before.cost + part * (point.cost - before.cost)
                    }
                    _ => point.cost,
                });
            }
            before = Some(point);
        }
        CostToReach::Never {
            best_loss: self.best_loss(),
            spent: self.total_cost(),
        }
    }

    fn last(&self) -> Point {
        // `new` refuses a curve without points.
        self.points.last().copied().unwrap_or(Point {
            cost: 0.0,
            loss: f64::INFINITY,
        })
    }
}
