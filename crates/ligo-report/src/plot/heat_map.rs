//! Matrices as text, for terminals.

use super::Matrix;

/// From nothing to the largest value.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// Columns of text that maps share.
const WIDTH: usize = 110;
const GAP: usize = 3;

/// Draws matrices side by side. A row is a layer of the large model, a pair of characters a layer of the small one:
/// shaded by its size, with a minus in front when it is negative.
pub fn heat_maps(matrices: &[Matrix]) -> Vec<String> {
    let values = matrices.iter().flat_map(|matrix| &matrix.values);
    let scale = values
        .map(|value| value.abs())
        .filter(|value| value.is_finite())
        .fold(0.0, f32::max);
    let blocks: Vec<Vec<String>> = matrices.iter().map(|matrix| block(matrix, scale)).collect();
    let mut lines = Vec::new();
    let mut rest = blocks.as_slice();
    while !rest.is_empty() {
        let mut used = 0;
        let fitting = rest.iter().take_while(|block| {
            used += width_of(block) + GAP;
            used <= WIDTH + GAP
        });
        let (row, others) = rest.split_at(fitting.count().max(1));
        rest = others;
        lines.extend(beside(row));
        lines.push(String::new());
    }
    lines.pop();
    lines
}

fn width_of(block: &[String]) -> usize {
    block.iter().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn beside(blocks: &[Vec<String>]) -> Vec<String> {
    let height = blocks.iter().map(Vec::len).max().unwrap_or(0);
    (0..height)
        .map(|row| {
            let cells = blocks.iter().map(|block| {
                let line = block.get(row).map_or("", String::as_str);
                let padding = width_of(block) + GAP - line.chars().count();
                format!("{line}{}", " ".repeat(padding))
            });
            cells.collect::<String>().trim_end().to_owned()
        })
        .collect()
}

/// The name and the framed map.
fn block(matrix: &Matrix, scale: f32) -> Vec<String> {
    let digits = matrix.rows.saturating_sub(1).to_string().len();
    let mut lines = vec![matrix.name.clone()];
    for (row, values) in matrix.values.chunks(matrix.columns.max(1)).enumerate() {
        let cells: String = values.iter().map(|value| cell(*value, scale)).collect();
        lines.push(format!("{row:>digits$}│{cells}│"));
    }
    lines
}

fn cell(value: f32, scale: f32) -> String {
    if !value.is_finite() {
        return "??".into();
    }
    let share = if scale > 0.0 { value.abs() / scale } else { 0.0 };
    // Whatever is a tenth of the largest value is seen.
    let shade = SHADES[((share * 4.0 + 0.6) as usize).min(4)];
    if value < 0.0 && shade != ' ' {
        format!("-{shade}")
    } else {
        format!("{shade}{shade}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(name: &str, rows: usize, columns: usize, values: &[f32]) -> Matrix {
        Matrix {
            name: name.into(),
            rows,
            columns,
            values: values.to_vec(),
        }
    }

    #[test]
    fn values_are_shaded_and_signed() {
        let lines = heat_maps(&[matrix("query", 3, 2, &[1.0, 0.0, -0.5, 0.26, f32::NAN, 0.05])]);
        assert_eq!(lines, ["query", "0│██  │", "1│-▒░░│", "2│??  │"]);
    }

    #[test]
    fn maps_stand_side_by_side_and_break_into_rows() {
        let small = matrix("key", 2, 2, &[1.0, 0.0, 0.0, 1.0]);
        let lines = heat_maps(&[small.clone(), small]);
        assert_eq!(lines, ["key       key", "0│██  │   0│██  │", "1│  ██│   1│  ██│"]);
        let wide = matrix("ffn_in", 1, 40, &[1.0; 40]);
        assert_eq!(heat_maps(&[wide.clone(), wide]).len(), 5);
    }

    #[test]
    fn a_matrix_of_zeros_is_empty() {
        assert_eq!(heat_maps(&[matrix("a", 1, 3, &[0.0; 3])]), ["a", "0│      │"]);
        assert!(heat_maps(&[]).is_empty());
    }
}
