//! The metallb.io and heraldlb.io APIs, and what they mean.
