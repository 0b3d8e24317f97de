use super::*;
use belay_trace::{Level, RunResult};
use tokio::sync::mpsc;

fn ordinary() -> Vec<Record> {
    vec![Record::new("r", Event::notice(Level::Info, "n", "n"))]
}

fn urgent() -> Vec<Record> {
    vec![Record::new("r", Event::Result(RunResult::default()))]
}

/// A syncer of one file, and what it did.
fn syncer(durability: Durability) -> (Syncer, Arc<File>, mpsc::UnboundedReceiver<()>) {
    let (synced, syncs) = mpsc::unbounded_channel();
    let syncer = Syncer::with(durability, move |_| synced.send(()).map_err(io::Error::other));
    let file = Arc::new(tempfile::tempfile().unwrap());
    syncer.add(&file);
    (syncer, file, syncs)
}

#[tokio::test(start_paused = true)]
async fn what_a_run_is_taken_up_from_is_synced_at_once_and_the_rest_within_a_second() {
    let (syncer, _file, mut syncs) = syncer(Durability::Normal);
    let began = tokio::time::Instant::now();
    syncer.written(&urgent()).unwrap();
    syncs.recv().await.unwrap();
    assert!(began.elapsed() < SYNC_AFTER);

    let began = tokio::time::Instant::now();
    for _ in 0..100 {
        syncer.written(&ordinary()).unwrap();
    }
    syncs.recv().await.unwrap();
    let took = began.elapsed();
    assert!(took >= SYNC_AFTER && took < SYNC_AFTER * 2, "{took:?}");
    syncer.finish().await.unwrap();
    assert_eq!(syncs.len(), 1, "all hundred at once, and the last at the end");
}

#[tokio::test]
async fn what_comes_during_a_sync_waits_for_one_more() {
    let (began, mut begun) = mpsc::unbounded_channel();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let syncer = Syncer::with(Durability::Normal, move |_| {
        began.send(()).map_err(io::Error::other)?;
        // Until the gate is open for ever.
        let _ = gate.lock().unwrap().recv();
        Ok(())
    });
    let file = Arc::new(tempfile::tempfile().unwrap());
    syncer.add(&file);
    syncer.written(&urgent()).unwrap();
    begun.recv().await.unwrap();
    for _ in 0..50 {
        syncer.written(&urgent()).unwrap();
    }
    drop(open);
    begun.recv().await.unwrap();
    syncer.finish().await.unwrap();
    assert_eq!(begun.len(), 1, "the one at the end");
}

#[tokio::test]
async fn each_durability_syncs_as_often_as_it_says() {
    let (relaxed, _file, syncs) = syncer(Durability::Relaxed);
    relaxed.written(&urgent()).unwrap();
    relaxed.before_showing().await.unwrap();
    relaxed.finish().await.unwrap();
    assert_eq!(syncs.len(), 0);

    let (strict, _file, mut syncs) = syncer(Durability::Strict);
    for n in 1..4 {
        strict.written(&ordinary()).unwrap();
        strict.before_showing().await.unwrap();
        assert_eq!((syncs.len(), syncs.try_recv()), (1, Ok(())), "{n}");
    }

    let (normal, _file, syncs) = syncer(Durability::Normal);
    normal.written(&ordinary()).unwrap();
    normal.before_showing().await.unwrap();
    assert_eq!(syncs.len(), 0);
    normal.finish().await.unwrap();
    assert_eq!(syncs.len(), 1, "at the end all is synced");
}

#[tokio::test]
async fn a_sync_that_fails_is_an_error_of_the_next_write() {
    let syncer = Syncer::with(Durability::Normal, |_| Err(io::ErrorKind::StorageFull.into()));
    let file = Arc::new(tempfile::tempfile().unwrap());
    syncer.add(&file);
    syncer.written(&urgent()).unwrap();
    let error = loop {
        if let Err(error) = syncer.written(&ordinary()) {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[tokio::test]
async fn a_file_that_nobody_writes_any_more_is_synced_once_more_and_closed() {
    let (syncer, file, syncs) = syncer(Durability::Strict);
    drop(file);
    syncer.before_showing().await.unwrap();
    syncer.before_showing().await.unwrap();
    assert_eq!(syncs.len(), 1);
}
