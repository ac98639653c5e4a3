#!/usr/bin/env bash
# Run all findings, or those named, one after the other; environments with the same pins are shared.
# Prints what each saw and whether it holds. Exit status: 0 all hold, 1 one has changed, 3 one could not be installed.
set -u
cd "$(dirname "$0")"
if [ -z "${FINDINGS_VENVS:-}" ]; then
    FINDINGS_VENVS=$(mktemp -d)
    trap 'rm -rf "$FINDINGS_VENVS"' EXIT
fi
export FINDINGS_VENVS
worst=0
for script in "${@:-*.sh}"; do
    for file in $script; do
        [ "$file" = run.sh ] && continue
        seen=$(bash "$file" 2>&1)
        status=$?
        case $status in 0) word=holds ;; 3) word="could not be installed" ;; *) word=changed ;; esac
        printf '%-34s %s\n' "${file%.sh}" "$word"
        printf '%s\n' "$seen" | sed 's/^/    /'
        [ $status -gt 1 ] && [ $status -ne 3 ] && status=1
        [ $status -gt $worst ] && worst=$status
    done
done
exit $worst
