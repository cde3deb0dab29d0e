//! Files by hand: `MessagePack`, one file for each session, which a change replaces by `rename`. As
//! with `session-fs`, a power loss can undo the last seconds.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use actix_web::{Error, error::ErrorInternalServerError, rt, web};

use super::{Session, Store, serve};
use crate::Result;

struct Files(PathBuf);

impl Store for Files {
    type Version = ();

    async fn load(&self, key: &str) -> Result<(Session, ()), Error> {
        let file = self.0.join(key);
        let bytes = web::block(move || fs::read(file)).await??;
        let session = rmp_serde::from_slice(&bytes).map_err(ErrorInternalServerError)?;
        Ok((session, ()))
    }

    async fn store(&self, key: &str, session: &Session, _: Option<()>) -> Result<(), Error> {
        let bytes = rmp_serde::to_vec_named(session).map_err(ErrorInternalServerError)?;
        let (file, new) = (self.0.join(key), self.0.join(format!("{key}.new")));
        let write = move || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&new)?.write_all(&bytes)?;
            fs::rename(new, file)
        };
        Ok(web::block(write).await??)
    }
}

pub(in crate::serve) fn files(directory: &str) -> Result<()> {
    let directory = PathBuf::from(directory);
    fs::create_dir_all(&directory)?;
    rt::System::new().block_on(serve(move || Files(directory.clone()))?)
}
