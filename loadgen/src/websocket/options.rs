//! The part of the command line that ws:// URLs need.

use bytes::Bytes;
use clap::ValueEnum;

use super::Upgrade;
use crate::limits::{Limit, Limits};
use crate::list::text_or_file;
use crate::request::{Parts, Protocol, Request};
use crate::target::Url;

const CONNECT_RATE_MAX: f64 = 1_000_000.0;
const CONNECT_RATE: f64 = 1_000.0;
/// What the handshake says by itself. No extension is spoken.
const OWN_FIELDS: [&str; 4] =
    ["upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"];
const DEFAULT_MESSAGE: &str = "ping";

/// What `--message-type` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MessageType {
    Text,
    Binary,
}

/// What the connections of a ws:// run do.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "WebSocket (ws:// and wss:// URLs)")]
pub struct WebSocketArgs {
    /// The message to send and to wait for an answer to: the text itself, or @FILE for a file's content [default: ping]
    #[arg(long, value_name = "TEXT|@FILE", conflicts_with = "message_bytes")]
    pub message: Option<String>,

    /// A message of N bytes
    #[arg(long, value_name = "N")]
    pub message_bytes: Option<u64>,

    /// How messages are marked [default: text, or binary with --message-bytes and files]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub message_type: Option<MessageType>,

    /// Send nothing: open the connections and keep them open to the end; each is counted as it opens, and as it drops
    #[arg(long)]
    pub hold: bool,

    /// With --hold: how many connections to open in a second, over all threads [default: 1000]
    #[arg(long, value_name = "N", requires = "hold")]
    pub connect_rate: Option<f64>,
}

/// Checked settings of a ws:// run.
#[derive(Debug, Clone)]
pub struct WebSocketSettings {
    pub(crate) upgrade: Upgrade,
    pub(crate) text: bool,
    /// Connections opened in a second, where they only rest.
    pub(crate) hold: Option<f64>,
    pub(crate) message: Bytes,
    /// Of a frame that comes.
    pub(crate) frame_bytes_max: u64,
}

impl WebSocketArgs {
    /// `None` for an http:// URL. `fields` are those of the opening handshake. Errors are sentences for the user.
    pub fn check(
        &self,
        url: &Url,
        fields: &[(String, String)],
        limits: &Limits,
    ) -> Result<Option<WebSocketSettings>, String> {
        if !url.websocket {
            return match self.first_given() {
                Some(option) => Err(format!("{option} needs a ws:// or wss:// URL")),
                None => Ok(None),
            };
        }
        if self.hold && (self.message.is_some() || self.message_bytes.is_some()) {
            return Err("--hold sends no --message".to_owned());
        }
        let own = |name: &str| OWN_FIELDS.iter().any(|own| name.eq_ignore_ascii_case(own));
        if let Some((name, _)) = fields.iter().find(|(name, _)| own(name)) {
            return Err(format!("the header '{name}' is the opening handshake's own"));
        }
        let rate = self.connect_rate.unwrap_or(CONNECT_RATE);
        if !(rate > 0.0 && rate <= CONNECT_RATE_MAX) {
            return Err("--connect-rate: more than 0, up to 1000000 connections/s".to_owned());
        }
        let (message, is_text) = self.content(limits)?;
        let text = self.message_type.map_or(is_text, |kind| kind == MessageType::Text);
        if text && std::str::from_utf8(&message).is_err() {
            return Err("--message-type text: the message is not UTF-8".to_owned());
        }
        let upgrade = Upgrade::new(&url.authority, &url.path, fields);
        Ok(Some(WebSocketSettings {
            upgrade,
            text,
            hold: self.hold.then_some(rate),
            message,
            frame_bytes_max: limits.of(Limit::FrameBytes),
        }))
    }

    /// The message, and whether it is text unless something else is said.
    fn content(&self, limits: &Limits) -> Result<(Bytes, bool), String> {
        let check = |bytes: usize| limits.check(Limit::MessageBytes, bytes);
        let (content, is_text) = match (self.message.as_deref(), self.message_bytes) {
            (Some(text), _) => {
                let read = text_or_file(text, limits, Limit::MessageBytes);
                let (content, is_file) = read.map_err(|reason| format!("--message {reason}"))?;
                check(content.len()).map_err(|reason| format!("--message: {reason}"))?;
                (content, !is_file)
            }
            (None, Some(bytes)) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                check(bytes).map_err(|reason| format!("--message-bytes: {reason}"))?;
                (vec![b'x'; bytes], false)
            }
            (None, None) => (DEFAULT_MESSAGE.into(), true),
        };
        Ok((Bytes::from_static(Vec::leak(content)), is_text))
    }

    fn first_given(&self) -> Option<&'static str> {
        let given = [
            (self.message.is_some(), "--message"),
            (self.message_bytes.is_some(), "--message-bytes"),
            (self.message_type.is_some(), "--message-type"),
            (self.hold, "--hold"),
            (self.connect_rate.is_some(), "--connect-rate"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }
}

impl WebSocketSettings {
    /// The one request of such a run.
    pub(crate) fn requests(&self) -> &'static [Request] {
        let request =
            Protocol::WebSocket.encode(&Parts { body: Some(self.message.clone()), ..Parts::default() });
        Vec::leak(vec![request])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, args: WebSocketArgs) -> Result<Option<WebSocketSettings>, String> {
        args.check(&Url::parse(url).unwrap(), &[], &Limits::default())
    }

    #[test]
    fn a_message_is_text_unless_it_is_bytes() {
        let settings = check("ws://a.test/", WebSocketArgs::default()).unwrap().unwrap();
        assert_eq!((&settings.message[..], settings.text, settings.hold), (&b"ping"[..], true, None));
        let bytes = WebSocketArgs { message_bytes: Some(3), ..WebSocketArgs::default() };
        let settings = check("wss://a.test/", bytes.clone()).unwrap().unwrap();
        assert_eq!((&settings.message[..], settings.text), (&b"xxx"[..], false));
        let text = WebSocketArgs { message_type: Some(MessageType::Text), ..bytes };
        assert!(check("wss://a.test/", text).unwrap().unwrap().text);
    }

    #[test]
    fn options_without_use_or_sense_are_refused() {
        let hold = WebSocketArgs { hold: true, ..WebSocketArgs::default() };
        assert!(check("http://a.test/", hold.clone()).unwrap_err().starts_with("--hold needs a ws://"));
        let both = WebSocketArgs { message: Some("x".into()), ..hold.clone() };
        assert!(check("ws://a.test/", both).unwrap_err().contains("--hold sends no"));
        let still = WebSocketArgs { connect_rate: Some(0.0), ..hold };
        assert!(check("ws://a.test/", still).unwrap_err().contains("--connect-rate"));
        let fields = [("Sec-WebSocket-Key".to_owned(), "x".to_owned())];
        let own =
            WebSocketArgs::default().check(&Url::parse("ws://a.test/").unwrap(), &fields, &Limits::default());
        assert!(own.unwrap_err().contains("the opening handshake's own"));
        let long = WebSocketArgs { message_bytes: Some(1 << 40), ..WebSocketArgs::default() };
        assert!(check("ws://a.test/", long).unwrap_err().contains("--limit message_bytes_max=N"));
    }
}
