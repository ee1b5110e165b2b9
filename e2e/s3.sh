# Shared by the end-to-end scripts that want an S3 server: e2e/s3/s3 (versitygw) with state of its own. Source it after
# lib.sh. The server's program is built once, into the tools' cache.
#   S3_PORT      the server's port on 127.0.0.1     default: 17070
#   S3_SYNC=1    answers only what is on the device  default: 0; a broker that is killed can't tell
export S3_PORT=${S3_PORT:-17070}

start_s3() { # FOLDER BUCKET: returns when it serves; the environment then says how to reach it
    "$e2e/s3/s3" install
    mkdir -p "$1"
    ln -sfn "${LEVEE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/levee-tools}/s3/bin" "$1/bin"
    export S3_DIR=$1
    trap 'stop_all; "$e2e/s3/s3" down' EXIT
    "$e2e/s3/s3" up > "$1/environment"
    source "$1/environment"
    "$e2e/s3/s3" bucket "$2"
}

# Puts storm_proxy.py before the server, at S3_PORT + 2, and has the environment say so. It is told what to do at
# CONTROL_PORT (default: S3_PORT + 3). Whoever calls this ends `proxy_pid`, and looks whether FOLDER/proxy.log is empty.
start_storm_proxy() { # FOLDER
    local i port=$((S3_PORT + 2))
    control_port=${CONTROL_PORT:-$((S3_PORT + 3))}
    python3 "$e2e/storm_proxy.py" "$port" "$S3_PORT" "$control_port" 2> "$1/proxy.log" &
    proxy_pid=$!
    for ((i = 0; i < 100; i++)); do
        curl -sf "http://127.0.0.1:$control_port/counts" > /dev/null && break
        kill -0 "$proxy_pid" 2>/dev/null || fail "the proxy ended: $(tail -n 1 "$1/proxy.log")"
        sleep 0.1
    done
    ((i < 100)) || fail "the proxy does not answer after 10 s"
    export AWS_ENDPOINT_URL_S3=http://127.0.0.1:$port AWS_ENDPOINT_URL=http://127.0.0.1:$port
}
