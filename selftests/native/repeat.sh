#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/repeat goes on as long as it is told, and stops at what fails.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

programs=$top/build/selftests/repeat-test
mkdir -p "$programs"
trap 'rm -rf "$programs" "$top/build/stress/repeat-test-"*' EXIT
printf '#!/bin/sh\necho "ok 1 fine"; echo 1..1\n' >"$programs/good"
printf '#!/bin/sh\necho >>%s; [ $(wc -l <%s) -lt 2 ] && r=ok || r="not ok"\necho "$r 1 once"; echo 1..1\n' \
	"$programs/count" "$programs/count" >"$programs/second"
chmod +x "$programs/good" "$programs/second"

out=$(DURATION=2 "$top/selftests/repeat" repeat-test:good)
is "what passes: exit status" $? 0
like "what passes runs more than once" "$out" 'ok +repeat-test:good: ([2-9]|[0-9]{2,}) runs'

out=$(DURATION=5 "$top/selftests/repeat" repeat-test:second repeat-test:good)
is "what fails: exit status" $? 1
like "what fails is not run again" "$out" 'FAILED +repeat-test:second: 2 runs'
check "and its output is kept" test -e "$top/build/stress/repeat-test-second"
like "the others go on" "$out" 'ok +repeat-test:good'
finish
