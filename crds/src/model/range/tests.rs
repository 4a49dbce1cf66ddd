use proptest::prelude::*;

use super::*;

#[test]
fn entries_are_read_as_cidrs_or_ranges() {
    let table = [
        ("10.20.30.0/24", "10.20.30.0-10.20.30.255"),
        ("10.20.30.40/24", "10.20.30.0-10.20.30.255"),
        ("192.0.2.7/32", "192.0.2.7-192.0.2.7"),
        ("192.0.2.10-192.0.2.20", "192.0.2.10-192.0.2.20"),
        ("192.0.2.10 - 192.0.2.20", "192.0.2.10-192.0.2.20"),
        ("  192.0.2.10-\t192.0.2.10 ", "192.0.2.10-192.0.2.10"),
        ("0.0.0.0/0", "0.0.0.0-255.255.255.255"),
        ("2001:db8::/126", "2001:db8::-2001:db8::3"),
        ("2001:db8::5/126", "2001:db8::4-2001:db8::7"),
        ("2001:db8::1-2001:db8::ff", "2001:db8::1-2001:db8::ff"),
        ("2001:db8::1/128", "2001:db8::1-2001:db8::1"),
        ("::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("::ffff:192.0.2.0/120", "192.0.2.0-192.0.2.255"),
        ("::ffff:192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9"),
    ];
    for (entry, range) in table {
        assert_eq!(Range::parse(entry).map(|r| r.to_string()), Ok(range.to_owned()), "{entry}");
    }
}

#[test]
fn an_unreadable_entry_says_what_to_write() {
    let table = [
        ("", "\"\" is neither a CIDR such as 192.0.2.0/24 nor a range such as 192.0.2.10-192.0.2.20"),
        ("pool", "\"pool\" is neither a CIDR such as 192.0.2.0/24 nor a range such as 192.0.2.10-192.0.2.20"),
        (
            "10.0.0.300/24",
            "\"10.0.0.300/24\" is neither a CIDR such as 192.0.2.0/24 nor a range such as 192.0.2.10-192.0.2.20",
        ),
        ("192.0.2.7", "\"192.0.2.7\" has no prefix length: write 192.0.2.7/32 for this one address"),
        ("2001:db8::7", "\"2001:db8::7\" has no prefix length: write 2001:db8::7/128 for this one address"),
        ("192.0.2.0/33", "the prefix length \"33\" of 192.0.2.0 is not a number from 0 to 32"),
        ("192.0.2.0/x", "the prefix length \"x\" of 192.0.2.0 is not a number from 0 to 32"),
        ("2001:db8::/129", "the prefix length \"129\" of 2001:db8:: is not a number from 0 to 128"),
        ("::ffff:192.0.2.0/24", "the prefix length \"24\" of ::ffff:192.0.2.0 is not a number from 96 to 128"),
        ("192.0.2.9-192.0.2.1", "the range 192.0.2.9-192.0.2.1 ends before it starts: write 192.0.2.1-192.0.2.9"),
        ("192.0.2.1-x", "\"x\" in the range \"192.0.2.1-x\" is not an IP address"),
        ("192.0.2.1-20", "\"20\" in the range \"192.0.2.1-20\" is not an IP address"),
        ("192.0.2.1-2-3", "\"2-3\" in the range \"192.0.2.1-2-3\" is not an IP address"),
        (
            "1.2.3.4-1000::4",
            "the range 1.2.3.4-1000::4 starts in one address family and ends in the other: write one entry for each family",
        ),
    ];
    for (entry, message) in table {
        assert_eq!(Range::parse(entry).map_err(|e| e.to_string()), Err(message.to_owned()), "{entry}");
    }
}

#[test]
fn sizes_saturate_only_at_the_whole_of_ipv6() {
    let size = |entry: &str| Range::parse(entry).unwrap().size();
    assert_eq!(size("192.0.2.0/32"), 1);
    assert_eq!(size("0.0.0.0/0"), 1 << 32);
    assert_eq!(size("2001:db8::/64"), 1 << 64);
    assert_eq!(size("::/0"), u128::MAX);
}

proptest! {
    #[test]
    fn buggy_addresses_are_counted_as_they_are_told(first in any::<u32>(), length in 0_u32..2000) {
        let ip = |n: u32| IpAddr::from(std::net::Ipv4Addr::from(n));
        let last = first.saturating_add(length);
        let range = Range::new(ip(first), ip(last)).unwrap();
        prop_assert_eq!(range.buggy(), (first..=last).filter(|&n| is_buggy(ip(n))).count() as u128);
    }

    #[test]
    fn any_text_is_a_range_or_a_refusal(entry in "\\PC{0,40}|[0-9a-f:./ -]{0,40}") {
        if let Ok(range) = Range::parse(&entry) {
            prop_assert_eq!(Range::new(range.first, range.last), Some(range));
        }
    }

    #[test]
    fn a_range_reads_its_own_text(first in any::<u128>(), last in any::<u128>()) {
        let ip = |n: u128| IpAddr::from(std::net::Ipv6Addr::from(n));
        let range = Range::new(ip(first.min(last)), ip(first.max(last))).unwrap();
        prop_assert_eq!(Range::parse(&range.to_string()), Ok(range));
    }
}
