//! One visitor asks for one kind of page again and again; the sessions are in memory.
//!
//! `cargo xtask costs` runs this under callgrind and says what one request of each kind costs. By
//! itself it prints nothing. It ends with an error if an answer is not the right one.

mod visits;

use std::{error::Error, sync::Arc, thread};

use actix_web::rt;
use session_actix::session_core::MemoryStore;

const USAGE: &str = "request_cost KIND REQUESTS; KIND is without, untouched, guarded, read, change, encrypted-read, \
                     flask-read, counted-read or counted-change";

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [kind, requests] = words.as_slice() else {
        return Err(USAGE.into());
    };
    let requests = requests.parse()?;
    // Where the main thread's stack begins depends on the environment, and some copies take longer
    // for it.
    let done = thread::scope(|scope| {
        let program = scope.spawn(|| {
            let store = Arc::new(MemoryStore::new());
            let visit = rt::System::new().block_on(visits::send_requests(kind, requests, store));
            visit.map_err(|error| error.to_string())
        });
        program.join()
    });
    Ok(done.map_err(|_| "a handler panicked")??)
}
