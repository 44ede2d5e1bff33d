use std::collections::HashMap;

use burn::tensor::{Device, Tensor};
use ligo_arch::{BertConfig, ModelConfig, Task};

use crate::albert::AlbertForMaskedLm;
use crate::bert::{BareBert, BareRoberta, BertForMaskedLm, BertForQuestionAnswering, BertForSequenceClassification};
use crate::cait::Cait;
use crate::distilbert::DistilBertForMaskedLm;
use crate::electra::{ElectraForMaskedLm, ElectraForPreTraining};
use crate::gemma::GemmaForCausalLm;
use crate::gpt_neox::GptNeoxForCausalLm;
use crate::gpt2::Gpt2LmHeadModel;
use crate::llama::LlamaForCausalLm;
use crate::mixture::MixtureForCausalLm;
use crate::modernbert::ModernBertForMaskedLm;
use crate::network::Network;
use crate::olmo2::Olmo2ForCausalLm;
use crate::opt::OptForCausalLm;
use crate::roberta::{RobertaForMaskedLm, RobertaForQuestionAnswering, RobertaForSequenceClassification};
use crate::vit::{DeitForImageClassification, DeitWithTeacher, VitForImageClassification};
use crate::{DropoutStream, Error, Features, Inputs, Pass, Scores, install};

/// Declares [`Model`]: one variant for each kind of network.
macro_rules! networks {
    ($($(#[$doc:meta])* $variant:ident($network:ty)),+ $(,)?) => {
        /// A model of any family.
        ///
        /// Cloning is cheap: tensors are shared.
        #[derive(Clone, Debug)]
        pub enum Model {
            $($(#[$doc])* $variant($network)),+
        }

        impl Model {
            pub(crate) fn network(&self) -> &dyn Network {
                match self {
                    $(Self::$variant(m) => m),+
                }
            }

            /// Gives every parameter a value.
            ///
            /// `source` is asked once for each parameter, by its name in the table and its shape, and answers with the values in
            /// row-major order. They are stored as they are: a tracked tensor, leaf or not, stays in its graph, and the
            /// gradient of the loss flows through it. A model that already has values gets new ones.
            ///
            /// # Errors
            /// Whatever `source` returns, and [`Error::Misshapen`] when a tensor has the wrong number of values.
            pub fn install<E: From<Error>>(
                self,
                source: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor<1>, E>,
            ) -> Result<Self, E> {
                Ok(match self {
                    $(Self::$variant(m) => Self::$variant(install::install(m, source)?)),+
                })
            }

            /// The same skeleton, in which parameters have the shape that is said of their name, where one is.
            pub(crate) fn with_shapes(self, shape: &dyn Fn(&str) -> Option<Vec<usize>>, device: &Device) -> Self {
                match self {
                    $(Self::$variant(m) => Self::$variant(install::with_shapes(m, shape, device))),+
                }
            }

            /// The name and the shape of every parameter. A tied decoder is not one.
            pub fn param_shapes(&self) -> Vec<(String, Vec<usize>)> {
                match self {
                    $(Self::$variant(m) => install::param_shapes(m)),+
                }
            }
        }
    };
}

networks! {
    /// BERT with a masked-language-model head.
    Bert(BertForMaskedLm),
    /// BERT with a classifier of texts.
    BertForSequenceClassification(BertForSequenceClassification),
    /// BERT that finds answers.
    BertForQuestionAnswering(BertForQuestionAnswering),
    /// BERT without a head.
    BareBert(BareBert),
    /// RoBERTa without a head.
    BareRoberta(BareRoberta),
    /// RoBERTa with a masked-language-model head.
    Roberta(RobertaForMaskedLm),
    /// RoBERTa with a classifier of texts.
    RobertaForSequenceClassification(RobertaForSequenceClassification),
    /// RoBERTa that finds answers.
    RobertaForQuestionAnswering(RobertaForQuestionAnswering),
    /// DistilBERT.
    DistilBert(DistilBertForMaskedLm),
    /// ModernBERT.
    ModernBert(ModernBertForMaskedLm),
    /// ALBERT.
    Albert(AlbertForMaskedLm),
    /// ELECTRA's discriminator.
    ElectraForPreTraining(ElectraForPreTraining),
    /// ELECTRA's generator.
    ElectraForMaskedLm(ElectraForMaskedLm),
    /// ViT with a classifier.
    Vit(VitForImageClassification),
    /// DeiT with a classifier.
    Deit(DeitForImageClassification),
    /// DeiT with a classifier on each of its two tokens.
    DeitWithTeacher(DeitWithTeacher),
    /// CaiT.
    Cait(Cait),
    /// GPT-2.
    Gpt2(Gpt2LmHeadModel),
    /// GPT-NeoX, such as Pythia.
    GptNeox(GptNeoxForCausalLm),
    /// Llama, Mistral, Qwen2, Qwen3, SmolLM3 or Phi-3.
    Llama(LlamaForCausalLm),
    /// Mixtral, or Qwen3's mixture of experts.
    Mixture(MixtureForCausalLm),
    /// OLMo 2.
    Olmo2(Olmo2ForCausalLm),
    /// OPT.
    Opt(OptForCausalLm),
    /// Gemma, Gemma 2 or Gemma 3.
    Gemma(GemmaForCausalLm),
}

impl Model {
    /// A model without values and without the family's optional tensors. Nothing is allocated on the device.
    ///
    /// # Errors
    /// The configuration is not valid.
    pub fn skeleton(config: &ModelConfig, device: &Device) -> Result<Self, Error> {
        Self::skeleton_with(config, &[], device)
    }

    /// A model without values that has these optional tensors, such as `bert.pooler.dense.weight`.
    ///
    /// A weight brings its bias and the other way round: [`Model::install`] asks for both.
    ///
    /// # Errors
    /// The configuration is not valid, or a name is not one of the family's optional tensors.
    pub fn skeleton_with(config: &ModelConfig, optional: &[&str], device: &Device) -> Result<Self, Error> {
        config.validate()?;
        let table = config.table();
        let known: Vec<_> = table.params().filter(|p| !p.spec.required).map(|p| p.name).collect();
        if let Some(name) = optional.iter().find(|name| !known.iter().any(|k| k == *name)) {
            return Err(Error::NotOptional {
                tensor: (*name).into(),
                family: config.model_type().into(),
                known: known.join(", "),
            });
        }
        let has = |prefix: &str| optional.iter().any(|name| name.starts_with(prefix));
        Ok(match config {
            ModelConfig::Bert(c) if c.is_roberta() => Self::roberta(c, config.task(), has("roberta.pooler."), device),
            ModelConfig::Bert(c) => {
                let (pooler, next_sentence) = (has("bert.pooler."), has("cls.seq_relationship."));
                Self::bert(c, config.task(), pooler, next_sentence, device)
            }
            ModelConfig::ModernBert(c) => Self::ModernBert(ModernBertForMaskedLm::skeleton(c, device)),
            ModelConfig::DistilBert(c) => Self::DistilBert(DistilBertForMaskedLm::skeleton(c, device)),
            ModelConfig::Albert(c) => {
                let (pooler, order) = (has("albert.pooler."), has("sop_classifier."));
                Self::Albert(AlbertForMaskedLm::skeleton(c, pooler, order, device))
            }
            ModelConfig::Electra(c) if c.is_generator() => {
                Self::ElectraForMaskedLm(ElectraForMaskedLm::skeleton(c, device))
            }
            ModelConfig::Electra(c) => Self::ElectraForPreTraining(ElectraForPreTraining::skeleton(c, device)),
            ModelConfig::Vit(c) if c.has_distillation_head() => {
                Self::DeitWithTeacher(DeitWithTeacher::skeleton(c, has("deit.pooler."), device))
            }
            ModelConfig::Vit(c) if c.is_deit() => {
                Self::Deit(DeitForImageClassification::skeleton(c, has("deit.pooler."), device))
            }
            ModelConfig::Vit(c) => Self::Vit(VitForImageClassification::skeleton(c, has("vit.pooler."), device)),
            ModelConfig::Cait(c) => Self::Cait(Cait::skeleton(c, device)),
            ModelConfig::Gpt2(c) => Self::Gpt2(Gpt2LmHeadModel::skeleton(c, device)),
            ModelConfig::GptNeox(c) => Self::GptNeox(GptNeoxForCausalLm::skeleton(c, device)),
            ModelConfig::Opt(c) => Self::Opt(OptForCausalLm::skeleton(c, device)),
            ModelConfig::Llama(c) if c.normalizes_outputs() => Self::Olmo2(Olmo2ForCausalLm::skeleton(c, device)),
            ModelConfig::Llama(c) if c.experts().is_some() => Self::Mixture(MixtureForCausalLm::skeleton(c, device)),
            ModelConfig::Llama(c) => Self::Llama(LlamaForCausalLm::skeleton(c, device)),
            ModelConfig::Gemma(c) => Self::Gemma(GemmaForCausalLm::skeleton(c, device)),
        })
    }

    fn bert(c: &BertConfig, task: Task, pooler: bool, next_sentence: bool, device: &Device) -> Self {
        match task {
            Task::SequenceClassification { labels } => {
                Self::BertForSequenceClassification(BertForSequenceClassification::skeleton(c, labels, device))
            }
            Task::QuestionAnswering => Self::BertForQuestionAnswering(BertForQuestionAnswering::skeleton(c, device)),
            Task::HiddenStates => Self::BareBert(BareBert::skeleton(c, pooler, device)),
            _ => Self::Bert(BertForMaskedLm::skeleton(c, pooler, next_sentence, device)),
        }
    }

    fn roberta(c: &BertConfig, task: Task, pooler: bool, device: &Device) -> Self {
        match task {
            Task::SequenceClassification { labels } => {
                Self::RobertaForSequenceClassification(RobertaForSequenceClassification::skeleton(c, labels, device))
            }
            Task::QuestionAnswering => {
                Self::RobertaForQuestionAnswering(RobertaForQuestionAnswering::skeleton(c, device))
            }
            Task::HiddenStates => Self::BareRoberta(BareRoberta::skeleton(c, pooler, device)),
            _ => Self::Roberta(RobertaForMaskedLm::skeleton(c, pooler, device)),
        }
    }

    /// Gives every parameter the value that the map holds under its name, in row-major order.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Misshapen`], or [`Error::Unexpected`] when something is left over.
    pub fn install_map(self, mut tensors: HashMap<String, Tensor<1>>) -> Result<Self, Error> {
        let model = self.install(&mut |name: &str, shape: &[usize]| {
            tensors.remove(name).ok_or_else(|| Error::Missing {
                tensor: name.into(),
                expected: shape.to_vec(),
            })
        })?;
        match tensors.into_iter().min_by(|a, b| a.0.cmp(&b.0)) {
            None => Ok(model),
            Some((tensor, values)) => Err(Error::Unexpected {
                tensor,
                found: values.dims()[0],
            }),
        }
    }

    /// The mean loss over all labels that count: cross entropy of masked or next tokens, of classes, or of the ends of
    /// answers, or of tokens that were replaced. Heads run only where a label is.
    ///
    /// # Shapes
    /// See [`Inputs`]; the result has one element, 0 when no label counts.
    ///
    /// # Errors
    /// [`Error::WrongInputs`] when the model does not learn from such batches.
    ///
    /// # Panics
    /// When a sequence is longer than the model's position table, or an id, type, label or masked position is out
    /// of range; and on a skeleton.
    pub fn loss(&self, inputs: &Inputs, dropout: &DropoutStream) -> Result<Tensor<1>, Error> {
        self.loss_with(inputs, &Pass::whole(dropout.clone()))
    }

    /// [`Model::loss`] of a pass that may leave out layers and tokens. Parameters of layers that do not run get no gradient.
    ///
    /// # Shapes
    /// As [`Model::loss`].
    ///
    /// # Errors
    /// [`Error::WrongInputs`], and those of [`Pass::check`].
    ///
    /// # Panics
    /// As [`Model::loss`].
    pub fn loss_with(&self, inputs: &Inputs, pass: &Pass) -> Result<Tensor<1>, Error> {
        Ok(self.scores(inputs, pass)?.loss())
    }

    /// What the model says where a label is. Of it are made the [`loss`](Scores::loss) and the distance from a teacher
    /// ([`Scores::distillation`]).
    ///
    /// # Shapes
    /// See [`Inputs`] and [`HeadScores`](crate::HeadScores).
    ///
    /// # Errors
    /// As [`Model::loss_with`].
    ///
    /// # Panics
    /// As [`Model::loss`], labels excepted.
    pub fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        // Numbering its dropout sites changes a stream, and a pass should mean the same every time.
        self.network().scores(inputs, &pass.clone())
    }

    /// Logits without dropout: one row for each token, or one for each sequence or image where classes are predicted. Of a model without a head the last
    /// hidden states.
    ///
    /// # Shapes
    /// See [`Features`]; the result is `[B, L, V]`, `[B, 1, K]` for `K` classes, `[B, L, 2]` for the ends of answers, `[B, L, 1]` for tokens that were replaced, or `[B, L, D]` without a head.
    ///
    /// # Errors
    /// [`Error::WrongFeatures`] when the model reads something else.
    ///
    /// # Panics
    /// As [`Model::loss`].
    pub fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.network().logits(features)
    }

    /// Hidden states `[B, L, D]` after the embeddings and after each layer, without dropout.
    ///
    /// # Shapes
    /// As [`Model::logits`].
    ///
    /// # Errors
    /// As [`Model::logits`].
    ///
    /// # Panics
    /// As [`Model::loss`].
    pub fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.network().hidden_states(features)
    }
}
