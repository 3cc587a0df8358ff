//! The pure vocabulary and the decisions of vigia.
//!
//! Nothing here does I/O, starts a thread or reads a clock: time is an argument. Read it in this order, which is also
//! one frame's way: [`frame`] (what a decoder hands over), [`source`] (who hands it over), [`model`] (what a network
//! wants), [`batching`] (which requests run next), [`backend`] (who runs them), [`detection`] and [`landmarks`] (what
//! comes out), [`track`] (which detections are one object), [`cascade`] (which crops go to a second model), [`cache`]
//! (where their results wait), [`records`] (what is known of a track), [`quality`] (how good a shot of it is), [`result`]
//! and [`event`] (what is published). [`admission`] says which frames are not looked at and why, [`stream`] in which states a stream
//! can be, [`backoff`] when to try again; [`id`] names things, [`pool`] keeps memory, [`geometry`] holds the shapes that
//! all of them share.
#![forbid(unsafe_code)]

pub mod admission;
pub mod backend;
pub mod backoff;
pub mod batching;
pub mod cache;
pub mod cascade;
pub mod detection;
pub mod event;
pub mod frame;
pub mod geometry;
pub mod id;
pub mod landmarks;
pub mod model;
pub mod pool;
pub mod quality;
pub mod records;
pub mod result;
pub mod source;
pub mod stream;
pub mod track;
