//! What happens to HTTP/2 connections that metrics tell apart: mostly, how one was ended.

use h2::{Error, Reason};
use turnpike_http::FrameKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Http2Event {
    /// `http2_control_frames_per_second_max` was exceeded, by each kind of frame.
    SettingsFlood,
    PingFlood,
    PriorityFlood,
    WindowUpdateFlood,
    EmptyDataFlood,
    OtherFlood,
    /// `http2_resets_per_second_max` was exceeded, or streams were reset before they were looked at.
    ResetFlood,
    /// `http2_error_resets_max` was exceeded: the client made the gateway reset its streams.
    ProvokedResets,
    /// More CONTINUATION frames than the longest header list needs.
    ContinuationFlood,
    /// A header list several times `http2_header_list_bytes_max`.
    HeaderBomb,
    /// DATA frames whose bookkeeping outweighs their bytes, empty ones among them.
    TinyData,
    /// A request's fields took longer than `read_head_timeout_ms`.
    SlowFields,
    /// A client didn't take more of an answer for `write_timeout_ms`: its stream was reset.
    SlowReader,
    /// Streams of one connection that were still being ended when more came.
    StreamRefused,
    /// A request that RFC 9113 8.1.1 calls malformed.
    MalformedRequest,
    /// The connection broke HTTP/2's rules.
    ProtocolError,
}

impl Http2Event {
    /// In order of the discriminants.
    pub(crate) const ALL: [Self; 16] = [
        Self::SettingsFlood,
        Self::PingFlood,
        Self::PriorityFlood,
        Self::WindowUpdateFlood,
        Self::EmptyDataFlood,
        Self::OtherFlood,
        Self::ResetFlood,
        Self::ProvokedResets,
        Self::ContinuationFlood,
        Self::HeaderBomb,
        Self::TinyData,
        Self::SlowFields,
        Self::SlowReader,
        Self::StreamRefused,
        Self::MalformedRequest,
        Self::ProtocolError,
    ];

    /// As the metrics' label says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SettingsFlood => "settings_flood",
            Self::PingFlood => "ping_flood",
            Self::PriorityFlood => "priority_flood",
            Self::WindowUpdateFlood => "window_update_flood",
            Self::EmptyDataFlood => "empty_data_flood",
            Self::OtherFlood => "other_flood",
            Self::ResetFlood => "reset_flood",
            Self::ProvokedResets => "provoked_resets",
            Self::ContinuationFlood => "continuation_flood",
            Self::HeaderBomb => "header_bomb",
            Self::TinyData => "tiny_data",
            Self::SlowFields => "slow_fields",
            Self::SlowReader => "slow_reader",
            Self::StreamRefused => "stream_refused",
            Self::MalformedRequest => "malformed_request",
            Self::ProtocolError => "protocol_error",
        }
    }

    pub(super) fn of_flood(kind: FrameKind) -> Self {
        match kind {
            FrameKind::Settings => Self::SettingsFlood,
            FrameKind::Ping => Self::PingFlood,
            FrameKind::Priority => Self::PriorityFlood,
            FrameKind::WindowUpdate => Self::WindowUpdateFlood,
            FrameKind::EmptyData => Self::EmptyDataFlood,
            FrameKind::Other => Self::OtherFlood,
            FrameKind::Reset => Self::ResetFlood,
        }
    }

    /// Why the library ended a connection; `None` if the client or the network did. The library tells its own limits
    /// apart in the GOAWAY's debug data only, `told`.
    pub(super) fn of_error(error: &Error, told: &[u8]) -> Option<Self> {
        if !error.is_library() {
            return None;
        }
        if error.reason() != Some(Reason::ENHANCE_YOUR_CALM) {
            return Some(Self::ProtocolError);
        }
        Some(match told {
            b"too_many_internal_resets" => Self::ProvokedResets,
            b"too_many_resets" => Self::ResetFlood,
            b"too_many_continuations" => Self::ContinuationFlood,
            b"header_list_way_too_large" => Self::HeaderBomb,
            b"too_many_data_frames" => Self::TinyData,
            _ => Self::ProtocolError,
        })
    }
}

/// Events by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Http2Events([u64; Http2Event::ALL.len()]);

impl Http2Events {
    pub(crate) fn count(&mut self, event: Http2Event) {
        self.0[event as usize] += 1;
    }

    pub(crate) fn of(&self, event: Http2Event) -> u64 {
        self.0[event as usize]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_counted_apart() {
        for (index, event) in Http2Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, index);
            let mut events = Http2Events::default();
            events.count(event);
            assert_eq!(Http2Event::ALL.map(|other| events.of(other)).iter().sum::<u64>(), 1);
            assert_eq!(events.of(event), 1);
        }
        let mut names = Http2Event::ALL.map(Http2Event::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
