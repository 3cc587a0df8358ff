//! Names of things: streams, models.

use std::fmt;
use std::sync::Arc;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name; cloning it later is cheap.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }

        /// Names compare and hash as their text does.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }
    };
}

name_type! {
    /// The name of a source of frames: a stream's id, or for `detect` the input as given.
    StreamId
}

name_type! {
    /// The name of a loaded model.
    ModelId
}

/// One life of a stream. A stream that is removed and added again under the same id gets a new generation, so that
/// nothing that still belongs to the old one reaches the new one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StreamRef {
    /// The stream's name.
    pub id: StreamId,
    /// Which life of that name this is.
    pub generation: u64,
}
