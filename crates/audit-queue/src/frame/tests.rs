//! Every frame comes back as it was, and no damage gets through.

use proptest::prelude::*;

use super::*;

fn frame_of(events: Vec<FrameEvent>) -> Frame {
    Frame {
        id: FrameId([7; 16]),
        internal: false,
        received_at: at(1_700_000_000_000_000),
        traceparent: None,
        events,
    }
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn event(canonical: &[u8], key: &str) -> FrameEvent {
    FrameEvent {
        canonical: canonical.to_vec(),
        api_key_id: key.to_owned(),
    }
}

fn read(bytes: &[u8]) -> Result<Frame, FrameError> {
    Frame::decode(bytes, FrameLimits::default())
}

/// Puts the right checksum on bytes that were changed on purpose.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..CRC_AT]);
    crc.update(&bytes[HEADER_LEN..]);
    bytes[CRC_AT..HEADER_LEN].copy_from_slice(&crc.finalize().to_be_bytes());
    bytes
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let event = (
        proptest::collection::vec(any::<u8>(), 0..300),
        "[a-c]{0,2}|[é€𝄞]{1,3}",
    )
        .prop_map(|(canonical, api_key_id)| FrameEvent {
            canonical,
            api_key_id,
        });
    (
        any::<[u8; 16]>(),
        any::<bool>(),
        0_i64..4_000_000_000_000_000,
        proptest::option::of(".{0,60}"),
        proptest::collection::vec(event, 0..12),
    )
        .prop_map(|(id, internal, micros, traceparent, events)| Frame {
            id: FrameId(id),
            internal,
            received_at: at(micros),
            traceparent,
            events,
        })
}

proptest! {
    #[test]
    fn a_frame_comes_back_as_it_was(frame in any_frame()) {
        prop_assert_eq!(read(&frame.encode()), Ok(frame));
    }

    #[test]
    fn a_flipped_byte_is_never_read(frame in any_frame(), at in any::<prop::sample::Index>(), mask in 1_u8..) {
        let mut bytes = frame.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn a_cut_frame_is_never_read(frame in any_frame(), at in any::<prop::sample::Index>()) {
        let bytes = frame.encode();
        prop_assert!(read(&bytes[..at.index(bytes.len())]).is_err());
    }

    /// With the checksum made right again the parser itself must hold: an error or a frame that says the same again.
    #[test]
    fn no_bytes_make_it_panic(frame in any_frame(), at in any::<prop::sample::Index>(), mask in 1_u8.., cut in any::<bool>()) {
        let mut bytes = frame.encode();
        let at = at.index(bytes.len());
        if cut && at >= HEADER_LEN {
            bytes.truncate(at);
        } else {
            bytes[at] ^= mask;
        }
        if let Ok(frame) = read(&sealed(bytes)) {
            prop_assert_eq!(read(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn noise_is_never_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes).is_err());
    }
}

#[test]
fn every_truncation_and_every_flipped_bit_of_a_compressed_frame_is_an_error() {
    let bytes = frame_of(
        (0..40)
            .map(|n| {
                event(
                    format!("{{\"id\":{n},\"same\":\"same\"}}").as_bytes(),
                    "key",
                )
            })
            .collect(),
    )
    .encode();
    assert_eq!(bytes[6], CODEC_LZ4);
    for at in 0..bytes.len() {
        assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(read(&changed).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn the_bytes_are_as_documented() {
    let frame = Frame {
        id: FrameId(*b"0123456789abcdef"),
        internal: true,
        received_at: at(1),
        traceparent: Some("t".into()),
        events: vec![event(b"{}", "k"), event(b"[1]", "k")],
    };
    let raw = [
        &[0, 0, 0, 1][..],
        b"t",
        &[0, 0, 0, 1, 0, 0, 0, 1],
        b"k",
        &[0, 0, 0, 2, 0, 0, 0, 0],
        &[0, 0, 0, 5, 0, 0, 0, 0],
        b"{}[1]",
    ]
    .concat();
    let mut expected = [
        &b"AWF1\x01\x03\x00\x00"[..],
        &[0, 0, 0, 0, 0, 0, 0, 2],
        b"0123456789abcdef",
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 35, 0, 0, 0, 35],
    ]
    .concat();
    let crc = crc32fast::hash(&[&expected[..], &raw].concat());
    expected.extend_from_slice(&crc.to_be_bytes());
    expected.extend_from_slice(&raw);
    assert_eq!(frame.encode(), expected);
}

#[test]
fn lz4_is_used_only_where_it_helps() {
    let same = frame_of(vec![event(&[b'a'; 10_000], "k")]).encode();
    assert_eq!(same[6], CODEC_LZ4);
    assert!(same.len() < 300);
    let noise: Vec<u8> = (0_u32..2_500)
        .flat_map(|n| {
            n.wrapping_mul(2_654_435_761)
                .rotate_left(n % 31)
                .to_be_bytes()
        })
        .collect();
    assert_eq!(frame_of(vec![event(&noise, "k")]).encode()[6], CODEC_NONE);
    assert_eq!(
        frame_of(vec![event(&[b'a'; 100], "k")]).encode()[6],
        CODEC_NONE
    );
}

#[test]
fn an_unknown_version_and_an_unknown_key_are_their_own_errors() {
    let bytes = frame_of(vec![event(b"{}", "k")]).encode();
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(read(&with(4, 2)), Err(FrameError::UnknownVersion(2)));
    assert_eq!(read(&sealed(with(11, 9))), Err(FrameError::UnknownKey(9)));
    assert_eq!(
        read(&with(11, 9)),
        Err(FrameError::Damaged("wrong checksum"))
    );
    assert_eq!(read(&with(0, b'B')), Err(FrameError::NotAFrame));
    assert_eq!(
        read(&sealed(with(5, 128))),
        Err(FrameError::Damaged("an unknown flag"))
    );
    assert_eq!(
        read(&sealed(with(6, 7))),
        Err(FrameError::Damaged("an unknown codec"))
    );
}

#[test]
fn more_than_the_limit_is_refused_on_both_sides_unless_it_is_one_event() {
    let limits = FrameLimits {
        raw_bytes_max: 1000,
    };
    let one = frame_of(vec![event(&[b'a'; 5000], "k")]);
    assert_eq!(one.check(limits), Ok(()));
    assert_eq!(Frame::decode(&one.encode(), limits), Ok(one));
    let two = frame_of(vec![event(&[b'a'; 500], "k"), event(&[b'a'; 500], "k")]);
    assert!(matches!(two.check(limits), Err(FrameError::TooLarge(_))));
    assert!(matches!(
        Frame::decode(&two.encode(), limits),
        Err(FrameError::TooLarge(_))
    ));
}

#[test]
fn a_frame_that_claims_gigabytes_is_refused_before_they_are_allocated() {
    let mut bytes = frame_of(vec![event(&[b'a'; 1000], "k")]).encode();
    assert_eq!(bytes[6], CODEC_LZ4);
    bytes[40..44].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(
        read(&sealed(bytes)),
        Err(FrameError::Damaged(
            "another raw length than its header says"
        ))
    );
    let mut bytes = frame_of(vec![event(b"{}", "k")]).encode();
    bytes[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(read(&sealed(bytes)).is_err());
}
