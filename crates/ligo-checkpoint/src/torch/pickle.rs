//! The few opcodes of a Python pickle that a dictionary of tensors is made of.
//!
//! Nothing is ever called: the functions that may be named are known, and what they would make is made here. Everything else is refused by name. Values are
//! numbers of an arena, so that no nesting, sharing or cycle takes more memory than there are opcodes, or a deep call.

use std::collections::HashMap;

use crate::Dtype;
use crate::names::printable;

/// The most values that are made.
const MAX_VALUES: usize = 1 << 23;

/// Why a pickle is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It names something that is not known to be harmless.
    Global(String),
    /// It is damaged, or holds something else.
    Other(String),
}

fn other<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Other(reason.into()))
}

/// A value, by its number.
pub(super) type Id = u32;

/// What the pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    Storage(Dtype),
}

/// A value that was made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `None`, a float or bytes, which nothing here needs.
    Nothing,
    Bool,
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Known(Known),
    Storage {
        dtype: Dtype,
        key: Id,
        elements: u64,
    },
    Tensor(TensorValue),
}

/// A view of a storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TensorValue {
    pub storage: Id,
    pub offset: u64,
    pub shape: Id,
    pub strides: Id,
}

/// The values of a pickle, of which one is what it holds.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    top: Id,
}

impl Pickle {
    /// Reads a whole pickle.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let mut machine = Machine {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while machine.step()? {}
        let top = machine.pop()?;
        Ok(Self {
            values: machine.values,
            top,
        })
    }

    /// What it holds.
    pub(super) fn top(&self) -> &Value {
        self.get(self.top)
    }

    /// A value by its number.
    pub(super) fn get(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::Nothing)
    }

    /// A tuple or list of numbers that are not negative.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<u64>> {
        let (Value::Tuple(items) | Value::List(items)) = self.get(id) else {
            return None;
        };
        let size = |id: &Id| match self.get(*id) {
            Value::Int(size) => u64::try_from(*size).ok(),
            _ => None,
        };
        items.iter().map(size).collect()
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    /// Runs one opcode; false at the end.
    fn step(&mut self) -> Result<bool, Fault> {
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => return Ok(false),
            // Protocol and frames.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
            }
            b'N' => self.push(Value::Nothing)?,
            b'G' => {
                self.take(8)?;
                self.push(Value::Nothing)?;
            }
            0x88 | 0x89 => self.push(Value::Bool)?,
            b'J' => {
                let number = self.unsigned(4)? as u32;
                self.push(Value::Int(i64::from(number.cast_signed())))?;
            }
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            0x8a => self.long()?,
            b'X' | b'T' => self.text(4)?,
            0x8c | b'U' => self.text(1)?,
            0x8d => self.text(8)?,
            b'C' => self.skip_bytes(1)?,
            b'B' => self.skip_bytes(4)?,
            b')' => self.push(Value::Tuple(Vec::new()))?,
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items))?;
            }
            b']' => self.push(Value::List(Vec::new()))?,
            b'l' => {
                let items = self.since_mark()?;
                self.push(Value::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => {
                let number = self.memo.len() as u32;
                self.remember(number)?;
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'c' => self.global()?,
            0x93 => self.stack_global()?,
            b'Q' => self.storage()?,
            b'R' => self.call()?,
            // The attributes of a dictionary, such as the versions of modules.
            b'b' => {
                self.pop()?;
                let object = self.peek()?;
                if !matches!(self.value(object), Value::Dict(_)) {
                    return other("it sets the attributes of something that is no dictionary");
                }
            }
            _ => return other(format!("opcode 0x{opcode:02x} has no place in a dictionary of tensors")),
        }
        Ok(true)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Fault> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return other("it ends in the middle");
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn unsigned(&mut self, count: usize) -> Result<u64, Fault> {
        let mut number = [0; 8];
        number[..count].copy_from_slice(self.take(count)?);
        Ok(u64::from_le_bytes(number))
    }

    fn push(&mut self, value: Value) -> Result<(), Fault> {
        if self.values.len() == MAX_VALUES {
            return other(format!("more than {MAX_VALUES} values"));
        }
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let id = self.peek()?;
        self.stack.pop();
        Ok(id)
    }

    /// The uppermost value above the last mark.
    fn peek(&self) -> Result<Id, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.get(floor..).and_then(<[Id]>::last) {
            Some(id) => Ok(*id),
            None => other("it takes a value where there is none"),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, Fault> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => other("it takes values up to a mark where there is none"),
        }
    }

    fn value(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::Nothing)
    }

    fn integer(&mut self, bytes: usize) -> Result<(), Fault> {
        let number = self.unsigned(bytes)?;
        self.push(Value::Int(number as i64))
    }

    fn long(&mut self) -> Result<(), Fault> {
        let length = self.unsigned(1)? as usize;
        let bytes = self.take(length)?;
        if length > 8 {
            return self.push(Value::Nothing);
        }
        let sign = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut number = [if sign { 0xff } else { 0 }; 8];
        number[..length].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(number)))
    }

    fn text(&mut self, length: usize) -> Result<(), Fault> {
        let length = usize::try_from(self.unsigned(length)?).unwrap_or(usize::MAX);
        match std::str::from_utf8(self.take(length)?).map(str::to_owned) {
            Ok(text) => self.push(Value::Text(text)),
            Err(_) => other("a text in it is not UTF-8"),
        }
    }

    fn skip_bytes(&mut self, length: usize) -> Result<(), Fault> {
        let length = usize::try_from(self.unsigned(length)?).unwrap_or(usize::MAX);
        self.take(length)?;
        self.push(Value::Nothing)
    }

    fn tuple(&mut self, count: usize) -> Result<(), Fault> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn append(&mut self, mut items: Vec<Id>) -> Result<(), Fault> {
        let list = self.peek()? as usize;
        match self.values.get_mut(list) {
            Some(Value::List(list)) => list.append(&mut items),
            _ => return other("it appends to something that is no list"),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), Fault> {
        let dict = self.peek()? as usize;
        let (pairs, rest) = items.as_chunks::<2>();
        match self.values.get_mut(dict) {
            Some(Value::Dict(dict)) if rest.is_empty() => dict.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return other("it sets entries of something that is no dictionary"),
        }
        Ok(())
    }

    fn put(&mut self, bytes: usize) -> Result<(), Fault> {
        let number = self.unsigned(bytes)? as u32;
        self.remember(number)
    }

    fn remember(&mut self, number: u32) -> Result<(), Fault> {
        let top = self.peek()?;
        self.memo.insert(number, top);
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Result<(), Fault> {
        let number = self.unsigned(bytes)? as u32;
        match self.memo.get(&number) {
            Some(id) => self.stack.push(*id),
            None => return other("it recalls a value that it has not kept"),
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String, Fault> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
            return other("it ends in the middle");
        };
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn global(&mut self) -> Result<(), Fault> {
        let (module, name) = (self.line()?, self.line()?);
        self.push(Value::Known(known(&module, &name)?))
    }

    fn stack_global(&mut self) -> Result<(), Fault> {
        let name = self.pop()?;
        let module = self.pop()?;
        let (Value::Text(module), Value::Text(name)) = (self.value(module), self.value(name)) else {
            return other("it names something by a value that is no text");
        };
        let known = known(module, name)?;
        self.push(Value::Known(known))
    }

    /// `('storage', torch.FloatStorage, key, device, elements)`.
    fn storage(&mut self) -> Result<(), Fault> {
        let id = self.pop()?;
        let Value::Tuple(items) = self.value(id) else {
            return other("what stands for a storage is no tuple");
        };
        let [_, kind, key, _, elements] = items[..] else {
            return other(format!(
                "what stands for a storage has {} parts instead of 5",
                items.len()
            ));
        };
        match (self.value(kind), self.value(key), self.value(elements)) {
            (Value::Known(Known::Storage(dtype)), Value::Text(_), Value::Int(elements @ 0..)) => {
                let (dtype, elements) = (*dtype, elements.cast_unsigned());
                self.push(Value::Storage { dtype, key, elements })
            }
            _ => other("a storage is described by something else than its type, name and size"),
        }
    }

    fn call(&mut self) -> Result<(), Fault> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let (Value::Known(function), Value::Tuple(arguments)) = (self.value(function), self.value(arguments)) else {
            return other("it calls something that is no function");
        };
        match (function, arguments[..].as_ref()) {
            (Known::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Known::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                let Value::Int(offset @ 0..) = self.value(*offset) else {
                    return other("the offset of a tensor is no number");
                };
                let tensor = TensorValue {
                    storage: *storage,
                    offset: offset.cast_unsigned(),
                    shape: *shape,
                    strides: *strides,
                };
                self.push(Value::Tensor(tensor))
            }
            // The tensor that becomes a parameter, and the sizes that become a shape.
            (Known::RebuildParameter | Known::Size, [inner, ..]) => {
                self.stack.push(*inner);
                Ok(())
            }
            _ => other("a known function is called with other arguments than its own"),
        }
    }
}

fn known(module: &str, name: &str) -> Result<Known, Fault> {
    let storage = |name: &str| {
        Some(match name.strip_suffix("Storage")? {
            "Double" => Dtype::F64,
            "Float" => Dtype::F32,
            "Half" => Dtype::F16,
            "BFloat16" => Dtype::Bf16,
            "Long" => Dtype::I64,
            "Int" => Dtype::I32,
            "Short" => Dtype::I16,
            "Char" => Dtype::I8,
            "Byte" => Dtype::U8,
            "Bool" => Dtype::Bool,
            _ => return None,
        })
    };
    let found = match (module, name) {
        ("collections", "OrderedDict") => Some(Known::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Some(Known::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Some(Known::RebuildParameter),
        ("torch", "Size") => Some(Known::Size),
        ("torch" | "torch.storage", _) => storage(name).map(Known::Storage),
        _ => None,
    };
    found.ok_or_else(|| Fault::Global(printable(&format!("{module}.{name}"))))
}
