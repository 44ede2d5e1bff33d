//! The table of operators in docs/OPERATORS.md says what the code says.

use std::fs;

use crate::repository::root;

const BEGIN: &str = "<!-- operators: written by tests/tests/all/operator_table.rs -->\n";
const END: &str = "<!-- end of operators -->\n";
/// Set to write the table instead of comparing it.
const UPDATE: &str = "UPDATE_DOCS";

#[test]
fn the_documentation_lists_every_operator_as_the_code_describes_it() {
    let path = root().join("docs/OPERATORS.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the page has the mark where the table begins");
    let (found, after) = rest
        .split_once(END)
        .expect("the page has the mark where the table ends");
    let table = ligo_growth::operators::table();
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert!(
        found == table,
        "the table of operators in docs/OPERATORS.md is not what the code says; this writes it:\n\n    \
         {UPDATE}=1 cargo nextest run --release -p ligo-tests operator_table\n"
    );
}
