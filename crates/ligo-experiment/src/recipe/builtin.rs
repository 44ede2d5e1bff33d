/// A recipe file of the project, by name.
macro_rules! recipes {
    ($($name:literal),+ $(,)?) => {
        /// Recipes that are part of the program: `(name, TOML)`.
        pub const BUILTIN: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../../assets/recipes/", $name, ".toml")))),+
        ];
    };
}

recipes!(
    "demo",
    "bert-micro",
    "bert-mini",
    "roberta-mini",
    "gpt2-mini",
    "llama-mini",
    "vit-mini",
    "deit-mini",
    "cait-mini",
    "bert-small-to-base",
    "bert-base-to-large",
    "bert-small-to-large",
    "bert-depth-only",
    "bert-width-only",
    "roberta-small-to-base",
    "gpt2-base-to-medium",
    "smollm-135m-to-double",
    "deit-small-to-base",
    "cait-xs-to-s",
    "ablation-depth",
    "ablation-width",
    "ablation-factor",
    "ablation-operator-steps",
    "ablation-short-small",
    "ablation-training",
    "sweep-ligo",
    "compare-bert",
    "compare-gpt2",
);

/// The built-in recipe of that name.
pub fn builtin(name: &str) -> Option<&'static str> {
    BUILTIN.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}
