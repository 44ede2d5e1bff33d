//! A law of the final loss over the model's size, its tokens, and those of the small model that it was grown from.
//!
//! ```text
//! L(N, D) = E + A / N^α + B / D^β                          from scratch (Hoffmann et al., arXiv:2203.15556)
//! L(N, D + g · D₌)   with   L(N, D₌) = L(n, d)             grown from a small model of n parameters after d tokens
//! ```
//!
//! `D₌` are the tokens with which the large model from scratch is as good as the small one is, and the gain `g` is the share of them that growing carries over: 1
//! where the large model goes on as if it had always been large, and 0 where it begins anew. So what a small model is worth saturates where its own loss does. Each
//! method has a gain of its own.
//!
//! The numbers minimize Huber's loss of `ln L` (δ = 1e-3, as in the paper). What the points cannot decide is not fitted but taken from elsewhere, and is said so
//! ([`Law::assumed`]). A prediction says how far it lies beyond the points ([`Expected::beyond`]).

mod least_squares;
mod terms;

use serde::{Deserialize, Serialize};

use crate::seeds::student_t;
use least_squares::Fit;
use terms::{Numbers, Terms};

/// Where Huber's loss of `ln L` turns from squares to a line.
const DELTA: f64 = 1e-3;

/// Beyond so many times what was measured, nobody should rely on a law.
pub const FARTHEST: f64 = 4.0;

/// The small model that a large one was grown from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// It was trained from scratch.
    Trained {
        /// Its parameters.
        parameters: f64,
        /// The tokens that it read.
        tokens: f64,
    },
    /// It was given, and its loss measured.
    Measured {
        /// Its validation loss.
        loss: f64,
    },
}

/// A model and how it was trained, or is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its parameters.
    pub parameters: f64,
    /// The tokens that it read itself, in a schedule that ended there.
    pub tokens: f64,
    /// The method that grew it, and of what; nothing for scratch.
    pub start: Option<(String, Start)>,
}

impl Point {
    fn method(&self) -> Option<&str> {
        self.start.as_ref().map(|(method, _)| method.as_str())
    }
}

/// A number of a law that was not fitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assumed {
    /// Which one.
    pub what: &'static str,
    /// What it is taken to be.
    pub value: f64,
    /// Why it was not fitted.
    pub why: String,
    /// Where it is from.
    pub source: &'static str,
}

/// A point that the law was fitted to.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The point.
    pub point: Point,
    /// The loss that was measured.
    pub loss: f64,
    /// The loss by the law less that, in nats.
    pub residual: f64,
}

/// A loss by the law.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Expected {
    /// The loss.
    pub loss: f64,
    /// A run lies within `loss ± half_width` with 95 %, by the scatter of the points around the law; nothing where there are no more points than numbers.
    pub half_width: Option<f64>,
    /// How many times beyond the points it lies in parameters or in tokens, the small model's tokens included: 1 among them. Above [`FARTHEST`] it is no more than a guess.
    pub beyond: f64,
}

impl Expected {
    /// Whether it lies too far beyond the points to rely on.
    #[must_use]
    pub fn is_far(&self) -> bool {
        self.beyond > FARTHEST
    }
}

/// A fitted law.
///
/// ```
/// use ligo_cost::law::{Law, Point};
///
/// let scratch = |tokens: f64| Point { parameters: 1e6, tokens, start: None };
/// let points = [1e7, 2e7, 4e7, 8e7].map(|d| (scratch(d), 1.5 + 400.0 / d.powf(0.35)));
/// let law = Law::fit(&points)?;
/// assert!((law.expected(&scratch(3e7)).loss - (1.5 + 400.0 / 3e7_f64.powf(0.35))).abs() < 1e-3);
/// assert!(law.expected(&scratch(8e8)).is_far());
/// # Ok::<(), ligo_cost::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Law {
    terms: Terms,
    fit: Fit,
    numbers: Numbers,
    points: Vec<(Point, f64)>,
}

impl Law {
    /// Fits the law to models and their final losses. Points whose numbers are not finite and above 0 are left out.
    ///
    /// # Errors
    /// [`crate::Error::TooFewLengths`] where no model was trained from scratch at two lengths; [`crate::Error::NoFit`] where there are fewer points than numbers, or they
    /// contradict the law's form.
    pub fn fit(points: &[(Point, f64)]) -> Result<Self, crate::Error> {
        let is_number = |x: f64| x.is_finite() && x > 0.0;
        let is_good = |(point, loss): &&(Point, f64)| {
            let start = match point.start.as_ref().map(|(_, start)| *start) {
                None => true,
                Some(Start::Trained { parameters, tokens }) => is_number(parameters) && is_number(tokens),
                Some(Start::Measured { loss }) => is_number(loss),
            };
            start && is_number(point.parameters) && is_number(point.tokens) && is_number(*loss)
        };
        let points: Vec<(Point, f64)> = points.iter().filter(is_good).cloned().collect();
        let only: Vec<Point> = points.iter().map(|(point, _)| point.clone()).collect();
        let terms = Terms::of(&only).map_err(|found| crate::Error::TooFewLengths { found })?;
        let lowest = points.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
        let starts = terms.starts(lowest);
        let needed = starts.first().map_or(0, Vec::len);
        if points.len() < needed {
            return Err(crate::Error::NoFit {
                points: points.len(),
                needed,
            });
        }
        let residuals = |at: &[f64]| -> Vec<f64> {
            let numbers = terms.numbers(at);
            points
                .iter()
                .map(|(point, loss)| terms.loss(&numbers, point).ln() - loss.ln())
                .collect()
        };
        let fit = least_squares::fit(residuals, starts, DELTA).ok_or(crate::Error::NoFit {
            points: points.len(),
            needed,
        })?;
        Ok(Self {
            numbers: terms.numbers(&fit.at),
            terms,
            fit,
            points,
        })
    }

    /// `[E, A, α, B, β]` for parameters and tokens as they are.
    #[must_use]
    pub fn numbers(&self) -> [f64; 5] {
        self.terms.plain(&self.numbers)
    }

    /// The methods that grew something, each with its gain.
    #[must_use]
    pub fn gains(&self) -> Vec<(&str, f64)> {
        let of = |method: &String| self.terms.gain(&self.numbers, method);
        self.terms
            .methods
            .iter()
            .filter_map(|m| Some((m.as_str(), of(m)?)))
            .collect()
    }

    /// The gain of a method, if it was measured.
    #[must_use]
    pub fn gain(&self, method: &str) -> Option<f64> {
        self.terms.gain(&self.numbers, method)
    }

    /// What was not fitted.
    #[must_use]
    pub fn assumed(&self) -> &[Assumed] {
        &self.terms.assumed
    }

    /// The points with what is left of them.
    #[must_use]
    pub fn points(&self) -> Vec<Fitted> {
        let fitted = |(point, loss): &(Point, f64)| Fitted {
            point: point.clone(),
            loss: *loss,
            residual: self.terms.loss(&self.numbers, point) - loss,
        };
        self.points.iter().map(fitted).collect()
    }

    /// The root of the mean square of the residuals, in nats.
    #[must_use]
    pub fn residual(&self) -> f64 {
        let squares: f64 = self.points().iter().map(|fitted| fitted.residual.powi(2)).sum();
        (squares / self.points.len().max(1) as f64).sqrt()
    }

    /// How many numbers were fitted.
    #[must_use]
    pub fn fitted_numbers(&self) -> usize {
        self.fit.at.len()
    }

    /// The loss that a model of this size comes to with endless tokens.
    #[must_use]
    pub fn floor(&self, parameters: f64) -> f64 {
        self.terms.least(&self.numbers, parameters)
    }

    /// The tokens with which a model from scratch comes to a loss; nothing for a loss that it never comes to.
    #[must_use]
    pub fn tokens_for(&self, parameters: f64, loss: f64) -> Option<f64> {
        self.terms.tokens(&self.numbers, parameters, loss)
    }

    /// `D₌`: the tokens with which a model of this size from scratch is as good as a small one.
    #[must_use]
    pub fn tokens_equal_to(&self, parameters: f64, start: &Start) -> f64 {
        self.terms.equal(&self.numbers, parameters, start)
    }

    /// The fewest and the most tokens of a small model that was trained and grown.
    #[must_use]
    pub fn small_tokens(&self) -> Option<(f64, f64)> {
        let of = |point: &Point| match point.start {
            Some((_, Start::Trained { tokens, .. })) => Some(tokens),
            _ => None,
        };
        let tokens = || self.points.iter().filter_map(|(point, _)| of(point));
        let least = tokens().reduce(f64::min)?;
        Some((least, tokens().fold(least, f64::max)))
    }

    /// The loss of a model. A method whose gain was not measured gains nothing.
    #[must_use]
    pub fn expected(&self, point: &Point) -> Expected {
        let loss = self.terms.loss(&self.numbers, point);
        Expected {
            loss,
            half_width: self.half_width(point).map(|width| width * loss),
            beyond: self.beyond(point),
        }
    }

    /// Of `ln L`, by the gradient of the law: the scatter of a run around it, and the law's own uncertainty.
    fn half_width(&self, point: &Point) -> Option<f64> {
        let at = |i: usize, by: f64| {
            let mut to = self.fit.at.clone();
            to[i] += by;
            self.terms.loss(&self.terms.numbers(&to), point).ln()
        };
        let gradient: Vec<f64> = (0..self.fit.at.len())
            .map(|i| (at(i, 1e-6) - at(i, -1e-6)) / 2e-6)
            .collect();
        let variance = self.fit.variance_of(&gradient)? + self.fit.variance()?;
        Some(student_t(self.fit.degrees()) * variance.sqrt()).filter(|width| width.is_finite())
    }

    /// How many times beyond the points a model lies.
    fn beyond(&self, point: &Point) -> f64 {
        let worth = |p: &Point| self.terms.worth(&self.numbers, p);
        let small = |p: &Point| match p.start {
            Some((_, Start::Trained { tokens, .. })) => Some(tokens),
            _ => None,
        };
        let ratio = |value: f64, range: &mut dyn Iterator<Item = f64>| {
            let (least, most) = range.fold((f64::INFINITY, 0.0_f64), |(a, b), x| (a.min(x), b.max(x)));
            (value / most).max(least / value).max(1.0)
        };
        let points = || self.points.iter().map(|(p, _)| p);
        let sizes = ratio(point.parameters, &mut points().map(|p| p.parameters));
        let tokens = ratio(worth(point), &mut points().map(worth));
        // The small models that were grown, or at least those that were trained.
        let of_small = |tokens: f64| {
            let grown: Vec<f64> = points().filter_map(small).collect();
            let all: Vec<f64> = points().map(|p| p.tokens).collect();
            let among = if grown.is_empty() { all } else { grown };
            ratio(tokens, &mut among.into_iter())
        };
        small(point).map_or(1.0, of_small).max(sizes).max(tokens)
    }
}
