use ligo_arch::ModelConfig;
use ligo_growth::{LigoOperator, OperatorSpec};

use super::{DataFacts, Fault, Recipe, RecipeError};
use crate::device;

impl Recipe {
    /// Builds the operator of every method, and of every variant of the sweep, for the recipe's pair of models, before anything
    /// is trained for hours.
    ///
    /// # Errors
    /// Every method that cannot grow the pair, with the operators that can.
    pub fn check_operators(&self) -> Result<(), RecipeError> {
        let facts = DataFacts::expected(self);
        let mut faults = Vec::new();
        let pair = match self.pair(&facts) {
            Ok(pair) => pair,
            Err(found) => return Err(self.faulty(found)),
        };
        let variants = self.variants().map_err(|found| self.faulty(found))?;
        // Seeds of a method, and variants that differ in how they train, have one operator.
        let mut known: Vec<(ModelConfig, ModelConfig, OperatorSpec)> = Vec::new();
        for method in self.methods.iter().chain(&variants) {
            let stages = match self.stages_of(method, &pair, &facts) {
                Ok(stages) => stages,
                Err(found) => {
                    faults.extend(found);
                    continue;
                }
            };
            let mut before = pair.small.clone();
            for stage in stages {
                let step = (before, stage.model.clone(), stage.operator);
                if !known.contains(&step) {
                    if let Err(reason) = fits(&step.0, &step.1, &step.2) {
                        let others = others(&step.0, &step.1);
                        faults.push(Fault {
                            key: method.base_id(),
                            message: format!("{reason} (for this pair: {others})"),
                        });
                    }
                    known.push(step);
                }
                before = stage.model;
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(self.faulty(faults))
        }
    }

    fn faulty(&self, faults: Vec<Fault>) -> RecipeError {
        RecipeError::Faults {
            origin: format!("the comparison of `{}`", self.name),
            faults,
        }
    }
}

/// Whether an operator can be built for a pair.
fn fits(small: &ModelConfig, large: &ModelConfig, spec: &OperatorSpec) -> Result<(), String> {
    let (small, range) = (small.table(), large.initializer_range());
    let large = large.table();
    let built = match spec {
        OperatorSpec::Ligo(config) => LigoOperator::new(&small, &large, config, 0).map(drop),
        other => other.build(&small, &large, &device::cpu(), range, 0).map(drop),
    };
    built.map_err(|error| error.to_string())
}

/// The operators that can grow a pair, by name.
fn others(small: &ModelConfig, large: &ModelConfig) -> String {
    let named = OperatorSpec::NAMES.into_iter();
    let able = named.filter(|name| OperatorSpec::from_name(name).is_some_and(|spec| fits(small, large, &spec).is_ok()));
    able.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::load;

    #[test]
    fn a_method_that_cannot_grow_the_pair_is_named_with_those_that_can() {
        // The demo's pair grows from 64 to 96.
        let recipe = load("demo", &[]).unwrap();
        let recipe = recipe
            .comparing(&["ligo".into(), "hyper-cloning".into()], Some(2))
            .unwrap();
        let message = recipe.check_operators().unwrap_err().to_string();
        assert!(message.contains("1 fault:"), "{message}");
        for part in [
            "hyper-cloning:",
            "cannot grow this pair",
            "ligo",
            "stackbert, interpose",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let able = message.split("for this pair: ").nth(1).unwrap();
        assert!(!able.contains("hyper-cloning"), "{message}");
        load("demo", &[]).unwrap().check_operators().unwrap();
    }

    #[test]
    fn variants_of_a_sweep_are_built_too() {
        let sweep = "sweep={operator={fixed_identity=[true,false]},learn={steps=[1,2]}}";
        let recipe = load("demo", &[sweep.into()]).unwrap();
        recipe.comparing(&[], None).unwrap().check_operators().unwrap();
    }
}
