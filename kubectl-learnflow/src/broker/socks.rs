//! A SOCKS5 server on the loopback device, for the one client in this process: CONNECT without a login, nothing else (RFC 1928).

use crate::problem::Problem;
use futures::future::BoxFuture;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const NO_LOGIN: u8 = 0;
const NOTHING_ACCEPTABLE: u8 = 0xff;
const DONE: u8 = 0;
const UNREACHABLE: u8 = 4;
const NOT_SUPPORTED: u8 = 7;

/// A connection in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Opens a stream to a host and port.
pub(crate) type Open = Arc<dyn Fn(String, u16) -> BoxFuture<'static, Result<Box<dyn Duplex>, Problem>> + Send + Sync>;

/// Ends, with all its connections, when it is dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    problem: Arc<Mutex<Option<Problem>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn start(open: Open) -> Result<Self, Problem> {
        let failed = |e: io::Error| Problem::new(format!("Cannot listen on the loopback device: {e}."));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let problem = Arc::<Mutex<Option<Problem>>>::default();
        let task = tokio::spawn(serve(listener, open, problem.clone()));
        Ok(Self { address, problem, task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Why the last stream that was asked for did not open; the client only hears that it did not.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, open: Open, problem: Arc<Mutex<Option<Problem>>>) {
    // They end with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    let (open, problem) = (open.clone(), problem.clone());
                    connections.spawn(async move { drop(connect(client, &open, &problem).await) });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(mut client: TcpStream, open: &Open, problem: &Mutex<Option<Problem>>) -> io::Result<()> {
    let Some((host, port)) = asked(&mut client).await? else {
        return Ok(());
    };
    let opened = open(host, port).await;
    let told = opened.as_ref().err().cloned();
    *problem.lock().unwrap_or_else(PoisonError::into_inner) = told;
    match opened {
        Ok(mut stream) => {
            answer(&mut client, DONE).await?;
            copy_bidirectional(&mut client, &mut stream).await?;
        }
        Err(_) => answer(&mut client, UNREACHABLE).await?,
    }
    Ok(())
}

/// Where the client wants to go. What is not supported is refused, and goes nowhere.
async fn asked<S: AsyncRead + AsyncWrite + Unpin>(client: &mut S) -> io::Result<Option<(String, u16)>> {
    let [version, methods] = bytes(client).await?;
    if version != VERSION {
        return Ok(None);
    }
    let mut offered = vec![0; methods.into()];
    client.read_exact(&mut offered).await?;
    if !offered.contains(&NO_LOGIN) {
        client.write_all(&[VERSION, NOTHING_ACCEPTABLE]).await?;
        return Ok(None);
    }
    client.write_all(&[VERSION, NO_LOGIN]).await?;
    let [version, command, _, kind] = bytes(client).await?;
    if version != VERSION || command != CONNECT {
        answer(client, NOT_SUPPORTED).await?;
        return Ok(None);
    }
    let host = match kind {
        1 => Ipv4Addr::from(bytes::<4, _>(client).await?).to_string(),
        4 => Ipv6Addr::from(bytes::<16, _>(client).await?).to_string(),
        3 => {
            let [length] = bytes(client).await?;
            let mut name = vec![0; length.into()];
            client.read_exact(&mut name).await?;
            match String::from_utf8(name) {
                Ok(name) => name,
                Err(_) => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some((host, u16::from_be_bytes(bytes(client).await?))))
}

async fn answer<S: AsyncWrite + Unpin>(client: &mut S, code: u8) -> io::Result<()> {
    // The address that it is connected from is nobody's business.
    client.write_all(&[VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

async fn bytes<const N: usize, S: AsyncRead + Unpin>(client: &mut S) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(test)
    }

    /// Answers with the name that it was asked for.
    fn echo() -> Open {
        Arc::new(|host, port| {
            Box::pin(async move {
                if host == "nowhere" {
                    return Err(Problem::new("No such broker."));
                }
                let (mut near, far) = tokio::io::duplex(64);
                near.write_all(format!("{host}:{port}").as_bytes()).await.expect("room");
                Ok(Box::new(far) as Box<dyn Duplex>)
            })
        })
    }

    async fn ask(proxy: &Proxy, request: &[u8], answer: usize) -> Vec<u8> {
        let mut client = TcpStream::connect(proxy.address()).await.expect("the proxy");
        client.write_all(request).await.expect("sent");
        let mut said = vec![0; answer];
        client.read_exact(&mut said).await.expect("an answer");
        said
    }

    #[test]
    fn a_name_is_led_to_the_stream_that_is_opened_for_it() {
        run(async {
            let proxy = Proxy::start(echo()).await.expect("a proxy");
            let request = [&[5, 1, 0, 5, 1, 0, 3, 5][..], b"kafka", &9092_u16.to_be_bytes()].concat();
            let said = ask(&proxy, &request, 12 + "kafka:9092".len()).await;
            assert_eq!((&said[..4], &said[12..]), (&[5, 0, 5, 0][..], &b"kafka:9092"[..]));
            assert_eq!(proxy.problem(), None);
            let address = [5, 1, 0, 5, 1, 0, 1, 10, 0, 0, 7, 0, 80];
            assert_eq!(
                &ask(&proxy, &address, 12 + "10.0.0.7:80".len()).await[12..],
                b"10.0.0.7:80"
            );
        });
    }

    #[test]
    fn what_does_not_open_is_refused_and_remembered() {
        run(async {
            let proxy = Proxy::start(echo()).await.expect("a proxy");
            let request = [&[5, 1, 0, 5, 1, 0, 3, 7][..], b"nowhere", &[0, 1]].concat();
            assert_eq!(&ask(&proxy, &request, 4).await[2..], [5, UNREACHABLE]);
            assert_eq!(
                proxy.problem().map(|problem| problem.what).as_deref(),
                Some("No such broker.")
            );
        });
    }

    #[test]
    fn what_is_no_connect_without_a_login_is_refused() {
        run(async {
            let proxy = Proxy::start(echo()).await.expect("a proxy");
            assert_eq!(ask(&proxy, &[5, 1, 2], 2).await, [5, NOTHING_ACCEPTABLE]);
            let bind = [5, 1, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0];
            assert_eq!(&ask(&proxy, &bind, 4).await[2..], [5, NOT_SUPPORTED]);
        });
    }
}
