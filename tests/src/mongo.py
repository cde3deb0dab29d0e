import sys

from secantus import SecantusDBServer

port, path, replica_set, ttl_sweep = sys.argv[1:]
server = SecantusDBServer(
    "127.0.0.1", int(port), path, replica_set_name=replica_set or None, ttl_sweep_seconds=float(ttl_sweep)
)
server.start()
server.wait()
