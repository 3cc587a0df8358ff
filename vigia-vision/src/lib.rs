//! Numbers: pixels to tensors, tensors to boxes, encoded pictures to planes.
//!
//! [`picture`] decodes encoded pictures to planes, [`preprocess`] brings planes into a model's tensor in one pass,
//! [`decode`] turns a model's outputs into detections with the help of [`nms`], and [`draw`] shows them; [`shot`] judges and
//! keeps single shots of an object. No I/O, no threads. `unsafe` stands in the SIMD kernels and at libjpeg-turbo's edge only.

pub mod align;
pub mod decode;
pub mod draw;
pub mod nms;
pub mod picture;
pub mod preprocess;
pub mod shot;
