//! A network that loses answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// While it loses answers, it loses that of every so many-th PUT.
const LOSES_EVERY: u64 = 7;

/// Hands everything on to an HTTP server. Told to lose answers, it hands on some PUTs like all others, but closes the
/// connection instead of handing on their answers: the server has acted, and the client cannot know.
pub(crate) struct LossyProxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    loses: AtomicBool,
    puts: AtomicU64,
    lost: AtomicU64,
}

impl LossyProxy {
    pub(crate) fn start(runtime: &Runtime, server_port: u16) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        let connections = tokio::task::JoinSet::new();
        runtime.spawn(accept(listener, server_port, shared, connections));
        Self { port, state }
    }

    pub(crate) fn lose_answers(&self, loses: bool) {
        self.state.loses.store(loses, Ordering::SeqCst);
    }

    /// How many answers were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, server_port: u16, state: Arc<State>, mut connections: tokio::task::JoinSet<()>) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await else { return };
        connections.spawn(forward(client, server, state.clone()));
    }
}

/// Ends when either side closes, or when an answer is to be lost.
async fn forward(mut client: TcpStream, mut server: TcpStream, state: Arc<State>) {
    let (mut request, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    let mut losing = false;
    loop {
        tokio::select! {
            Ok(length) = client.read(&mut request) => {
                // A client sends nothing more before it has its answer, so a request begins where a read does.
                if request[..length].starts_with(b"PUT ") && state.loses.load(Ordering::SeqCst) {
                    losing = state.puts.fetch_add(1, Ordering::SeqCst).is_multiple_of(LOSES_EVERY);
                }
                if length == 0 || server.write_all(&request[..length]).await.is_err() {
                    return;
                }
            }
            Ok(length) = server.read(&mut answer) => {
                if losing {
                    state.lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if length == 0 || client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
