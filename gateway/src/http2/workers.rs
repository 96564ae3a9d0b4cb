//! Tasks that answer one request over HTTP/2 after the other, whichever connection it came on: a task is some KiB, and
//! making one for each request is a tenth of what the request costs.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;

use super::Connection;
use super::answer::answer;
use crate::shard::Shard;

/// Tasks that are kept for the next request: about 4 MiB of them.
const RESTING_MAX: usize = 1_024;

/// A shard's resting tasks.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    resting: RefCell<Vec<Rc<Seat>>>,
}

/// Where a resting task is given its next request.
#[derive(Debug, Default)]
struct Seat {
    job: RefCell<Option<Job>>,
    task: RefCell<Option<Waker>>,
}

/// A request to be answered.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) connection: Rc<Connection>,
    pub(super) request: Request<RecvStream>,
    pub(super) respond: SendResponse<Bytes>,
}

impl Workers {
    /// Has a request answered.
    pub(super) fn start(&self, shard: &Rc<Shard>, job: Job) {
        let Some(seat) = self.resting.borrow_mut().pop() else {
            return turnpike_rt::spawn(work(Rc::clone(shard), job));
        };
        *seat.job.borrow_mut() = Some(job);
        if let Some(task) = seat.task.take() {
            task.wake();
        }
    }

    /// False if enough rest already.
    fn rest(&self, seat: &Rc<Seat>) -> bool {
        let mut resting = self.resting.borrow_mut();
        let rests = resting.len() < RESTING_MAX;
        if rests {
            resting.push(Rc::clone(seat));
        }
        rests
    }
}

async fn work(shard: Rc<Shard>, first: Job) {
    let seat = Rc::<Seat>::default();
    let mut job = first;
    loop {
        answer(job).await;
        if !shard.http2_workers.rest(&seat) {
            return;
        }
        job = poll_fn(|context| match seat.job.take() {
            Some(job) => Poll::Ready(job),
            None => {
                *seat.task.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await;
    }
}
