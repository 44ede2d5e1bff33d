use ligo_ops::Precision;
use ligo_ops::precision::{Capabilities, CooperativeMatrix, Usage};
use serde::{Deserialize, Serialize};

/// What kind of thing computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A processor, with kernels that are part of the program.
    Cpu,
    /// A card with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// What a virtual machine shows of a GPU.
    Virtual,
    /// A graphics driver that computes on the processor.
    Software,
    /// A driver that does not say.
    Unknown,
}

impl Class {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "processor",
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Software => "software",
            Self::Unknown => "of unknown kind",
        }
    }
}

/// The driver of a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// Its name, `NVIDIA`, `radv`, `llvmpipe`.
    pub name: String,
    /// Its version, in its own words.
    pub version: String,
}

/// What a processor has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processor {
    /// Cores; `None` where the system does not show them.
    pub cores: Option<usize>,
    /// Threads that compute.
    pub threads: usize,
    /// The instruction sets that matter for products.
    pub instruction_sets: Vec<String>,
}

/// Limits of what one kernel can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The largest single buffer.
    pub storage_buffer_bytes: u64,
    /// Buffers of one kernel.
    pub storage_buffers: u32,
    /// Memory that the threads of a workgroup share.
    pub workgroup_bytes: u64,
    /// Threads of a workgroup.
    pub workgroup_threads: u32,
}

/// One device: what it is and what it can do, as its driver and burn state it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// What the driver calls it.
    pub name: String,
    /// How it is reached: `Vulkan`, `Metal`, `DX12`, `CUDA`, `CPU`.
    pub backend: String,
    /// What kind it is.
    pub kind: Class,
    /// Its driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// Its place on the bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci: Option<String>,
    /// What kernels are compiled to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// Its memory, or what a program is meant to take of it; `None` where nobody tells.
    pub memory_bytes: Option<u64>,
    /// The precisions of its matrix products.
    pub precisions: Vec<Precision>,
    /// What half precision can be used for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f16: Option<Usage>,
    /// What `bf16` can be used for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bf16: Option<Usage>,
    /// Whether products can take `f32` as TF32.
    pub tf32: bool,
    /// The least and the largest number of threads that run in step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subgroup: Option<[u32; 2]>,
    /// Matrices that a subgroup multiplies with one instruction.
    pub cooperative_matrices: Vec<CooperativeMatrix>,
    /// Limits of what one kernel can use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// What only a processor has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<Processor>,
}

impl Description {
    /// A GPU of these capabilities.
    pub fn of_gpu(can: Capabilities, backend: impl Into<String>, kind: Class) -> Self {
        Self {
            backend: backend.into(),
            kind,
            driver: None,
            pci: None,
            precisions: can.precisions(),
            compiler: Some(can.compiler),
            memory_bytes: can.memory_bytes,
            f16: Some(can.f16),
            bf16: Some(can.bf16),
            tf32: can.tf32,
            subgroup: can.subgroup,
            cooperative_matrices: can.cooperative_matrices,
            limits: Some(Limits {
                storage_buffer_bytes: can.max_buffer_bytes,
                storage_buffers: can.max_buffers,
                workgroup_bytes: can.workgroup_bytes,
                workgroup_threads: can.workgroup_threads,
            }),
            processor: None,
            name: can.name,
        }
    }
}

/// The best rate of matrix products in one precision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matmul {
    /// The precision.
    pub precision: Precision,
    /// FLOPs in a second, 2·n³ for a product of two square matrices.
    pub flops_per_second: f64,
    /// Rows and columns of the matrices.
    pub size: usize,
}

/// An adapter that a graphics driver offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// What the driver calls it.
    pub name: String,
    /// How it is reached.
    pub backend: String,
    /// What kind it is.
    pub kind: Class,
    /// Its driver.
    pub driver: Driver,
}

/// What a second process finds out about a GPU, as far as it gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// What it is.
    pub description: Option<Description>,
    /// Whether it multiplied two matrices correctly.
    pub computes: bool,
    /// How fast it multiplies.
    pub matmul: Vec<Matmul>,
    /// What went wrong, as the rest of a sentence: `crashed with signal 11 when it was tried`.
    pub fault: Option<String>,
}

/// One line that the second process answers with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "found", content = "value")]
pub enum Finding {
    /// What it is.
    Description(Box<Description>),
    /// It multiplied two matrices correctly.
    Computes,
    /// How fast it multiplies.
    Matmul(Matmul),
}

impl Findings {
    /// The answers of a second process, in their order, and how it ended.
    pub fn gathered(answers: &[String], end: Result<(), String>) -> Self {
        let mut findings = Self {
            fault: end.err(),
            ..Self::default()
        };
        for answer in answers {
            match serde_json::from_str(answer) {
                Ok(Finding::Description(description)) => findings.description = Some(*description),
                Ok(Finding::Computes) => findings.computes = true,
                Ok(Finding::Matmul(matmul)) => findings.matmul.push(matmul),
                // What it complains about is in the fault already.
                Err(_) => {}
            }
        }
        findings
    }
}
