//! Bytes that may hold card numbers and credentials: wiped when they are given back.

use std::ops::Deref;

use zeroize::Zeroize;

/// Capacity that a buffer keeps for what comes next, in bytes; one request of a megabyte must not hold that much for as
/// long as its connection is idle.
const KEPT_BYTES: usize = 64 * 1024;

/// A buffer whose memory is overwritten before anybody else gets it: when it grows, shrinks and ends.
#[derive(Default)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    pub fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Makes room. A vector that grows by itself would leave its old memory as it was.
    pub fn reserve(&mut self, more: usize) {
        let needed = self.0.len() + more;
        if needed > self.0.capacity() {
            let mut grown = Vec::with_capacity(needed.max(2 * self.0.capacity()));
            grown.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = grown;
        }
    }

    /// Drops the first bytes.
    pub fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.0.len());
        let left = self.0.len() - bytes;
        self.0.copy_within(bytes.., 0);
        self.0[left..].zeroize();
        self.0.truncate(left);
        if left <= KEPT_BYTES && self.0.capacity() > KEPT_BYTES {
            let rest = self.0[..].to_vec();
            self.0.zeroize();
            self.0 = rest;
        }
    }

    pub fn clear(&mut self) {
        self.0.zeroize();
    }
}

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_consumed_is_gone_and_the_rest_stays_in_order() {
        let mut buffer = Wiped::default();
        buffer.push(b"4111111111111111");
        buffer.push(&[b'x'; 100]);
        buffer.consume(16);
        assert_eq!(&buffer[..], &[b'x'; 100]);
        let behind = &buffer.0.spare_capacity_mut().len();
        assert!(*behind >= 16, "the memory is still there, wiped");
        buffer.consume(1000);
        assert!(buffer.is_empty());
        buffer.push(b"again");
        assert_eq!(&buffer[..], b"again");
        buffer.clear();
        assert!(buffer.is_empty());
    }

    #[test]
    fn the_memory_of_a_big_request_is_given_back_and_what_follows_it_stays() {
        let mut buffer = Wiped::default();
        buffer.push(&vec![b'x'; 1024 * 1024]);
        buffer.push(b"next");
        buffer.consume(1000);
        assert!(buffer.0.capacity() >= 1024 * 1024);
        buffer.consume(1024 * 1024 - 1000);
        assert_eq!(&buffer[..], b"next");
        assert!(buffer.0.capacity() <= KEPT_BYTES, "{} bytes", buffer.0.capacity());
    }
}
