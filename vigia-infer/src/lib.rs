//! Models: ONNX Runtime sessions, the families that are recognised, and how they run best on this machine.
//!
//! [`runtime`] loads ONNX Runtime's library, [`load`] a model file: it opens a session on the wished device
//! ([`provider`]), reads the graph and the manifest beside it ([`manifest`]), recognises the family, and takes the
//! settings that were measured ([`tuning`]). Its instances are `vigia_core::backend::Backend`s, each owned by one thread
//! of the engine. [`telemetry`] keeps the library from reporting to its maker. [`import`] makes the default models out of
//! the npm package's weights, in the format of [`onnx`].

mod family;
pub mod import;
pub mod labels;
pub mod load;
pub mod manifest;
mod model;
pub mod onnx;
pub mod provider;
pub mod runtime;
pub mod session;
pub mod telemetry;
pub mod tuning;
