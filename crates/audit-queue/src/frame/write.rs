//! Writing frames.

use std::collections::HashMap;

use super::{
    CODEC_LZ4, CODEC_NONE, CRC_AT, FLAG_INTERNAL, FLAG_TRACEPARENT, Frame, HEADER_LEN, MAGIC,
    VERSION,
};

/// Raw parts below this are kept as they are: an LZ4 table costs more than it can save.
const COMPRESS_FROM: usize = 256;

pub(super) fn encode(frame: &Frame) -> Vec<u8> {
    let raw = raw_part(frame);
    let block = (raw.len() >= COMPRESS_FROM)
        .then(|| lz4_flex::block::compress(&raw))
        .filter(|block| block.len() < raw.len());
    let (codec, kept) = block
        .as_ref()
        .map_or((CODEC_NONE, &raw), |block| (CODEC_LZ4, block));

    let mut bytes = Vec::with_capacity(HEADER_LEN + kept.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, flags(frame), codec, 0]);
    bytes.extend_from_slice(&0_u32.to_be_bytes());
    bytes.extend_from_slice(&length(frame.events.len()));
    bytes.extend_from_slice(&frame.id.0);
    bytes.extend_from_slice(&frame.received_at.micros().to_be_bytes());
    bytes.extend_from_slice(&length(raw.len()));
    bytes.extend_from_slice(&length(kept.len()));
    debug_assert_eq!(
        bytes.len(),
        CRC_AT,
        "the header is written as the module says"
    );
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes);
    crc.update(kept);
    bytes.extend_from_slice(&crc.finalize().to_be_bytes());
    bytes.extend_from_slice(kept);
    bytes
}

fn flags(frame: &Frame) -> u8 {
    let internal = if frame.internal { FLAG_INTERNAL } else { 0 };
    let traceparent = if frame.traceparent.is_some() {
        FLAG_TRACEPARENT
    } else {
        0
    };
    internal | traceparent
}

/// A length that does not fit is written as the greatest one, which no reader accepts; `Frame::check` refuses it before.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn raw_part(frame: &Frame) -> Vec<u8> {
    let mut raw = Vec::with_capacity(frame.raw_len());
    put_text(&mut raw, frame.traceparent.as_deref().unwrap_or_default());

    let mut keys: Vec<&str> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut rows: Vec<(usize, usize)> = Vec::with_capacity(frame.events.len());
    let mut end = 0_usize;
    for event in &frame.events {
        let key = *known.entry(&event.api_key_id).or_insert_with(|| {
            keys.push(&event.api_key_id);
            keys.len() - 1
        });
        end = end.saturating_add(event.canonical.len());
        rows.push((end, key));
    }

    raw.extend_from_slice(&length(keys.len()));
    for key in keys {
        put_text(&mut raw, key);
    }
    for (end, key) in rows {
        raw.extend_from_slice(&length(end));
        raw.extend_from_slice(&length(key));
    }
    for event in &frame.events {
        raw.extend_from_slice(&event.canonical);
    }
    raw
}

fn put_text(raw: &mut Vec<u8>, text: &str) {
    raw.extend_from_slice(&length(text.len()));
    raw.extend_from_slice(text.as_bytes());
}
