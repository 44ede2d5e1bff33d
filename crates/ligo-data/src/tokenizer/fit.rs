//! Whether a tokenizer belongs to a model, as far as sizes can tell.

use crate::{Error, Result};

/// Published models round their vocabulary up to a multiple of 64, 128 or more, so that matrices divide well: the largest known excess is 1.8 %
/// (Phi-2: 51,200 rows for 50,295 tokens).
const PADDING_SHARE: usize = 32;
/// Rounding up a small vocabulary adds up to this.
const PADDING_LEAST: usize = 128;

/// Compares [`crate::Tokenizer::vocab_size`] with the rows of a model's embedding.
///
/// Every id needs a row, so the model's vocabulary must not be the smaller one. It may be larger by padding: by at most a 32nd, or 128. More says
/// that the tokenizer is another model's: BERT's 30,522 tokens also run through GPT-2's 50,257 rows and mean nothing there.
///
/// # Errors
/// [`Error::WrongTokenizer`] with both sizes.
pub fn check_vocab_size(tokenizer: usize, model: usize) -> Result<()> {
    let padding = (tokenizer / PADDING_SHARE).max(PADDING_LEAST);
    if model < tokenizer || model - tokenizer > padding {
        return Err(Error::WrongTokenizer {
            tokenizer_vocab: tokenizer,
            model_vocab: model,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn equal_and_padded_vocabularies_fit() {
        // BERT, GPT-2 padded by nanoGPT, Pythia-12B, Qwen2-0.5B and -7B, Phi-2, T5, a tiny one padded to 128.
        for (tokenizer, model) in [
            (30_522, 30_522),
            (50_257, 50_304),
            (50_277, 50_688),
            (151_646, 151_936),
            (151_646, 152_064),
            (50_295, 51_200),
            (32_100, 32_128),
            (10, 128),
        ] {
            check_vocab_size(tokenizer, model).unwrap();
        }
    }

    #[test]
    fn a_tokenizer_of_another_model_is_refused_with_both_sizes() {
        // GPT-2's on BERT, BERT's on GPT-2, RoBERTa's on GPT-2 (eight ids too many), none.
        for (tokenizer, model) in [
            (50_257, 30_522),
            (30_522, 50_257),
            (50_265, 50_257),
            (8_192, 30_522),
            (100, 0),
        ] {
            match check_vocab_size(tokenizer, model) {
                Err(error @ Error::WrongTokenizer { .. }) => {
                    let message = error.to_string();
                    assert!(
                        message.contains(&tokenizer.to_string()) && message.contains(&model.to_string()),
                        "{message}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
