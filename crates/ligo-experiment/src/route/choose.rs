//! How long each model of a route is trained, what that costs, and what it ends with.

use ligo_cost::law::{Expected, FARTHEST, Law, Point, Start};
use ligo_growth::OperatorSpec;
use ligo_train::{TrainConfig, TrainResult};

use super::{Evidence, Goal, ONE_SCHEDULE, Pricing, Route, Small, model, parameters, tokens_of_a_sequence};
use crate::Failure;
use crate::recipe::merged;

/// Shares of the budget that go into the small model.
const SHARES: usize = 60;
/// Halvings of the price of a loss.
const HALVINGS: usize = 60;
/// So many times the price of scratch nobody would pay.
const DEAREST: f64 = 8.0;

/// How a large model may come about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Way {
    /// From its initial values.
    Scratch,
    /// Grown by an operator from a small model that has a schedule of its own.
    Grown(OperatorSpec),
    /// Grown at this share of one schedule.
    OneSchedule(f64),
    /// Grown at the best share of one schedule.
    BestSchedule,
}

/// How many steps each model is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Lengths {
    small: f64,
    large: f64,
    tau: Option<f64>,
}

/// What the loss of a grown model rests on.
enum Gain {
    /// A method that was measured, this one or, if it was not, another.
    Of(String, bool),
    /// The small model's tokens count in full.
    Full,
}

/// Makes routes for one pair.
pub(super) struct Chooser<'a> {
    pricing: &'a Pricing<'a>,
    evidence: Option<&'a Evidence>,
    goal: Goal,
    /// FLOPs of a step of either model, and of learning the operator.
    small_step: f64,
    /// The same of the small model where it is trained as the large one is, under one schedule.
    small_step_in_one: f64,
    large_step: f64,
    operator: f64,
    /// How the operator is learned, with what the recipe says of that for LiGO alone.
    learn: TrainConfig,
    /// Parameters of either model.
    small_parameters: f64,
    large_parameters: f64,
    /// Tokens of a step.
    small_tokens: f64,
    large_tokens: f64,
    /// What a given small model is.
    given: Option<Start>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(pricing: &'a Pricing<'a>, evidence: Option<&'a Evidence>, goal: Goal) -> Result<Self, Failure> {
        let (recipe, pair) = (pricing.recipe, pricing.pair);
        let of_sequence = tokens_of_a_sequence(recipe, pair);
        let learn = recipe.operator.train.clone();
        let method = recipe.methods.iter().find(|method| method.name == "ligo");
        let learn = match method {
            Some(method) => merged(&learn, &method.learn, "ligo.learn")?,
            None => learn,
        };
        let operator = pricing.learning(&pair.small, &pair.large, &learn, &recipe.operator.ligo);
        Ok(Self {
            small_step: pricing.step_flops(&pair.small, &recipe.small.train),
            small_step_in_one: pricing.step_flops(&pair.small, &recipe.large.train),
            large_step: pricing.step_flops(&pair.large, &recipe.large.train),
            operator: operator.flops.exact,
            learn,
            small_parameters: parameters(&pair.small),
            large_parameters: parameters(&pair.large),
            small_tokens: recipe.small.train.sequences_per_step() as f64 * of_sequence,
            large_tokens: recipe.large.train.sequences_per_step() as f64 * of_sequence,
            given: given(pricing, evidence),
            pricing,
            evidence,
            goal,
        })
    }

    fn law(&self) -> Option<&Law> {
        self.evidence.map(|evidence| &evidence.law)
    }

    fn is_given(&self) -> bool {
        self.pricing.recipe.small.path.is_some()
    }

    /// FLOPs that are spent before any model takes a step.
    fn ahead(&self, way: &Way) -> f64 {
        match way {
            Way::Grown(operator) if operator.is_learned() => self.operator,
            _ => 0.0,
        }
    }

    /// The small model's step, which under one schedule is trained as the large one is.
    fn small_step_of(&self, way: &Way) -> f64 {
        match way {
            Way::OneSchedule(_) | Way::BestSchedule => self.small_step_in_one,
            _ => self.small_step,
        }
    }

    /// What the least of it costs: a warm-up of each model and one step more.
    pub(super) fn least(&self, way: &Way) -> f64 {
        let recipe = self.pricing.recipe;
        let large = recipe.large.train.schedule.warmup_steps as f64 + 1.0;
        let small = recipe.small.train.schedule.warmup_steps as f64 + 1.0;
        self.ahead(way)
            + match way {
                Way::Scratch => large * self.large_step,
                Way::Grown(_) if self.is_given() => large * self.large_step,
                Way::Grown(_) => small * self.small_step + large * self.large_step,
                Way::OneSchedule(_) | Way::BestSchedule => large * self.small_step_of(way) + self.large_step,
            }
    }

    /// The route of a way; nothing where the goal is out of its reach.
    pub(super) fn route(&self, way: &Way) -> Option<Route> {
        let lengths = match self.goal {
            Goal::Budget { flops } => self.for_budget(way, flops),
            Goal::Loss { loss } => self.for_loss(way, loss),
        }?;
        Some(self.priced(way, lengths))
    }

    fn for_budget(&self, way: &Way, flops: f64) -> Option<Lengths> {
        let left = flops - self.ahead(way);
        if flops < self.least(way) {
            return None;
        }
        let large = |left: f64| left / self.large_step;
        let best = |candidates: Vec<Lengths>| {
            let loss = |lengths: &Lengths| self.expected(way, *lengths).map(|(expected, _)| expected.loss);
            let known = candidates.iter().filter_map(|lengths| Some((loss(lengths)?, *lengths)));
            known.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, lengths)| lengths)
        };
        match way {
            Way::Scratch => Some(Lengths {
                small: 0.0,
                large: large(left),
                tau: None,
            }),
            Way::Grown(_) if self.is_given() => Some(Lengths {
                small: 0.0,
                large: large(left),
                tau: None,
            }),
            Way::Grown(_) => {
                let split = |share: f64| Lengths {
                    small: share * left / self.small_step,
                    large: large((1.0 - share) * left),
                    tau: None,
                };
                let shares = (1..SHARES).map(|i| split(i as f64 / SHARES as f64));
                // Where nobody knows better, as the recipe has it.
                let usual = || {
                    let train = |train: &TrainConfig| train.steps as f64;
                    let recipe = self.pricing.recipe;
                    let small = train(&recipe.small.train) * self.small_step;
                    split(small / (small + train(&recipe.large.train) * self.large_step))
                };
                Some(best(self.within(shares.collect())).unwrap_or_else(usual))
            }
            Way::OneSchedule(tau) => Some(self.at_share(way, *tau, left)),
            Way::BestSchedule => {
                let shares = (2..=14).map(|i| self.at_share(way, f64::from(i) * 0.05, left));
                best(self.within(shares.collect()))
            }
        }
    }

    fn at_share(&self, way: &Way, tau: f64, flops: f64) -> Lengths {
        let step = tau * self.small_step_of(way) + (1.0 - tau) * self.large_step;
        let steps = flops / step;
        // As a recipe has it, not as 0.15000000000000002.
        let tau = (tau * 100.0).round() / 100.0;
        Lengths {
            small: tau * steps,
            large: (1.0 - tau) * steps,
            tau: Some(tau),
        }
    }

    /// Those whose small model is not trained far longer or shorter than any that was grown: there a law must not lead.
    fn within(&self, candidates: Vec<Lengths>) -> Vec<Lengths> {
        let Some((least, most)) = self.law().and_then(Law::small_tokens) else {
            return candidates;
        };
        let is_near = |lengths: &Lengths| {
            let tokens = lengths.small * self.tokens_of_small(lengths);
            tokens >= least / FARTHEST && tokens <= most * FARTHEST
        };
        let near: Vec<Lengths> = candidates.iter().copied().filter(is_near).collect();
        if near.is_empty() { candidates } else { near }
    }

    fn tokens_of_small(&self, lengths: &Lengths) -> f64 {
        match lengths.tau {
            Some(_) => self.large_tokens,
            None => self.small_tokens,
        }
    }

    /// The least budget with which a way comes to a loss.
    fn for_loss(&self, way: &Way, target: f64) -> Option<Lengths> {
        let law = self.law()?;
        let size = self.large_parameters;
        let scratch = law.tokens_for(size, target)? / self.large_tokens * self.large_step;
        let reaches = |flops: f64| {
            let lengths = self.for_budget(way, flops)?;
            let (expected, _) = self.expected(way, lengths)?;
            (expected.loss <= target).then_some(lengths)
        };
        let (mut low, mut high) = (self.least(way).ln(), (DEAREST * scratch).ln());
        let mut found = reaches(high.exp())?;
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            match reaches(middle.exp()) {
                Some(lengths) => (high, found) = (middle, lengths),
                None => low = middle,
            }
        }
        Some(found)
    }

    /// What the law expects, and what that rests on.
    fn expected(&self, way: &Way, lengths: Lengths) -> Option<(Expected, Gain)> {
        let law = self.law()?;
        let point = |tokens: f64, start| Point {
            parameters: self.large_parameters,
            tokens,
            start,
        };
        let tokens = lengths.large * self.large_tokens;
        if *way == Way::Scratch {
            return Some((law.expected(&point(tokens, None)), Gain::Full));
        }
        let of_small = lengths.small * self.tokens_of_small(&lengths);
        let start = match (way, self.is_given()) {
            (Way::Grown(_), true) => self.given?,
            _ => Start::Trained {
                parameters: self.small_parameters,
                tokens: of_small,
            },
        };
        let gain = self.gain(way, lengths)?;
        let point = match &gain {
            Gain::Of(method, _) => point(tokens, Some((method.clone(), start))),
            Gain::Full => point(tokens + of_small, None),
        };
        Some((law.expected(&point), gain))
    }

    /// The gain that a way is taken to have.
    fn gain(&self, way: &Way, lengths: Lengths) -> Option<Gain> {
        let law = self.law()?;
        let own = self.method(way);
        if law.gain(&own).is_some() {
            return Some(Gain::Of(own, true));
        }
        if let Some((other, _)) = law.gains().first() {
            return Some(Gain::Of((*other).to_owned(), false));
        }
        // Up to there nothing is lost by growing (arXiv:2604.19835).
        lengths.tau.filter(|tau| *tau <= 0.38).map(|_| Gain::Full)
    }

    fn method(&self, way: &Way) -> String {
        match way {
            Way::Scratch => "scratch".into(),
            Way::Grown(operator) => operator.name().into(),
            Way::OneSchedule(_) | Way::BestSchedule => ONE_SCHEDULE.into(),
        }
    }

    fn priced(&self, way: &Way, lengths: Lengths) -> Route {
        let Pricing {
            recipe, pair, rates, ..
        } = self.pricing;
        let steps = |steps: f64| (steps.round() as u64).max(1);
        let of = |train: &TrainConfig, steps: u64| TrainConfig { steps, ..train.clone() };
        let large = self
            .pricing
            .training(&pair.large, &of(&recipe.large.train, steps(lengths.large)));
        let small_train = if lengths.tau.is_some() {
            &recipe.large.train
        } else {
            &recipe.small.train
        };
        let has_small = *way != Way::Scratch;
        let trains_small = has_small && lengths.small > 0.0;
        let small = trains_small.then(|| {
            self.pricing
                .training(&pair.small, &of(small_train, steps(lengths.small)))
        });
        let mut bill = rates.bill(large);
        if let Way::Grown(OperatorSpec::Ligo(config)) = way {
            bill = bill.plus(&rates.bill(self.pricing.learning(&pair.small, &pair.large, &self.learn, config)));
        }
        let without_small = bill;
        if let Some(small) = small {
            bill = bill.plus(&rates.bill(small));
        }
        let found = self.expected(way, lengths);
        let expected = found.as_ref().map(|(expected, _)| *expected);
        let saving = |flops: f64| {
            let law = self.law()?;
            let tokens = law.tokens_for(self.large_parameters, expected?.loss)?;
            Some(1.0 - flops / (tokens / self.large_tokens * self.large_step)).filter(|_| has_small)
        };
        let own_small = trains_small && lengths.tau.is_none();
        let sizes = pair.small.sizes();
        Route {
            method: self.method(way),
            label: match way {
                Way::Scratch => "scratch".into(),
                Way::Grown(operator) => operator.label().into(),
                Way::OneSchedule(_) | Way::BestSchedule => "one schedule".into(),
            },
            small: has_small.then(|| Small {
                model: model(&pair.small),
                steps: trains_small.then(|| steps(lengths.small)),
                size: (sizes.layers, sizes.hidden),
            }),
            tau: lengths.tau,
            steps: steps(lengths.large),
            saving: saving(bill.cost.flops.exact),
            saving_small_given: own_small.then(|| saving(without_small.cost.flops.exact)).flatten(),
            bill_small_given: own_small.then_some(without_small),
            bill,
            expected,
            basis: self.basis(found.map(|(_, gain)| gain).as_ref(), way),
        }
    }

    fn basis(&self, gain: Option<&Gain>, way: &Way) -> String {
        match (gain, self.law()) {
            (None, None) => "nothing was measured".into(),
            (None, Some(_)) if self.is_given() && self.given.is_none() => {
                "the given small model's loss is not known: --from the comparison that used it, or a model of a run's folder".into()
            }
            (None, Some(_)) => "nobody measured a model that was grown".into(),
            (Some(_), _) if *way == Way::Scratch => "fitted".into(),
            (Some(Gain::Of(_, true)), _) => "fitted".into(),
            (Some(Gain::Of(other, false)), _) => format!("assumed to gain as {other} does"),
            (Some(Gain::Full), _) => "assumed to lose nothing by growing (arXiv:2604.19835)".into(),
        }
    }
}

/// What a given small model is worth: by the run whose folder it lies in, or by its loss in a comparison.
fn given(pricing: &Pricing<'_>, evidence: Option<&Evidence>) -> Option<Start> {
    let path = pricing.recipe.small.path.as_ref()?;
    let result = std::fs::read(path.parent()?.join("result.json")).ok();
    let result: Option<TrainResult> = result.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(result) = result.filter(|result| result.tokens > 0) {
        return Some(Start::Trained {
            parameters: parameters(&pricing.pair.small),
            tokens: result.tokens as f64,
        });
    }
    let known = evidence?.given.iter().find(|(other, _)| other == path)?;
    Some(Start::Measured { loss: known.1 })
}
