import sys

from secantus import SecantusDBServer

port, path, replica_set, ttl_sweep, certificate, key = sys.argv[1:]
server = SecantusDBServer(
    "127.0.0.1",
    int(port),
    path,
    replica_set_name=replica_set or None,
    ttl_sweep_seconds=float(ttl_sweep),
    tls_cert_file=certificate or None,
    tls_key_file=key or None,
)
server.start()
server.wait()
