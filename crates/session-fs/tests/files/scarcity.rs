//! No file descriptors left, no permission, a lock that is never released: an error each, and over when it is over.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Resource, Rlimit, geteuid, getrlimit, setrlimit},
};
use session_core::{Error, ExpiredSweep as _, SessionStore as _};
use session_fs::FileStore;

use crate::place::{Place, files_below, key, need, one_blocking_thread, put, record, tell, told};

/// Takes all descriptors, tries everything, gives them back.
#[test]
fn a_process_runs_out_of_descriptors() {
    let place = Place::given_or_own();
    one_blocking_thread().block_on(async {
        let store = place.store();
        put(&store, &key("it"), &record("x")).await;
        let found = store.load(&key("it")).await.unwrap().unwrap();
        // Alone in its process, because the limit is the process's.
        if place.task("") == "scarce" {
            let usual = getrlimit(Resource::Nofile);
            for spare in 0..3 {
                let taken = take_descriptors_but(spare);
                everything_fails(&store, spare).await;
                drop(taken);
                setrlimit(Resource::Nofile, usual).unwrap();
            }
        }
        let answer = store
            .update(&key("it"), &record("y"), &found.revision)
            .await;
        assert!(
            answer.unwrap().is_stored(),
            "it was changed, or does not recover"
        );
        assert!(
            files_below(place.directory()).len() == 1,
            "something was left"
        );
        tell("recovered");
    });
}

#[test]
fn a_process_without_descriptors_answers_errors_and_recovers() {
    let place = Place::own();
    let test = "scarcity::a_process_runs_out_of_descriptors";
    let output = place.process(&[], test, "scarce").output().unwrap();
    assert_eq!(told(&output), ["recovered"]);
}

async fn everything_fails(store: &FileStore, spare: u64) {
    let wrote = store.insert(&key("other"), &record("z")).await;
    assert!(
        matches!(wrote, Err(Error::Backend { .. })),
        "{spare} spare: {wrote:?}"
    );
    let found = store.load(&key("it")).await;
    assert!(found.is_err() || spare >= 2, "{spare} spare: {found:?}");
    let swept = store.sweep(10).await;
    assert!(swept.is_err() || spare >= 2, "{spare} spare: {swept:?}");
}

/// Opens files until no more than `spare` can be opened.
fn take_descriptors_but(spare: u64) -> Vec<File> {
    let open = || File::open("/dev/null");
    let mut taken = vec![open().unwrap()];
    let used = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = Rlimit {
        current: Some(used + 20),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    while let Ok(file) = open() {
        taken.push(file);
    }
    taken.truncate(taken.len() - usize::try_from(spare).unwrap());
    taken
}

/// Finds a shard that it may not enter; as root, who may everything, it finds no obstacle.
#[test]
fn a_process_lacks_permission() {
    let place = Place::given_or_own();
    one_blocking_thread().block_on(async {
        let store = place.store();
        put(&store, &key("it"), &record("x")).await;
        let shard = files_below(place.directory())[0]
            .parent()
            .unwrap()
            .to_owned();
        fs::set_permissions(&shard, Permissions::from_mode(0o000)).unwrap();
        let lacking = !geteuid().is_root();
        assert_eq!(store.load(&key("it")).await.is_err(), lacking);
        assert_eq!(
            store.insert(&key("it"), &record("y")).await.is_err(),
            lacking
        );
        assert!(store.delete(&key("none")).await.is_ok());
        fs::set_permissions(&shard, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(
            store.load(&key("it")).await.unwrap().unwrap().bytes,
            &b"x"[..]
        );
        tell(format!("lacking: {lacking}"));
    });
}

#[test]
fn a_process_without_permission_answers_errors_and_recovers() {
    need("setpriv", "util-linux");
    let place = Place::own();
    let parent = place.directory().parent().unwrap();
    fs::set_permissions(parent, Permissions::from_mode(0o777)).unwrap();
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let before: &[&str] = if geteuid().is_root() { &nobody } else { &[] };
    let output = place
        .process(before, "scarcity::a_process_lacks_permission", "")
        .output();
    assert_eq!(told(&output.unwrap()), ["lacking: true"]);
}

#[tokio::test]
async fn a_lock_that_is_never_released_is_an_error_within_its_patience() {
    let place = Place::own();
    let store = place.store();
    put(&store, &key("it"), &record("x")).await;
    let found = store.load(&key("it")).await.unwrap().unwrap();
    let shard = File::open(files_below(place.directory())[0].parent().unwrap()).unwrap();
    flock(&shard, FlockOperation::LockExclusive).unwrap();

    let begun = Instant::now();
    let next = record("y");
    let key = key("it");
    let updates = (0..8).map(|_| store.update(&key, &next, &found.revision));
    for answer in futures_util::future::join_all(updates).await {
        assert!(matches!(answer, Err(Error::Backend { .. })), "{answer:?}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "eight of them took {took:?}");
    assert_eq!(
        store.load(&key).await.unwrap().unwrap().bytes,
        &b"x"[..],
        "reads need no lock"
    );

    flock(&shard, FlockOperation::Unlock).unwrap();
    assert!(
        store
            .update(&key, &next, &found.revision)
            .await
            .unwrap()
            .is_stored()
    );
}

/// Holds nothing: the lock of a process that is killed is free at once.
#[tokio::test]
async fn a_killed_process_leaves_no_lock() {
    need("flock", "util-linux");
    let place = Place::own();
    let store = place.store();
    put(&store, &key("it"), &record("x")).await;
    let shard = files_below(place.directory())[0]
        .parent()
        .unwrap()
        .to_owned();
    let mut holder = Command::new("flock")
        .arg(&shard)
        .args(["sh", "-c", "echo held; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 4];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert!(
        store.delete(&key("it")).await.is_err(),
        "nobody held the lock"
    );
    // Closing its input ends the inner process, which has the lock as well.
    drop(holder.stdin.take());
    holder.kill().unwrap();
    holder.wait().unwrap();
    store.delete(&key("it")).await.unwrap();
}
