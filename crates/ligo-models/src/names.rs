/// The Hugging Face name of the parameter at a path of field names.
///
/// Fields are called as in `transformers`, with two exceptions that Rust asks for: `layer_norm` stands for
/// `LayerNorm`, and a field whose name is a keyword ends in an underscore. So `layer_norm_` is what files call `layer_norm`.
pub(crate) fn hugging_face_name(path: &[String]) -> String {
    let parts = path.iter().map(|field| match field.as_str() {
        "layer_norm" => "LayerNorm",
        other => other.strip_suffix('_').unwrap_or(other),
    });
    parts.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_hugging_face_names() {
        let path = "bert.encoder.layer.11.attention.self_.query.weight"
            .split('.')
            .map(String::from);
        assert_eq!(
            hugging_face_name(&path.collect::<Vec<_>>()),
            "bert.encoder.layer.11.attention.self.query.weight"
        );
        let path = "lm_head.layer_norm_.weight".split('.').map(String::from);
        assert_eq!(
            hugging_face_name(&path.collect::<Vec<_>>()),
            "lm_head.layer_norm.weight"
        );
        let path = "bert.embeddings.layer_norm.bias".split('.').map(String::from);
        assert_eq!(
            hugging_face_name(&path.collect::<Vec<_>>()),
            "bert.embeddings.LayerNorm.bias"
        );
    }
}
