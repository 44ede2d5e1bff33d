//! The page of the report, in parts that `ligo-report` puts together.

/// The page, with places for the parts.
pub const PAGE: &str = include_str!("../report/page.html");
/// The part that shows savings.
pub const SAVINGS: &str = include_str!("../report/savings.html");
/// The part that shows curves.
pub const CURVES: &str = include_str!("../report/curves.html");
/// The part that shows operators.
pub const OPERATORS: &str = include_str!("../report/operators.html");
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
