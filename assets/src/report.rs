//! What the page of the report looks like and what it does. `ligo-report` writes the page itself.

/// Its looks.
pub const STYLE: &str = include_str!("../report/report.css");

/// Its script, in pieces; the last one starts it.
pub const SCRIPT: [&str; 12] = [
    include_str!("../report/numbers.js"),
    include_str!("../report/dom.js"),
    include_str!("../report/theme.js"),
    include_str!("../report/means.js"),
    include_str!("../report/frame.js"),
    include_str!("../report/curves.js"),
    include_str!("../report/legend.js"),
    include_str!("../report/savings.js"),
    include_str!("../report/tables.js"),
    include_str!("../report/operators.js"),
    include_str!("../report/copy.js"),
    include_str!("../report/main.js"),
];
