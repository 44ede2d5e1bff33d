//! docs/RECIPE.md lists every key of a recipe with its default and what the code says of it: it is written from the source.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ligo_experiment::recipe::Recipe;
use serde_json::Value;
use syn::{Attribute, Expr, Fields, GenericArgument, Item, ItemEnum, ItemStruct, Lit, Meta, PathArguments, Type};

use crate::repository::root;

/// Set to write the page instead of comparing it.
const UPDATE: &str = "UPDATE_DOCS";

const HEAD: &str = "# Every key of a recipe

<!-- written by tests/tests/all/recipe_reference.rs from the source: UPDATE_DOCS=1 cargo nextest run --release -p ligo-tests recipe_reference -->

A recipe is a TOML file. What it does not say is as in this table, or as in the recipe that it names as `base`; `--set KEY=VALUE` changes a
key for one run. `ligo recipes NAME` prints a built-in recipe to begin with, [TRAINING.md](TRAINING.md) explains the most important keys.
`–` is a key without a default. `precision` and `gradient_checkpointing` at the top of a recipe hold for every section that trains and does
not say otherwise. What is said below of `small` holds for `large` as well.
";

/// What the source says of types that can be read from TOML, by name.
#[derive(Default)]
struct Types {
    structs: BTreeMap<String, ItemStruct>,
    enums: BTreeMap<String, ItemEnum>,
}

impl Types {
    /// Of the crates that recipes are made of.
    fn read() -> Self {
        let mut types = Self::default();
        for name in ["ligo-experiment", "ligo-train", "ligo-growth", "ligo-data", "ligo-ops"] {
            types.add_folder(&root().join("crates").join(name).join("src"));
        }
        types
    }

    fn add_folder(&mut self, folder: &Path) {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.add_folder(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
                for item in file.items {
                    match item {
                        Item::Struct(item) if is_read(&item.attrs) => {
                            drop(self.structs.insert(item.ident.to_string(), item))
                        }
                        Item::Enum(item) if is_read(&item.attrs) => {
                            drop(self.enums.insert(item.ident.to_string(), item))
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Whether serde reads the type.
fn is_read(attributes: &[Attribute]) -> bool {
    let derives = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("derive"));
    let mut texts = derives.map(|derive| quoted(&derive.meta));
    texts.any(|text| text.contains("Deserialize"))
}

fn quoted(meta: &Meta) -> String {
    match meta {
        Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    }
}

/// The documentation of an item as one line; links lose what they link to.
fn docs(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let Meta::NameValue(pair) = &attribute.meta
            && let Expr::Lit(literal) = &pair.value
            && let Lit::Str(line) = &literal.lit
        {
            text += &line.value();
        }
    }
    let text = text.trim().replace("[`", "`").replace("`]", "`").replace('|', "\\|");
    // What a link goes to in Rust's documentation, `](crate::…)`.
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("](") {
        plain += before;
        match after.split_once(')') {
            Some((target, after)) if target.starts_with("http") => {
                let _ = write!(plain, "]({target})");
                rest = after;
            }
            Some((_, after)) => rest = after,
            None => rest = after,
        }
    }
    plain + rest
}

/// The words of an attribute of serde, such as `rename_all = "kebab-case"`.
fn serde_value(attributes: &[Attribute], key: &str) -> Option<String> {
    let mut found = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let text = quoted(&attribute.meta);
        if let Some((_, rest)) = text.split_once(&format!("{key} = \"")) {
            found = rest.split('"').next().map(str::to_owned);
        }
    }
    found
}

fn serde_word(attributes: &[Attribute], word: &str) -> bool {
    let mut ours = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    ours.any(|attribute| quoted(&attribute.meta).split(',').any(|part| part.trim() == word))
}

/// The innermost type that a field's type is made of, and whether it is a list.
fn inner(kind: &Type) -> (String, bool) {
    let Type::Path(path) = kind else {
        return (String::new(), false);
    };
    let last = path.path.segments.last().unwrap();
    let name = last.ident.to_string();
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return (name, false);
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(of)) if ["Option", "Box"].contains(&name.as_str()) => inner(of),
        Some(GenericArgument::Type(of)) if name == "Vec" => (inner(of).0, true),
        _ => (name, false),
    }
}

/// A variant as TOML has it.
fn variant_name(item: &ItemEnum, name: &str, attributes: &[Attribute]) -> String {
    if let Some(renamed) = serde_value(attributes, "rename") {
        return renamed;
    }
    let separator = match serde_value(&item.attrs, "rename_all").as_deref() {
        Some("kebab-case") => "-",
        Some("snake_case") => "_",
        Some("lowercase") => "",
        _ => return name.to_owned(),
    };
    let mut text = String::new();
    for (i, sign) in name.char_indices() {
        if sign.is_uppercase() && i > 0 {
            text += separator;
        }
        text.extend(sign.to_lowercase());
    }
    text
}

/// The values that an enum without data can have.
fn choices(item: &ItemEnum) -> Option<String> {
    let names: Option<Vec<String>> = item
        .variants
        .iter()
        .map(|variant| match variant.fields {
            Fields::Unit => Some(format!(
                "`{}`",
                variant_name(item, &variant.ident.to_string(), &variant.attrs)
            )),
            _ => None,
        })
        .collect();
    Some(names?.join(", "))
}

/// The page while it is written.
struct Page<'a> {
    types: &'a Types,
    text: String,
    /// Structs that have a section or will have one, and the keys that they were met at.
    met: BTreeMap<String, Vec<String>>,
    next: Vec<(String, String, Value)>,
    keys: usize,
}

impl Page<'_> {
    /// `places` are the keys that hold such a table.
    fn section(&mut self, path: &str, name: &str, defaults: &Value, places: &[String]) {
        let types = self.types;
        let item = &types.structs[name];
        let about = docs(&item.attrs);
        let title = match places {
            [] => "The recipe".to_owned(),
            places => places.join(", "),
        };
        let _ = write!(
            self.text,
            "\n## {title}\n\n{about}\n\n| key | default | what it is |\n| --- | --- | --- |\n"
        );
        self.rows(item, path, defaults);
    }

    fn rows(&mut self, item: &ItemStruct, path: &str, defaults: &Value) {
        for field in &item.fields {
            let name = field.ident.as_ref().unwrap().to_string();
            let key = serde_value(&field.attrs, "rename").unwrap_or(name);
            if serde_word(&field.attrs, "skip") {
                continue;
            }
            let (kind, is_list) = inner(&field.ty);
            let value = defaults.get(&key).cloned().unwrap_or(Value::Null);
            let mut about = docs(&field.attrs);
            if let Some(choices) = self.types.enums.get(&kind).and_then(choices) {
                let _ = write!(about, " One of {choices}.");
            }
            let has_section = self.types.structs.contains_key(&kind);
            let default = match &value {
                _ if has_section => "see below".to_owned(),
                Value::Null => "–".into(),
                Value::String(text) if text.is_empty() => "empty".into(),
                Value::Array(list) if list.is_empty() => "none".into(),
                Value::Object(table) if table.is_empty() => "empty".into(),
                value => format!("`{value}`").replace('|', "\\|"),
            };
            self.keys += 1;
            let _ = writeln!(self.text, "| `{key}` | {default} | {about} |");
            if has_section {
                let inside = match path {
                    "" => key,
                    path => format!("{path}.{key}"),
                };
                let place = match is_list {
                    true => format!("`[[{inside}]]`"),
                    false => format!("`[{inside}]`"),
                };
                let places = self.met.entry(kind.clone()).or_default();
                if !places.contains(&place) {
                    places.push(place);
                }
                if places.len() == 1 {
                    self.next.push((inside, kind, value));
                }
            }
        }
    }
}

/// The page; `places` says of each type which keys hold it, as a page that was written before found them.
fn written(types: &Types, places: &BTreeMap<String, Vec<String>>) -> (String, usize, BTreeMap<String, Vec<String>>) {
    let mut page = Page {
        types,
        text: HEAD.to_owned(),
        met: BTreeMap::new(),
        next: Vec::new(),
        keys: 0,
    };
    let defaults = serde_json::to_value(Recipe::default()).unwrap();
    page.section("", "Recipe", &defaults, &[]);
    while !page.next.is_empty() {
        let (path, name, value) = page.next.remove(0);
        let places = places.get(&name).cloned().unwrap_or_default();
        page.section(&path, &name, &value, &places);
    }
    (page.text, page.keys, page.met)
}

#[test]
fn the_reference_of_a_recipes_keys_is_what_the_code_says() {
    let types = Types::read();
    let (_, _, places) = written(&types, &BTreeMap::new());
    let (page, keys, _) = written(&types, &places);
    assert!(keys > 80, "only {keys} keys were found");
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        assert!(!line.ends_with("|  |"), "not documented: {line}");
    }
    let path = root().join("docs/RECIPE.md");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &page).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/RECIPE.md is not what the code says; this writes it:\n\n    \
         {UPDATE}=1 cargo nextest run --release -p ligo-tests recipe_reference\n"
    );
}
