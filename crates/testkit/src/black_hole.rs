//! An address on loopback at which nobody ever answers, not even that nobody is there: as behind a firewall that drops
//! what comes.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long a connection may take that is made: on loopback it takes no time at all.
const PATIENCE: Duration = Duration::from_millis(300);

/// A listener whose queue is full, so that the system drops who else wants to connect.
#[derive(Debug)]
pub struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    /// Fills the queue.
    ///
    /// # Errors
    /// If no port is free, or somebody still gets through.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        rustix::net::listen(&listener, 0)?;
        let address = listener.local_addr()?;
        let mut waiting = Vec::new();
        while waiting.len() < 16 {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => waiting.push(stream),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Ok(Self { address, _listener: listener, _waiting: waiting });
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("the queue of a listener has no end here"))
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_through() {
        let hole = BlackHole::open().unwrap();
        let error = TcpStream::connect_timeout(&hole.address, PATIENCE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
