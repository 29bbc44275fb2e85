//! Does a broker serve? That it accepts connections is not enough: it does so before its partitions have a leader.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// Whether each partition of the topic has a leader, by the broker's own word.
pub fn serves(broker: SocketAddr, topic: &str) -> bool {
    leaders(broker, topic).is_ok_and(|leaders| !leaders.is_empty() && leaders.iter().all(|leader| *leader >= 0))
}

fn leaders(broker: SocketAddr, topic: &str) -> Result<Vec<i32>> {
    let patience = Duration::from_millis(300);
    let mut stream = TcpStream::connect_timeout(&broker, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(&request(topic)?)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length))?];
    stream.read_exact(&mut answer)?;
    read(&mut Reader(&answer))
}

/// A Metadata request, version 4, that creates nothing.
fn request(topic: &str) -> Result<Vec<u8>> {
    let mut body = [3_i16.to_be_bytes(), 4_i16.to_be_bytes()].concat();
    body.extend(7_i32.to_be_bytes());
    string(&mut body, "probe")?;
    body.extend(1_i32.to_be_bytes());
    string(&mut body, topic)?;
    body.push(0);
    let mut request = i32::try_from(body.len())?.to_be_bytes().to_vec();
    request.extend(body);
    Ok(request)
}

fn string(body: &mut Vec<u8>, text: &str) -> Result<()> {
    body.extend(i16::try_from(text.len())?.to_be_bytes());
    body.extend(text.as_bytes());
    Ok(())
}

fn read(answer: &mut Reader<'_>) -> Result<Vec<i32>> {
    // Its number, and for how long it throttles.
    answer.skip(8)?;
    for _ in 0..answer.int()? {
        answer.skip(4)?;
        answer.text()?;
        answer.skip(4)?;
        answer.text()?;
    }
    // The cluster, and its controller.
    answer.text()?;
    answer.skip(4)?;
    let mut leaders = Vec::new();
    for _ in 0..answer.int()? {
        ensure!(answer.short()? == 0, "the topic is not there");
        answer.text()?;
        answer.skip(1)?;
        for _ in 0..answer.int()? {
            let error = answer.short()?;
            answer.skip(4)?;
            let leader = answer.int()?;
            leaders.push(if error == 0 { leader } else { -1 });
            // Replicas, and those in sync.
            for _ in 0..2 {
                let count = usize::try_from(answer.int()?)?;
                answer.skip(4 * count)?;
            }
        }
    }
    Ok(leaders)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn skip(&mut self, len: usize) -> Result<()> {
        self.0 = self.0.get(len..).context("the answer breaks off")?;
        Ok(())
    }

    fn int(&mut self) -> Result<i32> {
        let (int, rest) = self.0.split_first_chunk().context("the answer breaks off")?;
        self.0 = rest;
        Ok(i32::from_be_bytes(*int))
    }

    fn short(&mut self) -> Result<i16> {
        let (short, rest) = self.0.split_first_chunk().context("the answer breaks off")?;
        self.0 = rest;
        Ok(i16::from_be_bytes(*short))
    }

    /// A string, which may be missing.
    fn text(&mut self) -> Result<()> {
        let len = self.short()?;
        self.skip(usize::try_from(len).unwrap_or(0))
    }
}
