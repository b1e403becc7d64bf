//! Random bytes of the kernel.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Returns random bytes, fit for secrets.
///
/// # Panics
/// When the kernel has no such call: Linux has it since 3.17.
pub fn bytes<const N: usize>() -> [u8; N] {
    let (mut bytes, mut filled) = ([0; N], 0);
    while filled < N {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => panic!("the kernel gives no random bytes: {error}"),
        }
    }
    bytes
}

/// Returns a random number.
pub fn number() -> u64 {
    u64::from_ne_bytes(bytes())
}
