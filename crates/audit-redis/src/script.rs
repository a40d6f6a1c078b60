//! Scripts and calls of them.

use deadpool_redis::redis::{Cmd, Script as Text, ToRedisArgs, cmd};

/// A script and the name Redis knows it by.
#[derive(Debug)]
pub struct Script {
    text: &'static str,
    sha: String,
}

/// A script with keys and arguments, ready to be sent, and sent again.
pub struct Call {
    /// By name; refused when Redis does not know the script (any more).
    pub(crate) short: Cmd,
    text: &'static str,
}

impl Call {
    /// A command that is no script.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self {
            short: cmd(name),
            text: "",
        }
    }
}

impl Script {
    /// Of this text.
    #[must_use]
    pub fn new(text: &'static str) -> Self {
        let sha = Text::new(text).get_hash().to_owned();
        Self { text, sha }
    }

    /// A call with these keys, and no arguments yet.
    #[must_use]
    pub fn with(&self, keys: &[&str]) -> Call {
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
    /// One more argument, or several.
    #[must_use]
    pub fn arg(mut self, arg: impl ToRedisArgs) -> Self {
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
