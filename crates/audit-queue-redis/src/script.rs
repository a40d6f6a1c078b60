//! The scripts. Each is one change of the queue, whole or not at all.

use deadpool_redis::redis::{Cmd, Script as Text, ToRedisArgs, cmd};

/// A script and the name Redis knows it by.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    sha: String,
}

/// A script with keys and arguments, ready to be sent, and sent again.
pub(crate) struct Call {
    /// By name; refused when Redis does not know the script (any more).
    pub(crate) short: Cmd,
    text: &'static str,
}

impl Call {
    /// A command that is no script.
    pub(crate) fn plain(name: &str) -> Self {
        Self {
            short: cmd(name),
            text: "",
        }
    }
}

impl Script {
    fn new(text: &'static str) -> Self {
        let sha = Text::new(text).get_hash().to_owned();
        Self { text, sha }
    }

    pub(crate) fn with(&self, keys: &[&str]) -> Call {
        let mut short = cmd("EVALSHA");
        short.arg(&self.sha).arg(keys.len());
        keys.iter().for_each(|key| _ = short.arg(*key));
        Call {
            short,
            text: self.text,
        }
    }
}

impl Call {
    pub(crate) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.short.arg(arg);
        self
    }

    /// With the script's text, which Redis keeps from then on.
    pub(crate) fn long(&self) -> Cmd {
        let mut long = cmd("EVAL");
        long.arg(self.text);
        for arg in self.short.args_iter().skip(2) {
            if let deadpool_redis::redis::Arg::Simple(bytes) = arg {
                long.arg(bytes);
            }
        }
        long
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) enqueue: Script,
    pub(crate) receive: Script,
    pub(crate) settle: Script,
    pub(crate) renew: Script,
    pub(crate) release: Script,
    pub(crate) claim: Script,
    pub(crate) held: Script,
    pub(crate) leave: Script,
    pub(crate) depth: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            enqueue: Script::new(include_str!("lua/enqueue.lua")),
            receive: Script::new(include_str!("lua/receive.lua")),
            settle: Script::new(include_str!("lua/settle.lua")),
            renew: Script::new(include_str!("lua/renew.lua")),
            release: Script::new(include_str!("lua/release.lua")),
            claim: Script::new(include_str!("lua/claim.lua")),
            held: Script::new(include_str!("lua/held.lua")),
            leave: Script::new(include_str!("lua/leave.lua")),
            depth: Script::new(include_str!("lua/depth.lua")),
        }
    }
}

/// Names of the keys, all in one hash slot.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) frames: String,
    pub(crate) totals: String,
    pub(crate) ids: String,
    pub(crate) settled: String,
}

impl Keys {
    pub(crate) fn of(name: &str) -> Self {
        let key = |what| format!("{{{name}}}:{what}");
        Self {
            frames: key("frames"),
            totals: key("totals"),
            ids: key("ids"),
            settled: key("settled"),
        }
    }

    pub(crate) fn all(&self) -> [&str; 4] {
        [&self.frames, &self.totals, &self.ids, &self.settled]
    }

    pub(crate) fn two(&self) -> [&str; 2] {
        [&self.frames, &self.totals]
    }
}
