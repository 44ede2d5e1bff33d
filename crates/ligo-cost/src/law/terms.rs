//! Which numbers of a law its points can decide, and the law as a function of them.

use super::{Assumed, Point, Start};

/// Exponents where the points cannot tell them: those of Besiroglu et al. (2024), who fitted Hoffmann et al.'s runs again.
pub(super) const ALPHA: f64 = 0.3478;
pub(super) const BETA: f64 = 0.3658;
const SOURCE: &str = "Besiroglu et al., arXiv:2404.10102";

/// Lengths must span so much for their exponent to be fitted: over less a power is as good as any other.
const SPAN: f64 = 4.0;

/// What a law has of its own, and the units that it computes in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Terms {
    /// The geometric mean of the parameters.
    parameters: f64,
    /// The geometric mean of the tokens.
    tokens: f64,
    has_sizes: bool,
    free_alpha: bool,
    free_beta: bool,
    /// Methods that grew something, each with a gain.
    pub(super) methods: Vec<String>,
    /// What was not fitted.
    pub(super) assumed: Vec<Assumed>,
}

/// A law's numbers, in the units of its [`Terms`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbers {
    floor: f64,
    b: f64,
    beta: f64,
    a: f64,
    alpha: f64,
    gains: Vec<f64>,
}

/// How often a number stands among others, those within a thousandth counted as one.
fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut found: Vec<f64> = Vec::new();
    for value in values {
        if found.iter().all(|other| (value / other - 1.0).abs() > 1e-3) {
            found.push(value);
        }
    }
    found
}

fn geometric_mean(values: impl Iterator<Item = f64>) -> f64 {
    let logs: Vec<f64> = values.map(f64::ln).collect();
    (logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp()
}

impl Terms {
    /// What these points can decide; the number of lengths of scratch where those are too few.
    pub(super) fn of(points: &[Point]) -> Result<Self, usize> {
        let fresh = || points.iter().filter(|point| point.start.is_none());
        let sizes = distinct(fresh().map(|point| point.parameters));
        let lengths_of = |size: &f64| {
            let of_size = fresh().filter(|p| (p.parameters / size - 1.0).abs() <= 1e-3);
            distinct(of_size.map(|point| point.tokens))
        };
        let longest = sizes.iter().map(lengths_of).max_by_key(Vec::len).unwrap_or_default();
        if longest.len() < 2 {
            return Err(longest.len());
        }
        let span = longest.iter().copied().fold(0.0, f64::max) / longest.iter().copied().fold(f64::INFINITY, f64::min);
        let free_beta = longest.len() > 2 && span >= SPAN;
        let free_alpha = sizes.len() > 2;
        let mut assumed = Vec::new();
        if !free_beta {
            assumed.push(Assumed {
                what: "the exponent of the tokens",
                value: BETA,
                why: format!(
                    "{} lengths that span a factor of {span:.1} do not tell it",
                    longest.len()
                ),
                source: SOURCE,
            });
        }
        match sizes.len() {
            1 => assumed.push(Assumed {
                what: "the exponent of the parameters",
                value: 0.0,
                why: "one size was measured, so that the law holds for it alone".into(),
                source: "none",
            }),
            2 => assumed.push(Assumed {
                what: "the exponent of the parameters",
                value: ALPHA,
                why: "two sizes do not tell it".into(),
                source: SOURCE,
            }),
            _ => {}
        }
        let mut methods: Vec<String> = Vec::new();
        for method in points.iter().filter_map(|point| point.method()) {
            if methods.iter().all(|known| known != method) {
                methods.push(method.to_owned());
            }
        }
        Ok(Self {
            parameters: geometric_mean(fresh().map(|point| point.parameters)),
            tokens: geometric_mean(fresh().map(|point| point.tokens)),
            has_sizes: sizes.len() > 1,
            free_alpha,
            free_beta,
            methods,
            assumed,
        })
    }

    /// Numbers to begin with, for a lowest loss.
    pub(super) fn starts(&self, lowest: f64) -> Vec<Vec<f64>> {
        let mut starts = Vec::new();
        for share in [0.2, 0.5, 0.8, 0.95_f64] {
            for beta in if self.free_beta {
                vec![0.2, 0.4, 0.8_f64]
            } else {
                vec![BETA]
            } {
                for split in if self.has_sizes { vec![0.3, 0.7_f64] } else { vec![1.0] } {
                    let rest = (1.0 - share) * lowest;
                    let mut start = vec![(share * lowest).ln(), (split * rest).ln()];
                    start.extend(self.free_beta.then(|| beta.ln()));
                    start.extend(self.has_sizes.then(|| ((1.0 - split) * rest).ln()));
                    start.extend(self.free_alpha.then(|| ALPHA.ln()));
                    start.extend(self.methods.iter().map(|_| 0.5));
                    starts.push(start);
                }
            }
        }
        starts
    }

    pub(super) fn numbers(&self, at: &[f64]) -> Numbers {
        let mut rest = at.iter().copied();
        let mut next = || rest.next().unwrap_or(f64::NAN);
        let (floor, b) = (next().exp(), next().exp());
        let beta = if self.free_beta { next().exp() } else { BETA };
        let a = if self.has_sizes { next().exp() } else { 0.0 };
        let alpha = if self.free_alpha { next().exp() } else { ALPHA };
        Numbers {
            floor,
            b,
            beta,
            a,
            alpha,
            gains: self.methods.iter().map(|_| next()).collect(),
        }
    }

    /// The floor, A, α, B and β for parameters and tokens as people count them.
    pub(super) fn plain(&self, numbers: &Numbers) -> [f64; 5] {
        let a = numbers.a * self.parameters.powf(numbers.alpha);
        let b = numbers.b * self.tokens.powf(numbers.beta);
        [numbers.floor, a, numbers.alpha, b, numbers.beta]
    }

    /// What a model of this size comes to with endless tokens.
    pub(super) fn least(&self, numbers: &Numbers, parameters: f64) -> f64 {
        numbers.floor + numbers.a * (parameters / self.parameters).powf(-numbers.alpha)
    }

    /// The loss of a model from scratch.
    pub(super) fn scratch(&self, numbers: &Numbers, parameters: f64, tokens: f64) -> f64 {
        self.least(numbers, parameters) + numbers.b * (tokens / self.tokens).powf(-numbers.beta)
    }

    /// The tokens with which a model from scratch comes to a loss.
    pub(super) fn tokens(&self, numbers: &Numbers, parameters: f64, loss: f64) -> Option<f64> {
        let above = (loss - self.least(numbers, parameters)) / numbers.b;
        (above > 0.0).then(|| self.tokens * above.powf(-1.0 / numbers.beta))
    }

    /// The tokens with which a model of this size from scratch is as good as the small one that it is grown from.
    pub(super) fn equal(&self, numbers: &Numbers, parameters: f64, start: &Start) -> f64 {
        let loss = match *start {
            Start::Trained { tokens, .. } if !self.has_sizes => return tokens,
            Start::Trained {
                parameters: small,
                tokens,
            } => self.scratch(numbers, small, tokens),
            Start::Measured { loss } => loss,
        };
        // A small model below what the large one can come to is worth no endless training.
        let most = 1e3 * self.tokens;
        self.tokens(numbers, parameters, loss)
            .map_or(most, |tokens| tokens.min(most))
    }

    pub(super) fn gain(&self, numbers: &Numbers, method: &str) -> Option<f64> {
        let index = self.methods.iter().position(|known| known == method)?;
        numbers.gains.get(index).copied()
    }

    /// The tokens that a model from scratch needs to be as good.
    pub(super) fn worth(&self, numbers: &Numbers, point: &Point) -> f64 {
        let Some((method, start)) = &point.start else {
            return point.tokens;
        };
        let gain = self.gain(numbers, method).unwrap_or_default();
        let all = point.tokens + gain * self.equal(numbers, point.parameters, start);
        // A start that harms costs tokens, but not all of them.
        all.max(0.02 * point.tokens)
    }

    pub(super) fn loss(&self, numbers: &Numbers, point: &Point) -> f64 {
        self.scratch(numbers, point.parameters, self.worth(numbers, point))
    }
}
