# A job on the machine. The words of this script are its arguments, never pasted into it.
#   start NAME DIRECTORY COMMAND   environment on standard input
#   state NAME | log NAME OFFSET | signal NAME SIGNAL | list
umask 077
jobs="$HOME/.gpuctl/jobs"
verb=$1 name=$2 job="$jobs/$2"

number() {
    value=
    if [ -r "$1" ]; then read -r value <"$1"; fi
    case "$value" in '' | *[!0-9]*) return 1 ;; esac
    echo "$value"
}

runs() {
    [ ! -e "$job/exit" ] && pid=$(number "$job/pid") && kill -0 "$pid" 2>/dev/null
}

start() {
    mkdir -p "$jobs" && mkdir "$job" 2>/dev/null || exit 17
    where="${XDG_RUNTIME_DIR:-/dev/shm}"
    [ -d "$where" ] && [ -w "$where" ] || where=/dev/shm
    [ -d "$where" ] && [ -w "$where" ] || where="$job"
    secret=$(mktemp "$where/gpuctl-job.XXXXXX") && cat >"$secret" || exit 1
    printf 'exec %s\n' "$4" >"$job/command"
    : >"$job/log"
    cat >"$job/run" <<'EOF'
umask 022
job=$1
echo "$$" >"$job/pid"
trap : HUP INT TERM USR1 USR2
. "$2"
rm -f "$2"
export GPUCTL_JOB="$4"
tail -f "$job/log" 2>/dev/null & tail=$!
if cd "$3"; then
    /bin/sh "$job/command" </dev/null >>"$job/log" 2>&1
else
    false
fi
code=$?
echo "$code" >"$job/exit.new" && mv "$job/exit.new" "$job/exit"
kill "$tail" 2>/dev/null
EOF
    if command -v tmux >/dev/null 2>&1; then
        tmux new-session -d -s "gpuctl-$name" \
            /bin/sh "$job/run" "$job" "$secret" "$3" "$name" </dev/null >/dev/null 2>&1 && return
    fi
    setsid nohup /bin/sh "$job/run" "$job" "$secret" "$3" "$name" </dev/null >/dev/null 2>&1 &
}

state() {
    [ -d "$job" ] || exit 44
    if code=$(number "$job/exit"); then
        echo "ended $code"
    elif runs; then
        echo running
    elif [ ! -e "$job/pid" ]; then
        echo starting
    else
        echo lost
    fi
}

log() {
    [ -d "$job" ] || exit 44
    at=$3
    while :; do
        more=yes
        if [ -e "$job/pid" ] && ! runs; then more=; fi
        size=$(wc -c <"$job/log")
        if [ "$size" -gt "$at" ]; then
            tail -c +$((at + 1)) "$job/log" | head -c $((size - at))
            at=$((size))
        fi
        [ -n "$more" ] || return 0
        sleep 0.3
    done
}

signal() {
    [ -d "$job" ] || exit 44
    runs || exit 0
    kill -s "$3" -- "-$pid"
}

list() {
    for job in "$jobs"/*/; do
        if [ -d "$job" ]; then basename "$job"; fi
    done
}

case "$verb" in
start | state | log | signal | list) "$verb" "$@" ;;
*) exit 2 ;;
esac
