//! What `/proc` says of a process, and of the machine (proc(5)).

use std::fs;
use std::io;
use std::ops::{Add, Sub};
use std::time::Duration;

/// CPU time that a process has used, since it started or between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// All of it, to the nanosecond (`schedstat`).
    pub(crate) total: Duration,
    /// The kernel's ticks in user mode (`stat`): a sample, good for a share of many.
    user_ticks: u64,
    /// And those in its own.
    system_ticks: u64,
}

impl Cpu {
    /// What the process has used, all its threads that still live together.
    pub(crate) fn of(pid: u32) -> io::Result<Cpu> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may have ended in between.
            let schedstat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            total += schedstat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        let stat = read(&format!("/proc/{pid}/stat"))?;
        // Its second field, the name, may hold anything; after it, the times are the 12th and the 13th.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let mut ticks = fields.split_whitespace().skip(11).map(|ticks| ticks.parse().unwrap_or(0));
        let (user_ticks, system_ticks) = (ticks.next().unwrap_or(0), ticks.next().unwrap_or(0));
        Ok(Cpu { total: Duration::from_nanos(total), user_ticks, system_ticks })
    }

    /// Ticks in user mode, and all ticks.
    pub(crate) fn ticks(&self) -> (u64, u64) {
        (self.user_ticks, self.user_ticks + self.system_ticks)
    }
}

impl Add for Cpu {
    type Output = Cpu;

    fn add(self, other: Cpu) -> Cpu {
        Cpu {
            total: self.total + other.total,
            user_ticks: self.user_ticks + other.user_ticks,
            system_ticks: self.system_ticks + other.system_ticks,
        }
    }
}

impl Sub for Cpu {
    type Output = Cpu;

    fn sub(self, earlier: Cpu) -> Cpu {
        Cpu {
            total: self.total.saturating_sub(earlier.total),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }
}

/// CPU time that this thread, the load generator, has used.
pub(crate) fn own_cpu() -> io::Result<Duration> {
    let schedstat = read("/proc/thread-self/schedstat")?;
    let ns = schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
    Ok(Duration::from_nanos(ns))
}

/// Resident memory of a process, in bytes: counted page by page (`smaps_rollup`), not from the kernel's lazy counters.
pub(crate) fn resident_bytes(pid: u32) -> io::Result<u64> {
    kibibytes(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
}

/// Threads of a process.
pub(crate) fn threads(pid: u32) -> io::Result<u64> {
    number_after(&format!("/proc/{pid}/status"), "Threads:")
}

/// How many descriptors a process holds open.
pub(crate) fn descriptors(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// How often a process went to sleep by itself, all its threads together.
pub(crate) fn sleeps(pid: u32) -> io::Result<u64> {
    let mut sleeps = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = task?.path().join("status");
        sleeps += number_after(&status.to_string_lossy(), "voluntary_ctxt_switches:").unwrap_or(0);
    }
    Ok(sleeps)
}

/// The kernel's stacks of all threads of the machine, in bytes.
pub(crate) fn kernel_stack_bytes() -> io::Result<u64> {
    kibibytes("/proc/meminfo", "KernelStack:")
}

/// SYNs and connections that full queues of listening sockets have cost, on the whole machine (`TcpExtListenDrops`).
pub(crate) fn listen_drops() -> io::Result<u64> {
    let netstat = read("/proc/net/netstat")?;
    let mut rows = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (rows.next().unwrap_or_default(), rows.next().unwrap_or_default());
    let drops = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "ListenDrops");
    drops.and_then(|(_, value)| value.parse().ok()).ok_or_else(|| missing("/proc/net/netstat", "ListenDrops"))
}

/// How many mappings a process may have.
pub(crate) fn max_map_count() -> Option<usize> {
    fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

/// The machine: what it is called, its cores, its memory, its kernel.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = kibibytes("/proc/meminfo", "MemTotal:").unwrap_or(0) >> 30;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.map_or("unknown CPU", |(_, model)| model);
    format!("{model}, {cores} cores, {memory} GiB, Linux {}", kernel.trim())
}

fn kibibytes(path: &str, name: &str) -> io::Result<u64> {
    Ok(number_after(path, name)? * 1024)
}

fn number_after(path: &str, name: &str) -> io::Result<u64> {
    let text = read(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| missing(path, name))
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}

fn missing(path: &str, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{path} has no {name}"))
}
