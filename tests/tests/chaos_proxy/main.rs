//! The proxy that damages connections, in front of a real server.

mod damages_to_redis;
