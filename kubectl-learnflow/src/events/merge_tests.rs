use super::*;
use learnflow_flow::{Names, Reader};
use tokio::sync::mpsc::{Sender, channel};

fn event(second: i64) -> Event {
    let line = "time=\"2026-01-15T10:00:00Z\" level=info msg=\"{\\\"lf\\\":1,\\\"dir\\\":\\\"publish\\\",\\\"pubsub\\\":\\\"p\\\",\
                \\\"topic\\\":\\\"t\\\",\\\"outcome\\\":\\\"success\\\"}\" app_id=a instance=a-1";
    let event = Reader::default().line(line.as_bytes(), &mut Names::default());
    Event {
        at: Time(second),
        ..event.expect("a record")
    }
}

async fn rest(merge: &mut Merge) -> Vec<i64> {
    let mut seen = Vec::new();
    while let Some(event) = merge.next().await {
        seen.push(event.at.0);
    }
    seen
}

async fn open(logs: &Sender<Log>) -> Sender<Vec<Event>> {
    let (writer, log) = channel(BATCHES);
    logs.send(log).await.expect("somebody reads");
    writer
}

#[tokio::test(start_paused = true)]
async fn whole_logs_are_in_order() {
    let (logs, coming) = channel(8);
    let mut merge = Merge::whole(coming);
    for log in [[1, 4, 9, 11], [2, 3, 10, 12], [5, 6, 7, 8]] {
        let writer = open(&logs).await;
        tokio::spawn(async move {
            for seconds in log.chunks(2) {
                let batch = seconds.iter().map(|second| event(*second)).collect();
                tokio::time::sleep(Duration::from_millis(log[1] as u64)).await;
                writer.send(batch).await.expect("somebody reads");
            }
        });
    }
    drop(logs);
    assert_eq!(rest(&mut merge).await, (1..=12).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_live_one_waits_for_earlier_ones_and_not_for_ever() {
    let (logs, coming) = channel(8);
    let mut merge = Merge::live(coming, Duration::from_millis(300));
    let (silent, quick, slow) = (open(&logs).await, open(&logs).await, open(&logs).await);
    quick.send(vec![event(10), event(30)]).await.expect("somebody reads");
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        slow.send(vec![event(20)]).await.expect("somebody reads");
        tokio::time::sleep(Duration::from_millis(500)).await;
        // Too late for its place.
        slow.send(vec![event(25), event(40)]).await.expect("somebody reads");
    });
    let begin = Instant::now();
    for wanted in [10, 20, 30] {
        assert_eq!(merge.next().await.map(|event| event.at.0), Some(wanted));
    }
    assert!(begin.elapsed() < Duration::from_millis(320), "{:?}", begin.elapsed());
    later.await.expect("it ends");
    drop((logs, silent, quick));
    assert_eq!(rest(&mut merge).await, [25, 40]);
}

#[tokio::test]
async fn a_log_that_is_far_ahead_waits() {
    let (logs, coming) = channel(8);
    let mut merge = Merge::whole(coming);
    let (ahead, behind) = (open(&logs).await, open(&logs).await);
    drop(logs);
    let mut written = 0;
    let all = async {
        for second in 0..100 {
            if ahead.try_send(vec![event(second)]).is_ok() {
                written += 1;
            }
        }
        drop(ahead);
    };
    all.await;
    assert_eq!(written, BATCHES);
    drop(behind);
    assert_eq!(rest(&mut merge).await.len(), BATCHES);
}

#[tokio::test(start_paused = true)]
async fn a_live_one_does_not_fall_behind() {
    const HOLD: Duration = Duration::from_millis(300);
    let (logs, coming) = channel(8);
    let mut merge = Merge::live(coming, HOLD);
    let writer = open(&logs).await;
    let begin = Instant::now();
    // More often than each is held.
    tokio::spawn(async move {
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = i64::try_from(begin.elapsed().as_nanos()).expect("a short time");
            writer.send(vec![event(now)]).await.expect("somebody reads");
        }
    });
    for _ in 0..50 {
        let at = merge.next().await.expect("an event").at.0;
        let late = begin.elapsed() - Duration::from_nanos(u64::try_from(at).expect("after the beginning"));
        assert!(late < HOLD + Duration::from_millis(20), "{late:?}");
    }
}
