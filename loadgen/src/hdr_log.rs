//! `--hdr-log`: the intervals' response times as an HdrHistogram interval log (format version 1.3, histograms in the
//! V2 encoding, compressed), which HdrHistogram's log processor and the plotters built on it read. Values are nanoseconds,
//! an interval's maximum milliseconds, as the Java implementation writes them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use crate::timeline::Closed;

pub(crate) struct HdrLog {
    path: PathBuf,
    file: BufWriter<File>,
    serializer: V2DeflateSerializer,
    encoded: Vec<u8>,
}

impl std::fmt::Debug for HdrLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HdrLog").field("path", &self.path).finish_non_exhaustive()
    }
}

impl HdrLog {
    /// Errors, here and below, are sentences for the user.
    pub(crate) fn create(path: &Path, start_unix_s: f64) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| explain(path, &error))?;
        let file = BufWriter::new(file);
        let mut log =
            Self { path: path.to_owned(), file, serializer: V2DeflateSerializer::new(), encoded: Vec::new() };
        log.write_head(start_unix_s).map_err(|error| explain(path, &error))?;
        Ok(log)
    }

    fn write_head(&mut self, start_unix_s: f64) -> std::io::Result<()> {
        writeln!(self.file, "#[turnpike-loadgen {}; response times in ns]", env!("CARGO_PKG_VERSION"))?;
        writeln!(self.file, "#[Histogram log format version 1.3]")?;
        writeln!(self.file, "#[StartTime: {start_unix_s:.3} (seconds since epoch)]")?;
        writeln!(self.file, "#[BaseTime: {start_unix_s:.3} (seconds since epoch)]")?;
        writeln!(
            self.file,
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
        )
    }

    pub(crate) fn write(&mut self, closed: &Closed) -> Result<(), String> {
        self.encoded.clear();
        self.serializer
            .serialize(&closed.latency, &mut self.encoded)
            .map_err(|error| format!("--hdr-log: a histogram can't be encoded: {error}"))?;
        let row = &closed.row;
        let max_ms = closed.latency.max() as f64 / 1e6;
        let histogram = STANDARD.encode(&self.encoded);
        writeln!(self.file, "{:.3},{:.3},{max_ms:.3},{histogram}", row.start_s, row.duration_s)
            .map_err(|error| explain(&self.path, &error))
    }

    pub(crate) fn finish(mut self) -> Result<(), String> {
        self.file.flush().map_err(|error| explain(&self.path, &error))
    }
}

fn explain(path: &Path, error: &std::io::Error) -> String {
    format!("--hdr-log {}: {error}", path.display())
}
