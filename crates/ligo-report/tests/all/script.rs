//! The page's script, where this machine has Node: what it computes of the curves is what `ligo-cost` computes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use ligo_report::html;

use crate::sample;

/// What a program for Node prints when it is fed `input`; nothing where there is no Node.
fn node(program: &str, input: &str) -> Option<String> {
    let child = Command::new("node")
        .args(["-e", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: there is no node on this machine");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "node failed; what it says is above");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The last script of a page, and its data.
fn parts(page: &str) -> (&str, &str) {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (data, rest) = rest.split_once("</script>").unwrap();
    let (_, script) = rest.split_once("<script>").unwrap();
    (data, script.split_once("</script>").unwrap().0)
}

#[test]
fn the_script_is_one_that_a_browser_can_read() {
    let page = html::report(&sample::many::summary(3, 2, 10));
    node(
        "new (require('vm').Script)(require('fs').readFileSync(0, 'utf8'))",
        parts(&page).1,
    );
}

#[test]
fn mean_curves_in_the_page_reach_the_target_where_the_table_says() {
    let summary = sample::many::summary(12, 3, 50);
    let page = html::report(&summary);
    let (data, script) = parts(&page);
    // The functions alone, without what starts them in a page.
    let (functions, _) = script.split_once("\nstart();").unwrap();
    let program = format!(
        "{functions}
        const data = JSON.parse(require('fs').readFileSync(0, 'utf8'));
        const all = data.groups.map((group) => reaches(meanPoints(group, 'exact'), data.losses.target));
        console.log(JSON.stringify(all));
        }})();"
    );
    let Some(printed) = node(&program, data) else { return };
    let found: Vec<Option<f64>> = serde_json::from_str(&printed).unwrap();
    assert_eq!(found.len(), summary.groups.len());
    for (found, group) in found.into_iter().zip(&summary.groups) {
        let expected = group.mean_curve.to_target.map(|cost| cost.flops.exact);
        match (found, expected) {
            // The page holds six digits of each number.
            (Some(found), Some(expected)) => {
                assert!(
                    (found / expected - 1.0).abs() < 2e-3,
                    "{}: {found}, expected {expected}",
                    group.label
                );
            }
            (found, expected) => assert_eq!(found, expected, "{}", group.label),
        }
    }
}
