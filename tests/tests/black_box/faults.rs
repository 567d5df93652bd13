//! Every fault of a provider, through the built gateway: a whole answer or a clear error, inside the deadline, and never a
//! part of an answer that is called whole, nor two answers glued together.

mod heard;
mod many;
mod rows;
mod table;
