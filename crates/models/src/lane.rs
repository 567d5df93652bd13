//! One connection, before TLS.
//!
//! Owns nothing but the difference between the system's sockets and those of the simulation, which only tests have.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One connection, before TLS.
pub(crate) struct Lane(Socket);

enum Socket {
    System(TokioIo<TcpStream>),
    #[cfg(test)]
    Simulated(TokioIo<turmoil::net::TcpStream>),
}

impl Lane {
    /// A connection of the system.
    pub(crate) fn new(socket: TokioIo<TcpStream>) -> Self {
        Self(Socket::System(socket))
    }

    #[cfg(test)]
    pub(crate) fn simulated(socket: turmoil::net::TcpStream) -> Self {
        Self(Socket::Simulated(TokioIo::new(socket)))
    }
}

impl Connection for Lane {
    fn connected(&self) -> Connected {
        match &self.0 {
            Socket::System(socket) => socket.connected(),
            #[cfg(test)]
            Socket::Simulated(_) => Connected::new(),
        }
    }
}

impl Read for Lane {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Socket::System(socket) => Pin::new(socket).poll_read(cx, buffer),
            #[cfg(test)]
            Socket::Simulated(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl Write for Lane {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Socket::System(socket) => Pin::new(socket).poll_write(cx, bytes),
            #[cfg(test)]
            Socket::Simulated(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Socket::System(socket) => Pin::new(socket).poll_flush(cx),
            #[cfg(test)]
            Socket::Simulated(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Socket::System(socket) => Pin::new(socket).poll_shutdown(cx),
            #[cfg(test)]
            Socket::Simulated(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Socket::System(socket) => socket.is_write_vectored(),
            #[cfg(test)]
            Socket::Simulated(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Socket::System(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
            #[cfg(test)]
            Socket::Simulated(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
        }
    }
}
