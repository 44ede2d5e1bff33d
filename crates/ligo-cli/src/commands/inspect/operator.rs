use std::io::Write;
use std::path::Path;

use ligo_arch::ModelConfig;
use ligo_checkpoint::state;
use ligo_experiment::matrices::Matrices;
use ligo_growth::{OPERATOR_TENSORS, OperatorInfo};
use ligo_pretrained::describe;
use ligo_report::plot::{self, Matrix, OperatorPicture, heat_maps};
use serde_json::{Value, json};

use super::norms::RowNorms;
use super::{Error, field, leaves, list, manifest, summary};

/// What begins the names of weights that were learned along with the matrices, and what they are called for people.
const LEARNED_ALONG: [(&str, &str); 2] = [("small.", "small model"), ("residual.", "added")];

/// Prints an operator directory, and draws it as `STEM.svg` and `STEM.png` when asked to.
pub fn inspect(path: &Path, picture: Option<&Path>, tensors: bool, out: &mut dyn Write) -> Result<(), Error> {
    let info = OperatorInfo::read(path)?;
    let config = |value: &Value| {
        ModelConfig::from_json(value).map_err(|source| Error::Config {
            path: path.to_path_buf(),
            source,
        })
    };
    let (small, large) = (config(&info.small_config)?, config(&info.large_config)?);
    let (_, file) = state::open(path.join(OPERATOR_TENSORS))?;

    field(out, "operator", info.operator.name())?;
    field(out, "from", describe(&small))?;
    field(out, "to", describe(&large))?;
    let is_weight = |name: &str| LEARNED_ALONG.iter().any(|(prefix, _)| name.starts_with(prefix));
    let matrices = file.tensors().iter().filter(|tensor| !is_weight(&tensor.name));
    field(out, "matrices", summary(matrices))?;
    for (prefix, title) in LEARNED_ALONG {
        let mut weights = file
            .tensors()
            .iter()
            .filter(|tensor| tensor.name.starts_with(prefix))
            .peekable();
        if weights.peek().is_some() {
            field(out, title, summary(weights))?;
        }
    }
    let fill = match info.fresh_fill {
        None => "zeros".to_owned(),
        Some((range, seed)) => format!("fresh values, matrices N(0, {range}²), seed {seed}"),
    };
    field(out, "the rest", fill)?;
    let damage = manifest(path, |dir| ligo_checkpoint::verify(dir), out)?;
    print_settings(&info, out)?;

    let Matrices { depth, width } = Matrices::of(&file, info.sharing.len())?;
    print_depth(&depth, out)?;
    print_width(&width, out)?;
    if tensors {
        list(file.tensors().iter().map(|tensor| (tensor.name.as_str(), tensor)), out)?;
    }
    match picture {
        Some(stem) => {
            let title = format!("{}: {} → {}", info.operator.name(), describe(&small), describe(&large));
            let svg = plot::operator(&OperatorPicture { title, depth, width })?;
            let (svg, png) = plot::save(&svg, stem)?;
            writeln!(out, "drawn: {} and {}", svg.display(), png.display())?;
        }
        None => writeln!(out, "(--picture operator.svg draws all matrices)")?,
    }
    damage.map_or(Ok(()), |damage| Err(damage.into()))
}

fn print_settings(info: &OperatorInfo, out: &mut dyn Write) -> Result<(), Error> {
    let mut settings = serde_json::to_value(&info.operator).unwrap_or(Value::Null);
    if let Some(map) = settings.as_object_mut() {
        map.remove("kind");
    }
    let empty = json!({});
    for (title, value) in [("settings", &settings), ("learned with", &info.training)] {
        if !value.is_null() && *value != empty {
            writeln!(out, "{title}")?;
            leaves(value, "", out)?;
        }
    }
    Ok(())
}

fn print_depth(depth: &[Matrix], out: &mut dyn Write) -> Result<(), Error> {
    if depth.is_empty() {
        return Ok(());
    }
    let values = depth.iter().flat_map(|matrix| &matrix.values);
    let largest = values
        .map(|value| value.abs())
        .filter(|value| value.is_finite())
        .fold(0.0, f32::max);
    writeln!(
        out,
        "depth: layers of the large model (rows) from layers of the small one (columns); █ is {largest:.2}, - is negative"
    )?;
    for line in heat_maps(depth) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn print_width(width: &[Matrix], out: &mut dyn Write) -> Result<(), Error> {
    if width.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "width: norms of rows, mean (least to most); old rows are the small model's channels"
    )?;
    // Matrices of the same axis, one per layer, share a line.
    let axis = |matrix: &Matrix| match matrix.name.rsplit_once('.') {
        Some((axis, layer)) if layer.parse::<usize>().is_ok() => axis.to_owned(),
        _ => matrix.name.clone(),
    };
    let mut lines: Vec<(String, &Matrix, usize, RowNorms)> = Vec::new();
    for matrix in width {
        let name = axis(matrix);
        let at = match lines.iter().position(|(found, ..)| *found == name) {
            Some(at) => at,
            None => {
                lines.push((name, matrix, 0, RowNorms::default()));
                lines.len() - 1
            }
        };
        lines[at].2 += 1;
        lines[at].3.add(matrix);
    }
    for (name, first, copies, norms) in lines {
        let copies = if copies > 1 {
            format!(" × {copies} layers")
        } else {
            String::new()
        };
        let shape = format!("{} × {}{copies}", first.rows, first.columns);
        writeln!(out, "  {name:<10} {shape:<24} {norms}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ligo_arch::BertConfig;
    use ligo_growth::{LigoConfig, OperatorSpec, Sharing, save_operator};

    use super::*;

    fn saved(spec: &OperatorSpec) -> tempfile::TempDir {
        let small = ModelConfig::Bert(BertConfig::new(20, 8, 2, 2));
        let large = ModelConfig::Bert(BertConfig::new(20, 12, 4, 2));
        let map = spec
            .build(&small.table(), &large.table(), &ligo_device::cpu(), 0.02, 1)
            .unwrap();
        let training = json!({"steps": 100, "loss": {"last": 3.25}});
        let info = OperatorInfo::new(spec.clone(), &small, &large, training);
        let folder = tempfile::tempdir().unwrap();
        save_operator(&folder.path().join("operator"), &map, info).unwrap();
        folder
    }

    fn shown(folder: &tempfile::TempDir, picture: Option<&Path>) -> String {
        let mut out = Vec::new();
        inspect(&folder.path().join("operator"), picture, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_learned_operator_shows_matrices_norms_and_training() {
        let text = shown(&saved(&OperatorSpec::Ligo(LigoConfig::default())), None);
        for part in [
            "operator     ligo",
            "hidden 8",
            "hidden 12",
            "all hashes hold",
            "loss.last = 3.25",
            "sharing = shared",
            "attention_out",
            "hidden     12 × 8",
            "old 1.000",
            ", new ",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }

    #[test]
    fn matrices_of_every_layer_share_a_line() {
        let config = LigoConfig {
            sharing: Sharing::PerLargeLayer,
            ..LigoConfig::default()
        };
        let text = shown(&saved(&OperatorSpec::Ligo(config)), None);
        assert!(text.contains("12 × 8 × 4 layers"), "{text}");
    }

    #[test]
    fn an_operator_without_matrices_is_no_error() {
        let text = shown(&saved(&OperatorSpec::Scratch), None);
        assert!(text.contains("scratch") && text.contains("fresh values"), "{text}");
        assert!(!text.contains("depth:"), "{text}");
    }

    #[test]
    fn the_picture_is_written_twice() {
        let folder = saved(&OperatorSpec::Ligo(LigoConfig::default()));
        let text = shown(&folder, Some(&folder.path().join("picture")));
        assert!(text.contains("picture.svg"), "{text}");
        let svg = std::fs::read_to_string(folder.path().join("picture.svg")).unwrap();
        assert!(svg.contains("attention_out") && svg.contains("hidden: 12 × 8"), "{svg}");
        let png = std::fs::read(folder.path().join("picture.png")).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
    }
}
