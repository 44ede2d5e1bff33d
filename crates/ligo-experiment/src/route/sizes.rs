//! Small models of other sizes than the recipe's.

use ligo_arch::ModelConfig;

use crate::Failure;

/// The settings of a model like this one with so many layers and this width, by its family's names. Heads keep their width, and neurons and groups of heads their ratio;
/// nothing where it has that size already.
///
/// # Errors
/// The width is no multiple of a head's.
pub(super) fn settings(like: &ModelConfig, (layers, width): (usize, usize)) -> Result<Vec<String>, Failure> {
    let sizes = like.sizes();
    if (sizes.layers, sizes.hidden) == (layers, width) {
        return Ok(Vec::new());
    }
    let head = sizes.hidden / sizes.heads.max(1);
    if head == 0 || !width.is_multiple_of(head) {
        return Err(Failure::other(
            format!("a small model of width {width} cannot have heads of width {head}, which those of the recipe have"),
            format!("give --small-sizes with widths that are multiples of {head}"),
        ));
    }
    let fields = like.fields();
    let json = like.to_json();
    let scaled = |size: usize| ((size * width) as f64 / sizes.hidden as f64).round() as usize;
    let sized = |name: &'static str, size: Option<usize>| {
        // What a family's file leaves open follows from the width.
        let now = json.get(name)?.as_u64()? as usize;
        Some(format!("{name}={}", size.unwrap_or_else(|| scaled(now).max(1))))
    };
    let all = [
        sized(fields.layers, Some(layers)),
        sized(fields.width, Some(width)),
        sized(fields.heads, Some(width / head)),
        sized(fields.ffn, None),
        sized("num_key_value_heads", None),
    ];
    Ok(all.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_keep_heads_and_ratios() {
        let recipe = crate::recipe::load("demo", &[]).unwrap();
        let small = recipe.pair(&crate::recipe::DataFacts::expected(&recipe)).unwrap().small;
        assert!(settings(&small, (2, 64)).unwrap().is_empty());
        let expected = [
            "num_hidden_layers=1",
            "hidden_size=32",
            "num_attention_heads=1",
            "intermediate_size=128",
        ];
        assert_eq!(settings(&small, (1, 32)).unwrap(), expected);
        let message = settings(&small, (1, 40)).unwrap_err().to_string();
        assert!(
            message.contains("width 40") && message.contains("width 32"),
            "{message}"
        );
    }
}
