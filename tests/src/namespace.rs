//! Namespaces: file systems or a network that only one process sees.

use std::process::Command;

/// The command by which `unshare` runs a program in new namespaces, as root there.
///
/// `kinds` are its options, such as `-m` for mounts. Fails the test and says what to do if this user
/// may not make them.
pub fn unshare<'a>(kinds: &[&'a str]) -> Vec<&'a str> {
    let command = [&["unshare", "-r"][..], kinds].concat();
    let made = Command::new(command[0])
        .args(&command[1..])
        .arg("true")
        .output()
        .expect("this test needs unshare: apt-get install util-linux");
    assert!(
        made.status.success(),
        "this test needs `{}`, which the system refuses ({}): CONTRIBUTING.md, \"Tests\", says what \
         allows it",
        command.join(" "),
        String::from_utf8_lossy(&made.stderr).trim()
    );
    command
}
