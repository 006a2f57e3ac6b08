#!/bin/sh
# gpuctl: first the dead-man's switch, then the rest.
# Only digits, hexadecimal, base64 and the switch's own text are ever put into this one.
root="${GPUCTL_ROOT:-}"
PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
umask 022
deadline=@DEADLINE@
ceiling=@CEILING@
cloud=@CLOUD@
etc="$root/etc/gpuctl"

put() {
    mkdir -p "${1%/*}" && base64 -d >"$1.new" && chmod "$2" "$1.new" && mv -f "$1.new" "$1"
}

switch="$root/usr/local/sbin/gpuctl-deadline"
mkdir -p "${switch%/*}"
cat >"$switch.new" <<'END_OF_SWITCH'
@SWITCH@END_OF_SWITCH
chmod 755 "$switch.new" && mv -f "$switch.new" "$switch"
put "$etc/lease.json.boot" 644 <<'EOF'
@LEASE@
EOF

# A second boot of the same lease keeps what was extended since the first.
if cmp -s "$etc/lease.json.boot" "$etc/lease.json" && [ -s "$etc/deadline" ]; then
    rm -f "$etc/lease.json.boot"
else
    mv -f "$etc/lease.json.boot" "$etc/lease.json"
    rm -f "$etc/superseded"
    if [ "$cloud" = gcp ]; then
        moved=$(curl -sf -m 2 -H 'Metadata-Flavor: Google' \
            "http://${GCE_METADATA_HOST:-169.254.169.254}/computeMetadata/v1/instance/attributes/gpuctl-deadline")
        case "$moved" in
        [2-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z)
            moved=$(date -u -d "$moved" +%s) && [ "$moved" -le "$ceiling" ] && deadline=$moved
            ;;
        esac
    fi
    date -u -d "@$deadline" "+$deadline %Y-%m-%dT%H:%M:%SZ" >"$etc/deadline.new" &&
        mv -f "$etc/deadline.new" "$etc/deadline"
fi

armed=yes
if ! /bin/sh "$switch" arm; then
    armed=no
    left=$(((deadline - $(date +%s)) / 60))
    [ "$left" -gt 0 ] && [ "$left" -lt 10000 ] || left=60
    shutdown -P "+$left"
fi
[ -n "$root" ] || sysctl -q -w kernel.panic=10

# Only now what can fail: the agent.
agent="$root/usr/local/bin/gpuctl-agent"
put "$agent.gz" 600 <<'EOF'
@AGENT@
EOF
gzip -dc "$agent.gz" >"$agent.new" && rm -f "$agent.gz"
if [ "$(sha256sum <"$agent.new" | cut -c 1-64)" != @SHA256@ ]; then
    echo "gpuctl: the agent is damaged and was not installed; the deadline stands" >&2
    rm -f "$agent.new"
    exit 1
fi
chmod 755 "$agent.new" && mv -f "$agent.new" "$agent"
mkdir -p "$root/etc/systemd/system"
cat >"$root/etc/systemd/system/gpuctl-agent.service" <<EOF
[Unit]
Description=gpuctl agent
StartLimitIntervalSec=0
[Service]
Type=notify
ExecStart=/usr/bin/env python3 -I -S $agent run
Restart=always
RestartSec=2
WatchdogSec=60
[Install]
WantedBy=multi-user.target
EOF
systemctl daemon-reload
systemctl enable gpuctl-agent.service
systemctl restart --no-block gpuctl-agent.service
[ "$armed" = yes ] && /bin/sh "$switch" mark
