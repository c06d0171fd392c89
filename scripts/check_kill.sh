#!/usr/bin/env bash
# Kills leakhunt at random instants of a dump, in each mode, and checks that the target is unharmed.
#   check_kill.sh LEAKHUNT SAMPLE KILLS
# Prints one JSON line per mode; its "seed", as the fifth argument of tests/live/check_kill.py, repeats the delays.
set -uo pipefail

export LEAKHUNT=$1
sample=$2 kills=$3
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tests/helpers.bash"

status=0
for mode in $(dump_modes); do
	nice "$root/tests/live/check_kill.py" "$LEAKHUNT" "$sample" "$mode" "$kills" || status=1
done
exit $status
