//! As much HTTP/1.1 as probes speak: requests without a body, answers with a `content-length`. Pure.

use std::net::SocketAddr;

/// A request for `/`.
pub(super) fn request(host: SocketAddr, keep: bool) -> String {
    let connection = if keep { "keep-alive" } else { "close" };
    format!("GET / HTTP/1.1\r\nhost: {host}\r\nuser-agent: herald-probe\r\nconnection: {connection}\r\n\r\n")
}

/// Where the head of a message ends, behind its empty line.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Takes one whole answer off the front of what was received: the first line of its body, or the status of one that is not 200.
/// Nothing if it is not complete.
pub(super) fn take_answer(bytes: &mut Vec<u8>) -> Option<String> {
    let end = head_end(bytes)?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let body = bytes.get(end..end + length)?;
    let first = String::from_utf8_lossy(body).lines().next().unwrap_or_default().trim().to_owned();
    let status = head.lines().next().unwrap_or_default().to_owned();
    bytes.drain(..end + length);
    if status.split(' ').nth(1) == Some("200") { Some(first) } else { Some(format!("({status})")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_one_by_one_and_only_whole() {
        let one = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npod1\n";
        let other = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        let mut bytes = format!("{one}{other}{}", &one[..one.len() - 1]).into_bytes();
        assert_eq!(Some("pod1".to_owned()), take_answer(&mut bytes));
        assert_eq!(Some("(http/1.1 503 service unavailable)".to_owned()), take_answer(&mut bytes));
        assert_eq!(None, take_answer(&mut bytes));
        bytes.push(b'\n');
        assert_eq!(Some("pod1".to_owned()), take_answer(&mut bytes));
        assert!(bytes.is_empty());
    }
}
