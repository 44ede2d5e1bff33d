//! What the model card says of a growth.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_checkpoint::{CARD_FILE, Card};
use ligo_cost::format;
use ligo_experiment::growing::Losses;
use ligo_experiment::hub;
use ligo_verify::Effect;

use crate::Failure;

/// The card of a model that was grown and not trained.
pub fn of(dir: &Path, small: &ModelConfig, large: &ModelConfig, method: &str) -> Card {
    let own = || {
        dir.file_name()
            .unwrap_or(dir.as_os_str())
            .to_string_lossy()
            .into_owned()
    };
    let base = hub::name_of(dir).unwrap_or_else(own);
    Card {
        title: format!(
            "{}, grown and not yet trained",
            base.rsplit('/').next().unwrap_or(&base)
        ),
        base_model: Some(base),
        method: Some(method.to_owned()),
        class: large.architecture(),
        is_of_timm: large.is_of_timm(),
        command: Some(command(std::env::args_os().skip(1))),
        inherited: Card::inherited(dir),
        facts: sizes(small, large),
        ..Card::default()
    }
}

/// What changed its size.
fn sizes(small: &ModelConfig, large: &ModelConfig) -> Vec<(String, String)> {
    let (few, many) = (small.sizes(), large.sizes());
    let parameters = |config: &ModelConfig| config.table().num_parameters() as f64;
    let experts = |config: &ModelConfig| config.sizes().sparse.map_or(1, |sparse| sparse.experts);
    let mut facts = vec![(
        "Parameters".to_owned(),
        format!(
            "{} from {}",
            format::count(parameters(large)),
            format::count(parameters(small))
        ),
    )];
    for (name, before, after) in [
        ("Layers", few.layers, many.layers),
        ("Width", few.hidden, many.hidden),
        ("Heads", few.heads, many.heads),
        ("Neurons of a feed-forward layer", few.ffn, many.ffn),
        ("Experts of a layer", experts(small), experts(large)),
        ("Vocabulary", small.vocab_size(), large.vocab_size()),
    ] {
        if before != after {
            facts.push((name.to_owned(), format!("{after} from {before}")));
        }
    }
    facts
}

/// Adds what was measured.
pub fn with_check(mut card: Card, effect: Option<&Effect>, losses: Option<&Losses>) -> Card {
    if let Some(effect) = effect {
        card.facts.push(("Checked".into(), effect.text()));
        let number = |value: f64| format!("{value:.3e}");
        for (name, value) in [
            ("largest difference of logits to the base model", effect.largest),
            ("mean difference of logits to the base model", effect.mean),
            ("largest logit of the base model", effect.scale),
        ] {
            card.numbers.push((name.into(), number(value)));
        }
    }
    if let Some(losses) = losses {
        card.facts.push(("Loss".into(), losses.text()));
        for (name, value) in [
            ("loss of the base model", losses.small),
            ("loss of this model", losses.large),
        ] {
            card.numbers.push((name.into(), format!("{value:.4}")));
        }
    }
    card
}

/// Puts a card in the place of that of a finished model. Until it is whole it lies beside the model: nothing half written ever lies in one.
///
/// # Errors
/// The disk refuses.
pub fn put(card: &Card, model: &Path) -> Result<(), Failure> {
    let (unfinished, place) = (unfinished(model), model.join(CARD_FILE));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&unfinished)?;
        file.write_all(card.to_markdown().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &place)
    };
    write().map_err(Failure::io("write", &place))?;
    Ok(ligo_metrics::files::sync_folder(model)?)
}

/// Removes what a killed process left of [`put`].
///
/// # Errors
/// The disk refuses.
pub fn tidy(model: &Path) -> Result<(), Failure> {
    let unfinished = unfinished(model);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::io("remove", &unfinished)(error)),
        _ => Ok(()),
    }
}

fn unfinished(model: &Path) -> PathBuf {
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    model.with_file_name(format!(".{name}.card"))
}

/// Options that decide nothing of what is made, with whether a value follows.
const ASIDE: [(&str, bool); 5] = [
    ("--device", true),
    ("--replace", false),
    ("--quiet", false),
    ("-q", false),
    ("--no-check", false),
];

/// The command as a shell understands it; where the model was written is anybody's own choice.
fn command(arguments: impl Iterator<Item = impl AsRef<OsStr>>) -> String {
    let mut words = vec!["ligo".to_owned()];
    let mut arguments = arguments.map(|argument| argument.as_ref().to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        let (name, value) = argument
            .split_once('=')
            .map_or((&*argument, None), |(n, v)| (n, Some(v)));
        if let Some((_, takes_value)) = ASIDE.iter().find(|(aside, _)| *aside == name) {
            if *takes_value && value.is_none() {
                arguments.next();
            }
        } else if name == "--out" {
            if value.is_none() {
                arguments.next();
            }
            words.extend(["--out".to_owned(), "DIR".to_owned()]);
        } else {
            words.push(quoted(&argument));
        }
    }
    words.join(" ")
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ligo_verify::Compared;

    #[test]
    fn a_command_is_one_that_a_shell_understands() {
        let words = ["grow", "--small", "my models/it's", "--layers", "2x", ""];
        assert_eq!(
            command(words.iter()),
            "ligo grow --small 'my models/it'\\''s' --layers 2x ''"
        );
        // Where, how loud and on what is not what.
        let words = [
            "grow",
            "--device",
            "cpu",
            "--out",
            "/x/y",
            "--quiet",
            "--layers=2x",
            "--out=z",
            "--replace",
        ];
        assert_eq!(command(words.iter()), "ligo grow --out DIR --layers=2x --out DIR");
    }

    #[test]
    fn a_card_takes_the_place_of_another_one_and_what_a_kill_left_goes() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("grown");
        std::fs::create_dir(&model).unwrap();
        for title in ["one", "two"] {
            let card = Card {
                title: title.into(),
                ..Card::default()
            };
            put(&card, &model).unwrap();
            let text = std::fs::read_to_string(model.join(CARD_FILE)).unwrap();
            assert!(text.contains(&format!("# {title}")));
        }
        std::fs::write(folder.path().join(".grown.card"), "half").unwrap();
        tidy(&model).unwrap();
        tidy(&model).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_measured_joins_the_rest() {
        let effect = Effect {
            largest: 1e-6,
            mean: 1e-7,
            scale: 10.0,
            compared: Compared::Logits,
        };
        let losses = Losses {
            small: 3.0,
            large: 3.0,
            tokens: 2048,
        };
        let card = with_check(Card::default(), Some(&effect), Some(&losses));
        let text = card.to_markdown();
        for part in [
            "1.000e-6",
            "computes what the small model does",
            "| loss of this model | 3.0000 |",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
