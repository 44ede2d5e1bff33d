use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{Axis, ModelConfig, ParamSpec, ParamTable, Role, StackName};
use ligo_checkpoint::{AtomicDir, JsonFile, TensorFile, state};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::host;
use crate::learned::Along;
use crate::term::is_lookup;
use crate::{Coverage, Difference, Error, Factors, Fill, LinearMap, OperatorSpec, Sharing, Term};

/// The file of an operator directory that says what the operator is.
pub const OPERATOR_JSON: &str = "operator.json";
/// The file of an operator directory that holds its matrices.
pub const OPERATOR_TENSORS: &str = "operator.safetensors";

/// What is written. A field or a matrix that an older program would pass over, and so grow another model, raises it.
const FORMAT_VERSION: u32 = 2;
/// What is written where weights were learned along with the matrices.
const FORMAT_WITH_WEIGHTS: u32 = 3;
/// What is read. Version 1 was written until fillings, coverages and depth coefficients of biases had come in one by one.
const FORMATS: std::ops::RangeInclusive<u32> = 1..=FORMAT_WITH_WEIGHTS;

/// What `operator.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorInfo {
    /// Version of the file's layout.
    pub format_version: u32,
    /// The operator and its settings.
    pub operator: OperatorSpec,
    /// `config.json` of the small model.
    pub small_config: Value,
    /// `config.json` of the large model.
    pub large_config: Value,
    /// Which layers share width matrices, per term: rows, then columns when they are not tied to the rows.
    pub sharing: Vec<(Sharing, Option<Sharing>)>,
    /// The tensors to which each term contributes; all of them where nothing is said.
    #[serde(default)]
    pub coverage: Vec<Coverage>,
    /// What stands where the map writes nothing: `[initializer_range, seed]`, or nothing for zeros.
    pub fresh_fill: Option<(f64, u64)>,
    /// Whether fresh entries are zero where they would change the function.
    #[serde(default)]
    pub silent_fill: bool,
    /// Whether fresh entries are added to what the map writes, and then whether layers that the small model lacks are all fresh.
    #[serde(default)]
    pub added_fill: Option<bool>,
    /// Whether new entries are fresh where they read new channels only.
    #[serde(default)]
    pub padded_fill: bool,
    /// Whether what is added to matrices cancels over the copies of an input.
    #[serde(default)]
    pub fan_out_fill: bool,
    /// Whether normalizations without a source have gains of one.
    #[serde(default)]
    pub identity_fill: bool,
    /// How copies of experts differ from what they copy, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts_fill: Option<Difference>,
    /// How it was learned: steps, losses, seeds; free form.
    #[serde(default)]
    pub training: Value,
}

impl OperatorInfo {
    /// What an operator's directory says of it.
    ///
    /// # Errors
    /// [`Error::OperatorFile`] for another format, whatever else is in it, and for fields that are wrong or unknown.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let bad = |reason: String| Error::OperatorFile {
            path: dir.display().to_string(),
            reason,
        };
        let json = ligo_checkpoint::read_json(dir.join(OPERATOR_JSON), JsonFile::Record)?;
        // The format comes first: another one may have other fields.
        let found = json.get("format_version").cloned().unwrap_or_default();
        if !found
            .as_u64()
            .is_some_and(|found| FORMATS.map(u64::from).any(|format| format == found))
        {
            return Err(bad(format!(
                "its format is {found}, and this program reads 1 to {FORMAT_WITH_WEIGHTS}; a newer ligo reads what a newer one wrote"
            )));
        }
        let reason = |e: serde_json::Error| e.to_string().escape_debug().to_string();
        serde_json::from_value(json).map_err(|e| bad(format!("{OPERATOR_JSON}: {}", reason(e))))
    }

    /// The description of an operator between two models.
    pub fn new(operator: OperatorSpec, small: &ModelConfig, large: &ModelConfig, training: Value) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            operator,
            small_config: small.to_json(),
            large_config: large.to_json(),
            sharing: Vec::new(),
            coverage: Vec::new(),
            fresh_fill: None,
            silent_fill: false,
            added_fill: None,
            padded_fill: false,
            fan_out_fill: false,
            identity_fill: false,
            experts_fill: None,
            training,
        }
    }

    /// The small model's configuration.
    ///
    /// # Errors
    /// It is not a valid configuration.
    pub fn small(&self) -> Result<ModelConfig, Error> {
        Ok(ModelConfig::from_json(&self.small_config)?)
    }

    /// The large model's configuration.
    ///
    /// # Errors
    /// It is not a valid configuration.
    pub fn large(&self) -> Result<ModelConfig, Error> {
        Ok(ModelConfig::from_json(&self.large_config)?)
    }
}

/// Writes an operator as a directory that appears whole or not at all.
///
/// Matrices are named `TERM.depth.STACK.MODULE`, with `.bias` behind it where biases have their own, and `TERM.out.AXIS[.LAYER]` (`in` for untied columns, `norm_weight` and the like
/// for the rows of tensors of one role), `[large, small]`. Weights that were learned along are `small.NAME`, and what is added to the grown
/// ones `residual.NAME`.
///
/// # Errors
/// The directory cannot be written.
pub fn save_operator(path: &Path, map: &LinearMap, mut info: OperatorInfo) -> Result<(), Error> {
    info.sharing = map
        .terms
        .iter()
        .map(|t| (t.out.sharing, t.input.as_ref().map(|i| i.sharing)))
        .collect();
    info.coverage = map.terms.iter().map(|t| t.coverage).collect();
    info.silent_fill = matches!(map.fill, Fill::Silent { .. });
    info.padded_fill = matches!(map.fill, Fill::Padded { .. });
    info.fan_out_fill = matches!(map.fill, Fill::FanOut { .. });
    info.identity_fill = map.fill == Fill::Identity;
    info.experts_fill = match map.fill {
        Fill::Experts { difference, .. } => Some(difference),
        _ => None,
    };
    info.added_fill = match map.fill {
        Fill::Added { own_layers, .. } => Some(own_layers),
        _ => None,
    };
    info.fresh_fill = match map.fill {
        Fill::Zero | Fill::Identity => None,
        Fill::Fresh {
            initializer_range,
            seed,
        }
        | Fill::Added {
            initializer_range,
            seed,
            ..
        }
        | Fill::Padded {
            initializer_range,
            seed,
        }
        | Fill::FanOut {
            initializer_range,
            seed,
        }
        | Fill::Silent {
            initializer_range,
            seed,
        }
        | Fill::Experts {
            initializer_range,
            difference: Difference { seed, .. },
        } => Some((initializer_range, seed)),
    };
    let mut tensors = Vec::new();
    let mut push = |name: String, matrix: &Tensor<2>| -> Result<(), Error> {
        let [rows, columns] = matrix.dims();
        let values: Vec<f32> = host(matrix.clone().reshape([rows * columns]))?;
        tensors.push((name, vec![rows, columns], values.into()));
        Ok(())
    };
    for (t, term) in map.terms.iter().enumerate() {
        for ((stack, module), matrix) in &term.depth {
            push(format!("{t}.depth.{stack}.{module}"), matrix)?;
        }
        for ((stack, module), matrix) in &term.bias_depth {
            push(format!("{t}.depth.{stack}.{module}.bias"), matrix)?;
        }
        let input = term.input.as_ref().map(|factors| ("in", factors));
        let roles = term.roles.iter().map(|(role, factors)| (role.name(), factors));
        for (side, factors) in [("out", &term.out)].into_iter().chain(input).chain(roles) {
            // What follows from other matrices is computed again when the operator is read.
            let own = factors.matrices.iter();
            for (axis, matrices) in own.filter(|(axis, _)| !factors.derived.contains(axis)) {
                for (layer, matrix) in matrices.iter().enumerate() {
                    let suffix = if matrices.len() == 1 {
                        String::new()
                    } else {
                        format!(".{layer}")
                    };
                    push(format!("{t}.{side}.{axis}{suffix}"), matrix.tensor())?;
                }
            }
        }
    }
    for (along, table) in [
        (Along::Small, &info.small_config),
        (Along::Residual, &info.large_config),
    ] {
        let (found, table) = (along.of(map), ModelConfig::from_json(table)?.table());
        for (name, weights) in found {
            let param = table
                .get(name)
                .ok_or_else(|| Error::MissingTensor { name: name.clone() })?;
            let values: Vec<f32> = host(weights.clone())?;
            tensors.push((along.name(name), param.shape, values.into()));
            info.format_version = FORMAT_WITH_WEIGHTS;
        }
    }
    let unusable = |e: serde_json::Error| Error::OperatorFile {
        path: path.display().to_string(),
        reason: e.to_string(),
    };
    let json = serde_json::to_string_pretty(&info).map_err(unusable)?;
    let dir = AtomicDir::begin(path)?;
    state::write(&dir, OPERATOR_TENSORS, &Value::Null, tensors)?;
    dir.write(OPERATOR_JSON, json.as_bytes())?;
    dir.commit()?;
    Ok(())
}

/// Reads an operator directory.
///
/// # Errors
/// Files are missing, damaged, or do not fit the configurations that they name.
pub fn load_operator(path: &Path, device: &Device) -> Result<(LinearMap, OperatorInfo), Error> {
    ligo_checkpoint::verify(path)?;
    let info = OperatorInfo::read(path)?;
    let large = info.large()?;
    let (small, large) = (info.small()?.table_for(&large), large.table());
    let (_, file) = state::open(path.join(OPERATOR_TENSORS))?;
    let reader = Reader {
        file: &file,
        small: &small,
        large: &large,
        device,
        path: path.display().to_string(),
    };
    let mut terms = Vec::new();
    for (t, (out, input)) in info.sharing.iter().enumerate() {
        let input = input.map(|sharing| reader.factors(t, "in", sharing)).transpose()?;
        terms.push(Term {
            depth: reader.depth(t)?,
            bias_depth: reader.bias_depth(t)?,
            out: reader.factors(t, "out", *out)?,
            roles: reader.roles(t)?,
            input,
            coverage: info.coverage.get(t).copied().unwrap_or_default(),
        });
    }
    let fill = match (info.fresh_fill, info.silent_fill) {
        (None, _) if info.identity_fill => Fill::Identity,
        (None, _) => Fill::Zero,
        (Some((initializer_range, seed)), _) if info.experts_fill.is_some() => Fill::Experts {
            initializer_range,
            difference: info.experts_fill.unwrap_or(Difference {
                noise: 0.0,
                drop: 0.0,
                shares: 1,
                seed,
            }),
        },
        (Some((initializer_range, seed)), _) if info.padded_fill => Fill::Padded {
            initializer_range,
            seed,
        },
        (Some((initializer_range, seed)), _) if info.fan_out_fill => Fill::FanOut {
            initializer_range,
            seed,
        },
        (Some((initializer_range, seed)), false) if info.added_fill.is_some() => Fill::Added {
            initializer_range,
            seed,
            own_layers: info.added_fill == Some(true),
        },
        (Some((initializer_range, seed)), false) => Fill::Fresh {
            initializer_range,
            seed,
        },
        (Some((initializer_range, seed)), true) => Fill::Silent {
            initializer_range,
            seed,
        },
    };
    let map = LinearMap {
        terms,
        fill,
        small: reader.along(Along::Small, &info)?,
        residual: reader.along(Along::Residual, &info)?,
        ..LinearMap::default()
    };
    Ok((map, info))
}

struct Reader<'a> {
    file: &'a TensorFile,
    small: &'a ParamTable,
    large: &'a ParamTable,
    device: &'a Device,
    path: String,
}

impl Reader<'_> {
    fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Option<Tensor<2>>, Error> {
        let Some(info) = self.file.info(name) else {
            return Ok(None);
        };
        if info.shape != shape {
            return Err(Error::OperatorFile {
                path: self.path.clone(),
                reason: format!("matrix `{name}` has shape {:?}, expected {shape:?}", info.shape),
            });
        }
        let values = self.file.read_f32(name)?;
        Ok(Some(Tensor::from_data(TensorData::new(values, shape), self.device)))
    }

    /// What was learned along with the matrices, whole. An operator that nobody has learned holds no weights of the small model.
    fn along(&self, along: Along, info: &OperatorInfo) -> Result<BTreeMap<String, Tensor<1>>, Error> {
        let OperatorSpec::Ligo(config) = &info.operator else {
            return Ok(BTreeMap::new());
        };
        let is_there = |t: &ligo_checkpoint::TensorInfo| t.name.starts_with(along.prefix());
        if along == Along::Small && !self.file.tensors().iter().any(is_there) {
            return Ok(BTreeMap::new());
        }
        let params = along.params(config, self.small, self.large).into_iter().map(|param| {
            let name = along.name(&param.name);
            let missing = || Error::MissingOperatorTensor { name: name.clone() };
            let found = self.file.info(&name).ok_or_else(missing)?;
            if found.shape != param.shape {
                return Err(Error::OperatorFile {
                    path: self.path.clone(),
                    reason: format!("`{name}` has shape {:?}, expected {:?}", found.shape, param.shape),
                });
            }
            let data = TensorData::new(self.file.read_f32(&name)?, [param.num_elements()]);
            Ok((param.name, Tensor::from_data(data, self.device)))
        });
        params.collect()
    }

    fn depth(&self, term: usize) -> Result<BTreeMap<(StackName, &'static str), Tensor<2>>, Error> {
        let mut depth = BTreeMap::new();
        for (stack, layers) in self.large.depths() {
            for module in self.large.modules(stack) {
                let name = format!("{term}.depth.{stack}.{module}");
                let matrix = self.matrix(&name, [layers, self.small.depth(stack)])?;
                let matrix = matrix.ok_or(Error::MissingOperatorTensor { name })?;
                depth.insert((stack, module), matrix);
            }
        }
        Ok(depth)
    }

    /// Those of biases, where they are apart.
    fn bias_depth(&self, term: usize) -> Result<BTreeMap<(StackName, &'static str), Tensor<2>>, Error> {
        let mut depth = BTreeMap::new();
        for (stack, layers) in self.large.depths() {
            for module in self.large.modules(stack) {
                let name = format!("{term}.depth.{stack}.{module}.bias");
                if let Some(matrix) = self.matrix(&name, [layers, self.small.depth(stack)])? {
                    depth.insert((stack, module), matrix);
                }
            }
        }
        Ok(depth)
    }

    /// Rows of roles that have any matrix of their own.
    fn roles(&self, term: usize) -> Result<BTreeMap<Role, Factors>, Error> {
        let mut roles = BTreeMap::new();
        for role in Role::ALL {
            let prefix = format!("{term}.{}.", role.name());
            if self.file.tensors().iter().any(|t| t.name.starts_with(&prefix)) {
                roles.insert(
                    role,
                    self.matrices(term, role.name(), Sharing::Shared, &self.axes_of(role))?,
                );
            }
        }
        Ok(roles)
    }

    /// Axes that the rows of such tensors have.
    fn axes_of(&self, role: Role) -> BTreeSet<Axis> {
        let specs = self.large.specs().iter().filter(|s| s.role == role);
        specs.filter_map(|s| s.axes.first().copied()).collect()
    }

    /// Whether any tensor needs the matrix of an axis on this side.
    fn uses(&self, side: &str, axis: Axis) -> bool {
        let reads = |s: &ParamSpec| s.axes.len() > 1 && !is_lookup(s) && s.axes[1] == axis;
        side != "in" || self.large.specs().iter().any(reads)
    }

    /// Axes without a matrix are the identity, which needs equal sizes.
    fn factors(&self, term: usize, side: &str, sharing: Sharing) -> Result<Factors, Error> {
        let axes = self.large.sizes().map(|(axis, _)| axis).collect();
        self.matrices(term, side, sharing, &axes)
    }

    fn matrices(&self, term: usize, side: &str, sharing: Sharing, axes: &BTreeSet<Axis>) -> Result<Factors, Error> {
        let mut matrices: BTreeMap<Axis, Vec<Tensor<2>>> = BTreeMap::new();
        for (axis, large) in self.large.sizes().filter(|(a, _)| !a.is_fixed() && axes.contains(a)) {
            let shape = [large, self.small.size(axis)];
            let base = format!("{term}.{side}.{axis}");
            // Either one matrix for all layers, or one per layer with the layer's number behind a dot.
            let mut found: Vec<Tensor<2>> = self.matrix(&base, shape)?.into_iter().collect();
            if found.is_empty() {
                while let Some(matrix) = self.matrix(&format!("{base}.{}", found.len()), shape)? {
                    found.push(matrix);
                }
            }
            let needed = shape[0] != shape[1] && self.large.repeat(axis).is_none() && self.uses(side, axis);
            if found.is_empty() && needed {
                return Err(Error::MissingOperatorTensor { name: base });
            }
            if !found.is_empty() {
                matrices.insert(axis, found);
            }
        }
        Ok(Factors::new(sharing, matrices).with_repeats(self.small, self.large))
    }
}
