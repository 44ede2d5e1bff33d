//! What a loss costs where every schedule is as long as it has to be.

/// The ends of a method's schedules of several lengths, of which those count that nothing cheaper ends below: lower losses for higher costs.
///
/// A loss on the way of a long schedule is that of a high learning rate. So the price of a loss is that of a schedule which ends there, and between two ends
/// it is interpolated: the logarithm of the cost on a straight line over the loss. Beyond the ends nothing is said.
///
/// ```
/// use ligo_cost::Frontier;
///
/// let scratch = Frontier::new([(100.0, 2.5), (400.0, 2.1), (200.0, 2.6)]);
/// assert!((scratch.cost_at(2.3).unwrap() - 200.0).abs() < 1e-9);
/// assert!((scratch.saving(150.0, 2.3).unwrap() - 0.25).abs() < 1e-12);
/// assert_eq!(scratch.cost_at(2.0), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frontier {
    /// Cost and loss; costs rise and losses fall.
    ends: Vec<(f64, f64)>,
}

impl Frontier {
    /// Of costs and final losses in any order. What is no number, or costs nothing, is left out.
    #[must_use]
    pub fn new(ends: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let is_number = |(cost, loss): &(f64, f64)| cost.is_finite() && *cost > 0.0 && loss.is_finite();
        let mut all: Vec<(f64, f64)> = ends.into_iter().filter(is_number).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut ends: Vec<(f64, f64)> = Vec::with_capacity(all.len());
        for (cost, loss) in all {
            if ends.last().is_none_or(|(_, lowest)| loss < *lowest) {
                ends.push((cost, loss));
            }
        }
        Self { ends }
    }

    /// How many ends there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The highest and the lowest loss that it has a price for.
    #[must_use]
    pub fn losses(&self) -> Option<(f64, f64)> {
        Some((self.ends.first()?.1, self.ends.last()?.1))
    }

    /// What a loss costs; nothing beyond the ends.
    #[must_use]
    pub fn cost_at(&self, loss: f64) -> Option<f64> {
        if let Some((cost, _)) = self.ends.iter().find(|(_, end)| *end == loss) {
            return Some(*cost);
        }
        let pair = self.ends.windows(2).find(|pair| pair[1].1 < loss && loss < pair[0].1)?;
        let [(cheap, high), (dear, low)] = [pair[0], pair[1]];
        let share = (high - loss) / (high - low);
        Some((cheap.ln() + share * (dear.ln() - cheap.ln())).exp())
    }

    /// The share of this frontier's cost that a run saves which ended at a loss for a cost.
    #[must_use]
    pub fn saving(&self, cost: f64, loss: f64) -> Option<f64> {
        Some(1.0 - cost / self.cost_at(loss)?)
    }
}
