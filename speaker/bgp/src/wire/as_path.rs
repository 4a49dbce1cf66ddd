//! AS numbers and the path of them that a route has taken (RFC 4271 §4.3 b, RFC 6793).

use std::fmt;

use super::reader::Reader;
use super::{DecodeError, EncodeError, Problem};
use crate::iana::{AS_TRANS, AttributeCode, SegmentType};

/// The number of an autonomous system, four octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(pub u32);

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The AS_PATH attribute. Empty for a route that originates in the AS of both peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsPath {
    /// Segments, the nearest first.
    pub segments: Vec<Segment>,
}

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// Whether the order of the numbers means something.
    pub kind: SegmentType,
    /// One to 255 numbers, the nearest first.
    pub asns: Vec<Asn>,
}

impl AsPath {
    /// Builds a path of one ordered segment for every 255 numbers; none for no number.
    pub fn sequence(asns: &[Asn]) -> Self {
        let segment = |asns: &[Asn]| Segment { kind: SegmentType::Sequence, asns: asns.to_vec() };
        Self { segments: asns.chunks(Segment::MAX_ASNS).map(segment).collect() }
    }

    /// Says whether a number of the path needs four octets.
    pub(super) fn is_wide(&self) -> bool {
        self.asns().any(|asn| u16::try_from(asn.0).is_err())
    }

    /// Returns every number of the path, the nearest first.
    pub fn asns(&self) -> impl Iterator<Item = Asn> {
        self.segments.iter().flat_map(|segment| segment.asns.iter().copied())
    }
}

impl Segment {
    /// What the count of a segment can say.
    pub const MAX_ASNS: usize = 255;

    /// Says whether the segment speaks of a confederation, which stays out of AS4_PATH (RFC 6793 §3).
    fn is_confederation(&self) -> bool {
        matches!(self.kind, SegmentType::ConfedSequence | SegmentType::ConfedSet)
    }

    /// What the segment counts in the length of a path: a set is one step (RFC 4271 §9.1.2.2), a confederation none.
    fn steps(&self) -> usize {
        match self.kind {
            SegmentType::Sequence => self.asns.len(),
            SegmentType::Set => 1,
            SegmentType::ConfedSequence | SegmentType::ConfedSet => 0,
        }
    }
}

/// How many octets a number has in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Two,
    Four,
}

/// Reads the value of AS_PATH or AS4_PATH.
pub(super) fn read(mut part: Reader<'_>, code: AttributeCode, width: Width) -> Result<AsPath, DecodeError> {
    let mut segments = Vec::new();
    while !part.is_empty() {
        let (at, left) = (part.offset(), part.left());
        let kind = part.u8().unwrap_or_default();
        let kind =
            SegmentType::of(kind).ok_or_else(|| DecodeError::new(at, Problem::SegmentType { code, found: kind }))?;
        let overrun = |found| DecodeError::new(at, Problem::SegmentOverrun { code, found, left });
        let count = part.u8().ok_or_else(|| overrun(2))?;
        if count == 0 {
            return Err(DecodeError::new(at, Problem::SegmentEmpty { code }));
        }
        let mut asns = Vec::with_capacity(count.into());
        for _ in 0..count {
            let asn = match width {
                Width::Two => part.u16().map(u32::from),
                Width::Four => part.u32(),
            };
            let octets = match width {
                Width::Two => 2,
                Width::Four => 4,
            };
            let asn = asn.ok_or_else(|| overrun(2 + usize::from(count) * octets))?;
            if asn == 0 {
                return Err(DecodeError::new(part.offset() - octets, Problem::ZeroAsIn { code }));
            }
            asns.push(Asn(asn));
        }
        segments.push(Segment { kind, asns });
    }
    Ok(AsPath { segments })
}

/// Writes the value of AS_PATH; in two octets, a number that needs four is [`AS_TRANS`].
pub(super) fn write(bytes: &mut Vec<u8>, path: &AsPath, width: Width) -> Result<(), EncodeError> {
    path.segments.iter().try_for_each(|segment| write_segment(bytes, segment, width))
}

/// Writes the value of AS4_PATH (RFC 6793 §4.2.2).
pub(super) fn write_as4(bytes: &mut Vec<u8>, path: &AsPath) -> Result<(), EncodeError> {
    let segments = path.segments.iter().filter(|segment| !segment.is_confederation());
    segments.into_iter().try_for_each(|segment| write_segment(bytes, segment, Width::Four))
}

fn write_segment(bytes: &mut Vec<u8>, segment: &Segment, width: Width) -> Result<(), EncodeError> {
    let count = segment.asns.len();
    let octet = u8::try_from(count).ok().filter(|count| *count > 0).ok_or(EncodeError::Segment(count))?;
    bytes.extend([segment.kind.number(), octet]);
    for asn in &segment.asns {
        match width {
            _ if asn.0 == 0 => return Err(EncodeError::ZeroAs),
            Width::Two => bytes.extend(u16::try_from(asn.0).unwrap_or(AS_TRANS).to_be_bytes()),
            Width::Four => bytes.extend(asn.0.to_be_bytes()),
        }
    }
    Ok(())
}

/// Makes one path of the two that a peer with two-octet numbers sends (RFC 6793 §4.2.3): what AS4_PATH does not reach back
/// to is taken from AS_PATH. An AS4_PATH that is longer is ignored.
pub(super) fn merge(path: AsPath, as4: AsPath) -> AsPath {
    let steps = |path: &AsPath| path.segments.iter().map(Segment::steps).sum::<usize>();
    let Some(mut missing) = steps(&path).checked_sub(steps(&as4)) else { return path };
    let mut segments = Vec::new();
    for segment in path.segments {
        if segment.is_confederation() {
            segments.push(segment);
        } else if missing == 0 {
            break;
        } else if segment.kind == SegmentType::Sequence && missing < segment.asns.len() {
            segments.push(Segment { asns: segment.asns.into_iter().take(missing).collect(), ..segment });
            break;
        } else {
            missing = missing.saturating_sub(segment.steps());
            segments.push(segment);
        }
    }
    let mut rest = as4.segments.into_iter().filter(|segment| !segment.is_confederation());
    if let Some(next) = rest.next() {
        match segments.last_mut() {
            Some(last)
                if last.kind == SegmentType::Sequence
                    && next.kind == SegmentType::Sequence
                    && last.asns.len() + next.asns.len() <= Segment::MAX_ASNS =>
            {
                last.asns.extend(next.asns);
            }
            _ => segments.push(next),
        }
    }
    segments.extend(rest);
    AsPath { segments }
}
