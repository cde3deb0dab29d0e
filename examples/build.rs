//! Writes the README where `readme.rs` finds it, with the page that its first program includes beside it, as
//! its reader has them.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../README.md");
    let readme = fs::read_to_string("../README.md")?;
    let page = readme
        .split_once("```html\n")
        .and_then(|(_, rest)| rest.split_once("```"));
    let (page, _) = page.ok_or("README.md has no page in HTML")?;
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("page.html"), page)?;
    fs::write(Path::new(&out).join("README.md"), &readme)?;
    Ok(())
}
