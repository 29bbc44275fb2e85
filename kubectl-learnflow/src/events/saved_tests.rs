use super::*;
use flate2::{Compression, write::GzEncoder};
use std::{io::Write, path::PathBuf, thread};
use tokio::sync::mpsc::UnboundedReceiver;

/// A record with this offset.
fn line(offset: u64) -> String {
    format!(
        "time=\"2026-01-15T10:00:00Z\" level=info msg=\"{{\\\"lf\\\":1,\\\"dir\\\":\\\"deliver\\\",\\\"pubsub\\\":\\\"p\\\",\
         \\\"topic\\\":\\\"t\\\",\\\"outcome\\\":\\\"success\\\",\\\"partition\\\":0,\\\"offset\\\":{offset}}}\" app_id=a instance=a-1\n"
    )
}

struct Followed {
    folder: PathBuf,
    log: Log,
    shared: Shared,
    _notes: UnboundedReceiver<String>,
    seen: Vec<u64>,
}

impl Followed {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("learnflow-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("log");
        fs::write(&file, "").expect("a file");
        let (shared, _notes) = Shared::new(Default::default(), None);
        let log = open(&file, true, &shared).expect("opened").remove(0);
        Self {
            folder,
            log,
            shared,
            _notes,
            seen: Vec::new(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn append(&self, text: &str) {
        let file = fs::OpenOptions::new().create(true).append(true).open(self.file());
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("written");
    }

    /// Waits until so many have been seen.
    fn wait(&mut self, wanted: usize) {
        while self.seen.len() < wanted {
            let events = self.log.blocking_recv().expect("more to come");
            self.seen.extend(events.iter().filter_map(|event| event.offset));
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[test]
fn a_file_that_is_renamed_while_it_is_written_loses_nothing() {
    let mut followed = Followed::new("renamed");
    let (file, folder) = (followed.file(), followed.folder.clone());
    let writer = thread::spawn(move || {
        for generation in 0..5 {
            let mut log = File::create(&file).expect("a file");
            for offset in 0..400 {
                // In two pieces, so that lines are met half written.
                let text = line(generation * 400 + offset);
                let (begin, end) = text.split_at(100);
                log.write_all(begin.as_bytes())
                    .and_then(|()| log.write_all(end.as_bytes()))
                    .expect("written");
                if offset == 300 {
                    // It has its name for a while, and is written to for a while without it.
                    thread::sleep(PAUSE * 3);
                    fs::rename(&file, folder.join(format!("log.{generation}"))).expect("renamed");
                }
            }
        }
    });
    followed.wait(2000);
    writer.join().expect("written");
    assert_eq!(followed.seen, (0..2000).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_emptied_is_read_from_its_beginning() {
    let mut followed = Followed::new("emptied");
    followed.append(&(0..100).map(line).collect::<String>());
    // Half of the last one, which never gets its other half.
    followed.append(&line(100)[..150]);
    followed.wait(100);
    thread::sleep(PAUSE * 3);
    File::options()
        .write(true)
        .open(followed.file())
        .and_then(|file| file.set_len(0))
        .expect("emptied");
    followed.append(&(101..150).map(line).collect::<String>());
    followed.wait(149);
    assert_eq!(followed.seen, (0..100).chain(101..150).collect::<Vec<_>>());
    assert_eq!(Shared::lock(&followed.shared.counts).broken, 1);
}

#[test]
fn a_file_that_has_gone_may_come_back() {
    let mut followed = Followed::new("gone");
    followed.append(&line(0));
    followed.wait(1);
    fs::remove_file(followed.file()).expect("removed");
    thread::sleep(PAUSE * 2);
    followed.append(&line(1));
    followed.wait(2);
    assert_eq!(followed.seen, [0, 1]);
}

#[test]
fn an_archive_is_the_logs_in_it() {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in [
        ("b/status.txt", "healthy"),
        ("b/logs/shop/agent-1/daprd.log", "one"),
        ("b/logs/shop/progress-1/daprd.log", "two"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_cksum();
        archive
            .append_data(&mut header, name, text.as_bytes())
            .expect("written");
    }
    let bytes = archive.into_inner().and_then(GzEncoder::finish).expect("packed");
    let logs = logs_of_archive(&*bytes).expect("an archive");
    let texts: Vec<_> = logs.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    assert_eq!(
        texts,
        [
            ("b/logs/shop/agent-1/daprd.log", &b"one"[..]),
            ("b/logs/shop/progress-1/daprd.log", b"two"),
        ]
    );
    assert!(logs_of_archive(&b"no archive"[..]).is_err());
}
