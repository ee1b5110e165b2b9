# Shared by the scripts beside it; sourced, not run.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kafka() { "$here/../../kafka/kafka" "$@"; }
work=$(mktemp -d); started=(); passed=0; failed=0
cleanup() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null; done
    [[ -n ${KEEP:-} ]] && echo "logs kept in $work" || rm -rf "$work"
}
trap cleanup EXIT
start() { # LOG COMMAND...   run in the background until the script ends
    local log=$1; shift
    "$here/../../kafka/kafka" "$@" > "$log" 2>&1 & started+=($!)
}
check() { # NAME COMMAND...
    local name=$1; shift
    if "$@"; then echo "ok $name"; passed=$((passed + 1)); else echo "NOT OK $name"; failed=$((failed + 1)); fi
}
eventually() { # SECONDS COMMAND...   until it succeeds
    local end=$((SECONDS + $1)); shift
    until "$@" 2>/dev/null; do ((SECONDS < end)) || return 1; sleep 0.5; done
}
finish() { echo "$passed passed, $failed failed"; ((failed == 0)); }
topic() { # NAME PARTITIONS [ARGS]...
    kafka topics --bootstrap-server "$bootstrap" --create --topic "$1" --partitions "$2" "${@:3}" > /dev/null
}
