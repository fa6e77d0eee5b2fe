#!/usr/bin/env bash
# A MongoDB-compatible server for the job-store contract: mongo-java-server, in memory, on loopback.
#
#   source .ci/mongodb.sh; start_mongodb; ... "$MONGODB_URI" ...; stop_mongodb
#   .ci/mongodb.sh start [FILE]   writes MONGODB_URI and MONGODB_PID to FILE and prints them
#   .ci/mongodb.sh stop [FILE]
#
# Needs a JDK (11 or newer) and Maven; as root on Debian it installs them. The jars are kept in WELLSPRING_CI_CACHE
# (default ~/.cache/wellspring-ci).
#
# Not FerretDB 1.x (1.24.0 tried): its findAndModify is a query followed by an update without a transaction. Two
# clients that claimed one document at once both got it in 276 of 300 tries, so Agenda gives a tick to two
# processes there. Here it was 0 of 300.

MONGO_JAVA_SERVER_VERSION=1.47.0
MONGO_CACHE="${WELLSPRING_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wellspring-ci}/mongo-java-server-$MONGO_JAVA_SERVER_VERSION"
MONGO_START_SECONDS=60

# Fetches the jars unless the cache has them: ten seconds, 6 MB.
install_mongodb() {
  if ! { command -v javac && command -v mvn; } >/dev/null; then
    [ "$(id -u)" = 0 ] || { echo 'mongodb: a JDK and Maven are needed' >&2; return 1; }
    apt-get update -qq && apt-get install -y -qq --no-install-recommends default-jdk-headless maven >/dev/null || return 1
  fi
  [ -e "$MONGO_CACHE/Launcher.java" ] && return 0
  local work
  mkdir -p "$MONGO_CACHE"
  work="$(mktemp -d)" || return 1
  cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>wellspring.ci</groupId><artifactId>mongodb</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>de.bwaldvogel</groupId><artifactId>mongo-java-server</artifactId><version>$MONGO_JAVA_SERVER_VERSION</version>
    </dependency>
  </dependencies>
</project>
POM
  # --strict-checksums: a damaged or foreign jar fails the build.
  if ! mvn --batch-mode --quiet --strict-checksums -f "$work/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DoutputDirectory="$MONGO_CACHE/lib" -DincludeScope=runtime >&2; then
    rm -rf "$work"
    return 1
  fi
  rm -rf "$work"
  # The server announces wire version 8 at most and the Node driver asks for 9 (MongoDB 4.4), so it is told to
  # announce that. What Agenda sends is the same in both.
  cat >"$MONGO_CACHE/Launcher.java" <<'JAVA'
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

public class Launcher {
  public static void main(String[] arguments) {
    MemoryBackend backend = new MemoryBackend();
    backend.version(new MongoVersion() {
      @Override
      public List<Integer> getVersionArray() {
        return List.of(4, 4, 0);
      }

      @Override
      public int getWireVersion() {
        return 9;
      }
    });
    MongoServer server = new MongoServer(backend);
    server.bind("127.0.0.1", 0);
    System.out.println("port " + server.getLocalAddress().getPort());
  }
}
JAVA
}

# Sets and exports MONGODB_URI; sets MONGODB_PID.
start_mongodb() {
  local port='' waited=0
  install_mongodb || { echo 'mongodb: could not be installed' >&2; return 1; }
  MONGODB_STATE="$(mktemp -d)"
  java -cp "$MONGO_CACHE/lib/*" "$MONGO_CACHE/Launcher.java" >"$MONGODB_STATE/log" 2>&1 </dev/null &
  MONGODB_PID=$!
  while port="$(sed -n 's/^port //p' "$MONGODB_STATE/log")" && [ -z "$port" ]; do
    waited=$((waited + 1))
    if ! kill -0 "$MONGODB_PID" 2>/dev/null || [ "$waited" -gt $((MONGO_START_SECONDS * 10)) ]; then
      echo 'mongodb: did not start:' >&2
      tail -n 20 "$MONGODB_STATE/log" >&2
      stop_mongodb
      return 1
    fi
    sleep 0.1
  done
  export MONGODB_URI="mongodb://127.0.0.1:$port/wellspring"
}

# Ends the server that start_mongodb started. Harmless when none runs.
stop_mongodb() {
  if [ -n "${MONGODB_PID:-}" ]; then
    kill "$MONGODB_PID" 2>/dev/null || true
    wait "$MONGODB_PID" 2>/dev/null || true
    MONGODB_PID=
  fi
  [ -z "${MONGODB_STATE:-}" ] || rm -rf "$MONGODB_STATE"
  MONGODB_STATE=
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  file="${2:-${TMPDIR:-/tmp}/wellspring-mongodb.env}"
  case "${1:-}" in
    start)
      start_mongodb
      printf 'MONGODB_URI=%s\nMONGODB_PID=%s\nMONGODB_STATE=%s\n' "$MONGODB_URI" "$MONGODB_PID" "$MONGODB_STATE" | tee "$file"
      ;;
    stop)
      # shellcheck disable=SC1090
      [ ! -f "$file" ] || source "$file"
      stop_mongodb
      rm -f "$file"
      ;;
    *)
      echo 'usage: mongodb.sh start|stop [FILE]' >&2
      exit 2
      ;;
  esac
fi
