//! Which errors say that something is damaged.

use crate::Error;

impl Error {
    /// Whether it says that a store of tokens or images, or the demo's text, is not as it was written, so that it has to be made again.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::BadStore { .. }
            | Self::StoreSize { .. }
            | Self::StoreHash { .. }
            | Self::TokenOutOfRange { .. }
            | Self::ImageLabelOutOfRange { .. }
            | Self::OtherTokenizer { .. } => true,
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }
}
