use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::Precision;

/// What a type of number can be used for in a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Buffers can hold it.
    pub stored: bool,
    /// It can be converted from and to `f32`.
    pub converted: bool,
    /// There is arithmetic on it.
    pub computed: bool,
}

/// Matrices of these types that a subgroup multiplies with one instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CooperativeMatrix {
    /// The type of the factors, `bf16`.
    pub factors: String,
    /// The type of the sum.
    pub sum: String,
    /// `[m, n, k]` of an `m × k` by `k × n` product.
    pub sizes: Vec<[u32; 3]>,
}

/// What a device that runs kernels can do, as its driver states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// What the driver calls the device.
    pub name: String,
    /// What kernels are compiled to: `wgpu<wgsl>`, `wgpu<spirv>`, `cuda`.
    pub compiler: String,
    /// Memory that a program can count on; `None` where nobody tells.
    pub memory_bytes: Option<u64>,
    /// Half precision.
    pub f16: Usage,
    /// 16 bits with the exponent of single precision.
    pub bf16: Usage,
    /// Whether products can take `f32` as TF32.
    pub tf32: bool,
    /// The least and the largest number of threads that run in step; `None` where kernels cannot talk inside such a group.
    pub subgroup: Option<[u32; 2]>,
    /// Matrices that a subgroup multiplies with one instruction.
    pub cooperative_matrices: Vec<CooperativeMatrix>,
    /// The largest single buffer.
    pub max_buffer_bytes: u64,
    /// Buffers that one kernel can use.
    pub max_buffers: u32,
    /// Memory that the threads of a workgroup share.
    pub workgroup_bytes: u64,
    /// Threads of a workgroup.
    pub workgroup_threads: u32,
}

impl Capabilities {
    /// The precisions that products can be computed in, the most exact first.
    ///
    /// `bf16` needs to be stored and converted, and a product that takes it: one instruction for matrices of it, or plain arithmetic.
    pub fn precisions(&self) -> Vec<Precision> {
        let multiplied = |factors: &str| {
            let mut matrices = self.cooperative_matrices.iter();
            matrices.any(|matrix| matrix.factors == factors && matrix.sum == "f32")
        };
        let bf16 = self.bf16.stored && self.bf16.converted && (self.bf16.computed || multiplied("bf16"));
        let has = |precision: &Precision| match precision {
            Precision::F32 => true,
            Precision::Tf32 => self.tf32,
            Precision::Bf16 => bf16,
        };
        Precision::ALL.into_iter().filter(has).collect()
    }
}

/// What a device can do; `None` for the CPU, whose kernels are part of the program.
///
/// # Panics
/// Opens a GPU, which panics where no driver answers.
pub fn capabilities(device: &Device) -> Option<Capabilities> {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    {
        cube::capabilities(device)
    }
    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    {
        let _ = device;
        None
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube {
    use std::collections::BTreeMap;

    use burn::backend::DispatchDevice;
    use burn::tensor::Device;
    use cubecl::client::Client;
    use cubecl::features::{Plane, TypeUsage};
    use cubecl::ir::{ElemType, FloatKind};

    use super::{Capabilities, CooperativeMatrix, Usage};

    pub(super) fn capabilities(device: &Device) -> Option<Capabilities> {
        match device.clone().without_autodiff().as_dispatch() {
            DispatchDevice::Cube(device) => Some(of(&device.client())),
            _ => None,
        }
    }

    fn of(client: &Client) -> Capabilities {
        let properties = client.properties();
        let hardware = &properties.hardware;
        let usage = |kind| {
            let usage = properties.type_usage(ElemType::Float(kind));
            Usage {
                stored: usage.contains(TypeUsage::Buffer),
                converted: usage.contains(TypeUsage::Conversion),
                computed: usage.contains(TypeUsage::Arithmetic),
            }
        };
        let cooperative_matrices = matrices(client);
        let tf32 = usage(FloatKind::TF32).converted && cooperative_matrices.iter().any(|m| m.factors == "tf32");
        let in_step = properties.features.plane.contains(Plane::Ops);
        Capabilities {
            name: properties.identity.name.clone(),
            compiler: client.name().to_owned(),
            memory_bytes: properties.memory.max_memory(),
            f16: usage(FloatKind::F16),
            bf16: usage(FloatKind::BF16),
            tf32,
            subgroup: in_step.then_some([hardware.plane_size_min, hardware.plane_size_max]),
            cooperative_matrices,
            max_buffer_bytes: properties.memory.max_page_size,
            max_buffers: hardware.max_bindings,
            workgroup_bytes: hardware.max_shared_memory_size as u64,
            workgroup_threads: hardware.max_units_per_cube,
        }
    }

    fn matrices(client: &Client) -> Vec<CooperativeMatrix> {
        let mut sizes: BTreeMap<(String, String), Vec<[u32; 3]>> = BTreeMap::new();
        let stated = &client.properties().features.matmul.cmma;
        for config in stated.iter().filter(|config| config.a_type == config.b_type) {
            let types = (config.a_type.to_string(), config.cd_type.to_string());
            sizes.entry(types).or_default().push([config.m, config.n, config.k]);
        }
        let named = sizes.into_iter();
        named
            .map(|((factors, sum), sizes)| CooperativeMatrix { factors, sum, sizes })
            .collect()
    }
}
