//! Certificates for servers with TLS.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::account::Account;
use crate::binary::binary;
use crate::scratch::scratch_dir;

/// A certificate authority, and the certificate that it gave to a server. Files, which end with this
/// value.
#[derive(Debug)]
pub struct Certificates(TempDir);

const SCRIPT: &str = r#"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=authority $$" \
    -addext basicConstraints=critical,CA:TRUE -keyout authority.key -out authority.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=server" -keyout server.key -out server.csr
printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$1" > server.ext
openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 \
    -extfile server.ext -out server.pem
"#;

impl Certificates {
    /// For a server that is reached as `localhost` or 127.0.0.1.
    pub fn of_localhost() -> Self {
        Self::of("DNS:localhost,IP:127.0.0.1")
    }

    /// For a server of another name.
    pub fn of_another_host() -> Self {
        Self::of("DNS:another.example")
    }

    fn of(names: &str) -> Self {
        // Looked for here, so that its absence is an error that says what to do.
        let _ = binary("openssl");
        let directory = scratch_dir();
        let made = Command::new("sh")
            .args(["-ec", SCRIPT, "certificates", names])
            .current_dir(directory.path())
            .output()
            .expect("sh can be started");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "openssl: {said}");
        Self(directory)
    }

    /// The file with the authority's certificate, which clients trust.
    pub fn authority(&self) -> String {
        self.file("authority.pem")
    }

    /// The file with the server's certificate.
    pub fn certificate(&self) -> String {
        self.file("server.pem")
    }

    /// The file with the server's private key.
    pub fn key(&self) -> String {
        self.file("server.key")
    }

    /// Copies certificate and key to a server's directory. Some servers read a key only if nobody but
    /// their own account can.
    pub(crate) fn give_to(&self, directory: &Path, account: Option<Account>) -> [String; 2] {
        [self.certificate(), self.key()].map(|from| {
            let name = Path::new(&from).file_name().expect("it is a file");
            let to = directory.join(name);
            fs::copy(&from, &to).expect("the directory is writable");
            fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("it was made here");
            if let Some(account) = account {
                account.own(&to);
            }
            to.display().to_string()
        })
    }

    fn file(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.display().to_string()
    }
}
