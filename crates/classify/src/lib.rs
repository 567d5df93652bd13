//! classify
mod encoder;
pub use encoder::{Encoder, EncoderOptions};
