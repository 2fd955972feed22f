#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Explores every state of the models in selftests/models: each holds as it is,
# and fails where the head of its file says that it does (` * holds:` and
# ` * fails:` with the flags of a variant), or it would prove nothing.

here=$(dirname "$(realpath "$0")")
models=$(realpath "$here/../models")
. "$here/../tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# explore MODEL FLAGS: what the checker says of it
explore() {
	rm -f pan*
	# shellcheck disable=SC2086
	spin $2 -a "$models/$1.pml" && gcc -w -O1 -DSAFETY -o pan pan.c &&
		./pan -m100000 -w22
}

if ! command -v spin >/dev/null; then
	skip "spin is not installed"
	finish
fi

for file in "$models"/*.pml; do
	model=$(basename "$file" .pml)
	while read -r what flags; do
		name="$model${flags:+ $flags} $what"
		out=$(explore "$model" "$flags" 2>&1)
		# A search that was cut short found nothing out.
		if grep -qE 'too small|out of memory|Search not completed' <<<"$out" &&
		   [ "$what" = holds ]; then
			like "$name: all states were seen" "$out" '^nothing'
		elif [ "$what" = holds ]; then
			like "$name" "$out" 'errors: 0$'
		else
			like "$name" "$out" '^pan:1: (assertion violated|invalid end state)'
		fi
	done < <(sed -n 's/^ \* \(holds\|fails\):[ 	]*\(\(-D[A-Z_]*[ 	]*\)*\).*/\1 \2/p' "$file")
done
finish
