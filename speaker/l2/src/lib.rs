//! ARP and NDP: answers, announcement schedule, duplicate detection.
