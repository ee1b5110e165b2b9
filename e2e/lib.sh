# Shared by the end-to-end scripts: a broker that is started, killed and started again. Source it.
#   LEVEE        the binary                         default: target/release/levee
#   HTTP         where the broker serves /metrics   default: nowhere
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
    local store=$1 log=$2 http=${HTTP:-} i
    shift 2
    # A broker on a bucket is asked there by its successor whether it is alive.
    [[ -n $http || $store != *://* ]] || http=127.0.0.1:$((PORT + 1))
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

traced() { # TRACE: prints a script that runs levee with its calls that matter for durability traced into TRACE
    local calls=openat,creat,read,pread64,preadv,write,writev,pwrite64,pwritev,pwritev2,ftruncate,fsync,fdatasync
    calls+=,sync_file_range,mkdir,mkdirat,link,linkat,rename,renameat,renameat2,unlink,unlinkat,getdents64,sendto,sendmsg,sendmmsg
    calls+=,sendfile,copy_file_range,io_uring_setup,io_uring_enter
    : > "$1.script"
    chmod +x "$1.script"
    # -D: the process that is started is the broker, and strace its detached child.
    printf '#!/bin/sh\nexec strace -D -f -yy -q -s 16 --seccomp-bpf -e signal=none -e trace=%s -o %q %q "$@"\n' \
        "$calls" "$1" "$LEVEE" > "$1.script"
    echo "$1.script"
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
