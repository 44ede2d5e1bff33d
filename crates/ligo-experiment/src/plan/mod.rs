//! What a recipe will cost, before anything is spent.

pub mod probe;
mod ranks;
mod rates;
pub(crate) mod table;

use std::path::Path;

use ligo_arch::ModelConfig;
use ligo_cost::memory::{self, Batch, Memory, Parameters};
use ligo_cost::plan::{Expected, FORMAT, Plan, PlannedModel, PlannedRun, Rates, Work};
use ligo_cost::published::{self, Expectation};
use ligo_cost::{Flops, TransformerDims, exact, format};
use ligo_growth::{LigoConfig, LigoOperator, OperatorSpec};
use ligo_train::TrainConfig;

pub use ranks::{Devices, on_ranks};
pub use rates::{Asked, Machine, Terms, of_known, of_this};
pub use table::{csv, text};

use crate::cost::TrainingCost;
use crate::recipe::{
    CorpusSource, DataFacts, DataSection, Method, MethodSection, Pair, Recipe, Selection, Stage, seeded,
};
use crate::sealed::{self, Note};
use crate::{Failure, Listener, cost};

/// The method that all others are measured against.
const SCRATCH: &str = "scratch";

/// The file in a run's folder.
pub const PLAN_JSON: &str = "plan.json";

/// Prices a recipe.
///
/// # Errors
/// A model, stage or setting is not valid for these data.
pub fn plan(recipe: &Recipe, facts: &DataFacts, terms: Terms) -> Result<Plan, Failure> {
    let pair = recipe.pair(facts)?;
    let pricing = Pricing {
        recipe,
        pair: &pair,
        rates: &terms.rates,
    };
    let small_training = match &recipe.small.path {
        Some(_) => None,
        None => Some(pricing.small()),
    };
    let resolved = recipe.resolve(&pair, facts)?;
    let run = |method: &MethodSection| match resolved.method(&method.key()) {
        Some(method) => pricing.run(method),
        None => Err(Failure::fault("a method was not resolved")),
    };
    // As the recipe's own entry has it, or as any method would.
    let own = recipe.methods.iter().find(|method| method.name == SCRATCH);
    let scratch = own.map_or_else(|| run(&recipe.reference()), run)?;
    let methods: Result<Vec<PlannedRun>, Failure> = recipe
        .methods
        .iter()
        .map(|method| Ok(pricing.expecting(run(method)?, method, &scratch, small_training.as_ref())))
        .collect();
    let mut plan = Plan {
        format: FORMAT,
        recipe: recipe.name.clone(),
        small: pricing.model(&pair.small, &recipe.small.train),
        large: pricing.model(&pair.large, &recipe.large.train),
        small_training,
        methods: methods?,
        rates: terms.rates.clone(),
        assumptions: Vec::new(),
    };
    plan.assumptions = assumptions(recipe, &pair, &plan, &terms);
    Ok(plan)
}

/// Writes the plan of a run that is about to start into its folder, so that prediction and measurement can be compared. A plan that
/// is there already and holds all these runs stays: it was made before them. One that is damaged is made again.
///
/// # Errors
/// As [`plan`], or the file cannot be written.
pub fn write(
    recipe: &Recipe,
    facts: &DataFacts,
    machine: &Machine,
    folder: &Path,
    listener: &dyn Listener,
) -> Result<(), Failure> {
    let path = folder.join(PLAN_JSON);
    let asked = Asked {
        precision: cost::counted(recipe.large.train.precision),
        ..Asked::default()
    };
    let plan = plan(recipe, facts, of_this(machine, &asked, None))?;
    let earlier = match sealed::read::<Plan>(&path) {
        Note::Damaged => {
            listener.say(&format!("{} is damaged; it is made again", path.display()));
            None
        }
        note => note.whole(),
    };
    let has =
        |earlier: &Plan, run: &PlannedRun| earlier.methods.iter().any(|e| (&e.id, e.steps) == (&run.id, run.steps));
    if earlier.is_some_and(|earlier| plan.methods.iter().all(|run| has(&earlier, run))) {
        return Ok(());
    }
    sealed::write(&path, &plan)
}

pub(crate) struct Pricing<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) pair: &'a Pair,
    pub(crate) rates: &'a Rates,
}

impl Pricing<'_> {
    fn dims(&self, config: &ModelConfig) -> TransformerDims {
        let DataSection {
            seq_len,
            mask_probability,
            ..
        } = self.recipe.data;
        cost::dims(config, seq_len, mask_probability)
    }

    fn model(&self, config: &ModelConfig, train: &TrainConfig) -> PlannedModel {
        PlannedModel {
            name: name(config),
            parameters: config.table().num_parameters(),
            memory: self.training_memory(config, train),
        }
    }

    fn training_memory(&self, config: &ModelConfig, train: &TrainConfig) -> Memory {
        training_memory(config, train, &self.recipe.data)
    }

    /// Training steps as they will be, with layers, tokens and gradients left out and a teacher beside them, and the evaluations between
    /// them.
    pub(crate) fn training(&self, config: &ModelConfig, train: &TrainConfig) -> Work {
        let dims = self.dims(config);
        Work {
            flops: self.steps(config, train, train.steps),
            evaluation_flops: evaluations(&dims, train),
        }
    }

    /// FLOPs of a step by our own count, the mean over a run.
    pub(crate) fn step_flops(&self, config: &ModelConfig, train: &TrainConfig) -> f64 {
        let steps = train.steps.max(1);
        self.steps(config, train, steps).exact / steps as f64
    }

    fn steps(&self, config: &ModelConfig, train: &TrainConfig, steps: u64) -> Flops {
        let teacher = train.distillation.map(|_| self.dims(&self.pair.small));
        TrainingCost::new(self.dims(config), teacher, train).planned(train, steps)
    }

    /// The steps of the candidates of a choice that are not taken.
    fn lost_candidates(&self, config: &ModelConfig, train: &TrainConfig, selection: &Selection) -> Work {
        let one = self.steps(config, train, selection.lag_steps);
        let lost = selection.candidates.len().saturating_sub(1) as f64;
        Work {
            flops: one * lost,
            evaluation_flops: 0.0,
        }
    }

    pub(crate) fn learning(
        &self,
        small: &ModelConfig,
        large: &ModelConfig,
        train: &TrainConfig,
        config: &LigoConfig,
    ) -> Work {
        let dims = self.dims(large);
        let small = (small, &self.dims(small));
        let step = cost::learn_step(small, (large, &dims), train, config);
        Work {
            flops: step * train.steps as f64,
            evaluation_flops: evaluations(&dims, train),
        }
    }

    fn learning_memory(
        &self,
        small: &ModelConfig,
        large: &ModelConfig,
        train: &TrainConfig,
        config: &LigoConfig,
    ) -> Result<Memory, Failure> {
        let operator = LigoOperator::new(&small.table(), &large.table(), config, self.recipe.seed)?;
        Ok(learning_memory((small, large), &operator, train, &self.recipe.data))
    }

    fn small(&self) -> PlannedRun {
        let (config, train) = (&self.pair.small, &self.recipe.small.train);
        PlannedRun {
            id: "small".into(),
            method: "small".into(),
            label: "small model".into(),
            steps: train.steps,
            training: self.rates.bill(self.training(config, train)),
            operator: None,
            memory: self.training_memory(config, train),
            operator_memory: None,
            expected: None,
        }
    }

    /// A run with what is published of its method.
    fn expecting(
        &self,
        run: PlannedRun,
        method: &MethodSection,
        scratch: &PlannedRun,
        small: Option<&PlannedRun>,
    ) -> PlannedRun {
        let small = small.map(PlannedRun::whole);
        let expected = self.expectation(method);
        PlannedRun {
            expected: expected.map(|found| Expected::new(&found, &scratch.whole(), small.as_ref())),
            ..run
        }
    }

    fn expectation(&self, method: &MethodSection) -> Option<Expectation> {
        let size = |config: &ModelConfig| (config.sizes().layers, config.sizes().hidden);
        let (small, large) = (&self.pair.small, &self.pair.large);
        // An operator or a training of its own makes another method of it, whatever its name; a learning rate does not.
        let known = method.operator.is_none()
            && method.stages.is_empty()
            && method.keep_moments.is_none()
            && method.select.is_none()
            && method.tau.is_none()
            && method.train.keys().all(|key| key == "schedule");
        let found = known.then(|| published::expectation(&method.name, large.model_type(), size(small), size(large)));
        found.flatten()
    }

    /// All stages of a method.
    fn run(&self, method: &Method) -> Result<PlannedRun, Failure> {
        let mut run = PlannedRun {
            id: method.id(),
            method: method.name.clone(),
            label: method.label.clone(),
            steps: 0,
            training: self.rates.bill(Work::default()),
            operator: None,
            memory: Memory::default(),
            operator_memory: None,
            expected: None,
        };
        let mut before = &self.pair.small;
        for stage in method.stages.iter() {
            self.add(stage, before, method, &mut run)?;
            before = &stage.model;
        }
        Ok(run)
    }

    fn add(&self, stage: &Stage, before: &ModelConfig, method: &Method, run: &mut PlannedRun) -> Result<(), Failure> {
        let larger = |memory: Memory, than: Memory| {
            let larger = memory.total_bytes() > than.total_bytes();
            if larger { memory } else { than }
        };
        run.memory = larger(self.training_memory(&stage.model, &stage.train), run.memory);
        let operators = match &stage.select {
            Some(selection) => selection.candidates.as_slice(),
            None => std::slice::from_ref(&stage.operator),
        };
        let learned = operators.iter().filter_map(|operator| match operator {
            OperatorSpec::Ligo(config) => Some(config),
            _ => None,
        });
        for config in learned {
            let learn = &method.learn;
            let memory = self.learning_memory(before, &stage.model, learn, config)?;
            run.operator_memory = Some(larger(memory, run.operator_memory.unwrap_or_default()));
            let bill = self.rates.bill(self.learning(before, &stage.model, learn, config));
            run.operator = Some(run.operator.map_or(bill, |earlier| earlier.plus(&bill)));
        }
        let train = TrainConfig {
            steps: stage.steps(),
            ..seeded(&stage.train, method.seed)
        };
        if let Some(selection) = &stage.select {
            let bill = self.rates.bill(self.lost_candidates(&stage.model, &train, selection));
            run.operator = Some(run.operator.map_or(bill, |earlier| earlier.plus(&bill)));
        }
        run.steps += stage.steps();
        let bill = self.rates.bill(self.training(&stage.model, &train));
        run.training = run.training.plus(&bill);
        Ok(())
    }
}

/// What a step of training a model keeps in memory.
pub(crate) fn training_memory(config: &ModelConfig, train: &TrainConfig, data: &DataSection) -> Memory {
    let dims = cost::dims(config, data.seq_len, data.mask_probability);
    let table = config.table();
    memory::training(table.num_parameters(), &dims, batch(train, train.numbers_kept(&table)))
}

/// The same on each of so many ranks, the one with the largest share where they share the optimizer's moments.
pub(crate) fn training_memory_on(
    (ranks, shares): (usize, bool),
    config: &ModelConfig,
    train: &TrainConfig,
    data: &DataSection,
) -> Memory {
    let of_rank = TrainConfig {
        accumulation: (train.accumulation / ranks).max(1),
        ..train.clone()
    };
    let memory = training_memory(config, &of_rank, data);
    let table = config.table();
    // Averages of weights are whole everywhere.
    let unaveraged = TrainConfig {
        average: None,
        ..of_rank
    };
    let moments = 4.0 * table.num_parameters() as f64 * unaveraged.numbers_kept(&table);
    match shares {
        true => memory.sharing(moments, largest_share(config, ranks)),
        false => memory,
    }
}

/// The largest of the ranks' shares of a model's parameters.
pub(crate) fn largest_share(config: &ModelConfig, ranks: usize) -> f64 {
    let table = config.table();
    let params = table.params().filter(|param| param.spec.required);
    let counts: Vec<usize> = params.map(|param| param.num_elements()).collect();
    ligo_train::largest_share(&counts, ranks)
}

/// What a step of learning an operator between two models keeps in memory.
pub(crate) fn learning_memory(
    (small, large): (&ModelConfig, &ModelConfig),
    operator: &LigoOperator,
    train: &TrainConfig,
    data: &DataSection,
) -> Memory {
    let dims = cost::dims(large, data.seq_len, data.mask_probability);
    let (small, large) = (small.table(), large.table());
    let parameters = Parameters {
        small: small.num_parameters(),
        large: large.num_parameters(),
        operator: operator.num_parameters(),
    };
    let (tensors, order) = (cost::growth(&small, &large), cost::order(operator.config().sharing));
    let averaged = train.average.map_or(0, |average| average.kept()) as f64;
    // An operator's parameters are no matrices of layers.
    let kept = train.optimizer.numbers_kept(0.0) + averaged;
    memory::learning(parameters, &dims, &tensors, order, batch(train, kept))
}

/// A model for people: `BERT (12, 768)`.
pub(crate) fn name(config: &ModelConfig) -> String {
    let sizes = config.sizes();
    let layers = sizes.layers + sizes.class_layers;
    format!("{} ({layers}, {})", config.display_name(), sizes.hidden)
}

fn batch(train: &TrainConfig, numbers_kept: f64) -> Batch {
    Batch {
        sequences: train.batch_size,
        accumulation: train.accumulation,
        moments: numbers_kept,
        recomputes_layers: train.gradient_checkpointing,
    }
}

/// FLOPs of a run's evaluations; 0 when they take all data, since nobody knows yet how many there are.
fn evaluations(dims: &TransformerDims, train: &TrainConfig) -> f64 {
    let once = train.eval_batches as f64 * exact::forward_flops(dims, train.batch_size).total();
    train.evaluations() as f64 * once
}

/// A sentence for each figure that rests on something else than the recipe.
fn assumptions(recipe: &Recipe, pair: &Pair, plan: &Plan, terms: &Terms) -> Vec<String> {
    let rates = &plan.rates;
    let mut notes = vec![data_note(recipe, pair)];
    notes.extend(terms.notes.iter().cloned());
    let runs = || plan.small_training.iter().chain(&plan.methods);
    let evaluations: f64 = runs().map(|run| run.whole().eval_seconds).sum();
    let all: f64 = runs().map(|run| run.whole().total_seconds()).sum();
    notes.push(match recipe.large.train.eval_batches {
        0 => "Evaluations are not counted: eval_batches = 0 takes all validation data, whose size is not known yet."
            .into(),
        _ => format!("Evaluations are {} of the time.", format::percent(evaluations / all)),
    });
    let recomputed = match recipe.large.train.gradient_checkpointing {
        true => ", layers computed again in the backward pass, which is counted in the FLOPs",
        false => "",
    };
    notes.push(format!(
        "Memory: f32, micro-batches of {}{recomputed}; the sum of the parts, an upper bound for a step, without the program and what an allocator holds back.",
        recipe.large.train.batch_size
    ));
    let most_expensive = runs().map(PlannedRun::largest_bytes).fold(0.0, f64::max);
    if let Some(bytes) = rates.memory_bytes.filter(|bytes| most_expensive > *bytes) {
        notes.push(format!(
            "It does not fit: {} of memory are there. Take {}smaller micro-batches, --set large.train.batch_size=N, and more of them, --set large.train.accumulation=M.",
            format::bytes(bytes),
            match recipe.large.train.gradient_checkpointing {
                true => "",
                false => "--set gradient_checkpointing=true, or ",
            }
        ));
    }
    notes.extend(saving_notes(plan));
    notes
}

fn data_note(recipe: &Recipe, pair: &Pair) -> String {
    match recipe.corpus.source {
        CorpusSource::Images => format!("Data: images of {} classes.", pair.large.sizes().outputs),
        CorpusSource::Files | CorpusSource::RustDocs => {
            let words = pair.large.vocab_size();
            let tokens = recipe.data.seq_len;
            let characters = !recipe.tokenizer.merges && recipe.tokenizer.path.is_none() && recipe.small.path.is_none();
            let note = if characters {
                " The tokenizer has single characters, so it will be far fewer words: --set tokenizer.vocab_size=N prices N."
            } else {
                ""
            };
            format!("Data: a vocabulary of {words} words, sequences of {tokens} tokens.{note}")
        }
    }
}

/// What each expected saving rests on; methods that nobody measured are named together.
fn saving_notes(plan: &Plan) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let mut unknown: Vec<&str> = Vec::new();
    for run in plan.methods.iter().filter(|run| run.method != SCRATCH) {
        let Some(expected) = &run.expected else {
            if !unknown.contains(&run.label.as_str()) {
                unknown.push(&run.label);
            }
            continue;
        };
        let verb = if expected.measured_here {
            "measured for"
        } else {
            "as published for"
        };
        let other = if expected.same_pair {
            ""
        } else {
            ", which are other sizes than these"
        };
        let time = match expected.time_is_published {
            true => format!(" and {} of the time", format::percent(expected.saving_seconds)),
            false => " (no time is published, and it is taken to follow)".into(),
        };
        let note = format!(
            "{} saves {} of the FLOPs{time}, {verb} {}{other} ({}).",
            run.label,
            format::percent(expected.saving_flops),
            expected.pair,
            expected.source
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if !unknown.is_empty() {
        notes.push(format!("No savings are published for: {}.", unknown.join(", ")));
    }
    notes
}
