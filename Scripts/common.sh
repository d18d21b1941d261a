# Shared by the scripts beside it; sourced, not run.

set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${MUNTIN_CACHE:-$project/.cache}

say() { printf 'muntin: %s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# Runs a command as root: as it is, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "root is needed for: $* (run this as root, or install sudo)"
    fi
}

# Runs a long command with its output in a log file; a line a quarter of a minute says that it goes on.
quietly() {
    local what=$1 log=$2 started=$SECONDS
    shift 2
    say "$what ..."
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 &
    local worker=$! shown=0 status=0
    while kill -0 "$worker" 2>/dev/null; do
        sleep 0.2
        if [ $(((SECONDS - started) / 15)) -gt "$shown" ]; then
            shown=$(((SECONDS - started) / 15))
            say "  $((SECONDS - started)) s: $(tail -n 1 "$log" | tr -d '\r' | cut -c 1-100)"
        fi
    done
    wait "$worker" || status=$?
    if [ "$status" != 0 ]; then
        tail -n 25 "$log" >&2
        die "$what failed with status $status (whole log: $log)"
    fi
    say "  done in $((SECONDS - started)) s"
}

# The configured source of Debian's main archive for the running release: "URI file-that-names-it".
debian_source() {
    local codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(SOURCESENTRY)' \
        'Created-By: Packages' 'Component: main' |
        awk -v release="$codename" '$2 == release { sub(/:[0-9]+$/, "", $3); print $1, $3; exit }'
}

# The mirror that this machine's apt uses for Debian itself.
debian_mirror() {
    local uri
    uri=$(debian_source | cut -d ' ' -f 1)
    [ -n "$uri" ] || die "apt on this machine names no Debian archive for its own release; add one to /etc/apt/sources.list.d"
    echo "$uri"
}

# The keyring that the machine's own entry is signed by; Debian's where the entry names none.
debian_keyring() {
    local file keyring
    file=$(debian_source | cut -d ' ' -f 2)
    keyring=$(sed -nE 's/^Signed-By: *(\/[^ ]+).*/\1/p; s/.*\[.*signed-by=(\/[^] ,]+).*/\1/p' "$file" 2>/dev/null | head -n 1)
    echo "${keyring:-/usr/share/keyrings/debian-archive-keyring.gpg}"
}

# A short hash of the named files' contents and of the words after "--": what a built thing depends on.
content_hash() {
    local files=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        files+=("$1")
        shift
    done
    { cat "${files[@]}"; echo "$*"; } | sha256sum | cut -c 1-16
}

# True when the thing built at $1 carries the stamp $2.
is_current() { [ "$(cat "$1/stamp" 2>/dev/null)" = "$2" ]; }

# One script at a time in one cache folder.
lock_cache() {
    mkdir -p "$cache"
    exec 9>"$cache/$1.lock"
    flock -n 9 || {
        say "waiting for another run of $1"
        flock 9
    }
}

# Runs Swift tests, and says once more at the end which of them failed.
swift_tests() {
    local log status=0
    log=$(mktemp)
    swift test "$@" 2>&1 | tee "$log" || status=$?
    if [ "$status" != 0 ]; then
        say "these failed:"
        grep -E '✘|error:|Fatal' "$log" | tail -n 40 >&2 || true
    fi
    rm -f "$log"
    return "$status"
}
