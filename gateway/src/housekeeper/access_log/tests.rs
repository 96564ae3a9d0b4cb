use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc;

use super::lane::Destination as _;
use super::*;

const TIME: Duration = Duration::from_secs(20);

fn settings(directory: &Path) -> Settings {
    Settings {
        access_log_dir: directory.join("groups"),
        access_log_reopen_check_ms: 86_400_000,
        ..Settings::defaults()
    }
}

fn file_log(directory: &Path) -> (AccessLog, SinkId, PathBuf) {
    let path = directory.join("access.log");
    let settings = Settings { access_log: Some(LogDestination::File(path.clone())), ..settings(directory) };
    let log = AccessLog::start(&settings).unwrap();
    let sink = log.main_sink().unwrap();
    (log, sink, path)
}

fn chunk(sink: SinkId, text: &str) -> LogChunk {
    LogChunk { sink, bytes: text.into(), lines: text.matches('\n').count() as u32 }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Waits until the threads have written or lost everything offered so far.
async fn settled(log: &AccessLog) {
    while log.queue().figures().queued_bytes > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lines_are_appended_in_order_and_all_written_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("access.log"), "before\n").unwrap();
    let (log, sink, path) = file_log(directory.path());
    let queue = log.queue();
    for line in 0..100 {
        queue.offer(chunk(sink, &format!("{line}\n"))).unwrap();
    }
    log.finish(TIME).await.unwrap();
    let expected: String =
        std::iter::once("before\n".to_owned()).chain((0..100).map(|n| format!("{n}\n"))).collect();
    assert_eq!(read(path), expected);
    assert_eq!(queue.offer(chunk(sink, "late\n")), Err(Dropped { lines: 1 }));
    assert_eq!(queue.figures().written_lines_total, 100);
    assert_eq!(queue.figures().queued_bytes, 0);
}

#[tokio::test]
async fn a_moved_file_is_left_after_a_reopen() {
    let directory = tempfile::tempdir().unwrap();
    let (log, sink, path) = file_log(directory.path());
    let rotated = directory.path().join("access.log.1");
    log.queue().offer(chunk(sink, "old\n")).unwrap();
    settled(&log).await;
    std::fs::rename(&path, &rotated).unwrap();
    log.queue().offer(chunk(sink, "still old\n")).unwrap();
    log.reopen();
    log.queue().offer(chunk(sink, "new\n")).unwrap();
    log.finish(TIME).await.unwrap();
    assert_eq!((read(rotated).as_str(), read(path).as_str()), ("old\nstill old\n", "new\n"));
}

#[tokio::test]
async fn a_rest_ends_when_the_queue_fills_up_and_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let settings = Settings {
        access_log: Some(LogDestination::File(path.clone())),
        access_log_queue_bytes_max: 65_536,
        access_log_flush_ms: 86_400_000,
        ..settings(directory.path())
    };
    let log = AccessLog::start(&settings).unwrap();
    let (queue, sink) = (log.queue(), log.main_sink().unwrap());
    let lines: Vec<String> = (0..50).map(|line| format!("{line:08}{:>8192}\n", '.')).collect();
    let offering = async {
        for line in &lines {
            while queue.figures().queued_bytes > 32_768 {
                tokio::task::yield_now().await;
            }
            queue.offer(chunk(sink, line)).unwrap();
        }
    };
    timeout(TIME, offering).await.expect("what fills the queue wakes the thread");
    log.finish(TIME).await.unwrap();
    assert!(read(path) == lines.concat(), "lines are lost or out of order");
    assert_eq!(queue.figures().written_lines_total, 50);
}

#[tokio::test]
async fn buffers_come_back_when_they_are_written_or_were_hardly_used() {
    let directory = tempfile::tempdir().unwrap();
    let (log, sink, path) = file_log(directory.path());
    let queue = log.queue();
    let full_bytes = queue.chunk_bytes();
    let filled = |lines: usize| {
        let mut bytes = Vec::with_capacity(full_bytes);
        bytes.extend(b"line\n".repeat(lines));
        LogChunk { sink, bytes, lines: lines as u32 }
    };
    let full = queue.fitted(filled(full_bytes / 5));
    assert_eq!(full.bytes.capacity(), full_bytes, "a full one goes as it is");
    queue.offer(full).unwrap();
    settled(&log).await;
    let written = queue.buffer();
    assert_eq!((written.len(), written.capacity()), (0, full_bytes));

    let small = queue.fitted(filled(1));
    assert_eq!((small.bytes.as_slice(), small.bytes.capacity(), small.lines), (b"line\n".as_slice(), 5, 1));
    assert_eq!(queue.buffer().capacity(), full_bytes);
    queue.offer(small).unwrap();
    log.finish(TIME).await.unwrap();
    assert_eq!(read(path), "line\n".repeat(full_bytes / 5 + 1));
}

/// What the writing thread does at intervals, without the interval.
#[test]
fn a_moved_or_removed_file_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let mut files = Files::new(8, Arc::default());
    files.register(SinkId(1), path.clone());
    for text in ["a\n", "b\n"] {
        files.write(&chunk(SinkId(1), text));
        files.check();
    }
    assert_eq!(read(&path), "a\nb\n");
    std::fs::rename(&path, directory.path().join("moved")).unwrap();
    std::fs::write(&path, "other\n").unwrap();
    files.check();
    files.write(&chunk(SinkId(1), "c\n"));
    assert_eq!(read(&path), "other\nc\n");
    std::fs::remove_file(&path).unwrap();
    files.check();
    files.write(&chunk(SinkId(1), "d\n"));
    assert_eq!(read(&path), "d\n");
}

#[test]
fn files_take_turns_when_too_many_are_open() {
    let directory = tempfile::tempdir().unwrap();
    let progress = Arc::new(Progress::default());
    let mut files = Files::new(2, progress.clone());
    for sink in 1..=3 {
        files.register(SinkId(sink), directory.path().join(sink.to_string()));
    }
    for _ in 0..2 {
        for sink in 1..=3 {
            files.write(&chunk(SinkId(sink), "line\n"));
        }
    }
    for sink in 1..=3 {
        assert_eq!(read(directory.path().join(sink.to_string())), "line\nline\n");
    }
    assert_eq!(progress.figures().written_lines_total, 6);
}

#[tokio::test]
async fn a_full_disk_loses_lines_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    symlink("/dev/full", &path).unwrap();
    let (log, sink, _) = file_log(directory.path());
    log.queue().offer(chunk(sink, "lost\nlost\n")).unwrap();
    log.queue().offer(chunk(sink, "lost\n")).unwrap();
    settled(&log).await;
    assert_eq!(log.queue().figures().unwritten_lines_total, 3);
    assert_eq!(log.queue().figures().errors_total, 2);
    std::fs::remove_file(&path).unwrap();
    log.reopen();
    log.queue().offer(chunk(sink, "kept\n")).unwrap();
    settled(&log).await;
    assert_eq!(log.queue().figures().written_lines_total, 1);
    assert_eq!(read(path), "kept\n");
}

/// Takes so many bytes, then fails, until told otherwise.
struct Disk {
    room: usize,
    bytes: Vec<u8>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        self.bytes.extend_from_slice(&bytes[..taken]);
        if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_was_cut_is_ended_before_the_next() {
    let progress = Progress::default();
    let mut health = files::Health::named("disk".into());
    let mut disk = Disk { room: 7, bytes: Vec::new() };
    health.write(&mut disk, &chunk(SinkId(1), "one\ntwo, cut\nthree\n"), &progress);
    health.write(&mut disk, &chunk(SinkId(1), "lost\n"), &progress);
    disk.room = 100;
    health.write(&mut disk, &chunk(SinkId(1), "whole\n"), &progress);
    assert_eq!(String::from_utf8(disk.bytes).unwrap(), "one\ntwo\nwhole\n");
    assert_eq!((progress.figures().written_lines_total, progress.figures().unwritten_lines_total), (2, 3));
}

/// A pipe whose reader takes one write per permit.
struct Pipe {
    began: mpsc::Sender<()>,
    permits: mpsc::Receiver<()>,
    written: mpsc::Sender<Vec<u8>>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.began.send(()).unwrap();
        self.permits.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.written.send(bytes.to_vec()).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_stuck_pipe_fills_its_queue_and_leaves_shards_and_files_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (began, begins) = mpsc::channel();
    let (permit, permits) = mpsc::channel();
    let (written, reader) = mpsc::channel();
    let settings = Settings {
        access_log: Some(LogDestination::Stdout),
        access_log_queue_bytes_max: 65_536,
        ..settings(directory.path())
    };
    let mut log = AccessLog::start_with(&settings, Box::new(Pipe { began, permits, written })).unwrap();
    let queue = log.queue();
    let stdout = log.main_sink().unwrap();
    let line = "x".repeat(9_999) + "\n";
    queue.offer(chunk(stdout, &line)).unwrap();
    begins.recv().unwrap();
    let offered: Vec<_> = (0..10).map(|_| queue.offer(chunk(stdout, &line))).collect();
    let taken = offered.iter().filter(|result| result.is_ok()).count();
    assert_eq!(taken, 5, "65,536 bytes hold six such lines, one of them being written");
    assert!(offered[taken..].iter().all(|result| *result == Err(Dropped { lines: 1 })));

    let group = log.group_sink("/aws/apigateway/pets").unwrap();
    queue.offer(chunk(group, "to a file\n")).unwrap();
    let file = directory.path().join("groups/%2Faws%2Fapigateway%2Fpets.log");
    while log.queue().figures().written_lines_total < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(file), "to a file\n");

    for _ in 0..=taken {
        permit.send(()).unwrap();
    }
    log.finish(TIME).await.unwrap();
    assert_eq!(reader.iter().map(|bytes| bytes.len()).sum::<usize>(), 60_000);
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_stuck_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let (began, _begins) = mpsc::channel();
    let (_permit, permits) = mpsc::channel();
    let (written, _reader) = mpsc::channel();
    let settings = Settings { access_log: Some(LogDestination::Stdout), ..settings(directory.path()) };
    let log = AccessLog::start_with(&settings, Box::new(Pipe { began, permits, written })).unwrap();
    log.queue().offer(chunk(log.main_sink().unwrap(), "stuck\n")).unwrap();
    let Unwritten { queued_bytes } = log.finish(Duration::from_millis(1)).await.unwrap_err();
    assert!(queued_bytes >= 6);
}

#[test]
fn a_log_that_cannot_be_opened_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_path_buf();
    let settings = Settings { access_log: Some(LogDestination::File(path)), ..settings(directory.path()) };
    let error = AccessLog::start(&settings).unwrap_err().to_string();
    assert!(error.contains("access_log") && error.contains(directory.path().to_str().unwrap()), "{error}");
}

#[test]
fn log_groups_become_files_and_nothing_else_does() {
    assert_eq!(group_file("pets").unwrap(), "pets.log");
    assert_eq!(group_file("a/b").unwrap(), "a%2Fb.log");
    for group in ["", "..", "a b", "a\0", "ü", "a%2Fb", "arn:aws:logs", &"x".repeat(252), &"/".repeat(84)] {
        assert!(group_file(group).is_err(), "{group} was taken");
    }
}

#[tokio::test]
async fn a_sink_is_registered_once_per_file() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, main, _) = file_log(directory.path());
    let first = log.group_sink("pets").unwrap();
    assert_eq!(log.group_sink("pets").unwrap(), first);
    assert_ne!(log.group_sink("dogs").unwrap(), first);
    assert_ne!(main, first);
}
