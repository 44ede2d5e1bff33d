use super::{MethodSection, Recipe, RecipeError, parse};

/// The method that all others are measured against.
const REFERENCE: &str = "scratch";

impl Recipe {
    /// The same recipe with these methods (all of its own if none are named), each with so many seeds, and the reference
    /// first. What the recipe says of a method stays.
    ///
    /// # Errors
    /// A method is unknown, or cannot grow this pair.
    pub fn comparing(self, names: &[String], seeds: Option<u64>) -> Result<Self, RecipeError> {
        let mut methods = match names {
            [] => self.methods.clone(),
            names => names.iter().map(|name| self.method(name)).collect(),
        };
        if !methods.iter().any(|m| m.name == REFERENCE) {
            methods.insert(0, self.method(REFERENCE));
        }
        if let Some(seeds) = seeds {
            methods = methods.iter().flat_map(|m| self.seeded(m, seeds)).collect();
        }
        let recipe = Self { methods, ..self };
        let mut faults = Vec::new();
        parse::check(&recipe, &mut faults);
        if faults.is_empty() {
            return Ok(recipe);
        }
        Err(RecipeError::Faults {
            origin: format!("the comparison of `{}`", recipe.name),
            faults,
        })
    }

    /// The recipe's entry of this id or name, or a new one.
    fn method(&self, name: &str) -> MethodSection {
        let by_id = self.methods.iter().find(|m| m.id() == name);
        let found = by_id.or_else(|| self.methods.iter().find(|m| m.name == name));
        found.cloned().unwrap_or_else(|| MethodSection {
            name: name.into(),
            ..MethodSection::default()
        })
    }

    /// A method with consecutive seeds, of which the first is its own. An entry that has a seed already stays alone.
    fn seeded(&self, method: &MethodSection, seeds: u64) -> Vec<MethodSection> {
        if method.seed.is_some() {
            return vec![method.clone()];
        }
        let with = |k: u64| MethodSection {
            // The id of an entry holds for its first seed; folders must differ.
            id: method.id.as_ref().map(|id| match k {
                0 => id.clone(),
                k => format!("{id}-seed{}", self.seed + k),
            }),
            seed: (k > 0).then_some(self.seed + k),
            ..method.clone()
        };
        (0..seeds).map(with).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ids(recipe: &Recipe) -> Vec<String> {
        recipe.methods.iter().map(MethodSection::id).collect()
    }

    fn demo() -> Recipe {
        super::super::load("demo", &[]).unwrap()
    }

    #[test]
    fn methods_and_seeds_multiply_and_the_first_seed_keeps_its_folder() {
        let recipe = demo().comparing(&["ligo".into(), "interpose".into()], Some(2)).unwrap();
        let seed = recipe.seed + 1;
        assert_eq!(
            ids(&recipe),
            [
                "scratch".to_owned(),
                format!("scratch-seed{seed}"),
                "ligo".into(),
                format!("ligo-seed{seed}"),
                "interpose".into(),
                format!("interpose-seed{seed}"),
            ]
        );
        assert_eq!(ids(&demo().comparing(&[], None).unwrap()), ids(&demo()));
    }

    #[test]
    fn what_the_recipe_says_of_a_method_stays() {
        let mut recipe = demo();
        for method in &mut recipe.methods {
            method.train.insert("clip_norm".into(), 0.5.into());
        }
        let compared = recipe.comparing(&["ligo".into()], Some(3)).unwrap();
        let ligo = compared.methods.iter().filter(|m| m.name == "ligo");
        assert_eq!(ligo.filter(|m| m.train.contains_key("clip_norm")).count(), 3);
    }

    #[test]
    fn an_unknown_method_comes_with_the_nearest_name() {
        let message = demo().comparing(&["stakbert".into()], None).unwrap_err().to_string();
        assert!(message.contains("did you mean `stackbert`?"), "{message}");
    }
}
