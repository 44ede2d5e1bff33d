//! What belongs to NVIDIA's target.

/// Versions of PTX.
pub mod ptx_version {
    use std::fmt;

    /// A version of PTX. There is no value of it: NVRTC writes the version of its own toolkit.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum PtxVersion {}

    impl PtxVersion {
        /// `None`, which leaves the version to the compiler.
        pub fn for_driver(_driver: i32) -> Option<Self> {
            None
        }
    }

    impl fmt::Display for PtxVersion {
        fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match *self {}
        }
    }
}
