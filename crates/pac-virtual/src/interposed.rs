//! The two functions of the C library. Their signatures and what they promise are those of getrandom(2) and clock_gettime(3).

#![allow(unsafe_code, reason = "they have C's types, and are called under C's names")]

use std::time::Duration;

use libc::{c_int, c_long, c_uint, c_void, clockid_t, size_t, ssize_t, time_t, timespec};

use crate::{CHANCE, MONOTONIC, TIME_OF_DAY, chance, passed};

// SAFETY: it is what the C library has under this name, for callers that keep to its contract: `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
    let mut bits = (0_u64, 0_u32);
    for at in 0..length {
        if bits.1 == 0 {
            let Some(more) = chance() else {
                // SAFETY: the arguments are the caller's own, for the same function of the kernel.
                return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) } as ssize_t;
            };
            bits = (more, u64::BITS / u8::BITS);
        }
        // SAFETY: `at` is less than the length that the caller's buffer has.
        unsafe { buffer.cast::<u8>().add(at).write(bits.0 as u8) };
        bits = (bits.0 >> u8::BITS, bits.1 - 1);
    }
    length as ssize_t
}

// SAFETY: it is what the C library has under this name, for callers that keep to its contract: `time` can be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let Some(now) = virtual_time(clock) else {
        // SAFETY: the arguments are the caller's own, for the same function of the kernel.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) } as c_int;
    };
    let now = timespec { tv_sec: now.as_secs() as time_t, tv_nsec: now.subsec_nanos() as c_long };
    // SAFETY: the caller's `time` can be written to.
    unsafe { time.write(now) };
    0
}

/// What a clock shows on a thread whose time is virtual; none for those that measure the processor, which are the kernel's.
fn virtual_time(clock: clockid_t) -> Option<Duration> {
    CHANCE.get()?;
    let began = match clock {
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_BOOTTIME => {
            MONOTONIC
        }
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => TIME_OF_DAY,
        _ => return None,
    };
    Some(began + passed())
}
