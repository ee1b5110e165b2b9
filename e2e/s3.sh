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
