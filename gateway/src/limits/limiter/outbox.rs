//! What the limiter has said, until whoever it is for has room for it. Each of these owns what it keeps, which is no more
//! than was asked for.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;

use tokio::sync::mpsc::{self, Receiver, Sender};
use turnpike_limits::{Answer, ToPredecessor};

use crate::limits::succession::{self, Inheritance};
use crate::mailbox::Mailbox;

/// What a shard is to be told.
#[derive(Debug)]
pub(super) struct Answers {
    mailbox: Mailbox,
    /// At most as many as it has leases, each of which asks once at a time.
    kept: VecDeque<Answer>,
    ended: bool,
}

impl Answers {
    pub(super) fn new(mailbox: Mailbox) -> Self {
        Self { mailbox, kept: VecDeque::new(), ended: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn add(&mut self, answer: Answer) {
        if !self.ended {
            self.kept.push_back(answer);
        }
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.kept.clear();
    }

    /// Whether nothing is left.
    pub(super) fn deliver(&mut self, rings: bool) -> bool {
        while let Some(answer) = self.kept.pop_front() {
            if let Err(answer) = self.mailbox.answer(answer) {
                self.kept.push_front(answer);
                break;
            }
        }
        if rings {
            self.mailbox.ring();
        }
        self.kept.is_empty()
    }
}

/// What the process before this one is to be told.
#[derive(Debug)]
pub(super) struct Predecessor {
    says: Sender<ToPredecessor>,
    /// At most an answer for each of its leases, and a wish for each limit that is waited for.
    kept: VecDeque<ToPredecessor>,
}

impl Predecessor {
    pub(super) fn new(inheritance: Inheritance) -> (Self, (UnixStream, Receiver<ToPredecessor>)) {
        let (says, receiver) = mpsc::channel(succession::MESSAGES_MAX);
        (Self { says, kept: VecDeque::new() }, (inheritance.stream, receiver))
    }

    pub(super) fn add(&mut self, said: ToPredecessor) {
        self.kept.push_back(said);
    }

    pub(super) fn deliver(&mut self) {
        while !self.kept.is_empty()
            && let Ok(permit) = self.says.try_reserve()
            && let Some(said) = self.kept.pop_front()
        {
            permit.send(said);
        }
    }
}
