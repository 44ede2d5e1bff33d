//! What the original's targets share.

/// What a device offers to kernels, less what LLVM's code generator cannot do.
pub mod lowered_features {
    use cubecl_core::ir::DeviceProperties;

    /// The target that features are restricted for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum GpuTarget {
        /// NVIDIA.
        Nvptx,
    }

    /// Leaves the properties as they are: no kernel is compiled here, so there is nothing to hold back.
    pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {}
}
