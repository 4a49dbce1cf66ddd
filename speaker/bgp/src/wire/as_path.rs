//! AS numbers and the path of them that a route has taken (RFC 4271 §4.3 b, RFC 6793).

use std::fmt;

use crate::iana::SegmentType;

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

    /// Returns every number of the path, the nearest first.
    pub fn asns(&self) -> impl Iterator<Item = Asn> {
        self.segments.iter().flat_map(|segment| segment.asns.iter().copied())
    }
}

impl Segment {
    /// What the count of a segment can say.
    pub const MAX_ASNS: usize = 255;
}
