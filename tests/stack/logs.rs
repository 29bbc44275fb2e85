//! The log of a sidecar: written by a container runtime, rotated, compressed and deleted by a kubelet.

use std::{
    fs::{self, File, OpenOptions},
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use jiff::Timestamp;

pub struct Log {
    pod: PathBuf,
    folder: PathBuf,
    /// How often the container has been restarted.
    restarts: u32,
    file: File,
    name: String,
}

impl Log {
    pub fn of(pods: &Path, name: &str) -> Log {
        let pod = pods.join(format!("shop_{name}_0b1c"));
        let folder = pod.join("daprd");
        fs::create_dir_all(&folder).expect("the pod's folder");
        Log {
            file: open(&folder.join("0.log")),
            pod,
            folder,
            restarts: 0,
            name: name.to_owned(),
        }
    }

    /// A record of a publish, as daprd writes it.
    pub fn write(&mut self, topic: &str) {
        let now = Timestamp::now();
        // As different from each other as real ones.
        let trace = u128::from(RandomState::new().hash_one(now)) * u128::from(u64::MAX);
        let us = 900 + trace % 3000;
        let line = format!(
            "{now:.9} stdout F time=\"{now:.9}\" level=info msg=\"{{\\\"lf\\\":1,\\\"dir\\\":\\\"publish\\\",\\\"pubsub\\\":\\\"kafka-pubsub\\\",\
             \\\"topic\\\":\\\"{topic}\\\",\\\"outcome\\\":\\\"success\\\",\\\"status\\\":204,\\\"us\\\":{us},\\\"bytes\\\":400,\
             \\\"trace\\\":\\\"{trace:032x}\\\"}}\" app_id=course-agent component=\"learnflow \
             (middleware.http.wasm/v1)\" instance={} scope=dapr.runtime type=log ver=1.18.1\n",
            self.name
        );
        self.file.write_all(line.as_bytes()).expect("a line");
    }

    /// What a container has said, as a runtime writes it down.
    pub fn pass_on(&mut self, said: &str) {
        let now = Timestamp::now();
        let lines: String = said.lines().map(|line| format!("{now:.9} stdout F {line}\n")).collect();
        self.file.write_all(lines.as_bytes()).expect("lines");
    }

    /// The live file gets a name with the time, those before it are compressed, and a new one is begun.
    pub fn rotate(&mut self) {
        let rotated = format!("{}.log.", self.restarts);
        for entry in fs::read_dir(&self.folder).expect("the folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if name.starts_with(&rotated) && path.extension().is_none_or(|last| last != "gz") {
                let packed = Command::new("gzip").arg(&path).status().expect("gzip");
                assert!(packed.success(), "gzip {}", path.display());
            }
        }
        let live = self.live();
        let time = Timestamp::now().strftime("%Y%m%d-%H%M%S");
        fs::rename(&live, self.folder.join(format!("{rotated}{time}"))).expect("renamed");
        self.file = open(&live);
    }

    /// The sidecar ends and comes back in the same pod.
    pub fn restart(&mut self) {
        self.restarts += 1;
        self.file = open(&self.live());
    }

    /// The pod is deleted, and its logs with it.
    pub fn delete(self) {
        fs::remove_dir_all(&self.pod).expect("deleted");
    }

    /// Of the file that it writes to.
    pub fn bytes(&self) -> u64 {
        self.file.metadata().expect("its size").len()
    }

    fn live(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.restarts))
    }
}

fn open(path: &Path) -> File {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.expect("a log file")
}
