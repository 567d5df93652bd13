//! The bodies that we send: whole, or fed by a task that may outlive its reader.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::sync::mpsc;

/// Any body of a response.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Frames that may wait between the task that pumps an answer and the client that reads it: enough to ride out a
/// scheduling hiccup, few enough that a client that stops reading stops the upstream too.
const FRAMES_WAITING_MAX: usize = 16;

/// A body that is there already.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that is fed through the sender; it ends when the sender is dropped.
pub(crate) fn fed() -> (mpsc::Sender<Bytes>, Body) {
    let (feeder, frames) = mpsc::channel(FRAMES_WAITING_MAX);
    (feeder, Fed(frames).boxed_unsync())
}

struct Fed(mpsc::Receiver<Bytes>);

impl HttpBody for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
