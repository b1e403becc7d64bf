//! A redis-server for one round, set up as the manual says: every entry is in its file before it is answered.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Error;

/// A redis-server. It is killed when it is dropped, and its folder removed.
pub(crate) struct Redis {
    child: Child,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
}

/// Whether redis-server is installed.
pub(crate) fn is_installed() -> bool {
    Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok()
}

impl Redis {
    pub(crate) fn start() -> Result<Redis, Error> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-{}", address.port()));
        fs::create_dir_all(&folder)?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"]).arg(&folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut redis = Redis { child, folder, address };
        let start = Instant::now();
        while !redis.is_up() {
            if redis.child.try_wait()?.is_some() || start.elapsed() > Duration::from_secs(10) {
                return Err("redis-server does not start".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(redis)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn is_up(&self) -> bool {
        let mut reply = [0; 7];
        let asked = TcpStream::connect(self.address).and_then(|mut stream| {
            stream.write_all(b"PING\r\n")?;
            stream.read_exact(&mut reply)
        });
        asked.is_ok() && &reply == b"+PONG\r\n"
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It is gone already, or goes now.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
