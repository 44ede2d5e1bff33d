//! What a route is to come to: a loss, or the end of a budget.

use ligo_cost::format;
use serde::Serialize;

use super::Pricing;
use crate::Failure;
use crate::recipe::{DataFacts, Pair, Recipe};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// So many FLOPs of training steps, by the exact count.
    Budget {
        /// How many.
        flops: f64,
    },
    /// This validation loss, in nats.
    Loss {
        /// Which.
        loss: f64,
    },
}

impl Goal {
    /// Why no route comes to it.
    pub(super) fn impossible(self, smallest: f64, floor: Option<f64>) -> Failure {
        match self {
            Self::Budget { flops } => Failure::other(
                format!(
                    "a budget of {} is less than the smallest route takes, {}",
                    format::flops(flops),
                    format::flops(smallest)
                ),
                "that is a warm-up and one step more of each model; give a larger --budget or a smaller model",
            ),
            Self::Loss { loss } => Failure::other(
                match floor {
                    Some(floor) => format!(
                        "no route comes to a loss of {loss}: by the law this model ends at {floor:.3} with endless tokens"
                    ),
                    None => format!("nobody knows what a loss of {loss} takes, since nothing was measured"),
                },
                "give --budget FLOPS instead, or measure with --pilot 0.05 or --from RUN_FOLDER",
            ),
        }
    }
}

/// What training the large model from scratch costs by the recipe: the budget where nobody gives one.
pub(super) fn of_scratch(recipe: &Recipe, pair: &Pair) -> Goal {
    let rates = super::no_rates();
    let pricing = Pricing {
        recipe,
        pair,
        rates: &rates,
    };
    Goal::Budget {
        flops: pricing.training(&pair.large, &recipe.large.train).flops.exact,
    }
}

/// The FLOPs of a recipe's training from scratch.
///
/// # Errors
/// Its models do not fit each other.
pub fn of_recipe(recipe: &Recipe) -> Result<f64, Failure> {
    let facts = DataFacts::expected(recipe);
    let pair = recipe.pair(&facts)?;
    match of_scratch(recipe, &pair) {
        Goal::Budget { flops } => Ok(flops),
        Goal::Loss { .. } => Err(Failure::fault("scratch has no price")),
    }
}

/// Reads a share of a budget: `0.05` or `5%`.
///
/// # Errors
/// It is none above 0 and below 1.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.trim().parse().ok(),
    };
    number
        .filter(|share| *share > 0.0 && *share < 1.0)
        .ok_or_else(|| format!("expected a share of the budget such as 0.05 or 5%, found `{text}`"))
}

/// Reads FLOPs: `2.5e15`, `2.5P` or `2.5PFLOP`.
///
/// # Errors
/// It is no number above 0.
pub fn parse_flops(text: &str) -> Result<f64, String> {
    let bare = text.trim();
    let lower = bare.to_ascii_uppercase();
    let digits = lower
        .strip_suffix("FLOPS")
        .or_else(|| lower.strip_suffix("FLOP"))
        .unwrap_or(&lower)
        .trim();
    let factors = [
        ('K', 1e3),
        ('M', 1e6),
        ('G', 1e9),
        ('T', 1e12),
        ('P', 1e15),
        ('E', 1e18),
        ('Z', 1e21),
    ];
    let with_unit = factors
        .iter()
        .find_map(|(unit, factor)| Some((digits.strip_suffix(*unit)?, *factor)));
    let (number, factor) = with_unit.unwrap_or((digits, 1.0));
    let found = number.trim().parse::<f64>().ok().map(|number| number * factor);
    found
        .filter(|flops| flops.is_finite() && *flops > 0.0)
        .ok_or_else(|| format!("expected FLOPs such as 2.5e15 or 2.5PFLOP, found `{text}`"))
}

/// Reads a size: layers and width, `6x512`.
///
/// # Errors
/// It is none.
pub fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n > 0);
    let parts = text.split_once(['x', 'X', '×']);
    parts
        .and_then(|(layers, width)| Some((number(layers)?, number(width)?)))
        .ok_or_else(|| format!("expected layers and width such as 6x512, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flops_and_sizes_are_read_as_people_write_them() {
        for text in ["2.5e15", "2.5P", "2.5PFLOP", "2500 tflop", " 2.5 PFLOPs "] {
            assert_eq!(parse_flops(text), Ok(2.5e15), "{text}");
        }
        for text in ["", "much", "-1e9", "0", "1e400", "NaN", "P"] {
            assert!(parse_flops(text).is_err(), "{text}");
        }
        assert_eq!((parse_share("0.05"), parse_share("5 %")), (Ok(0.05), Ok(0.05)));
        for text in ["0", "1", "-5%", "200%", "some"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
        assert_eq!(parse_size("6x512"), Ok((6, 512)));
        for text in ["6", "6x", "0x512", "x512", "6x5.5"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
