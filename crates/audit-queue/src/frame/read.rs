//! Reading frames. Nothing here trusts a length: each is compared with the bytes that are there before it is used.

use std::borrow::Cow;

use audit_event::Timestamp;

use super::{
    CODEC_LZ4, CODEC_NONE, CRC_AT, EVENT_ROW_LEN, FLAG_INTERNAL, FLAG_TRACEPARENT, Frame,
    FrameError, FrameEvent, FrameId, FrameLimits, HEADER_LEN, MAGIC, VERSION,
};

/// An LZ4 block never grows by more than this factor (one byte of match length stands for at most 255).
const LZ4_GROWTH_MAX: usize = 255;

pub(super) fn decode(bytes: &[u8], limits: FrameLimits) -> Result<Frame, FrameError> {
    let header = Header::read(bytes)?;
    let kept = bytes.get(HEADER_LEN..).unwrap_or_default();
    if header.key_id != 0 {
        return Err(FrameError::UnknownKey(header.key_id));
    }
    if header.raw_len > limits.raw_bytes_max && header.count > 1 {
        return Err(FrameError::TooLarge(header.raw_len as u64));
    }
    let raw = raw_part(&header, kept)?;
    let mut input = Input(&raw);
    let traceparent = input.text()?;
    if header.flags & FLAG_TRACEPARENT == 0 && !traceparent.is_empty() {
        return Err(FrameError::Damaged("a traceparent without its flag"));
    }
    let keys = key_ids(&mut input)?;
    Ok(Frame {
        id: header.id,
        internal: header.flags & FLAG_INTERNAL != 0,
        received_at: header.received_at,
        traceparent: (header.flags & FLAG_TRACEPARENT != 0).then(|| traceparent.to_owned()),
        events: events(input, header.count, &keys)?,
    })
}

struct Header {
    flags: u8,
    codec: u8,
    key_id: u32,
    count: usize,
    id: FrameId,
    received_at: Timestamp,
    raw_len: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut input = Input(bytes);
        if input.take(4) != Ok(&MAGIC) {
            return Err(FrameError::NotAFrame);
        }
        // Of another version nothing more is known than that it is one.
        let version = input.byte()?;
        if version != VERSION {
            return Err(FrameError::UnknownVersion(version));
        }
        check_crc(bytes)?;
        let (flags, codec, zero) = (input.byte()?, input.byte()?, input.byte()?);
        if flags & !(FLAG_INTERNAL | FLAG_TRACEPARENT) != 0 || zero != 0 {
            return Err(FrameError::Damaged("an unknown flag"));
        }
        let key_id = u32::from_be_bytes(input.array()?);
        let count = input.length()?;
        let id = FrameId(input.array()?);
        let received_at = Timestamp::from_micros(i64::from_be_bytes(input.array()?))
            .ok_or(FrameError::Damaged("no such time"))?;
        let raw_len = input.length()?;
        if input.length()? != bytes.len().saturating_sub(HEADER_LEN) {
            return Err(FrameError::Damaged("another length than its header says"));
        }
        Ok(Self {
            flags,
            codec,
            key_id,
            count,
            id,
            received_at,
            raw_len,
        })
    }
}

fn check_crc(bytes: &[u8]) -> Result<(), FrameError> {
    let (Some(head), Some(said), Some(kept)) = (
        bytes.get(..CRC_AT),
        bytes.get(CRC_AT..HEADER_LEN),
        bytes.get(HEADER_LEN..),
    ) else {
        return Err(FrameError::Damaged("cut off"));
    };
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(kept);
    if crc.finalize().to_be_bytes() == said {
        Ok(())
    } else {
        Err(FrameError::Damaged("wrong checksum"))
    }
}

fn raw_part<'a>(header: &Header, kept: &'a [u8]) -> Result<Cow<'a, [u8]>, FrameError> {
    match header.codec {
        CODEC_NONE if header.raw_len == kept.len() => Ok(Cow::Borrowed(kept)),
        CODEC_LZ4 if header.raw_len <= kept.len().saturating_mul(LZ4_GROWTH_MAX) => {
            let mut raw = vec![0; header.raw_len];
            match lz4_flex::block::decompress_into(kept, &mut raw) {
                Ok(length) if length == raw.len() => Ok(Cow::Owned(raw)),
                _ => Err(FrameError::Damaged("cannot be decompressed")),
            }
        }
        CODEC_NONE | CODEC_LZ4 => Err(FrameError::Damaged(
            "another raw length than its header says",
        )),
        _ => Err(FrameError::Damaged("an unknown codec")),
    }
}

fn key_ids<'a>(input: &mut Input<'a>) -> Result<Vec<&'a str>, FrameError> {
    let count = input.length()?;
    if count > input.0.len() / 4 {
        return Err(FrameError::Damaged("more API key ids than bytes"));
    }
    (0..count).map(|_| input.text()).collect()
}

fn events(
    mut input: Input<'_>,
    count: usize,
    keys: &[&str],
) -> Result<Vec<FrameEvent>, FrameError> {
    let rows = count
        .checked_mul(EVENT_ROW_LEN)
        .ok_or(FrameError::Damaged("more events than bytes"))?;
    let mut rows = Input(input.take(rows)?);
    let mut events = Vec::with_capacity(count);
    let mut start = 0_usize;
    for _ in 0..count {
        let end = rows.length()?;
        let key = rows.length()?;
        let length = end
            .checked_sub(start)
            .ok_or(FrameError::Damaged("an event ends before it starts"))?;
        let api_key_id = *keys
            .get(key)
            .ok_or(FrameError::Damaged("no such API key id"))?;
        events.push(FrameEvent {
            canonical: input.take(length)?.to_vec(),
            api_key_id: api_key_id.to_owned(),
        });
        start = end;
    }
    if input.0.is_empty() {
        Ok(events)
    } else {
        Err(FrameError::Damaged("bytes after the last event"))
    }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(FrameError::Damaged("cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (taken, rest) = self
            .0
            .split_first_chunk()
            .ok_or(FrameError::Damaged("cut off"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, FrameError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn length(&mut self) -> Result<usize, FrameError> {
        usize::try_from(u32::from_be_bytes(self.array()?))
            .or(Err(FrameError::Damaged("a length beyond this machine")))
    }

    fn text(&mut self) -> Result<&'a str, FrameError> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?)
            .or(Err(FrameError::Damaged("a text that is not UTF-8")))
    }
}
