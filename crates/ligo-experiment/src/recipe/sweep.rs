use ligo_growth::OperatorSpec;
use toml::{Table, Value};

use super::key::{BEST, is_folder_name};
use super::limits::operator_fault;
use super::merge::overlay;
use super::{Fault, MethodSection, Recipe, RunKey, Settings, SweepMode, SweepSection, Variant, merged};

/// More runs than anyone means to start.
const MOST_VARIANTS: usize = 1000;

/// One setting and what is tried for it.
struct Factor {
    /// The table of the method that the setting is in, and where in it.
    part: Part,
    path: Vec<String>,
    name: String,
    values: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Operator,
    Learn,
    Train,
}

impl SweepSection {
    /// Whether there is nothing to try.
    pub fn is_off(&self) -> bool {
        self.operator.is_empty() && self.learn.is_empty() && self.train.is_empty() && self.also.is_empty()
    }

    /// The name of the method that takes the settings of the best variant.
    pub fn best(&self) -> Option<String> {
        (!self.is_off()).then(|| format!("{}{BEST}", self.method))
    }

    fn factors(&self) -> Result<Vec<Factor>, Vec<Fault>> {
        let mut factors = Vec::new();
        let mut faults = Vec::new();
        for (part, key, table) in [
            (Part::Operator, "operator", &self.operator),
            (Part::Learn, "learn", &self.learn),
            (Part::Train, "train", &self.train),
        ] {
            leaves(table, &mut Vec::new(), &mut |path, value| {
                let full = format!("sweep.{key}.{}", path.join("."));
                match value {
                    Value::Array(values) if !values.is_empty() => factors.push(Factor {
                        part,
                        path: path.to_vec(),
                        name: short_name(part, path),
                        values: values.clone(),
                    }),
                    other => faults.push(Fault {
                        key: full,
                        message: format!("expected a list of values to try, found {other}"),
                    }),
                }
            });
        }
        // Short names that mean two settings are written out.
        let names: Vec<String> = factors.iter().map(|f: &Factor| f.name.clone()).collect();
        for factor in &mut factors {
            if names.iter().filter(|name| **name == factor.name).count() > 1 {
                factor.name = factor.path.join(".");
            }
        }
        if faults.is_empty() { Ok(factors) } else { Err(faults) }
    }

    /// What each variant changes.
    fn choices(&self) -> Result<Vec<Settings>, Vec<Fault>> {
        let factors = self.factors()?;
        let values = || factors.iter().map(|factor| factor.values.len());
        let count = match self.mode {
            SweepMode::Grid => values().try_fold(1_usize, usize::checked_mul),
            SweepMode::OneAtATime => Some(values().sum()),
        };
        if count.is_none_or(|count| count > MOST_VARIANTS) {
            let message =
                format!("more than {MOST_VARIANTS} combinations; mode = \"one-at-a-time\" tries each value alone");
            return Err(fault("sweep", message));
        }
        let with_each = |settings: &Settings, factor: &Factor| -> Vec<Settings> {
            factor
                .values
                .iter()
                .map(|value| settings.clone().with(factor, value))
                .collect()
        };
        let mut choices = match self.mode {
            SweepMode::Grid => factors.iter().fold(vec![Settings::default()], |choices, factor| {
                choices
                    .iter()
                    .flat_map(|settings| with_each(settings, factor))
                    .collect()
            }),
            SweepMode::OneAtATime => factors
                .iter()
                .flat_map(|factor| with_each(&Settings::default(), factor))
                .collect(),
        };
        // The empty product is no variant.
        choices.retain(|settings| !settings.name.is_empty());
        choices.extend(self.also.iter().cloned());
        Ok(choices)
    }
}

impl Settings {
    fn with(mut self, factor: &Factor, value: &Value) -> Self {
        let table = match factor.part {
            Part::Operator => &mut self.operator,
            Part::Learn => &mut self.learn,
            Part::Train => &mut self.train,
        };
        insert(table, &factor.path, value.clone());
        let comma = if self.name.is_empty() { "" } else { "," };
        self.name += &format!("{comma}{}={}", factor.name, value_name(value));
        self
    }
}

/// Calls `found` with every value that is not a table.
fn leaves(table: &Table, path: &mut Vec<String>, found: &mut dyn FnMut(&[String], &Value)) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(inner) => leaves(inner, path, found),
            other => found(path, other),
        }
        path.pop();
    }
}

/// `lr` for the operator's rate, else the last part of the path; what concerns the large model says so.
fn short_name(part: Part, path: &[String]) -> String {
    let last = path.last().map_or("", String::as_str);
    let name = if path.join(".") == "schedule.peak_lr" {
        "lr"
    } else {
        last
    };
    match part {
        Part::Operator | Part::Learn => name.to_owned(),
        Part::Train => format!("train-{name}"),
    }
}

/// A value in the name of a folder.
fn value_name(value: &Value) -> String {
    let text = match value {
        Value::Float(x) if *x != 0.0 && (x.abs() < 0.01 || x.abs() >= 1e6) => format!("{x:e}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let plain = |c: char| {
        if c.is_alphanumeric() || "+-._".contains(c) {
            c
        } else {
            '-'
        }
    };
    text.chars().map(plain).collect::<String>().trim_matches('-').to_owned()
}

impl Recipe {
    /// The methods of a sweep: with `one-at-a-time` the method as it is comes first. Variants are called `METHOD/key=value,…`.
    ///
    /// # Errors
    /// A setting is unknown or a value does not fit; the sweep has too many combinations or tries a value twice.
    pub fn variants(&self) -> Result<Vec<MethodSection>, Vec<Fault>> {
        let sweep = &self.sweep;
        if sweep.is_off() {
            return Ok(Vec::new());
        }
        let base = MethodSection {
            seed: None,
            ..self.method(&sweep.method)
        };
        let mut variants: Vec<MethodSection> = Vec::new();
        if sweep.mode == SweepMode::OneAtATime {
            variants.push(base.clone());
        }
        let mut faults = Vec::new();
        for settings in sweep.choices()? {
            match self.variant(&base, &settings) {
                // A value that the method has anyway is the method itself.
                Ok(variant) if sweep.mode == SweepMode::OneAtATime && self.same_settings(&variants[0], &variant) => {}
                Ok(variant) if variants.iter().any(|v| v.run == variant.run) => {
                    let id = variant.id();
                    faults.push(Fault {
                        key: "sweep".into(),
                        message: format!("`{id}` appears twice"),
                    });
                }
                Ok(variant) => variants.push(variant),
                Err(found) => faults.extend(found.into_iter().filter(|f| !faults.contains(f)).collect::<Vec<_>>()),
            }
        }
        if faults.is_empty() { Ok(variants) } else { Err(faults) }
    }

    fn variant(&self, base: &MethodSection, settings: &Settings) -> Result<MethodSection, Vec<Fault>> {
        let mut variant = MethodSection {
            label: None,
            ..base.clone()
        };
        overlay(&mut variant.learn, &settings.learn);
        overlay(&mut variant.train, &settings.train);
        let changes = &settings.operator;
        variant.operator = match self.operator_of(base) {
            Some(OperatorSpec::Ligo(config)) => Some(OperatorSpec::Ligo(merged(&config, changes, "sweep.operator")?)),
            Some(spec) => Some(merged(&spec, changes, "sweep.operator")?),
            None => return Err(fault("sweep.method", format!("unknown method `{}`", self.sweep.method))),
        };
        if let Some(OperatorSpec::Ligo(config)) = &variant.operator {
            operator_fault(config).map_or(Ok(()), |message| Err(fault("sweep.operator", message)))?;
        }
        for (base, changes, key) in [
            (&self.operator.train, &variant.learn, "sweep.learn"),
            (&self.large.train, &variant.train, "sweep.train"),
        ] {
            let train = merged(base, changes, key)?;
            train.validate().map_err(|error| fault(key, error.to_string()))?;
        }
        if !is_folder_name(&settings.name) {
            return Err(fault(
                "sweep.also",
                format!("`{}` is not a valid folder name", settings.name),
            ));
        }
        variant.run = Some(RunKey {
            variant: Some(Variant::Settings(settings.name.clone())),
            ..RunKey::of_entry(&self.sweep.method)
        });
        Ok(variant)
    }

    /// Whether a method is one of the sweep, which goes to where things break.
    pub fn is_variant(&self, method: &MethodSection) -> bool {
        let key = method.key();
        !self.sweep.is_off() && matches!(key.variant, Some(Variant::Settings(_))) && key.entry == self.sweep.method
    }

    /// Whether two entries are one method with different seeds.
    pub(super) fn differ_in_seeds_only(&self, one: &MethodSection, other: &MethodSection) -> bool {
        let rest = |m: &MethodSection| (m.stages.clone(), m.keep_moments, m.select.clone(), m.tau, m.rates);
        self.same_settings(one, other) && rest(one) == rest(other)
    }

    fn same_settings(&self, one: &MethodSection, other: &MethodSection) -> bool {
        let settings = |m: &MethodSection| {
            let learn = merged(&self.operator.train, &m.learn, "learn");
            let train = merged(&self.large.train, &m.train, "train");
            (self.operator_of(m), learn, train)
        };
        settings(one) == settings(other)
    }

    /// Whether a method takes the settings of the sweep's best variant, which is known when all have run.
    pub fn is_best_variant(&self, method: &MethodSection) -> bool {
        self.sweep.best().is_some_and(|best| method.name == best)
    }
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        insert(inner, rest, value);
    }
}

fn fault(key: &str, message: String) -> Vec<Fault> {
    vec![Fault {
        key: key.into(),
        message,
    }]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ligo_growth::WidthInit;

    use super::super::{RecipeError, load};
    use super::*;

    fn demo(sweep: &str) -> Result<Recipe, RecipeError> {
        load("demo", &[format!("sweep={sweep}")])
    }

    #[test]
    fn one_at_a_time_tries_the_method_as_it_is_and_every_other_value_alone() {
        let sweep =
            "{mode=\"one-at-a-time\",operator={width_init=[\"rand\",\"select\"],depth_noise=[0.0]},learn={steps=[7]}}";
        let recipe = demo(sweep).unwrap();
        let variants = recipe.variants().unwrap();
        let ids: Vec<String> = variants.iter().map(MethodSection::id).collect();
        assert_eq!(
            ids,
            ["ligo", "ligo/width_init=select", "ligo/depth_noise=0.0", "ligo/steps=7"],
            "`rand` is what the demo has anyway"
        );
        let together = "{also=[{name=\"two\",operator={terms=2,width_init=\"select\"},learn={steps=3}}]}";
        let both = demo(together).unwrap().variants().unwrap();
        assert_eq!(both.iter().map(MethodSection::id).collect::<Vec<_>>(), ["ligo/two"]);
        assert_eq!(both[0].learn["steps"].as_integer(), Some(3));
        let Some(OperatorSpec::Ligo(config)) = &variants[1].operator else {
            panic!("{variants:?}");
        };
        assert_eq!(config.width_init, WidthInit::Select);
        assert_eq!(config.depth_init, recipe.operator.ligo.depth_init);
        let learn = merged(&recipe.operator.train, &variants[3].learn, "learn").unwrap();
        assert_eq!((learn.steps, learn.batch_size), (7, recipe.operator.train.batch_size));
    }

    #[test]
    fn a_sweep_that_cannot_be_names_the_setting() {
        for (sweep, parts) in [
            (
                "{operator={widht_init=[\"rand\"]}}",
                ["sweep.operator.widht_init", "width_init"],
            ),
            ("{operator={width_init=[\"randd\"]}}", ["sweep.operator", "randd"]),
            ("{learn={steps=100}}", ["sweep.learn.steps", "list"]),
            ("{learn={steps=[]}}", ["sweep.learn.steps", "list"]),
            ("{learn={steps=[5,5]}}", ["ligo/steps=5", "twice"]),
            (
                "{also=[{operator={terms=2}}]}",
                ["sweep.also", "not a valid folder name"],
            ),
            (
                "{also=[{name=\"a\",learn={stepps=2}}]}",
                ["sweep.learn.stepps", "steps"],
            ),
            ("{method=\"lego\",learn={steps=[5]}}", ["sweep.method", "lego"]),
            (
                "{operator={fixed_identity=[true],width_init=[\"isometric\"]}}",
                ["sweep", "isometric"],
            ),
        ] {
            let message = demo(sweep).unwrap_err().to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{sweep}: {message}");
        }
        let many: Vec<String> = (1..=40).map(|n| n.to_string()).collect();
        let many = many.join(",");
        let message = demo(&format!("{{learn={{steps=[{many}],batch_size=[{many}]}}}}"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("one-at-a-time"), "{message}");
    }

    #[test]
    fn names_of_values_are_names_of_folders() {
        for (value, name) in [
            (Value::Float(0.0003), "3e-4"),
            (Value::Float(0.05), "0.05"),
            (Value::Integer(500), "500"),
            (Value::String("per-large-layer".into()), "per-large-layer"),
            (Value::Boolean(true), "true"),
            (Value::Array(vec![Value::Integer(0), Value::Integer(1)]), "0--1"),
        ] {
            assert_eq!(value_name(&value), name);
        }
    }
}
