//! Keys that take a table or, for short, a word: `optimizer = "muon"` is `optimizer.kind = "muon"`.

use toml::{Table, Value};

/// Such keys, and the key of their table that the word stands for.
const KEYS: [(&str, &str); 1] = [("optimizer", "kind")];

/// The key of its table that a word stands for, if this is such a key and its value a word.
pub(super) fn stands_for(key: &str, value: &Value) -> Option<&'static str> {
    let (_, inner) = KEYS.iter().find(|(known, _)| *known == key)?;
    value.is_str().then_some(*inner)
}

/// Puts the table in the place of each word, so that it joins what a base or a default says of the other keys.
pub(super) fn spell_out(table: &mut Table) {
    for (key, value) in table.iter_mut() {
        if let Some(inner) = stands_for(key, value) {
            let word = std::mem::replace(value, Value::Table(Table::new()));
            if let Some(table) = value.as_table_mut() {
                table.insert(inner.into(), word);
            }
            continue;
        }
        match value {
            Value::Table(table) => spell_out(table),
            Value::Array(items) => items.iter_mut().filter_map(Value::as_table_mut).for_each(spell_out),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ligo_train::OptimizerKind;

    use super::super::load;

    #[test]
    fn an_optimizer_may_be_a_word_and_keeps_its_other_numbers() {
        let kinds = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
            load("demo", &overrides).unwrap()
        };
        let usual = kinds(&[]).large.train.optimizer;
        let word = kinds(&["large.train.optimizer=muon", "large.train.optimizer.beta2=0.9"]);
        assert_eq!(word.large.train.optimizer.kind, OptimizerKind::Muon);
        assert_eq!(word.large.train.optimizer.beta2, 0.9);
        assert_eq!(word.large.train.optimizer.weight_decay, usual.weight_decay);
        assert_eq!(word.small.train.optimizer, usual);
        // In a file, inside of a method too.
        let text = "base = \"demo\"\n[large.train]\noptimizer = \"sgd\"\n[[methods]]\nname = \"scratch\"\ntrain = { optimizer = \"muon\" }\n";
        let recipe = super::super::parse(text, "here", &[]).unwrap();
        assert_eq!(recipe.large.train.optimizer.kind, OptimizerKind::Sgd);
        assert_eq!(recipe.large.train.optimizer.weight_decay, usual.weight_decay);
        let method = &recipe.methods[0].train["optimizer"]["kind"];
        assert_eq!(method.as_str(), Some("muon"));
        // A word that is none is told with its key.
        let wrong = load("demo", &["large.train.optimizer=lion".into()])
            .unwrap_err()
            .to_string();
        assert!(
            wrong.contains("large.train.optimizer.kind") && wrong.contains("lion"),
            "{wrong}"
        );
    }
}
