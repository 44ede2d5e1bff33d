//! Which files of a repository are needed.

/// Ends of names of the small files that belong to a model: configuration, tokenizer, chat template, card, license.
const SMALL: [&str; 5] = [".json", ".txt", ".model", ".jinja", ".md"];

/// The files that make up a model, out of all that a folder of a repository holds: weights (safetensors where there are any, else
/// PyTorch's `.bin`), configuration, tokenizer, and whatever else is small and goes with it. Weights of other frameworks, other precisions and
/// in folders below (`onnx/`, `original/`) stay on the hub. Nothing where weights or a part of them are missing.
///
/// `names` are paths in the repository, `folder` is the one that is meant, empty for its root.
///
/// ```
/// let names = ["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx"].map(String::from);
/// assert_eq!(ligo_hub::model_files(&names, ""), ["README.md", "config.json", "model.safetensors"]);
/// ```
pub fn model_files(names: &[String], folder: &str) -> Vec<String> {
    let here = |name: &&String| name.rsplit_once('/').map_or("", |(folder, _)| folder) == folder;
    let here: Vec<&String> = names.iter().filter(here).collect();
    let base = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let weights = ["safetensors", "bin"]
        .into_iter()
        .find_map(|ending| weights(&here, ending))
        .unwrap_or_default();
    if weights.is_empty() || !here.iter().any(|name| base(name) == "config.json") {
        return Vec::new();
    }
    let is_small = |name: &str| {
        let license = name.to_ascii_uppercase().starts_with("LICENSE");
        license || SMALL.iter().any(|ending| name.ends_with(ending))
    };
    // An index leads to shards: one that is not wanted would lead to nothing.
    let is_index = |name: &str| name.ends_with(".index.json");
    let beside = here.iter().filter(|name| {
        let base = base(name);
        is_small(&base) && !is_index(&base) && !base.starts_with('.')
    });
    let mut files: Vec<String> = beside.chain(&weights).map(|name| (*name).clone()).collect();
    files.sort();
    files
}

/// The weights with this ending, together with their index; `None` where a part is missing or there are none.
fn weights<'a>(here: &[&'a String], ending: &str) -> Option<Vec<&'a String>> {
    let stem = if ending == "bin" { "pytorch_model" } else { "model" };
    let named = |wanted: String| {
        here.iter()
            .copied()
            .find(|name| name.rsplit('/').next() == Some(&wanted))
    };
    if let Some(whole) = named(format!("{stem}.{ending}")) {
        return Some(vec![whole]);
    }
    let index = named(format!("{stem}.{ending}.index.json"));
    let shards: Vec<&String> = here
        .iter()
        .copied()
        .filter(|name| shard(name, stem, ending).is_some())
        .collect();
    if let (Some(index), Some(first)) = (index, shards.first()) {
        let count = shard(first, stem, ending)?;
        let same = shards.iter().filter(|name| shard(name, stem, ending) == Some(count));
        return (same.count() == count).then(|| [shards.clone(), vec![index]].concat());
    }
    // A single file of another name, such as `diffusion_pytorch_model.safetensors`.
    let all: Vec<&String> = here
        .iter()
        .copied()
        .filter(|name| ending == "safetensors" && name.ends_with(".safetensors"))
        .collect();
    (all.len() == 1).then_some(all)
}

/// The number of shards that the name of one tells: 3 of `model-00001-of-00003.safetensors`.
fn shard(name: &str, stem: &str, ending: &str) -> Option<usize> {
    let base = name.rsplit('/').next()?;
    let numbers = base
        .strip_prefix(stem)?
        .strip_prefix('-')?
        .strip_suffix(ending)?
        .strip_suffix('.')?;
    let (number, count) = numbers.split_once("-of-")?;
    number.parse::<usize>().ok()?;
    count.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], folder: &str) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        model_files(&names, folder)
    }

    #[test]
    fn shards_come_with_their_index_and_all_of_them() {
        let all = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "pytorch_model-00001-of-00001.bin",
            "pytorch_model.bin.index.json",
            "consolidated.safetensors",
        ];
        assert_eq!(of(&all, ""), all[..4]);
        // Half of them are no model; nor is an index alone.
        let part: Vec<&str> = all.iter().copied().filter(|name| !name.contains("00002-of")).collect();
        assert_eq!(
            of(&part, ""),
            [
                "config.json",
                "pytorch_model-00001-of-00001.bin",
                "pytorch_model.bin.index.json"
            ]
        );
        assert_eq!(
            of(&["config.json", "model.safetensors.index.json"], ""),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_other_programs_read_stays_on_the_hub() {
        let names = [
            ".gitattributes",
            "LICENSE",
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "generation_config.json",
            "merges.txt",
            "model.fp16.safetensors",
            "model.safetensors",
            "onnx/config.json",
            "onnx/model.onnx",
            "original/consolidated.00.pth",
            "pytorch_model.bin",
            "rust_model.ot",
            "tf_model.h5",
            "tokenizer.json",
            "tokenizer.model",
            "vocab.json",
            "x.gguf",
        ];
        assert_eq!(
            of(&names, ""),
            [
                "LICENSE",
                "README.md",
                "config.json",
                "generation_config.json",
                "merges.txt",
                "model.safetensors",
                "tokenizer.json",
                "tokenizer.model",
                "vocab.json",
            ]
        );
        assert_eq!(
            of(&["a/config.json", "a/pytorch_model.bin", "config.json"], "a"),
            ["a/config.json", "a/pytorch_model.bin"]
        );
        assert_eq!(of(&["config.json", "x.gguf"], ""), Vec::<String>::new());
        assert_eq!(of(&["model.safetensors"], ""), Vec::<String>::new());
    }
}
