//! Reading an answer's body at once, within a cap.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is over the cap.
    TooLarge,
    /// It broke off.
    Broken(hyper::Error),
}

/// The whole body.
pub(crate) async fn read(mut body: Incoming, bytes_max: usize) -> Result<Bytes, Unread> {
    let announced = body.size_hint().lower();
    if usize::try_from(announced).unwrap_or(usize::MAX) > bytes_max {
        return Err(Unread::TooLarge);
    }
    let Some(first) = next(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() > bytes_max {
        return Err(Unread::TooLarge);
    }
    // Most answers come in one piece, which needs no copy.
    let Some(second) = next(&mut body).await? else { return Ok(first) };
    let mut all = BytesMut::with_capacity((first.len() + second.len()).saturating_mul(2));
    all.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        if all.len() + bytes.len() > bytes_max {
            return Err(Unread::TooLarge);
        }
        all.extend_from_slice(&bytes);
        piece = next(&mut body).await?;
    }
    Ok(all.freeze())
}

/// The beginning of the body, as far as it can be had: what an upstream says about its failure.
pub(crate) async fn beginning(mut body: Incoming, bytes_max: usize) -> Bytes {
    let mut all = BytesMut::new();
    while let Ok(Some(bytes)) = next(&mut body).await {
        let room = bytes_max - all.len();
        all.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if all.len() == bytes_max {
            break;
        }
    }
    all.freeze()
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Unread> {
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame.map_err(Unread::Broken)?.into_data()
            && !bytes.is_empty()
        {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}
