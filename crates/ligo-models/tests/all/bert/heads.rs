use burn::tensor::{Device, Int, Tensor};
use ligo_arch::{BertConfig, ModelConfig, Task, Transfer};
use ligo_models::{DropoutStream, Error, Features, Inputs, Model, SequenceInputs, SpanInputs, TextFeatures};

use crate::common::{answers, any, batch, classes, number, texts, tiny, tiny_roberta};
use crate::filled::{filled, tensor};

use super::table_shapes;

const CLASSES: Task = Task::SequenceClassification { labels: 4 };

/// Both encoders under a head for this task.
fn configs(task: Task) -> [ModelConfig; 2] {
    [tiny(), tiny_roberta()].map(|encoder| any(encoder).with_task(task).unwrap())
}

fn loss(model: &Model, inputs: &Inputs, dropout: &DropoutStream) -> f64 {
    number(model.loss(inputs, dropout).unwrap())
}

fn features(device: &Device) -> Features {
    texts(device).into()
}

/// `-log softmax(row)[label]`.
fn surprise(row: &[f64], label: usize) -> f64 {
    row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[label]
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[test]
fn names_and_shapes_are_those_of_the_table() {
    for config in [configs(CLASSES), configs(Task::QuestionAnswering)].concat() {
        let shapes = Model::skeleton(&config, &Device::flex()).unwrap().param_shapes();
        assert_eq!(table_shapes(&config, true), shapes.into_iter().collect());
        assert_eq!(table_shapes(&config, true), table_shapes(&config, false));
    }
}

#[test]
fn a_classifier_says_one_row_for_each_text_and_its_loss_is_their_mean() {
    let device = Device::flex();
    for config in configs(CLASSES) {
        let model = filled(&config, &device);
        let logits = model.logits(&features(&device)).unwrap();
        assert_eq!(logits.dims(), [2, 1, 4]);
        let rows = numbers(logits);
        let expected = (surprise(&rows[..4], 2) + surprise(&rows[4..], 0)) / 2.0;
        let inputs = Inputs::Sequences(classes(&device));
        let found = loss(&model, &inputs, &DropoutStream::off());
        assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
    }
}

#[test]
fn padding_does_not_change_the_class_of_a_text() {
    let device = Device::flex();
    for config in configs(CLASSES) {
        let model = filled(&config, &device);
        let short = TextFeatures::new(Tensor::from_data([[5, 2, 9]], &device));
        let padded = TextFeatures {
            input_ids: Tensor::from_data([[5, 2, 9, 0, 0]], &device),
            token_type_ids: None,
            attention_mask: Some(Tensor::from_data([[1.0, 1.0, 1.0, 0.0, 0.0]], &device)),
        };
        let logits = |text: TextFeatures| numbers(model.logits(&text.into()).unwrap());
        let pairs: Vec<_> = logits(short).into_iter().zip(logits(padded)).collect();
        assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 1e-6), "{pairs:?}");
    }
}

#[test]
fn the_loss_of_answers_is_the_mean_over_their_first_and_last_tokens() {
    let device = Device::flex();
    for config in configs(Task::QuestionAnswering) {
        let model = filled(&config, &device);
        let logits = model.logits(&features(&device)).unwrap();
        assert_eq!(logits.dims(), [2, 5, 2]);
        let logits = numbers(logits);
        let row = |text: usize, end: usize| -> Vec<f64> { (0..5).map(|l| logits[(text * 5 + l) * 2 + end]).collect() };
        // The second answer ends behind the text, so that only its start counts.
        let starts = (surprise(&row(0, 0), 1) + surprise(&row(1, 0), 2)) / 2.0;
        let expected = (starts + surprise(&row(0, 1), 3)) / 2.0;
        let found = loss(&model, &Inputs::Spans(answers(&device)), &DropoutStream::off());
        assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
    }
}

#[test]
fn labels_that_do_not_count_give_no_loss() {
    let device = Device::flex();
    let none = || Tensor::<1, Int>::from_data([-100, -1], &device);
    let [bert, _] = configs(CLASSES);
    let inputs = Inputs::Sequences(SequenceInputs {
        labels: none(),
        ..classes(&device)
    });
    assert_eq!(loss(&filled(&bert, &device), &inputs, &DropoutStream::off()), 0.0);
    let [_, roberta] = configs(Task::QuestionAnswering);
    let inputs = Inputs::Spans(SpanInputs {
        starts: none(),
        ends: Tensor::from_data([5, 6], &device),
        ..answers(&device)
    });
    assert_eq!(loss(&filled(&roberta, &device), &inputs, &DropoutStream::off()), 0.0);
}

#[test]
fn dropout_follows_its_seed_and_classifiers_have_one_of_their_own() {
    let device = Device::flex();
    let inputs = Inputs::Sequences(classes(&device));
    let spans = Inputs::Spans(answers(&device));
    let pairs = configs(CLASSES).into_iter().map(|config| (config, &inputs));
    let pairs = pairs.chain(
        configs(Task::QuestionAnswering)
            .into_iter()
            .map(|config| (config, &spans)),
    );
    for (config, inputs) in pairs {
        let model = filled(&config, &device);
        let at = |seed| loss(&model, inputs, &DropoutStream::new(seed));
        assert_eq!(at(1), at(1));
        assert_ne!(at(1), at(2));
    }
    for encoder in [tiny(), tiny_roberta()] {
        let mut encoder = BertConfig {
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            ..encoder
        };
        encoder.extra.insert("classifier_dropout".into(), 0.5.into());
        let model = filled(&any(encoder).with_task(CLASSES).unwrap(), &device);
        let without = loss(&model, &inputs, &DropoutStream::off());
        assert_ne!(without, loss(&model, &inputs, &DropoutStream::new(1)));
    }
}

#[test]
fn a_head_refuses_batches_of_another_task() {
    let device = Device::flex();
    let batches = [
        Inputs::Masked(batch(&device)),
        Inputs::Sequences(classes(&device)),
        Inputs::Spans(answers(&device)),
    ];
    for (own, task) in [Task::MaskedLm, CLASSES, Task::QuestionAnswering]
        .into_iter()
        .enumerate()
    {
        for config in configs(task) {
            let model = filled(&config, &device);
            for (other, inputs) in batches.iter().enumerate() {
                let found = model.loss(inputs, &DropoutStream::off());
                assert_eq!(found.is_ok(), own == other, "{task}, batch {other}");
                assert!(own == other || matches!(found, Err(Error::WrongInputs { .. })));
            }
        }
    }
}

#[test]
fn a_fine_tuned_model_starts_with_the_states_of_the_pretrained_one() {
    let device = Device::flex();
    for encoder in [tiny(), tiny_roberta()] {
        let pretrained = any(encoder);
        let classifier = pretrained.with_task(CLASSES).unwrap();
        let transfer = Transfer::between(&pretrained.table(), &[], &classifier.table()).unwrap();
        // Values depend on names alone; fresh ones are zero here.
        let start = Model::skeleton(&classifier, &device).unwrap();
        let start = start.install(&mut |name: &str, shape: &[usize]| {
            let fresh = transfer.fresh.iter().any(|n| n == name);
            assert!(fresh || transfer.kept.iter().any(|n| n == name), "{name}");
            let values = tensor(name, shape, &device);
            Ok::<_, Error>(if fresh { values.zeros_like() } else { values })
        });
        let states = |model: &Model| {
            let states = model.hidden_states(&features(&device)).unwrap();
            states.into_iter().map(numbers).collect::<Vec<_>>()
        };
        let start = start.unwrap();
        assert_eq!(states(&start), states(&filled(&pretrained, &device)));
        let found = loss(&start, &Inputs::Sequences(classes(&device)), &DropoutStream::off());
        assert!((found - 4_f64.ln()).abs() < 1e-6, "{found}");
    }
}
