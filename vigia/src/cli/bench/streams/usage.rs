//! What the processes take of the machine, and the clock that they share.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use nix::time::{ClockId, clock_gettime};

/// Time of CLOCK_MONOTONIC: the same in all processes of the machine, which [`std::time::Instant`] does not promise to be.
pub(super) fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Processor time of this process, of all its threads.
pub(super) fn processor_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let time = |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0));
    time(usage.user_time()) + time(usage.system_time())
}

/// Time that the machine's processors were not idle, all of them together, in steps of 10 ms; what the host of a virtual
/// machine took of them counts.
pub(super) fn machine_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> =
        stat.lines().next().into_iter().flat_map(str::split_whitespace).filter_map(|t| t.parse().ok()).collect();
    // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen; guests count as user already.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|&field: &usize| ticks.get(field)).sum::<u64>();
    Duration::from_millis(busy * 10)
}

/// Memory of this process that lies in RAM, in MiB.
pub(super) fn resident_mib() -> f64 {
    let kib = field("/proc/self/status", "VmRSS").and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// What the processor is called.
pub(super) fn processor() -> String {
    field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// The value of the first line of this name.
fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start().strip_prefix(':')?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_is_used() {
        let (time, before, machine) = (processor_time(), monotonic(), machine_time());
        while processor_time() <= time || machine_time() <= machine {
            std::hint::spin_loop();
        }
        assert!(monotonic() > before);
        assert!(resident_mib() > 1.0);
        assert!(!processor().is_empty());
    }
}
