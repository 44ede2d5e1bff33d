/// Losses that the next one is compared with.
const WINDOW: usize = 128;
/// Standard deviations above their mean from which on a loss is a spike. One normal draw in 300,000 lies there, and of spikes of 6 the measured
/// height is hardly ever below.
const HEIGHT: f64 = 4.5;

/// Finds losses that stand out: each is compared with the mean and the standard deviation of the 128 before it, as the detector of llm.c does.
/// It only looks; what to do about a spike is for people.
#[derive(Debug, Default)]
pub(crate) struct Spikes {
    window: Vec<f64>,
    /// The oldest loss of a full window.
    oldest: usize,
}

impl Spikes {
    /// How many standard deviations a loss lies above those before it, where that makes it a spike. The loss joins them.
    pub(crate) fn look(&mut self, loss: f64) -> Option<f64> {
        if !loss.is_finite() {
            return None;
        }
        if self.window.len() < WINDOW {
            self.window.push(loss);
            return None;
        }
        let mean = self.window.iter().sum::<f64>() / WINDOW as f64;
        let squares: f64 = self.window.iter().map(|x| (x - mean).powi(2)).sum();
        let deviation = (squares / (WINDOW - 1) as f64).sqrt();
        let height = (loss - mean) / deviation;
        // A constant loss has no deviation, and whatever leaves it is infinitely high.
        let is_spike = height > HEIGHT && (loss - mean).abs() > 1e-9 * mean.abs();
        // A spike joins at the height where it begins to be one: it would hide the next, and losses that stay up must come to be usual.
        self.window[self.oldest] = if is_spike { mean + HEIGHT * deviation } else { loss };
        self.oldest = (self.oldest + 1) % WINDOW;
        is_spike.then_some(height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws from the normal distribution by Box and Muller, always the same.
    fn normal() -> impl FnMut() -> f64 {
        let mut state = 5_u64;
        let mut uniform = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
    }

    /// Steps at which a series of losses has spikes for the detector.
    fn found(losses: impl IntoIterator<Item = f64>) -> Vec<usize> {
        let mut spikes = Spikes::default();
        let looked = losses.into_iter().enumerate();
        looked
            .filter_map(|(step, loss)| spikes.look(loss).map(|_| step))
            .collect()
    }

    #[test]
    fn all_of_twenty_planted_spikes_are_found_and_at_most_two_others() {
        let mut draw = normal();
        // Some stand closer to each other than the window is long.
        let planted: Vec<usize> = (0..20).map(|i| 400 + 450 * i - 380 * (i % 2)).collect();
        let losses: Vec<f64> = (0..10_000)
            .map(|step| match planted.iter().position(|at| *at == step) {
                Some(i) => 3.0 + 0.1 * (6.0 + i as f64 / 10.0),
                None => 3.0 + 0.1 * draw(),
            })
            .collect();
        let found = found(losses);
        assert!(planted.iter().all(|step| found.contains(step)), "{found:?}");
        assert!(found.len() <= 22, "{found:?}");
    }

    #[test]
    fn falling_losses_and_constant_ones_have_no_spikes() {
        assert!(found((0..5_000).map(|step| 10.0 / (1.0 + f64::from(step) / 50.0))).is_empty());
        assert!(found([2.5; 1_000]).is_empty());
    }

    #[test]
    fn losses_that_stay_up_come_to_be_usual() {
        let mut draw = normal();
        let losses = (0..2_000).map(|step| if step < 1_000 { 3.0 } else { 6.0 } + 0.1 * draw());
        let found = found(losses);
        assert!(found.contains(&1_000) && found.len() < 150, "{found:?}");
        assert!(found.iter().all(|step| (1_000..1_200).contains(step)), "{found:?}");
    }
}
