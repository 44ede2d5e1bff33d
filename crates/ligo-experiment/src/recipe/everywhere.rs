use toml::{Table, Value};

use super::{Fault, precision};

/// The keys of a recipe that hold for everything that is trained, and what is said against a value.
const KEYS: [(&str, fn(&Value) -> Result<(), String>); 2] = [
    (precision::KEY, precision::check),
    ("gradient_checkpointing", is_switch),
];

fn is_switch(value: &Value) -> Result<(), String> {
    match value.is_bool() {
        true => Ok(()),
        false => Err(format!("expected true or false, found {value}")),
    }
}

/// Hands such keys on to every section that trains; a section's own `train` wins.
pub(super) fn spread(table: &mut Table, faults: &mut Vec<Fault>) {
    for (key, check) in KEYS {
        let Some(value) = table.remove(key) else {
            continue;
        };
        match check(&value) {
            Ok(()) => hand_on(table, key, &value),
            Err(message) => faults.push(Fault {
                key: key.into(),
                message,
            }),
        }
    }
}

fn hand_on(table: &mut Table, key: &str, value: &Value) {
    for section in ["small", "large", "operator"] {
        let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        // What is no table is reported with the faults of its own.
        let Some(section) = section.as_table_mut() else {
            continue;
        };
        let train = section.entry("train").or_insert_with(|| Value::Table(Table::new()));
        if let Some(train) = train.as_table_mut() {
            train.entry(key).or_insert_with(|| value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use crate::recipe::load;

    #[test]
    fn gradient_checkpointing_is_said_once_for_all_and_a_section_may_differ() {
        let on = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
            let recipe = load("demo", &overrides).unwrap();
            [&recipe.small.train, &recipe.large.train, &recipe.operator.train].map(|train| train.gradient_checkpointing)
        };
        assert_eq!(on(&[]), [false; 3]);
        assert_eq!(on(&["gradient_checkpointing=true"]), [true; 3]);
        assert_eq!(
            on(&[
                "gradient_checkpointing=true",
                "small.train.gradient_checkpointing=false"
            ]),
            [false, true, true]
        );
        let error = load("demo", &["gradient_checkpointing=1".into()])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("gradient_checkpointing: expected true or false, found 1"),
            "{error}"
        );
    }
}
