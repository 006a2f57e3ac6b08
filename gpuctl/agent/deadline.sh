#!/bin/sh
# gpuctl-deadline: the dead-man's switch. It needs no Python and no agent.
#   arm    write the timer for the moment in /etc/gpuctl/deadline and start it
#   mark   say so in /run/gpuctl/armed.json
#   check  what the timer runs: power off when it is time
#   now    power off
# /etc/gpuctl/deadline: seconds since 1970 first, the rest of the line is for people.
root="${GPUCTL_ROOT:-}"
PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
file="$root/etc/gpuctl/deadline"
run="$root/run/gpuctl"
units="$root/etc/systemd/system"
unreadable_after=3600

now() {
    offset=0
    if [ -r "${GPUCTL_CLOCK_OFFSET_FILE:-}" ]; then
        offset=$(sed -n 's/.*"offset_seconds" *: *\(-\{0,1\}[0-9]\{1,12\}\).*/\1/p' \
            "$GPUCTL_CLOCK_OFFSET_FILE")
    fi
    echo $(($(date +%s) + ${offset:-0}))
}

uptime_s() {
    up=0
    if [ -r /proc/uptime ]; then read -r up _ </proc/uptime; fi
    echo "${up%%.*}"
}

deadline() {
    at=
    if [ -r "$file" ]; then read -r at _ <"$file"; fi
    case "$at" in '' | 0* | *[!0-9]*) return 1 ;; esac
    [ "${#at}" -eq 10 ] || return 1
    echo "$at"
}

put() {
    cat >"$1.new" && chmod "${2:-644}" "$1.new" && mv -f "$1.new" "$1"
}

arm() {
    up=$(uptime_s)
    calendar=
    if at=$(deadline); then
        left=$((at - $(now)))
        calendar="OnCalendar=$(date -u -d "@$at" '+%Y-%m-%d %H:%M:%S UTC')"
    else
        left=$((unreadable_after - up))
    fi
    [ "$left" -gt 0 ] || left=0
    mkdir -p "$run" "$units"
    # The clock may be set back later: the same moment is kept in seconds since boot, too.
    echo $((up + left)) | put "$run/due_uptime"
    put "$units/gpuctl-deadline.service" <<EOF
[Unit]
Description=gpuctl: end of the lease
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh $root/usr/local/sbin/gpuctl-deadline check
EOF
    put "$units/gpuctl-deadline.timer" <<EOF
[Unit]
Description=gpuctl: end of the lease
DefaultDependencies=no
[Timer]
OnBootSec=$((up + left))
$calendar
OnUnitInactiveSec=60
AccuracySec=1s
Persistent=true
[Install]
WantedBy=timers.target
EOF
    systemctl daemon-reload &&
        systemctl enable gpuctl-deadline.timer &&
        systemctl restart gpuctl-deadline.timer
}

mark() {
    at=$(deadline) || at=0
    mkdir -p "$run"
    printf '{"armed_at": %s, "deadline": %s}\n' "$(now)" "$at" | put "$run/armed.json"
}

check() {
    if ! at=$(deadline); then
        [ "$(uptime_s)" -lt "$unreadable_after" ] || off "unreadable"
        return 0
    fi
    # Two seconds early, for fractions were cut off: the next look is a minute away.
    [ "$(($(now) + 2))" -lt "$at" ] || off "reached"
    due=
    if [ -r "$run/due_uptime" ]; then read -r due <"$run/due_uptime"; fi
    case "$due" in '' | *[!0-9]*) return 0 ;; esac
    [ "$(uptime_s)" -lt "$due" ] || off "reached by uptime"
    return 0
}

off() {
    logger -t gpuctl "deadline $1: powering off" 2>/dev/null
    systemctl poweroff || poweroff
    sleep "${GPUCTL_FORCE_AFTER:-180}"
    poweroff --force --force || systemctl poweroff --force --force
}

case "${1:-}" in
arm | mark | check) "$1" ;;
now) off "not waited for" ;;
*)
    echo "usage: gpuctl-deadline arm|mark|check|now" >&2
    exit 2
    ;;
esac
