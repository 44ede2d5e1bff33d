use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use ligo_arch::{Axis, ModelConfig};
use ligo_checkpoint::{Dtype, TensorFile};
use safetensors::tensor::TensorView;

use crate::error::Error;
use crate::inputs::{ImageInputs, Inputs, TextInputs};
use crate::python::Comparison;

/// Where a dump holds images.
const PIXELS: &str = "pixel_values";

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row by row.
    pub values: Vec<f32>,
}

impl Values {
    /// Copies a tensor from its device.
    pub fn of(tensor: Tensor<3>) -> Result<Self, Error> {
        let shape = tensor.dims().to_vec();
        let data = tensor.into_data().convert::<f32>();
        let values = data
            .try_into_vec::<f32>()
            .map_err(|error| Error::Device(format!("{error:?}")))?;
        Ok(Self { shape, values })
    }

    /// The largest absolute difference; `None` when it is no finite number.
    fn difference(&self, other: &[f32]) -> Option<f64> {
        let differences = self
            .values
            .iter()
            .zip(other)
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
        let largest = differences.fold(0.0_f64, |most, d| if d > most || d.is_nan() { d } else { most });
        largest.is_finite().then_some(largest)
    }
}

/// Writes inputs and outputs; an earlier dump of this name stays until the new one is complete.
///
/// # Errors
/// The file cannot be written, or is something else than a dump.
pub fn write(path: &Path, inputs: &Inputs, logits: &Values, hidden: &[Values]) -> Result<(), Error> {
    let is_dump = |path: &Path| TensorFile::open(path).is_ok_and(|file| file.info("logits").is_some());
    if path.symlink_metadata().is_ok() && !is_dump(path) {
        return Err(Error::BadDump {
            path: path.to_path_buf(),
            reason: "is there already and no dump, so it is not replaced".into(),
        });
    }
    let mut tensors: BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    match inputs {
        Inputs::Text(text) => {
            let integers = [
                ("input_ids", Some(&text.ids)),
                ("attention_mask", text.mask.as_ref()),
                ("token_type_ids", text.types.as_ref()),
            ];
            for (name, values) in integers {
                if let Some(values) = values {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                    tensors.insert(name.into(), (safetensors::Dtype::I64, text.shape().to_vec(), bytes));
                }
            }
        }
        Inputs::Images(images) => {
            let bytes = images.pixels.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.insert(PIXELS.into(), (safetensors::Dtype::F32, images.shape.to_vec(), bytes));
        }
    }
    let states = hidden
        .iter()
        .enumerate()
        .map(|(layer, state)| (format!("hidden.{layer}"), state));
    for (name, tensor) in states.chain([("logits".to_owned(), logits)]) {
        let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.insert(name, (safetensors::Dtype::F32, tensor.shape.clone(), bytes));
    }
    let unusable = |error: safetensors::SafeTensorError| Error::BadDump {
        path: path.to_path_buf(),
        reason: error.to_string(),
    };
    let mut views = Vec::new();
    for (name, (dtype, shape, bytes)) in &tensors {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(unusable)?;
        views.push((name, view));
    }
    let bytes = safetensors::serialize(views, None).map_err(unusable)?;
    Ok(ligo_metrics::files::replace(path, &bytes)?)
}

/// An earlier dump, or the reference of a test.
pub struct Dump {
    path: PathBuf,
    file: TensorFile,
}

impl Dump {
    /// Opens a dump.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = TensorFile::open(path)?;
        let path = path.to_path_buf();
        Ok(Self { path, file })
    }

    fn bad(&self, reason: String) -> Error {
        Error::BadDump {
            path: self.path.clone(),
            reason,
        }
    }

    /// The inputs, checked against the model: an id that it does not know would be a panic later.
    pub fn inputs(&self, config: &ModelConfig) -> Result<Inputs, Error> {
        match config.image_shape() {
            None => self.text(config).map(Inputs::Text),
            Some(shape) => self.images(shape).map(Inputs::Images),
        }
    }

    fn images(&self, [channels, height, width]: [usize; 3]) -> Result<ImageInputs, Error> {
        let info = self.file.info(PIXELS);
        let shape = info.map(|info| info.shape.clone()).unwrap_or_default();
        match shape[..] {
            [count, c, h, w] if count > 0 && [c, h, w] == [channels, height, width] => Ok(ImageInputs {
                shape: [count, c, h, w],
                pixels: self.file.read_f32(PIXELS)?,
            }),
            _ => Err(self.bad(format!(
                "expected `{PIXELS}` of shape [_, {channels}, {height}, {width}], found {shape:?}"
            ))),
        }
    }

    fn text(&self, config: &ModelConfig) -> Result<TextInputs, Error> {
        let info = self.file.info("input_ids");
        let shape = info.map(|info| info.shape.clone()).unwrap_or_default();
        let [sequences, length] = shape[..] else {
            return Err(self.bad(format!("expected `input_ids` of two dimensions, found shape {shape:?}")));
        };
        let most = config.max_sequence_tokens();
        if sequences == 0 || length == 0 || length > most {
            return Err(self.bad(format!(
                "`input_ids` has shape {shape:?}; the model reads sequences of 1 to {most} tokens"
            )));
        }
        let types = config.table().size(Axis::TOKEN_TYPE);
        let ids = self.integers("input_ids", &shape, config.vocab_size())?;
        Ok(TextInputs {
            sequences,
            length,
            ids: ids.ok_or_else(|| self.bad("expected `input_ids`, found none".into()))?,
            mask: self.integers("attention_mask", &shape, 2)?,
            types: self.integers("token_type_ids", &shape, types)?,
        })
    }

    fn integers(&self, name: &str, shape: &[usize], limit: usize) -> Result<Option<Vec<i64>>, Error> {
        let Some(info) = self.file.info(name) else {
            return Ok(None);
        };
        if info.shape != shape || info.dtype != Dtype::I64 {
            return Err(self.bad(format!(
                "expected `{name}` as I64 {shape:?}, found {} {:?}",
                info.dtype, info.shape
            )));
        }
        let (chunks, _) = self.file.read_bytes(name)?.as_chunks::<8>();
        let values: Vec<i64> = chunks.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
        match values.iter().find(|value| !(0..limit as i64).contains(*value)) {
            Some(found) => Err(self.bad(format!("`{name}` holds {found}; this model takes 0 to {}", limit - 1))),
            None => Ok(Some(values)),
        }
    }

    /// Compares logits, and the hidden states that both have.
    pub fn compare(&self, logits: &Values, hidden: &[Values]) -> Result<Comparison, Error> {
        let difference = |name: &str, ours: &Values| -> Result<Option<f64>, Error> {
            let found = self.file.info(name).map(|info| info.shape.clone()).unwrap_or_default();
            if found != ours.shape {
                return Err(self.bad(format!("expected `{name}` of shape {:?}, found {found:?}", ours.shape)));
            }
            Ok(ours.difference(&self.file.read_f32(name)?))
        };
        let mut per_layer = Vec::new();
        for (layer, ours) in hidden.iter().enumerate() {
            let name = format!("hidden.{layer}");
            if self.file.info(&name).is_some() {
                let found = difference(&name, ours)?;
                per_layer.push((name, found));
            }
        }
        Ok(Comparison {
            other: self.path.display().to_string(),
            difference: difference("logits", logits)?,
            per_layer,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use ligo_arch::BertConfig;

    use super::*;

    fn config(vocabulary: usize) -> ModelConfig {
        ModelConfig::Bert(BertConfig::new(vocabulary, 8, 1, 2))
    }

    fn written(folder: &Path, vocabulary: usize) -> (PathBuf, Inputs, Values) {
        let path = folder.join("dump.safetensors");
        let inputs = Inputs::fixed(&config(vocabulary));
        let logits = Values {
            shape: vec![2, 24, 2],
            values: (0..96).map(|i| i as f32 / 7.0).collect(),
        };
        write(&path, &inputs, &logits, std::slice::from_ref(&logits)).unwrap();
        (path, inputs, logits)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, inputs, mut logits) = written(folder.path(), 61);
        let dump = Dump::open(&path).unwrap();
        assert_eq!(dump.inputs(&config(61)).unwrap(), inputs);
        assert_eq!(dump.compare(&logits, &[]).unwrap().difference, Some(0.0));
        let hidden = [logits.clone()];
        logits.values[5] += 0.25;
        let comparison = dump.compare(&logits, &hidden).unwrap();
        assert_eq!(comparison.difference, Some(0.25));
        assert_eq!(comparison.per_layer, [("hidden.0".to_string(), Some(0.0))]);
        logits.values[6] = f32::NAN;
        assert_eq!(dump.compare(&logits, &[]).unwrap().difference, None);
    }

    #[test]
    fn a_dump_of_another_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _, logits) = written(folder.path(), 61);
        let dump = Dump::open(&path).unwrap();
        let error = dump.inputs(&config(7)).unwrap_err().to_string();
        assert!(error.contains("input_ids") && error.contains("0 to 6"), "{error}");
        let other = Values {
            shape: vec![2, 48, 1],
            ..logits
        };
        let error = dump.compare(&other, &[]).err().unwrap().to_string();
        assert!(error.contains("[2, 48, 1]") && error.contains("[2, 24, 2]"), "{error}");
    }

    #[test]
    fn a_file_without_inputs_is_refused() {
        let fixture = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/bert/tied_4_heads/model.safetensors"
        );
        let error = Dump::open(Path::new(fixture)).unwrap().inputs(&config(61)).unwrap_err();
        assert!(matches!(error, Error::BadDump { .. }), "{error}");
    }
}
