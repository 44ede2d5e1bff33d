//! One way through a stack of layers, for every family.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::token_drop::Division;
use crate::{DropoutStream, Error, Pass, recompute};

/// A layer that turns hidden states into hidden states.
pub(crate) trait Stacked: Module + Sync + 'static {
    /// What it reads besides.
    type Context: Context;

    /// The dropout sites of one layer, those with probability 0 included.
    const SITES: u64;

    /// Those of this layer, where they are not the same in all models of the family.
    fn sites(&self) -> u64 {
        Self::SITES
    }

    /// The hidden states `[B, L, D]` behind the layer.
    fn forward(&self, x: Tensor<3>, context: &Self::Context, dropout: &DropoutStream) -> Tensor<3>;

    /// Whether running it twice does nothing that running it once does not.
    fn may_run_again(&self, _context: &Self::Context) -> bool {
        true
    }
}

/// What all layers of a stack read besides hidden states.
pub(crate) trait Context: Clone + Send + Sync + 'static {
    /// The same for the kept tokens of each sequence only.
    fn for_kept(&self, tokens: &Division) -> Self;
}

/// Nothing.
impl Context for () {
    fn for_kept(&self, _: &Division) -> Self {}
}

/// A mask of padding, `[B, L]`.
impl Context for Option<Tensor<2>> {
    fn for_kept(&self, tokens: &Division) -> Self {
        self.clone().map(|mask| tokens.keep(mask))
    }
}

/// Runs the layers that the pass asks for, on the tokens that it asks for. The first `staying` tokens of each sequence run everywhere.
///
/// `inspect` sees the states that go in and those behind each layer that ran, of the tokens it ran on.
///
/// # Shapes
/// `x` and the result `[B, L, D]`.
pub(crate) fn run<S: Stacked>(
    layers: &[S],
    x: Tensor<3>,
    context: &S::Context,
    staying: usize,
    pass: &Pass,
    inspect: &mut dyn FnMut(&Tensor<3>),
) -> Result<Tensor<3>, Error> {
    pass.check(layers.len())?;
    inspect(&x);
    let mut part = |range: Range<usize>, x: Tensor<3>, context: &S::Context| {
        let numbered = layers.iter().enumerate().take(range.end).skip(range.start);
        numbered.fold(x, |x, (i, layer)| {
            if !pass.layers.contain(i) {
                pass.dropout.skip(layer.sites());
                return x;
            }
            let x = match pass.recompute && recompute::fits(layer) && layer.may_run_again(context) {
                false => layer.forward(x, context, &pass.dropout),
                true => recompute::forward(layer, x, context, &pass.dropout),
            };
            inspect(&x);
            x
        })
    };
    let [batch, length, _] = x.dims();
    let middle = pass
        .tokens
        .as_ref()
        .filter(|drop| drop.layers().any(|i| pass.layers.contain(i)));
    let divided = middle.and_then(|drop| Some((drop.layers(), drop.divide([batch, length], staying, &x.device())?)));
    let Some((middle, tokens)) = divided else {
        return Ok(part(0..layers.len(), x, context));
    };
    let x = part(0..middle.start, x, context);
    let [kept, others] = tokens.split(x);
    let kept = part(middle.clone(), kept, &context.for_kept(&tokens));
    Ok(part(middle.end..layers.len(), tokens.merge(kept, others), context))
}

/// What a forward pass shows its `inspect`: the states after the embeddings and after each layer.
pub(crate) fn states(
    forward: impl FnOnce(&mut dyn FnMut(&Tensor<3>)) -> Result<Tensor<3>, Error>,
) -> Result<Vec<Tensor<3>>, Error> {
    let mut states = Vec::new();
    forward(&mut |x| states.push(x.clone()))?;
    Ok(states)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use burn::tensor::{Device, TensorData};
    use ligo_arch::{ModelConfig, Task};

    use super::*;
    use crate::{CausalInputs, ImageInputs, Inputs, Layers, MlmInputs, Model, ReplacedInputs, TextFeatures, TokenDrop};

    /// Adds its number to every state, and notes how many tokens it saw and the marks that belong to them.
    #[derive(Module, Debug)]
    struct Toy {
        #[module(skip)]
        number: f32,
        #[module(skip)]
        seen: Arc<Mutex<Vec<(usize, Vec<f32>)>>>,
    }

    impl Toy {
        fn seen(&self) -> Vec<(usize, Vec<f32>)> {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    impl Stacked for Toy {
        type Context = Option<Tensor<2>>;
        const SITES: u64 = 2;

        fn forward(&self, x: Tensor<3>, marks: &Self::Context, dropout: &DropoutStream) -> Tensor<3> {
            let marks = marks
                .iter()
                .flat_map(|marks| marks.to_data().iter::<f32>().collect::<Vec<_>>());
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push((x.dims()[1], marks.collect()));
            dropout.next(0.0);
            dropout.next(0.0);
            x + self.number
        }
    }

    /// Layers that add 1, 10, 100 and 1000.
    fn layers() -> Vec<Toy> {
        let numbers = [1.0, 10.0, 100.0, 1000.0];
        let toy = |number| Toy {
            number,
            seen: Arc::default(),
        };
        numbers.map(toy).into()
    }

    fn pass(layers: Layers, tokens: Option<TokenDrop>) -> Pass {
        Pass {
            layers,
            tokens,
            ..Pass::evaluation()
        }
    }

    /// What becomes of the tokens 0, 1, … of one sequence of width 1.
    fn sums(layers: &[Toy], length: usize, staying: usize, pass: &Pass) -> Result<Vec<f32>, Error> {
        let places: Vec<f32> = (0..length).map(|i| i as f32).collect();
        let x = Tensor::<3>::from_data(TensorData::new(places, [1, length, 1]), &Device::flex());
        let marks = Some(x.clone().squeeze_dim::<2>(2));
        let y = run(layers, x, &marks, staying, pass, &mut |_| {})?;
        let places = (0..length).map(|i| i as f32);
        Ok(y.into_data()
            .iter::<f32>()
            .zip(places)
            .map(|(y, place)| y - place)
            .collect())
    }

    #[test]
    fn layers_that_do_not_run_are_not_computed_and_keep_their_dropout_sites() {
        let without = |layers: &[usize]| Layers::Without(layers.iter().copied().collect());
        for (which, sum, ran) in [
            (Layers::All, 1111.0, [1, 1, 1, 1]),
            (Layers::First(3), 111.0, [1, 1, 1, 0]),
            (Layers::First(0), 0.0, [0; 4]),
            (without(&[]), 1111.0, [1, 1, 1, 1]),
            (without(&[0, 2]), 1010.0, [0, 1, 0, 1]),
        ] {
            let (layers, pass) = (layers(), pass(which, None));
            assert_eq!(sums(&layers, 2, 0, &pass), Ok(vec![sum; 2]));
            let found = layers.iter().map(|layer| layer.seen().len()).collect::<Vec<_>>();
            assert_eq!(found, ran);
            assert_eq!(pass.dropout.site(), 8);
        }
    }

    #[test]
    fn layers_in_the_middle_see_the_kept_tokens_only_and_the_others_stay_as_they_were() {
        let drop = TokenDrop {
            from_layer: 1,
            to_layer: 3,
            keep: 0.5,
            seed: 8,
        };
        let layers = layers();
        let sums = sums(&layers, 8, 1, &pass(Layers::All, Some(drop))).unwrap_or_default();
        let kept: Vec<f32> = (0..8).filter(|i| sums[*i] == 1111.0).map(|i| i as f32).collect();
        assert_eq!((kept.len(), kept[0]), (4, 0.0));
        assert!(sums.iter().all(|sum| [1111.0, 1001.0].contains(sum)), "{sums:?}");
        let everything: Vec<f32> = (0..8).map(|i| i as f32).collect();
        let seen: Vec<_> = layers.iter().flat_map(Toy::seen).collect();
        assert_eq!(seen[0], (8, everything.clone()));
        assert_eq!(seen[1], (4, kept.clone()));
        assert_eq!(seen[2], (4, kept));
        assert_eq!(seen[3], (8, everything));
    }

    #[test]
    fn tokens_are_together_again_when_the_upper_layers_do_not_run() {
        let drop = TokenDrop {
            from_layer: 1,
            to_layer: 4,
            keep: 0.5,
            seed: 8,
        };
        let some = sums(&layers(), 4, 0, &pass(Layers::First(2), Some(drop))).unwrap_or_default();
        assert_eq!(some.iter().filter(|sum| **sum == 11.0).count(), 2);
        assert_eq!(some.iter().filter(|sum| **sum == 1.0).count(), 2);
        assert_eq!(
            sums(&layers(), 4, 0, &pass(Layers::First(1), Some(drop))),
            Ok(vec![1.0; 4])
        );
    }

    #[test]
    fn a_pass_that_the_stack_cannot_go_through_is_refused() {
        let refused = |layers_that_run, tokens| sums(&layers(), 4, 0, &pass(layers_that_run, tokens)).err();
        let too_few = |needed| Some(Error::TooFewLayers { needed, depth: 4 });
        assert_eq!(refused(Layers::First(5), None), too_few(5));
        assert_eq!(refused(Layers::Without([1, 7].into()), None), too_few(8));
        let drop = |from_layer, to_layer, keep| {
            Some(TokenDrop {
                from_layer,
                to_layer,
                keep,
                seed: 0,
            })
        };
        for (from, to) in [(1, 5), (2, 2), (3, 1)] {
            let fault = Error::WrongSpan { from, to, depth: 4 };
            assert_eq!(refused(Layers::All, drop(from, to, 0.5)), Some(fault));
        }
        for keep in [0.0, -0.5, 1.1] {
            assert_eq!(refused(Layers::All, drop(0, 4, keep)), Some(Error::WrongShare { keep }));
        }
        assert!(matches!(
            refused(Layers::All, drop(0, 4, f64::NAN)),
            Some(Error::WrongShare { .. })
        ));
    }

    /// A batch that a model of this configuration learns from.
    fn batch(config: &ModelConfig, device: &Device) -> Inputs {
        let ids = Tensor::from_data([[1, 2, 3], [4, 5, 6]], device);
        match config.task() {
            Task::MaskedLm => Inputs::Masked(MlmInputs {
                input_ids: ids,
                token_type_ids: None,
                attention_mask: None,
                masked_positions: Tensor::from_data([1, 4], device),
                labels: Tensor::from_data([7, 8], device),
            }),
            Task::CausalLm => Inputs::Causal(CausalInputs {
                input_ids: ids.clone(),
                labels: ids,
                documents: None,
                position_ids: None,
            }),
            Task::ReplacedTokens => Inputs::Replaced(ReplacedInputs {
                text: TextFeatures::new(ids.clone()),
                labels: ids.greater_elem(3).int(),
            }),
            _ => {
                let [channels, height, width] = config.image_shape().unwrap_or_default();
                Inputs::Images(ImageInputs {
                    pixels: Tensor::zeros([1, channels, height, width], device),
                    targets: Tensor::from_data([[0.5, 0.5]], device),
                })
            }
        }
    }

    #[test]
    fn every_family_has_as_many_dropout_sites_in_a_layer_as_it_says() {
        let device = Device::flex();
        for family in ModelConfig::MODEL_TYPES {
            let config = ModelConfig::example(family).unwrap_or_else(|| panic!("{family}"));
            let zeros =
                |_: &str, shape: &[usize]| Ok::<_, Error>(Tensor::zeros([shape.iter().product::<usize>()], &device));
            let model = Model::skeleton(&config, &device).and_then(|model| model.install(&mut { zeros }));
            let model = model.unwrap_or_else(|fault| panic!("{family}: {fault}"));
            let sites = |layers| {
                let pass = pass(layers, None);
                let scores = model.network().scores(&batch(&config, &device), &pass);
                assert!(scores.is_ok(), "{family}");
                pass.dropout.site()
            };
            assert_eq!(sites(Layers::All), sites(Layers::First(0)), "{family}");
            assert!(sites(Layers::All) > 0, "{family}");
        }
    }
}
