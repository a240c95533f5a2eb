//! Finds where a JSON value ends, in pieces of text that were cut anywhere. Checks no grammar: what it delimits is
//! checked when it is compacted.

use memchr::memchr2;

/// A scan of one value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    in_scalar: bool,
}

impl Scan {
    /// Looks through the next bytes, which begin with the value itself at the first call. Says how many of them belong
    /// to the value, if it ends among them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                match memchr2(b'"', b'\\', &bytes[at..]) {
                    None => return None,
                    Some(found) => {
                        at += found;
                        if bytes[at] == b'\\' {
                            self.escaped = true;
                        } else {
                            self.in_string = false;
                            if self.depth == 0 {
                                return Some(at + 1);
                            }
                        }
                        at += 1;
                    }
                }
                continue;
            }
            match bytes[at] {
                b'"' if !self.in_scalar || self.depth > 0 => self.in_string = true,
                b'{' | b'[' if !self.in_scalar => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return Some(at),
                _ if self.depth == 0 => self.in_scalar = true,
                _ => {}
            }
            at += 1;
        }
        None
    }
}
