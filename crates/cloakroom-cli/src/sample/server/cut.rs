//! Answers that end too early.
//!
//! hyper refuses to send a body shorter than its `Content-Length`: it drops the connection before
//! the first byte. So the answer is written as a whole, and the connection under it breaks off.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Accepts connections that can be broken off.
pub(super) struct CutListener(pub(super) TcpListener);

impl Listener for CutListener {
    type Io = CutStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (inner, address) = Listener::accept(&mut self.0).await;
        let stream = CutStream { inner, cut: Cut::default(), left: None };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// The handler's hold on the connection its request came in on.
#[derive(Clone, Default)]
pub(super) struct Cut {
    /// How many bytes at the end of the next answer are not sent; 0 sends all.
    missing: Arc<AtomicUsize>,
}

impl Cut {
    /// Breaks the connection off `missing` bytes before the end of the next answer.
    pub(super) fn next_answer(&self, missing: usize) {
        self.missing.store(missing, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, CutListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, CutListener>) -> Self {
        stream.io().cut.clone()
    }
}

/// A connection that ends early when its [`Cut`] says so.
///
/// It leaves out vectored writes on purpose: hyper then gathers head and body in one buffer, and
/// the first write after the cut was asked for holds the whole answer and so shows its length.
pub(super) struct CutStream {
    inner: TcpStream,
    cut: Cut,
    /// Bytes still to send before breaking off, once that is known.
    left: Option<usize>,
}

impl AsyncRead for CutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let missing = self.cut.missing.swap(0, Ordering::Acquire);
        if missing > 0 {
            self.left = Some(bytes.len().saturating_sub(missing));
        }
        let Some(left) = self.left else {
            return Pin::new(&mut self.inner).poll_write(context, bytes);
        };
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let part = &bytes[..left.min(bytes.len())];
        let written = Pin::new(&mut self.inner).poll_write(context, part);
        if let Poll::Ready(Ok(count)) = written {
            self.left = Some(left - count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
