use serde_json::{Map, Value, json};

use super::BertConfig;
use crate::{Error, Task, limits};

/// What `transformers` calls the heads, after `Bert` or `Roberta`.
const MASKED_LM: &str = "ForMaskedLM";
const CLASSIFICATION: &str = "ForSequenceClassification";
const ANSWERING: &str = "ForQuestionAnswering";
/// The encoder alone.
const BARE: &str = "Model";

/// The fields that only a classifier's configuration has.
const LABEL_FIELDS: [&str; 4] = ["num_labels", "id2label", "label2id", "problem_type"];

impl BertConfig {
    /// The head that the first of `architectures` names; a masked-language model when it names none of the others.
    pub(super) fn head(&self) -> Task {
        let first = self.extra.get("architectures").and_then(|names| names.get(0));
        let name = first.and_then(Value::as_str);
        match name.and_then(|name| name.strip_prefix(self.names().class)) {
            Some(CLASSIFICATION) => Task::SequenceClassification { labels: self.labels() },
            Some(ANSWERING) => Task::QuestionAnswering,
            Some(BARE) => Task::HiddenStates,
            _ => Task::MaskedLm,
        }
    }

    /// The same encoder under another head, if there is one for the task. Labels are called `LABEL_0` and so on.
    pub(super) fn with_head(&self, task: Task) -> Result<Option<Self>, Error> {
        let mut config = self.clone();
        for field in LABEL_FIELDS {
            config.extra.remove(field);
        }
        match task {
            Task::MaskedLm | Task::QuestionAnswering | Task::HiddenStates => {}
            Task::SequenceClassification { labels } => {
                let label = |i: usize| format!("LABEL_{i}");
                let names: Map<_, _> = (0..labels).map(|i| (i.to_string(), label(i).into())).collect();
                let ids: Map<_, _> = (0..labels).map(|i| (label(i), i.into())).collect();
                config.extra.insert("id2label".into(), names.into());
                config.extra.insert("label2id".into(), ids.into());
            }
            Task::CausalLm | Task::ReplacedTokens | Task::ImageClassification { .. } => return Ok(None),
        }
        let architecture = self.class_for(task);
        config.extra.insert("architectures".into(), json!([architecture]));
        config.check_labels()?;
        Ok(Some(config))
    }

    /// The class of `transformers` with a head for this task.
    pub(super) fn class_for(&self, task: Task) -> String {
        let head = match task {
            Task::SequenceClassification { .. } => CLASSIFICATION,
            Task::QuestionAnswering => ANSWERING,
            Task::HiddenStates => BARE,
            _ => MASKED_LM,
        };
        format!("{}{head}", self.names().class)
    }

    /// The number of classes, counted as `transformers` does: the entries of `id2label`, or `num_labels`, or 2.
    fn labels(&self) -> usize {
        let named = self.extra.get("id2label").and_then(Value::as_object).map(Map::len);
        let given = || self.extra.get("num_labels").and_then(Value::as_u64);
        let given = || given().and_then(|count| usize::try_from(count).ok());
        named.or_else(given).unwrap_or(2)
    }

    /// Refuses labels that contradict each other or the head, and heads that predict numbers instead of classes.
    pub(super) fn check_labels(&self) -> Result<(), Error> {
        let task = self.head();
        if matches!(task, Task::MaskedLm | Task::HiddenStates) {
            return Ok(());
        }
        let unsupported = |field, found: String, supported| {
            Err(Error::Unsupported {
                field,
                found,
                supported,
            })
        };
        let labels = self.labels();
        limits::sizes([("num_labels", labels.max(1), limits::CLASSES)])?;
        if let Some(given) = self.extra.get("num_labels").filter(|given| !given.is_null())
            && given.as_u64() != u64::try_from(labels).ok()
        {
            return unsupported("num_labels", given.to_string(), "the number of entries of id2label");
        }
        match task {
            Task::QuestionAnswering if labels != 2 => {
                unsupported("num_labels", labels.to_string(), "2 (where an answer begins and ends)")
            }
            Task::SequenceClassification { .. } if labels < 2 => {
                unsupported("num_labels", labels.to_string(), "2 or more classes (no regression)")
            }
            Task::SequenceClassification { .. } => match self.extra.get("problem_type").and_then(Value::as_str) {
                None | Some("single_label_classification") => Ok(()),
                Some(other) => unsupported("problem_type", other.into(), "single_label_classification"),
            },
            _ => Ok(()),
        }
    }
}
