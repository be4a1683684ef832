use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use bucketdb::{Environment, TokioEnvironment};
use bucketdb_system_tests::{Line, Picture, cargo_at};
use futures::stream::{self, StreamExt};

use crate::{Arguments, say};

/// The source of an upload gives so many bytes at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Uploads a blob as a stream, reads it as a stream and in ranges, and says how long that took and how much memory.
pub(crate) async fn carry(arguments: &Arguments, len: u64) -> Result<(), Box<dyn Error>> {
    let env = TokioEnvironment::new();
    let db = arguments.open().await?;
    let begun = env.monotonic();
    let starts = (0..len).step_by(PIECE_BYTES as usize);
    let pieces = starts.map(|start| Ok::<_, String>(cargo_at(start..len.min(start + PIECE_BYTES)).into()));
    let image = db.blobs().upload_stream(stream::iter(pieces)).await?;
    db.table::<Picture>().await?.put(&Picture { id: len, version: 0, image }).await?;
    let uploaded = env.monotonic();
    let reader = db.blobs().open(&image)?;
    let mut at = 0;
    {
        // It ends with an error if it does not have the hash that the reference to it says.
        let mut parts = std::pin::pin!(reader.stream());
        while let Some(part) = parts.next().await {
            let part = part?;
            let end = at + part.len() as u64;
            check(&part, at..end)?;
            at = end;
        }
    }
    let read = env.monotonic();
    if at != len {
        return Err(format!("{at} bytes came back of {len}").into());
    }
    for start in [0, 1, len / 3, (len / 2).saturating_sub(5), len.saturating_sub(1), len] {
        for end in [start, start + 1, start + 100, start + (5 << 20)] {
            let range = start..end.min(len).max(start);
            check(&reader.range(start..end).await?, range)?;
        }
    }
    db.close().await?;
    let [upload_ms, read_ms] = [uploaded - begun, read - uploaded].map(milliseconds);
    say(&Line::Carried { bytes: len, upload_ms, read_ms, peak_bytes: peak_memory()? })?;
    Ok(())
}

fn check(bytes: &[u8], range: Range<u64>) -> Result<(), Box<dyn Error>> {
    if bytes == cargo_at(range.clone()) {
        Ok(())
    } else {
        Err(format!("not what was uploaded: bytes {range:?}").into())
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How much memory this process had at most, in bytes.
fn peak_memory() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak of memory is known")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}
