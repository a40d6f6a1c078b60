#!/usr/bin/env bash
# The deployed form on one machine: private PostgreSQL and Redis, two workers, one audit-ingest; sends examples/events.ndjson
# through, searches, verifies, and shows the state of the deployment. Everything is in a temporary directory and gone at the end.
#
#   examples/deployed/run.sh [DIRECTORY WITH worker, audit-ingest, auditctl]     (default: builds them)
#
# Needs the Debian packages postgresql and redis-server; the machine's own instances are not touched.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=${1:-}
if [[ -z $bin ]]; then
  cargo build --quiet --locked --bin worker --bin audit-ingest --bin auditctl
  bin="${CARGO_TARGET_DIR:-target}/debug"
fi

dir=$(mktemp -d)
chmod 711 "$dir"
pids=()
postgres_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
# PostgreSQL refuses to run as root.
as_postgres() { if [[ $(id -u) == 0 ]]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }
end() {
  trap - EXIT
  # Our own processes first: they end in order while the servers are there.
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  [[ -n ${redis:-} ]] && kill -TERM "$redis" && wait "$redis" || true
  as_postgres "$postgres_bin/pg_ctl" --pgdata="$dir/postgres/data" --mode=immediate --silent stop 2>/dev/null || true
  rm -rf "$dir"
}
trap end EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# Waits until a file has a line that begins with a word; prints the rest of it.
line_of() {
  for _ in $(seq 300); do
    if grep --quiet "^$2 " "$1" 2>/dev/null; then sed -n "s/^$2 *//p" "$1" | head -n 1; return; fi
    sleep 0.1
  done
  echo "no line '$2' in $1:" >&2; cat "$1" >&2; return 1
}

echo "== PostgreSQL and Redis"
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

echo "== two workers and an ingest"
# One file for all of them; ${...} comes from the environment.
export AUDIT_STORE="postgresql://audit@127.0.0.1:$postgres_port/postgres" AUDIT_QUEUE="redis://127.0.0.1:$redis_port/0"
cat >"$dir/config.json" <<JSON
{
  "keys": { "dir": "$dir/keys" },
  "lanes": 2,
  "store": { "backend": "postgres", "url": "\${AUDIT_STORE}" },
  "queue": { "backend": "redis", "url": "\${AUDIT_QUEUE}" }
}
JSON
for name in one two; do
  "$bin/worker" --config "$dir/config.json" --data-dir "$dir/$name" --listen 127.0.0.1:0 >"$dir/$name.log" 2>&1 &
  pids+=($!)
done
"$bin/audit-ingest" --config "$dir/config.json" --data-dir "$dir/ingest" --listen 127.0.0.1:0 >"$dir/ingest.log" 2>&1 &
pids+=($!)
one=$(line_of "$dir/one.log" ready)
two=$(line_of "$dir/two.log" ready)
ingest=$(line_of "$dir/ingest.log" ready)
key=$(line_of "$dir/one.log" 'admin key')
auditctl=("$bin/auditctl" --key-file "$key")

echo "== send through the ingest at $ingest, until a signed checkpoint covers every event"
"${auditctl[@]}" --url "$ingest" send --ack sealed --state "$dir/sent" examples/events.ndjson
echo "== search and verify at the workers"
found=$("${auditctl[@]}" --url "$two" query --all -o json | grep --count '"event"')
sent=$(wc -l <examples/events.ndjson)
echo "$found of $sent events found"
[[ $found == "$sent" ]]
"${auditctl[@]}" --url "$one" verify
echo "== the deployment, as a worker and as the ingest see it"
"${auditctl[@]}" --url "$one" status
"${auditctl[@]}" --url "$ingest" status >"$dir/status"
grep --quiet 'the books balance' "$dir/status"
