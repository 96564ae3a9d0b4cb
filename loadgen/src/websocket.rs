//! WebSocket (RFC 6455), the client's side: each connection sends a message and waits for the one that answers it, or
//! only rests. Sans-I/O but for the opening handshake.

mod close_code;
mod frame;
mod handshake;
mod hold;
mod options;
mod session;

pub use close_code::CloseCode;
pub use handshake::Refusal;
pub(crate) use handshake::Upgrade;
pub(crate) use hold::hold;
pub use options::{MessageType, WebSocketArgs, WebSocketSettings};
pub(crate) use session::WebSocket;
