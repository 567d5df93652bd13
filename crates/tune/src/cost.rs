//! What a training costs: processor seconds and memory, as Linux tells them. Nothing is told where `/proc` is not.

use std::fs::read_to_string;

/// Ticks of `/proc/self/stat` in a second: the kernel's `USER_HZ`, which every architecture we build for has at 100.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor seconds of this process, all threads, user and system.
pub fn cpu_seconds() -> Option<f64> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// The most memory that this process has held, in MiB.
pub fn peak_mib() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_both() {
        assert!(cpu_seconds().unwrap() >= 0.0);
        assert!(peak_mib().unwrap() > 0);
    }
}
