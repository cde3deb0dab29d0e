//! The program without sessions.

use actix_web::{App, HttpServer, get, post, rt};

use super::{WORKERS, announce};
use crate::{Result, record};

#[post("/fill")]
async fn fill() -> &'static str {
    "filled"
}

#[get("/read")]
async fn read() -> &'static str {
    record::read()
}

#[get("/plain")]
async fn plain() -> &'static str {
    "plain"
}

pub(super) fn serve() -> Result<()> {
    rt::System::new().block_on(async move {
        let server = HttpServer::new(|| App::new().service((fill, read, plain)))
            .workers(WORKERS)
            .bind("127.0.0.1:0")?;
        announce(server.addrs()[0]);
        Ok(server.run().await?)
    })
}
