# SPDX-License-Identifier: GPL-2.0
#
# Packages of other releases, unpacked and never installed: apt with lists and
# folders of its own. Source it; it wants `say` and `die` to talk with, and in
# $tmp a folder to work in.

# Where the system gets Debian from: "main" or "security". Understands all that
# apt does, since apt is asked. Proxies need no care: apt reads them itself.
archive() {
	local want='^(bookworm|trixie|(old)*stable|sid|testing)/?$' found
	[ "$1" = main ] || want='-security$'
	found=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
			'Created-By: Packages' 2>/dev/null |
		awk -v want="$want" '$2 ~ want { print $1; exit }')
	if [ -n "$found" ]; then
		echo "$found"
	elif [ "$1" = main ]; then
		say "apt knows no Debian archive here, trying deb.debian.org"
		echo http://deb.debian.org/debian/
	fi
}

# apt with lists and folders of its own: needs no root, disturbs nothing.
# An empty status file, so that what is installed here plays no part.
papt() {
	local cmd=$1
	shift
	"$cmd" -qq \
		-o Dir::Etc::sourcelist="$tmp/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$tmp/state" \
		-o Dir::State::lists="$tmp/state/lists" \
		-o Dir::State::status="$tmp/state/status" \
		-o Dir::Cache="$tmp/aptcache" \
		-o APT::Architecture=amd64 -o APT::Architectures=amd64 \
		-o APT::Sandbox::User=root \
		-o APT::Update::Post-Invoke::= \
		-o APT::Update::Error-Mode=any \
		-o Acquire::Languages=none \
		-o Acquire::Retries=3 \
		"$@"
}

# archive_lists SUITES [RELEASE]: reads the lists of these suites, and of the
# release's security archive.
archive_lists() {
	local main security s
	main=$(archive main)
	security=$(archive security)
	mkdir -p "$tmp/state/lists/partial" "$tmp/aptcache/archives/partial"
	: >"$tmp/state/status"
	{
		for s in $1; do
			echo "deb $main $s main"
		done
		[ -z "$security" ] || [ -z "${2:-}" ] ||
			echo "deb $security $2-security main"
	} >"$tmp/sources.list"
	say "reading the package lists of $1 from $main"
	papt apt-get update >&2 ||
		die "cannot read the package lists; the archive tried: $main (see apt's message above)"
}
