#!/usr/bin/env bash
# A MongoDB-compatible server for the job-store contract: FerretDB 1.x with its SQLite back end.
#
#   source .ci/ferretdb.sh; start_ferretdb; ... "$MONGODB_URI" ...; stop_ferretdb
#   .ci/ferretdb.sh start [FILE]   writes MONGODB_URI and FERRETDB_PID to FILE and prints them
#   .ci/ferretdb.sh stop [FILE]
#
# Needs Go 1.22 or newer and the Go module proxy. The built program is kept in WELLSPRING_CI_CACHE
# (default ~/.cache/wellspring-ci); the server's data lie in a temporary folder.

# The last release of the module path without a major suffix. It is named in full because 'go install ...@latest'
# needs the proxy's list of versions, which not every proxy serves, and because a program installed that way ends
# at once: it wants a version.txt that the released module does not contain. Hence download, add the file, build.
FERRETDB_VERSION=v1.24.0
FERRETDB_MODULE=github.com/FerretDB/FerretDB
FERRETDB_SUM=h1:7WJmezL48Bj9bYWnhT/bEJgX5gjT5s7LFdHTqkN25rA=
FERRETDB_CACHE="${WELLSPRING_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wellspring-ci}"
FERRETDB_PROGRAM="$FERRETDB_CACHE/ferretdb-$FERRETDB_VERSION"
FERRETDB_START_SECONDS=30

# Builds the program unless the cache has it: about one and a half minutes on two cores, 45 MB.
install_ferretdb() {
  [ -x "$FERRETDB_PROGRAM" ] && return 0
  command -v go >/dev/null || { echo 'ferretdb: Go 1.22 or newer is needed to build it' >&2; return 1; }
  local work module_json module_dir
  mkdir -p "$FERRETDB_CACHE"
  work="$(mktemp -d "$FERRETDB_CACHE/build.XXXXXX")" || return 1
  module_json="$(cd "$work" && go mod download -json "$FERRETDB_MODULE@$FERRETDB_VERSION")" || { rm -rf "$work"; return 1; }
  case "$module_json" in
    *"$FERRETDB_SUM"*) ;;
    *) echo "ferretdb: the module has another checksum than $FERRETDB_SUM" >&2; rm -rf "$work"; return 1 ;;
  esac
  module_dir="$(printf '%s' "$module_json" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')"
  if ! {
    cp -R "$module_dir" "$work/source" && chmod -R u+w "$work/source" &&
      echo "$FERRETDB_VERSION" >"$work/source/build/version/version.txt" &&
      (cd "$work/source" && GOFLAGS=-buildvcs=false GOTOOLCHAIN=local \
        go build -trimpath -tags ferretdb_no_postgresql,ferretdb_no_mysql -o "$work/ferretdb" ./cmd/ferretdb) &&
      mv "$work/ferretdb" "$FERRETDB_PROGRAM"
  }; then
    rm -rf "$work"
    return 1
  fi
  rm -rf "$work"
}

# Sets and exports MONGODB_URI; sets FERRETDB_PID. Loopback only, no telemetry, no other listener.
start_ferretdb() {
  local port waited=0
  install_ferretdb || { echo 'ferretdb: could not be built' >&2; return 1; }
  FERRETDB_STATE="$(mktemp -d)"
  mkdir "$FERRETDB_STATE/data"
  port="$(node -e 'const s=require("node:net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})')"
  DO_NOT_TRACK=1 "$FERRETDB_PROGRAM" --handler=sqlite --sqlite-url="file:$FERRETDB_STATE/data/" \
    --state-dir="$FERRETDB_STATE" --listen-addr="127.0.0.1:$port" --debug-addr=- --telemetry=disable \
    --log-level=WARN >"$FERRETDB_STATE/log" 2>&1 </dev/null &
  FERRETDB_PID=$!
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    waited=$((waited + 1))
    if ! kill -0 "$FERRETDB_PID" 2>/dev/null || [ "$waited" -gt $((FERRETDB_START_SECONDS * 10)) ]; then
      echo 'ferretdb: did not start:' >&2
      tail -n 20 "$FERRETDB_STATE/log" >&2
      stop_ferretdb
      return 1
    fi
    sleep 0.1
  done
  export MONGODB_URI="mongodb://127.0.0.1:$port/wellspring"
}

# Ends the server that start_ferretdb started, and removes its data. Harmless when none runs.
stop_ferretdb() {
  if [ -n "${FERRETDB_PID:-}" ]; then
    kill "$FERRETDB_PID" 2>/dev/null || true
    wait "$FERRETDB_PID" 2>/dev/null || true
    FERRETDB_PID=
  fi
  [ -z "${FERRETDB_STATE:-}" ] || rm -rf "$FERRETDB_STATE"
  FERRETDB_STATE=
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  file="${2:-${TMPDIR:-/tmp}/wellspring-ferretdb.env}"
  case "${1:-}" in
    start)
      start_ferretdb
      printf 'MONGODB_URI=%s\nFERRETDB_PID=%s\nFERRETDB_STATE=%s\n' "$MONGODB_URI" "$FERRETDB_PID" "$FERRETDB_STATE" | tee "$file"
      ;;
    stop)
      # shellcheck disable=SC1090
      [ ! -f "$file" ] || source "$file"
      stop_ferretdb
      rm -f "$file"
      ;;
    *)
      echo 'usage: ferretdb.sh start|stop [FILE]' >&2
      exit 2
      ;;
  esac
fi
