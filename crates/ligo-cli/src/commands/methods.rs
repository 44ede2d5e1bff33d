//! `ligo methods`: the ways to start a large model, and to train it.

use std::fmt::Write as _;

use ligo_experiment::Listener;
use ligo_experiment::json::pretty;
use ligo_experiment::recipe::PRESETS;
use ligo_growth::OperatorSpec;
use serde_json::{Value, json};

use crate::{Failure, Ui};

/// Arguments of `ligo methods`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo methods                                    all of them, a line each\n  ligo methods --json | jq -r '.[] | select(.learned) | .name'\n  ligo grow --small bert-small --layers 2x --method interpose --out bigger\n  ligo compare --recipe bert-micro --data texts/ --methods ligo,stackbert\n\nOperators can be given to `ligo grow --method`, and everything to `ligo compare --methods` and a recipe's `name`.\ndocs/OPERATORS.md says for which models each keeps the function."
)]
pub struct MethodsArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// One method.
struct Method {
    name: &'static str,
    label: &'static str,
    about: String,
    is_operator: bool,
    learned: bool,
    keeps: String,
}

/// All of them: operators first.
fn all() -> Vec<Method> {
    let operators = OperatorSpec::NAMES.into_iter().filter_map(OperatorSpec::from_name);
    let operators = operators.map(|spec| {
        let facts = spec.facts();
        Method {
            name: spec.name(),
            label: spec.label(),
            about: facts.about.replace('*', ""),
            is_operator: true,
            learned: facts.learned,
            keeps: facts.exact(),
        }
    });
    let presets = PRESETS.into_iter().map(|preset| Method {
        name: preset.name,
        label: preset.label,
        about: preset.about.to_owned(),
        is_operator: false,
        learned: preset.name.starts_with("ligo"),
        keeps: "–".into(),
    });
    operators.chain(presets).collect()
}

/// Runs the command.
///
/// # Errors
/// None that can be caused.
pub fn run(args: &MethodsArgs, ui: &Ui) -> Result<(), Failure> {
    let methods = all();
    let text = match args.json {
        true => pretty(&methods.iter().map(described).collect::<Vec<_>>())?,
        false => text(&methods),
    };
    ui.result(text.trim_end());
    Ok(())
}

fn described(method: &Method) -> Value {
    json!({
        "name": method.name,
        "label": method.label,
        "about": method.about,
        "kind": if method.is_operator { "operator" } else { "way to train" },
        "learned": method.learned,
        "keeps_function_of": method.keeps,
    })
}

fn text(methods: &[Method]) -> String {
    let width = methods.iter().map(|method| method.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (title, is_operator) in [("Operators", true), ("Ways to train", false)] {
        let _ = writeln!(text, "{title}");
        for method in methods.iter().filter(|method| method.is_operator == is_operator) {
            let _ = writeln!(text, "  {:<width$}  {}", method.name, method.about);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_and_every_way_to_train_has_its_line() {
        let methods = all();
        assert_eq!(methods.len(), OperatorSpec::NAMES.len() + PRESETS.len());
        let text = text(&methods);
        for method in &methods {
            assert!(!method.about.is_empty(), "{} is not explained", method.name);
            assert!(text.contains(&format!("\n  {} ", method.name)), "{text}");
        }
    }
}
