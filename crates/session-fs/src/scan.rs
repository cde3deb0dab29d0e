//! All records of the store, directory by directory: `Scan` for `FileStore`.

use session_core::{Cursor, KeyPrefix, Page, Scan, async_trait};

use crate::{
    blocking::blocking,
    error::{CallError, Result},
    name::{Name, shard_name},
    owner_index::read_head,
    root::Root,
    store::FileStore,
};

/// How many files a page reads at most, also if they are of other prefixes.
const MAX_FILES: usize = 1000;

#[async_trait]
impl Scan for FileStore {
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> session_core::Result<Page> {
        let (root, prefix) = (self.root.clone(), prefix.clone());
        let after = cursor
            .and_then(|it| it.as_bytes().try_into().ok())
            .map(Name);
        blocking(&self.root, move || root.page_of(&prefix, after, limit)).await
    }
}

impl Root {
    /// The records of `prefix` in the files whose names come after `after`: a cursor is the name of
    /// the last file that was read.
    fn page_of(&self, prefix: &KeyPrefix, after: Option<Name>, limit: usize) -> Result<Page> {
        let limit = limit.clamp(1, MAX_FILES);
        let (mut records, mut read) = (Vec::new(), 0);
        for number in after.map_or(0, |it| it.shard())..=u8::MAX {
            let Some(shard) = self.open_below(&[&shard_name(number)])? else {
                continue;
            };
            let (mut entries, mut names) = (shard.entries()?, Vec::new());
            while let Some(entry) = entries.read() {
                let name = Name::parse(entry?.file_name().to_bytes());
                names.extend(
                    name.map(|name| name.0)
                        .filter(|it| after.is_none_or(|last| *it > last.0)),
                );
            }
            names.sort_unstable();
            for name in names.into_iter().map(Name) {
                read += 1;
                match read_head(&shard, &name) {
                    Ok(found) => {
                        records.extend(found.filter(|it| prefix.is_of_record(it.key.as_str())));
                    }
                    // No request can load it, now or later.
                    Err(CallError::ForeignFile | CallError::Damaged) => {}
                    Err(error) => return Err(error.at(&shard.path.join(name.to_string()))),
                }
                if records.len() == limit || read == MAX_FILES {
                    let next = Some(Cursor::new(name.0.to_vec()));
                    return Ok(Page { records, next });
                }
            }
        }
        Ok(Page {
            records,
            next: None,
        })
    }
}
