//! The table of all operators in the documentation.

use super::spec::OperatorSpec;

/// A table of all operators, in Markdown.
pub fn table() -> String {
    let named = OperatorSpec::NAMES.into_iter().filter_map(OperatorSpec::from_name);
    let list = OperatorSpec::Layers { layers: Vec::new() };
    let mut table = String::from(
        "| start of the large model | `name` in a recipe, `--method` of `ligo grow` | terms | needs | keeps the function of | paper |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for spec in named.chain([list]) {
        let facts = spec.facts();
        let line = [
            facts.about,
            &format!("`{}`", spec.name()),
            facts.terms,
            facts.needs,
            &facts.exact(),
            facts.source,
        ];
        table.push_str(&format!("| {} |\n", line.join(" | ")));
    }
    table
}
