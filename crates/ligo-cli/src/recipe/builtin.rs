/// Recipes that are part of the program: `(name, TOML)`.
pub const BUILTIN: &[(&str, &str)] = &[
    ("demo", include_str!("../../../../assets/recipes/demo.toml")),
    ("bert-micro", include_str!("../../../../assets/recipes/bert-micro.toml")),
    ("bert-mini", include_str!("../../../../assets/recipes/bert-mini.toml")),
    (
        "bert-small-to-base",
        include_str!("../../../../assets/recipes/bert-small-to-base.toml"),
    ),
];

/// The built-in recipe of that name.
pub fn builtin(name: &str) -> Option<&'static str> {
    BUILTIN.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}
