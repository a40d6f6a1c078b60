#!/usr/bin/env bash
# Starts a private PostgreSQL and Redis, runs a command with their addresses in AUDITCTL_POSTGRES and AUDITCTL_REDIS, and ends with its
# exit code. Everything is in a temporary directory and gone at the end.
#
#   examples/deployed/servers.sh COMMAND [ARGUMENT...]
#
# Needs the Debian packages postgresql and redis-server; the machine's own instances are not touched.
set -euo pipefail

dir=$(mktemp -d)
chmod 711 "$dir"
postgres_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
# PostgreSQL refuses to run as root.
as_postgres() { if [[ $(id -u) == 0 ]]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }
end() {
  trap - EXIT
  [[ -n ${redis:-} ]] && kill -TERM "$redis" && wait "$redis" || true
  as_postgres "$postgres_bin/pg_ctl" --pgdata="$dir/postgres/data" --mode=immediate --silent stop 2>/dev/null || true
  rm -rf "$dir"
}
trap end EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

mkdir "$dir/postgres"
[[ $(id -u) == 0 ]] && chown postgres: "$dir/postgres"
postgres_port=$(free_port)
as_postgres "$postgres_bin/initdb" --pgdata="$dir/postgres/data" --auth=trust --username=audit --encoding=UTF8 --locale=C >/dev/null
as_postgres "$postgres_bin/pg_ctl" --pgdata="$dir/postgres/data" --log="$dir/postgres/log" --wait --silent \
  --options="-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" start
redis_port=$(free_port)
redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$dir" --save '' \
  --appendonly yes --appendfsync always --maxmemory-policy noeviction >"$dir/redis.log" &
redis=$!

export AUDITCTL_POSTGRES="postgresql://audit@127.0.0.1:$postgres_port/postgres" AUDITCTL_REDIS="redis://127.0.0.1:$redis_port/0"
"$@"
