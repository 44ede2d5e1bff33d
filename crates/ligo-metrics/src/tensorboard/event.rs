//! The four kinds of `tensorflow.Event` that scalars need, as protobuf bytes (`tensorflow/core/util/event.proto`).

/// What an event carries.
pub(super) enum What<'a> {
    /// First event of every file.
    FileVersion,
    /// A (re)start at the event's step: readers forget what they saw of this step and later ones.
    Start,
    /// One number under a tag.
    Scalar { tag: &'a str, value: f32 },
}

/// Wire types of protobuf.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// `Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }`
pub(super) fn encode(wall_time: f64, step: u64, what: &What<'_>) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, FIXED64);
    event.extend_from_slice(&wall_time.to_le_bytes());
    key(&mut event, 2, VARINT);
    varint(&mut event, step);
    match what {
        What::FileVersion => bytes(&mut event, 3, b"brain.Event:2"),
        What::Start => {
            // SessionLog { SessionStatus status = 1; } with START = 1.
            let mut log = Vec::new();
            key(&mut log, 1, VARINT);
            varint(&mut log, 1);
            bytes(&mut event, 7, &log);
        }
        What::Scalar { tag, value } => {
            // Summary { repeated Value value = 1; }, Value { string tag = 1; float simple_value = 2; }
            let mut entry = Vec::new();
            bytes(&mut entry, 1, tag.as_bytes());
            key(&mut entry, 2, FIXED32);
            entry.extend_from_slice(&value.to_le_bytes());
            let mut summary = Vec::new();
            bytes(&mut summary, 1, &entry);
            bytes(&mut event, 5, &summary);
        }
    }
    event
}

fn key(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

fn bytes(out: &mut Vec<u8>, field: u32, data: &[u8]) {
    key(out, field, BYTES);
    varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
