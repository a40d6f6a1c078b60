#!/usr/bin/env bash
# The deployed form on one machine: private PostgreSQL and Redis, two workers, one audit-ingest; sends examples/events.ndjson
# through, searches, verifies, and shows the state of the deployment. Everything is in a temporary directory and gone at the end.
#
#   examples/deployed/run.sh [DIRECTORY WITH worker, audit-ingest, auditctl]     (default: builds them)
#
# Needs what servers.sh needs, which starts PostgreSQL and Redis and this script again.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=${1:-}
if [[ -z $bin ]]; then
  cargo build --quiet --locked --bin worker --bin audit-ingest --bin auditctl
  bin="${CARGO_TARGET_DIR:-target}/debug"
fi

if [[ ${2:-} != servers-run ]]; then
  echo "== PostgreSQL and Redis"
  exec examples/deployed/servers.sh examples/deployed/run.sh "$bin" servers-run
fi

dir=$(mktemp -d)
pids=()
end() {
  trap - EXIT
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap end EXIT

# Waits until a file has a line that begins with a word; prints the rest of it.
line_of() {
  for _ in $(seq 300); do
    if grep --quiet "^$2 " "$1" 2>/dev/null; then sed -n "s/^$2 *//p" "$1" | head -n 1; return; fi
    sleep 0.1
  done
  echo "no line '$2' in $1:" >&2; cat "$1" >&2; return 1
}

echo "== two workers and an ingest"
# One file for all of them; ${...} comes from the environment.
cat >"$dir/config.json" <<JSON
{
  "keys": { "dir": "$dir/keys" },
  "lanes": 2,
  "store": { "backend": "postgres", "url": "\${AUDITCTL_POSTGRES}" },
  "queue": { "backend": "redis", "url": "\${AUDITCTL_REDIS}" }
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
# Events of organisation _audit are the deployment's own: that it was configured, that somebody searched.
found=$("${auditctl[@]}" --url "$two" query --all -o json | grep '"event"' | grep --count --invert-match '"organizationId":"_audit"')
sent=$(wc -l <examples/events.ndjson)
echo "$found of $sent events found"
[[ $found == "$sent" ]]
"${auditctl[@]}" --url "$one" verify
echo "== the deployment, as a worker and as the ingest see it"
"${auditctl[@]}" --url "$one" status
"${auditctl[@]}" --url "$ingest" status >"$dir/status"
grep --quiet 'the books balance' "$dir/status"
