use crate::{Axis, Extent, Init, LAYER_PLACEHOLDER, ParamSpec, Role, StackName, Stored};

/// Collects the rows of a table.
#[derive(Debug, Default)]
pub(crate) struct Rows(pub(crate) Vec<ParamSpec>);

/// The row that was added last, for what few rows need.
pub(crate) struct Row<'a>(&'a mut ParamSpec);

/// The layers of a stack: where their tensors are called what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    pub(crate) name: StackName,
    /// What stands in front of the layer's number, such as `bert.encoder.layer`.
    pub(crate) path: &'static str,
}

impl Rows {
    /// A tensor outside all layers.
    pub(crate) fn one(&mut self, name: impl Into<String>, axes: &[Axis], module: &'static str, role: Role) -> Row<'_> {
        self.push(name.into(), axes, None, module, role)
    }

    /// A tensor of each layer; `path` is its name inside the layer.
    pub(crate) fn layered(
        &mut self,
        stack: Stack,
        path: &str,
        axes: &[Axis],
        module: &'static str,
        role: Role,
    ) -> Row<'_> {
        let template = stack.template(path);
        self.push(template, axes, Some(stack.name), module, role)
    }

    fn push(
        &mut self,
        template: String,
        axes: &[Axis],
        stack: Option<StackName>,
        module: &'static str,
        role: Role,
    ) -> Row<'_> {
        let at = self.0.len();
        self.0.push(ParamSpec {
            template,
            axes: axes.to_vec(),
            stack,
            layers: None,
            module,
            role,
            required: true,
            init: None,
            times: 1.0,
            stored: None,
        });
        Row(&mut self.0[at])
    }
}

impl Stack {
    /// The name of a tensor inside a layer.
    pub(crate) fn template(self, path: &str) -> String {
        format!("{}.{LAYER_PLACEHOLDER}.{path}", self.path)
    }
}

impl<'a> Row<'a> {
    /// A row that is there already.
    pub(crate) fn of(spec: &'a mut ParamSpec) -> Self {
        Self(spec)
    }

    /// Not every checkpoint of the family has it.
    pub(crate) fn optional(self) -> Self {
        self.0.required = false;
        self
    }

    /// Some layers of the stack alone hold it.
    pub(crate) fn in_layers(self, layers: impl IntoIterator<Item = usize>) -> Self {
        self.0.layers = Some(layers.into_iter().collect());
        self
    }

    /// It starts differently from others of its role.
    pub(crate) fn init(self, init: Init) -> Self {
        self.0.init = Some(init);
        self
    }

    /// The model multiplies it by this, which depends on sizes.
    pub(crate) fn acting_times(self, times: f64) -> Self {
        self.0.times = times;
        self
    }

    /// Files hold it less one.
    pub(crate) fn from_one(self) -> Self {
        let shape = self.0.axes.iter().map(|a| Extent::Axis(*a)).collect();
        let row = self.store(None, shape, false);
        if let Some(stored) = &mut row.0.stored {
            stored.from_one = true;
        }
        row
    }

    /// Files hold it as `[in, out]`.
    pub(crate) fn transposed(self) -> Self {
        let shape = self.0.axes.iter().rev().map(|a| Extent::Axis(*a)).collect();
        self.store(None, shape, true)
    }

    /// Files call it otherwise.
    pub(crate) fn called(self, template: String) -> Self {
        let rows = self.0.axes[..1].to_vec();
        self.part(template, &rows, 0, false)
    }

    /// Files hold it with other dimensions.
    pub(crate) fn shaped(self, shape: &[Extent]) -> Self {
        self.store(None, shape.to_vec(), false)
    }

    /// Files hold it as one of several parts of a tensor; `parts` are the row axes of all of them.
    pub(crate) fn part(self, template: String, parts: &[Axis], part: usize, transposed: bool) -> Self {
        let mut shape = vec![Extent::Parts];
        shape.extend(self.0.axes.iter().skip(1).map(|a| Extent::Axis(*a)));
        if transposed {
            shape.reverse();
        }
        self.store(Some((template, parts, part)), shape, transposed)
    }

    /// The parts of the tensor alternate, in blocks of so many rows, instead of standing one after the other.
    pub(crate) fn interleaved(self, block: usize) -> Self {
        if let Some(stored) = &mut self.0.stored {
            stored.interleaved = Some(block);
        }
        self
    }

    fn store(self, fused: Option<(String, &[Axis], usize)>, shape: Vec<Extent>, transposed: bool) -> Self {
        let own = || (self.0.template.clone(), self.0.axes[..1].to_vec(), 0);
        let (template, parts, part) = fused.map_or_else(own, |(t, p, i)| (t, p.to_vec(), i));
        self.0.stored = Some(Stored {
            template,
            shape,
            transposed,
            parts,
            part,
            interleaved: None,
            columns: None,
            from_one: false,
        });
        self
    }
}
