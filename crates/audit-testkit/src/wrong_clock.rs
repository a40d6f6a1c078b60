//! A clock that is off, for a whole process: a library that is loaded before all others and answers for the system.
//!
//! Not `libfaketime`: it asks for memory before the program's own allocator (jemalloc) is set up, and both wait for ever.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Wall-clock time only; time-outs are measured on the other clock, which nobody sets.
const SOURCE: &str = r"#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int outcome = syscall(SYS_clock_gettime, clock, now);
    if (outcome == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += OFF;
    return outcome;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int outcome = syscall(SYS_gettimeofday, now, zone);
    if (outcome == 0 && now) now->tv_sec += OFF;
    return outcome;
}

time_t time(time_t *now) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (now) *now = at.tv_sec;
    return at.tv_sec;
}
";

/// The library, for as long as processes that use it are started.
#[derive(Debug)]
pub struct WrongClock {
    dir: TempDir,
}

impl WrongClock {
    /// Compiles one that is so many seconds ahead, or behind when negative.
    ///
    /// # Panics
    /// When there is no C compiler.
    #[must_use]
    pub fn off_by(seconds: i64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let source = dir.path().join("clock.c");
        std::fs::write(&source, SOURCE).expect("a temporary file can be written");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", &format!("-DOFF=({seconds})")])
            .arg("-o")
            .args([&dir.path().join("clock.so"), &source])
            .output()
            .expect("cc can be started");
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "cc: {said}");
        Self { dir }
    }

    /// Has the process that is about to start look at this clock.
    pub fn give_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", self.library())
    }

    fn library(&self) -> PathBuf {
        self.dir.path().join("clock.so")
    }
}
