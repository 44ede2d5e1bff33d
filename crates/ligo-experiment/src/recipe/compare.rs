use std::collections::HashMap;

use super::{MethodSection, Recipe, RecipeError, RunKey, check, tau};

/// The method that all others are measured against.
const REFERENCE: &str = "scratch";

fn is_reference(method: &MethodSection) -> bool {
    method.name == REFERENCE
}

impl Recipe {
    /// The same recipe with these methods (all of its own and of its sweep if none are named), each with so many seeds, and
    /// the reference with every seed that there is. What the recipe says of a method stays.
    ///
    /// # Errors
    /// A method is unknown, or cannot grow this pair.
    pub(crate) fn comparing(&self, names: &[String], seeds: Option<u64>) -> Result<Self, RecipeError> {
        let faulty = |faults| RecipeError::Faults {
            origin: format!("the comparison of `{}`", self.name),
            faults,
        };
        let variants = self.variants().map_err(faulty)?;
        let mut methods = match names {
            [] => self.methods.clone(),
            names => names.iter().flat_map(|name| self.all_named(name, &variants)).collect(),
        };
        let mut faults = Vec::new();
        self.auto.settle(&mut methods, &mut faults);
        if !faults.is_empty() {
            return Err(faulty(faults));
        }
        methods = methods.iter().flat_map(|method| self.with_shorter(method)).collect();
        if let Some(seeds) = seeds {
            methods = methods.iter().flat_map(|m| self.seeded(m, seeds)).collect();
        }
        if names.is_empty() {
            // One run each is enough to rank them.
            let is_new = |variant: &&MethodSection| methods.iter().all(|m| m.id() != variant.id());
            let new: Vec<MethodSection> = variants.iter().filter(is_new).cloned().collect();
            methods.extend(new);
        }
        let mut recipe = Self {
            methods: self.with_references(methods),
            lengths: Vec::new(),
            ..self.clone()
        };
        if !recipe.sweep.is_off() {
            recipe.sweep.base = Some(self.method(&self.sweep.method));
        }
        let mut faults = Vec::new();
        check::check(&recipe, &mut faults);
        if faults.is_empty() {
            return Ok(recipe);
        }
        Err(RecipeError::Faults {
            origin: format!("the comparison of `{}`", recipe.name),
            faults,
        })
    }

    /// The same recipe with the methods and the sweep of an earlier one besides its own; everything else is the same in both. An earlier
    /// method gives way to one of the same id, and to another one of which it would be taken for a seed.
    pub(crate) fn with_earlier(&self, earlier: &Self) -> Self {
        let mut own: HashMap<String, &MethodSection> = self.methods.iter().map(|m| (m.id(), m)).collect();
        let group = |method: &MethodSection| method.key().group().to_string();
        let by_group: HashMap<String, &MethodSection> = self.methods.iter().map(|m| (group(m), m)).collect();
        let mut whole = Self {
            sweep: match self.sweep.is_off() {
                true => earlier.sweep.clone(),
                false => self.sweep.clone(),
            },
            methods: Vec::new(),
            ..self.clone()
        };
        for method in &earlier.methods {
            let same = by_group.get(&group(method));
            match own.remove(&method.id()) {
                Some(now) => whole.methods.push(now.clone()),
                None if same.is_none_or(|same| self.differ_in_seeds_only(same, method)) => {
                    whole.methods.push(method.clone());
                }
                None => {}
            }
        }
        let new = self.methods.iter().filter(|method| own.contains_key(&method.id()));
        whole.methods.extend(new.cloned());
        whole
    }

    /// The entry of this id or name, or what stands in the recipe as a list of shares `tau` under that name.
    fn all_named(&self, name: &str, variants: &[MethodSection]) -> Vec<MethodSection> {
        let is_one = self.methods.iter().any(|method| method.id() == name);
        let of_list = self.methods.iter().filter(|method| tau::is_of_list(method, name));
        match of_list.cloned().collect::<Vec<_>>() {
            listed if !listed.is_empty() && !is_one => listed,
            _ => vec![self.named(name, variants)],
        }
    }

    /// The entry of this id or name, a variant of the sweep, or a new method.
    fn named(&self, name: &str, variants: &[MethodSection]) -> MethodSection {
        match variants.iter().find(|variant| variant.id() == name) {
            Some(variant) => variant.clone(),
            None => self.method(name),
        }
    }

    /// The recipe's entry of this id or name, or a new one.
    pub(super) fn method(&self, name: &str) -> MethodSection {
        let by_id = self.methods.iter().find(|m| m.id() == name);
        let by_name = || self.methods.iter().find(|m| m.name == name && m.key().is_whole());
        let of_sweep = || self.sweep.base.as_ref().filter(|_| self.sweep.method == name);
        by_id
            .or_else(of_sweep)
            .or_else(by_name)
            .cloned()
            .unwrap_or_else(|| MethodSection {
                name: name.into(),
                ..MethodSection::default()
            })
    }

    /// A method with consecutive seeds, of which the first is its own. An entry that has a seed already stays alone.
    fn seeded(&self, method: &MethodSection, seeds: u64) -> Vec<MethodSection> {
        if method.seed.is_some() {
            return vec![method.clone()];
        }
        (0..seeds).map(|k| self.with_seed(method, self.seed + k)).collect()
    }

    /// A method with this seed. The id of an entry holds for the recipe's own; folders must differ.
    pub(crate) fn with_seed(&self, method: &MethodSection, seed: u64) -> MethodSection {
        let is_own = seed == self.seed;
        let seed = (!is_own).then_some(seed);
        // Without an id an entry is named by its seed anyway.
        let has_name = method.id.is_some() || method.run.is_some();
        MethodSection {
            run: has_name.then(|| RunKey {
                seed,
                ..method.key().group()
            }),
            seed,
            ..method.clone()
        }
    }

    /// The method that all others are measured against.
    pub(crate) fn reference(&self) -> MethodSection {
        self.method(REFERENCE)
    }

    /// The reference beside every method: a saving compares runs of one seed.
    fn with_references(&self, methods: Vec<MethodSection>) -> Vec<MethodSection> {
        let mut seeds: Vec<u64> = Vec::new();
        for method in &methods {
            let seed = self.seed_of(method);
            if !seeds.contains(&seed) {
                seeds.push(seed);
            }
        }
        // Its lengths too: what another method's shorter schedule comes to is held against them.
        let lengths = self.with_shorter(&self.reference());
        let all = seeds
            .iter()
            .flat_map(|seed| lengths.iter().map(|length| self.with_seed(length, *seed)));
        let is_there = |new: &MethodSection| {
            let is_whole = |m: &MethodSection| is_reference(m) && m.key().is_whole();
            let same = |m: &MethodSection| self.seed_of(m) == self.seed_of(new) && is_whole(m) && is_whole(new);
            methods.iter().any(|m| m.id() == new.id() || same(m))
        };
        let missing: Vec<MethodSection> = all.filter(|new| !is_there(new)).collect();
        // Those that the recipe has stay where they are; if it has none, the new ones come first.
        let after = methods.iter().rposition(is_reference).map_or(0, |last| last + 1);
        let (before, behind) = methods.split_at(after);
        before
            .iter()
            .cloned()
            .chain(missing)
            .chain(behind.iter().cloned())
            .collect()
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
    fn every_seed_has_a_reference_of_its_own() {
        let with = |methods: &str| -> Vec<String> {
            let recipe = super::super::load("demo", &[format!("methods={methods}")]).unwrap();
            ids(&recipe.comparing(&[], None).unwrap())
        };
        assert_eq!(
            with("[{name=\"ligo\"},{name=\"ligo\",seed=7}]"),
            ["scratch", "scratch-seed7", "ligo", "ligo-seed7"]
        );
        assert_eq!(
            with("[{name=\"scratch\",id=\"plain\"},{name=\"ligo\",seed=7}]"),
            ["plain", "plain-seed7", "ligo-seed7"]
        );
    }

    #[test]
    fn a_sweep_adds_its_variants_once_and_the_best_of_them_on_request() {
        let sweep = "sweep={operator={width_init=[\"rand\",\"select\"]},learn={schedule={peak_lr=[1e-3,0.02]}}}";
        let recipe = || super::super::load("demo", &[sweep.to_owned()]).unwrap();
        let all = recipe().comparing(&["scratch".into()], None).unwrap();
        assert_eq!(ids(&all), ["scratch"]);
        let all = ids(&recipe().comparing(&[], Some(2)).unwrap());
        let variants: Vec<&str> = all.iter().map(String::as_str).filter(|id| id.contains('/')).collect();
        assert_eq!(
            variants,
            [
                "ligo/width_init=rand,lr=1e-3",
                "ligo/width_init=rand,lr=0.02",
                "ligo/width_init=select,lr=1e-3",
                "ligo/width_init=select,lr=0.02"
            ]
        );
        assert!(all.contains(&"ligo-seed2".to_owned()), "{all:?}");
        let best = recipe()
            .comparing(&["ligo-best".into(), variants[1].into()], Some(2))
            .unwrap();
        assert_eq!(
            ids(&best),
            [
                "scratch",
                "scratch-seed2",
                "ligo-best",
                "ligo-best-seed2",
                "ligo/width_init=rand,lr=0.02",
                "ligo/width_init=rand,lr=0.02-seed2"
            ]
        );
        // What the recipe says of the method holds for its variants, whether it is compared itself or not.
        let mut own = recipe();
        let ligo = own.methods.iter_mut().find(|m| m.name == "ligo").unwrap();
        ligo.train.insert("clip_norm".into(), 0.5.into());
        let best = own.comparing(&["ligo-best".into()], None).unwrap();
        assert_eq!(best.variants().unwrap(), own.variants().unwrap());
        assert!(
            best.trials(&RunKey::of_entry("ligo"))
                .iter()
                .all(|trial| trial.train.contains_key("clip_norm"))
        );
        let message = demo().comparing(&["ligo-best".into()], None).unwrap_err().to_string();
        assert!(message.contains("[sweep]"), "{message}");
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
