//! Comparing the grown model with the small one, and writing what was found into its card.

use ligo_checkpoint::Card;
use ligo_device::Picked;
use ligo_experiment::Listener;
use ligo_experiment::growing::{Losses, Text};
use ligo_pretrained::{Source, open_model};
use ligo_verify::Effect;

use super::{GrowArgs, card};
use crate::commands::verify;
use crate::{Failure, Ui};

/// Runs both models, tells what growing did, and writes it into the card.
pub fn check(args: &GrowArgs, text: Option<&Text>, card: Card, picked: &Picked, ui: &Ui) -> Result<(), Failure> {
    // Before either is opened, which reads all of it for its hashes.
    if args.sizes.tokenizer.is_some() {
        ui.say("what they compute is not compared: they read other tokens");
        return Ok(());
    }
    let (small, large) = (open_model(&args.small)?, open_model(&args.out)?);
    if let Err(reason) = ligo_verify::fits(&small, &large) {
        ui.say(&format!("what they compute is not compared: {reason}"));
        return Ok(());
    }
    let still_there = |failure: Failure| {
        Failure::other(
            failure.to_string(),
            format!(
                "the grown model is whole, in {}; --no-check leaves the comparison out",
                args.out.display()
            ),
        )
    };
    let measured = measure(text, &small, &large, picked).map_err(still_there)?;
    let (effect, losses) = measured;
    match &effect {
        Ok(effect) => {
            ui.result(&effect.text());
            let is_short = |source: &Source| {
                source
                    .dir
                    .files()
                    .iter()
                    .flat_map(|file| file.tensors())
                    .any(|t| t.dtype.bits() == 16)
            };
            if !effect.is_rounding() && is_short(&large) {
                ui.say("a part of that may be the rounding of weights of 16 bits; --dtype f32 leaves it out");
            }
        }
        Err(reason) => ui.say(&format!("what they compute is not compared: {reason}")),
    }
    if let Some(losses) = &losses {
        ui.result(&losses.text());
    }
    let card = card::with_check(card, effect.ok().as_ref(), losses.as_ref());
    card::put(&card, &args.out)
}

/// What both models compute, and their losses on a text; each is read once.
fn measure(
    text: Option<&Text>,
    small: &Source,
    large: &Source,
    picked: &Picked,
) -> Result<(Result<Effect, String>, Option<Losses>), Failure> {
    let inputs = ligo_verify::inputs(small, &picked.device);
    let seen = |source: &Source| -> Result<_, Failure> {
        let store = ligo_pretrained::read(source, &picked.device)?;
        let logits = ligo_verify::logits(&ligo_pretrained::model(source, &store)?, &inputs);
        let logits = logits.map_err(verify::Error::from)?;
        let loss = text.map(|text| text.loss(source, &store, picked)).transpose()?;
        Ok((logits, loss))
    };
    let ((before, at_first), (after, then)) = (seen(small)?, seen(large)?);
    let losses = text.zip(at_first.zip(then));
    let losses = losses.map(|(text, (small, large))| text.losses(small, large));
    Ok((ligo_verify::compare(&small.config, &before, &after), losses))
}
