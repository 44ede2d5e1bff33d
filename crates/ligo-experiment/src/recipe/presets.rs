//! What the names of methods stand for: an operator, how training proceeds, or both.

use ligo_growth::{LigoConfig, OperatorSpec};
use toml::{Table, Value, toml};

use super::{KeepMoments, SelectSection, StageSchedule, StageSection};

/// The name of the method that is chosen when a recipe is read.
pub(super) const AUTO: &str = "auto";

/// Where the large model is grown under one schedule when nothing was measured.
pub const USUAL_TAU: f64 = 0.45;

/// A method as it is meant, whatever it was called.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Makes the first model of the small one.
    pub(super) operator: OperatorSpec,
    /// Changes of `[large.train]`, the method's own not among them.
    pub(super) train: Table,
    /// What becomes of the optimizer's state.
    pub(super) keep_moments: KeepMoments,
    /// Operators of which the best is taken.
    pub(super) select: Option<SelectSection>,
    /// Its stages, for a large model of so many layers.
    pub(super) stages: Stages,
    /// Whether the stages are its own.
    pub(super) is_staged: bool,
    /// Where the large model is grown, if both models have one schedule.
    pub(super) tau: Option<f64>,
}

/// Stages as a function of the large model's layers.
pub(super) type Stages = fn(usize) -> Vec<StageSection>;

impl Plan {
    /// An operator, then plain training.
    pub(super) fn new(operator: OperatorSpec) -> Self {
        Self {
            operator,
            train: Table::new(),
            keep_moments: KeepMoments::No,
            select: None,
            stages: |_| vec![StageSection::default()],
            is_staged: false,
            tau: None,
        }
    }

    fn with_train(self, train: Table) -> Self {
        Self { train, ..self }
    }

    fn with_stages(self, stages: Stages) -> Self {
        Self {
            stages,
            is_staged: true,
            ..self
        }
    }

    fn keeping(self, keep_moments: KeepMoments) -> Self {
        Self { keep_moments, ..self }
    }
}

/// A method that is more than an operator.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The name in recipes.
    pub name: &'static str,
    /// What people call it, in tables and pictures.
    pub label: &'static str,
    /// What it does.
    pub about: &'static str,
}

const fn named(name: &'static str, label: &'static str, about: &'static str) -> Preset {
    Preset { name, label, about }
}

/// Methods that are more than an operator, and what they are.
pub const PRESETS: [Preset; 17] = [
    named(
        "mslt",
        "MSLT",
        "stages of growing depth from scratch; only the new top layers, copies of the top ones before, are trained, and at last everything",
    ),
    named("ki", "KI", "from scratch, with the small model as a teacher that fades"),
    named(
        "bert2bert",
        "bert2BERT",
        "AKI; an eighth of the steps trains sub-models, then the whole model",
    ),
    named(
        "stackbert-progressive",
        "StackBERT, progressive",
        "from scratch with a quarter of the layers; the stack is doubled twice",
    ),
    named(
        "staged",
        "staged training",
        "from scratch with half of the layers; then each is doubled, and the optimizer's state grows along",
    ),
    named(
        "midas",
        "MIDAS",
        "stages of growing depth from scratch; each repeats the layers in the middle",
    ),
    named(
        "zero-one",
        "zero/one layer",
        "one layer from scratch for three fifths of the steps at a constant rate, then all layers at that rate, which falls in the last tenth",
    ),
    named(
        "one-schedule",
        "one schedule",
        "the small model from scratch, the large one grown from it by StackBERT at the share `tau` of one common schedule; the optimizer's state grows along",
    ),
    named(
        AUTO,
        "auto",
        "the route that is recommended, settled before anything runs: one schedule, grown where earlier comparisons (`auto.from`) say, or else at τ = 0.45",
    ),
    named(
        "ligo-layer-drop",
        "LiGO + layer dropping",
        "LiGO, then training with dropped layers",
    ),
    named(
        "ligo-token-drop",
        "LiGO + token dropping",
        "LiGO, then training with dropped tokens in middle layers",
    ),
    named(
        "ligo-staged",
        "LiGO + sub-models",
        "LiGO, then an eighth of the steps with sub-models, then the whole model",
    ),
    named(
        "ligo-moments",
        "LiGO + moments",
        "LiGO; the small model's optimizer state grows along",
    ),
    named(
        "ligo-rewarm",
        "LiGO + re-warming",
        "LiGO; the rates of new parameters are warmed up once more",
    ),
    named(
        "stackbert-moments",
        "StackBERT + moments",
        "StackBERT; the small model's optimizer state grows along",
    ),
    named(
        "stackbert-rewarm",
        "StackBERT + re-warming",
        "StackBERT; the optimizer's state grows along but for new parameters, whose rates are warmed up once more",
    ),
    named(
        "select",
        "best of operators",
        "the fixed operator with the lowest loss after some steps",
    ),
];

/// Every name that a method may have without an `operator`.
pub(super) fn known_names() -> Vec<&'static str> {
    let presets = PRESETS.iter().map(|preset| preset.name);
    let mut names: Vec<&str> = OperatorSpec::NAMES.to_vec();
    names.extend(presets.filter(|name| !OperatorSpec::NAMES.contains(name)));
    names
}

/// What a name stands for; `ligo` is the recipe's own learned operator.
pub(super) fn preset(name: &str, ligo: &LigoConfig) -> Option<Plan> {
    let ligo = || Plan::new(OperatorSpec::Ligo(ligo.clone()));
    let scratch = || Plan::new(OperatorSpec::Scratch);
    Some(match name {
        "ligo" => ligo(),
        "mslt" => scratch().with_stages(mslt),
        "ki" => scratch().with_train(toml! { distillation = {} }),
        "bert2bert" => Plan::new(OperatorSpec::from_name("aki")?).with_train(toml! { submodels = {} }),
        "stackbert-progressive" => scratch().with_stages(doubling),
        "staged" => scratch().with_stages(staged).keeping(KeepMoments::All),
        "midas" => scratch().with_stages(gradual).keeping(KeepMoments::All),
        "zero-one" => scratch()
            .with_stages(zero_one)
            .keeping(KeepMoments::All)
            .with_train(toml! { schedule = { kind = "wsd", decay_share = 0.1 } }),
        "one-schedule" | AUTO => Plan {
            tau: Some(USUAL_TAU),
            ..Plan::new(OperatorSpec::Stackbert)
                .keeping(KeepMoments::All)
                .with_train(toml! { schedule = { kind = "wsd" } })
        },
        "ligo-layer-drop" => ligo().with_train(toml! { layer_drop = {} }),
        "ligo-token-drop" => ligo().with_train(toml! { token_drop = {} }),
        "ligo-staged" => ligo().with_train(toml! { submodels = {} }),
        "ligo-moments" => ligo().keeping(KeepMoments::All),
        "ligo-rewarm" => ligo().with_train(toml! { rewarm_new = {} }),
        "stackbert-moments" => Plan::new(OperatorSpec::Stackbert).keeping(KeepMoments::All),
        "stackbert-rewarm" => Plan::new(OperatorSpec::Stackbert)
            .keeping(KeepMoments::ResetNew)
            .with_train(toml! { rewarm_new = {} }),
        "select" => Plan {
            select: Some(SelectSection::default()),
            ..Plan::new(OperatorSpec::Stackbert)
        },
        other => Plan::new(OperatorSpec::from_name(other)?),
    })
}

/// A stage with so many layers that goes on with the learning rate of the stages before it.
fn stage(layers: usize, share: f64, operator: OperatorSpec) -> StageSection {
    StageSection {
        layers: Some(layers),
        share,
        operator: Some(operator),
        schedule: StageSchedule::Continued,
        ..StageSection::default()
    }
}

/// Depths of the quarters of a model: 3, 6, 9, 12 of 12.
fn quarters(depth: usize) -> Vec<usize> {
    let quarter = depth.div_ceil(4).max(1);
    let mut depths: Vec<usize> = (1..=4).map(|i| (i * quarter).min(depth)).collect();
    depths.dedup();
    depths
}

/// MSLT (arXiv:2011.13635): quarters, each the model before with its top layers once more, of which only the copies are trained; the last
/// third of the steps trains everything. The paper's division of the steps was not found; this one is ours.
fn mslt(depth: usize) -> Vec<StageSection> {
    let depths = quarters(depth);
    let added = depths.len() - 1;
    let share = |i: usize| match i {
        0 => 0.2,
        _ => 0.45 / added as f64,
    };
    let mut stages = vec![stage(depths[0], share(0), OperatorSpec::Scratch)];
    for (i, pair) in depths.windows(2).enumerate() {
        let (before, now) = (pair[0], pair[1]);
        let top = before - (now - before);
        let layers = (0..before).chain(top..before).collect();
        let freeze = Table::from_iter([("layers".to_owned(), Value::from(before as i64))]);
        stages.push(StageSection {
            train: Table::from_iter([("freeze".to_owned(), Value::Table(freeze))]),
            ..stage(now, share(i + 1), OperatorSpec::Layers { layers })
        });
    }
    stages.push(stage(depth, 0.0, OperatorSpec::Stackbert));
    stages
}

/// StackBERT's own schedule: 50k steps with a quarter of the layers, 70k with half, 280k with all; a fresh optimizer each time.
fn doubling(depth: usize) -> Vec<StageSection> {
    let mut depths = vec![
        (depth.div_ceil(4), 50.0 / 400.0),
        (depth.div_ceil(2), 70.0 / 400.0),
        (depth, 0.0),
    ];
    depths.dedup_by_key(|(layers, _)| *layers);
    from_scratch(&depths, &OperatorSpec::Stackbert)
}

/// Staged training (arXiv:2203.06211) in depth: every layer twice, side by side. When to grow is ours.
fn staged(depth: usize) -> Vec<StageSection> {
    let mut depths = vec![(depth.div_ceil(2), 0.25), (depth, 0.0)];
    depths.dedup_by_key(|(layers, _)| *layers);
    from_scratch(&depths, &OperatorSpec::Interpose)
}

/// MIDAS (arXiv:2409.19044): quarters, of which each has steps in proportion to its depth.
fn gradual(depth: usize) -> Vec<StageSection> {
    let depths = quarters(depth);
    let all: usize = (1..=depths.len()).sum();
    let shares = (1..).map(|i| i as f64 / all as f64);
    let stages: Vec<(usize, f64)> = depths.into_iter().zip(shares).collect();
    from_scratch(&stages, &OperatorSpec::Middle)
}

/// One layer, late expansion (arXiv:2511.04981). The paper grows at 0.6 to 0.8 of the steps, decays over the last tenth, and says that what decays no
/// more mixes no more: so ours grows at 0.6, and the large model has three tenths at the full rate.
fn zero_one(depth: usize) -> Vec<StageSection> {
    let mut depths = vec![(1, 0.6), (depth, 0.0)];
    depths.dedup_by_key(|(layers, _)| *layers);
    from_scratch(&depths, &OperatorSpec::Stackbert)
}

/// Stages of so many layers and shares: the first one fresh, the others grown by `operator`. The last share is what is left.
fn from_scratch(depths: &[(usize, f64)], operator: &OperatorSpec) -> Vec<StageSection> {
    let stages = depths.iter().enumerate().map(|(i, (layers, share))| {
        let operator = if i == 0 { &OperatorSpec::Scratch } else { operator };
        stage(*layers, *share, operator.clone())
    });
    stages.collect()
}
