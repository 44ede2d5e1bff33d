//! The matrices of a saved operator, apart by kind, with names for people.

use ligo_checkpoint::TensorFile;
use ligo_report::plot::Matrix;

/// Depth and width matrices in the order of the file.
#[derive(Debug)]
pub struct Matrices {
    /// `[large layers, small layers]`.
    pub depth: Vec<Matrix>,
    /// `[large channels, small channels]`.
    pub width: Vec<Matrix>,
}

impl Matrices {
    /// Reads them from an operator's file; `terms` is how many terms it has.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn of(file: &TensorFile, terms: usize) -> Result<Self, ligo_checkpoint::Error> {
        let (mut depth, mut width) = (Vec::new(), Vec::new());
        for tensor in file.tensors() {
            let [rows, columns] = tensor.shape[..] else { continue };
            let Some(place) = Place::of(&tensor.name) else { continue };
            let matrix = Matrix {
                name: place.label(terms),
                rows,
                columns,
                values: file.read_f32(&tensor.name)?,
            };
            match place.kind {
                Kind::Depth => depth.push(matrix),
                Kind::Width => width.push(matrix),
            }
        }
        Ok(Self { depth, width })
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Depth,
    Width,
}

/// What the name of a stored matrix says: `0.depth.encoder.query`, `0.out.hidden`, `1.in.query.3`.
#[derive(Debug, PartialEq)]
struct Place<'a> {
    term: &'a str,
    kind: Kind,
    is_input: bool,
    rest: &'a str,
}

impl<'a> Place<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let (term, rest) = name.split_once('.')?;
        let (side, rest) = rest.split_once('.')?;
        let kind = match side {
            "depth" => Kind::Depth,
            "out" | "in" => Kind::Width,
            _ => return None,
        };
        let is_input = side == "in";
        Some(Self {
            term,
            kind,
            is_input,
            rest,
        })
    }

    /// A short name for people: the term only where there are several, the stack never where it is an encoder.
    fn label(&self, terms: usize) -> String {
        let term = if terms > 1 {
            format!("{}:", self.term)
        } else {
            String::new()
        };
        let side = if self.is_input { "in " } else { "" };
        let rest = match self.kind {
            Kind::Depth => self.rest.strip_prefix("encoder.").unwrap_or(self.rest),
            Kind::Width => self.rest,
        };
        format!("{term}{side}{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_matrices_are_understood() {
        let label = |name, terms| Place::of(name).map(|place| place.label(terms));
        assert_eq!(label("0.depth.encoder.query", 1).as_deref(), Some("query"));
        assert_eq!(label("1.in.ffn.3", 2).as_deref(), Some("1:in ffn.3"));
        assert_eq!(label("0.out.hidden", 1).as_deref(), Some("hidden"));
        assert_eq!(Place::of("weights"), None);
    }
}
