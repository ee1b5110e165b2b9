# Shared by the end-to-end scripts: a broker that is started, killed and started again. Source it.
#   LEVEE        the binary                         default: target/release/levee
#   E2E_DIR      scratch space, on a real disk      default: target/e2e
set -euo pipefail
e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$e2e/.." && pwd)
LEVEE=${LEVEE:-$root/target/release/levee}
E2E_DIR=${E2E_DIR:-$root/target/e2e}
PORT=${PORT:-19092}
broker=127.0.0.1:$PORT
broker_pid=

fail() { echo "e2e: $*" >&2; exit 1; }

scratch() { # NAME: an empty folder, refused on a RAM disk, which would prove nothing about durability
    local dir=$E2E_DIR/$1
    rm -rf "$dir"
    mkdir -p "$dir"
    local fs
    fs=$(stat -f -c %T "$dir")
    [[ $fs != tmpfs && $fs != ramfs ]] || fail "$dir is on $fs, a RAM disk"
    echo "scratch on $fs" >&2
    echo "$dir"
}

start_broker() { # STORE LOG [OPTIONS...]: returns when it serves
    local store=$1 log=$2 http='' i
    shift 2
    # A broker on a bucket is asked there by its successor whether it is alive.
    [[ $store != *://* ]] || http=127.0.0.1:$((PORT + 1))
    "$LEVEE" serve --store "$store" --listen "$broker" --http "$http" "$@" 2>>"$log" &
    broker_pid=$!
    for ((i = 0; i < 300; i++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null && return
        kill -0 "$broker_pid" 2>/dev/null || { tail -n 5 "$log" >&2; fail "the broker ended"; }
        sleep 0.1
    done
    fail "the broker does not listen after 30 s; see $log"
}

kill_broker() { # -9 or -TERM
    kill "$1" "$broker_pid"
    wait "$broker_pid" 2>/dev/null || true
    broker_pid=
}

stop_all() { [[ -z $broker_pid ]] || kill -9 "$broker_pid" 2>/dev/null || true; }
trap stop_all EXIT

python() { # a Python with confluent-kafka, installed once
    local venv=${LEVEE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/levee-tools}/e2e-python
    if [[ ! -e $venv/.complete ]] || ! cmp -s "$e2e/requirements.txt" "$venv/.complete"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install -q --no-deps -r "$e2e/requirements.txt" >&2
        cp "$e2e/requirements.txt" "$venv/.complete"
    fi
    "$venv/bin/python" "$@"
}
