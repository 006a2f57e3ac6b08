# Read by bash before a step (BASH_ENV): where a step fails, FILE:LINE and the command are told.
# Only the step itself: what it starts does not inherit it.
if [ -n "${GPUCTL_FAILED:-}" ]; then
    # shellcheck disable=SC2153 # both come from outside
    gpuctl_file=$GPUCTL_FAILED gpuctl_step=$GPUCTL_STEP
    gpuctl_line=0 gpuctl_command='' gpuctl_told=''
    unset BASH_ENV GPUCTL_FAILED GPUCTL_STEP
    gpuctl_write() {
        printf '%s:%s: exit %s: %s\n' "$gpuctl_step" "$2" "$1" "${3%%$'\n'*}" >"$gpuctl_file"
    }
    gpuctl_error() { # the line in a trap's own words is the trap's: the caller's is in BASH_LINENO
        gpuctl_told=yes
        gpuctl_write "$1" "${BASH_LINENO[0]}" "$2"
    }
    gpuctl_next() { # a command at the top: an error that was told of before was survived
        # Before the EXIT trap bash comes here once more, with line 1, where no command stands.
        [ "${BASH_LINENO[0]}" -gt 1 ] || return 0
        gpuctl_line=${BASH_LINENO[0]} gpuctl_command=$1 gpuctl_told=''
    }
    gpuctl_end() {
        [ "$1" -eq 0 ] || [ -n "$gpuctl_told" ] || gpuctl_write "$1" "$gpuctl_line" "$gpuctl_command"
    }
    set -E
    trap 'gpuctl_error "$?" "$BASH_COMMAND"' ERR
    trap 'gpuctl_end "$?"' EXIT
    trap 'gpuctl_next "$BASH_COMMAND"' DEBUG
fi
