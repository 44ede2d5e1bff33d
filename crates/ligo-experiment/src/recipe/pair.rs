use ligo_arch::{ModelConfig, check_growable};
use ligo_checkpoint::ModelDir;

use super::{BUILTIN, DataFacts, Fault, Recipe, merge};

/// The two models of a recipe.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The small one. A finished model of images is read at the resolution of the large one.
    pub small: ModelConfig,
    /// The large one.
    pub large: ModelConfig,
}

impl Recipe {
    /// The models for these data. Reads the configuration of a finished small model, not its weights.
    ///
    /// # Errors
    /// A field is unknown, of the wrong type or does not fit the others; the finished model cannot be read; the small
    /// model cannot grow into the large one.
    pub fn pair(&self, facts: &DataFacts) -> Result<Pair, Vec<Fault>> {
        let (small, large) = match &self.small.path {
            Some(path) => {
                let small = ModelDir::open(path).map_err(Into::into);
                let small = small.and_then(|dir| ligo_pretrained::read_config(&dir));
                let small = small.map_err(|error| fault("small.path", &error))?;
                if let Some(wanted) = self.large.other_family(&small) {
                    let error = ligo_arch::Error::FamiliesDiffer {
                        small: small.model_type().into(),
                        large: wanted.into(),
                    };
                    return Err(vec![Fault {
                        key: "large.model".into(),
                        message: format!("{error}; {}", for_family(small.model_type())),
                    }]);
                }
                let large = self.large.config("large", &facts.clone().like(&small))?;
                let small = small.at_resolution_of(&large);
                (small.map_err(|error| fault("small.path", &error))?, large)
            }
            None => match (self.small.config("small", facts), self.large.config("large", facts)) {
                (Ok(small), Ok(large)) => (small, large),
                (small, large) => return Err([small.err(), large.err()].into_iter().flatten().flatten().collect()),
            },
        };
        check_growable(&small.table_for(&large), &large.table()).map_err(|error| fault("large.model", &error))?;
        Ok(Pair { small, large })
    }

    /// What data and a finished small model decide together.
    pub(super) fn facts(&self, data: DataFacts, pair: &Pair) -> DataFacts {
        match &self.small.path {
            Some(_) => data.like(&pair.small),
            None => data,
        }
    }
}

/// What to do about a recipe for models of another family than the small one.
fn for_family(family: &str) -> String {
    let of_family = BUILTIN.iter().filter(|(name, text)| {
        let recipe = merge::read(text, name, &[], &mut Vec::new()).ok().flatten();
        recipe.is_some_and(|recipe| recipe.large.model_type(&DataFacts::expected(&recipe)) == family)
    });
    let names: Vec<&str> = of_family.map(|(name, _)| *name).collect();
    match names.as_slice() {
        [] => format!(
            "no built-in recipe is for {family}: take one and set large.model.model_type=\"{family}\" with sizes by that family's names"
        ),
        names => format!("take a recipe for {family}: {}", names.join(", ")),
    }
}

fn fault(key: &str, error: &dyn std::error::Error) -> Vec<Fault> {
    vec![Fault {
        key: key.into(),
        message: error.to_string(),
    }]
}
