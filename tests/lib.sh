# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What ./check, ./try and ./bench share. To be sourced in the top folder of the checkout.

# Two at once would build in the same folders.
one_at_a_time() {
        mkdir -p build/log
        exec 8>build/lock
        flock -n 8 || die "./check, ./try or ./bench is running in this checkout already; wait for it, or end it."
}

# "A sentence with the next step."
die() {
        echo "$PROGRAM: $*" >&2
        exit 1
}

# stage NAME LOG COMMAND…: runs a command that takes long. Its output goes to the file LOG; what is seen of it is
# a moving line on a terminal, else a line at the begin and one every minute. Returns its status.
stage() {
        local name=$1 log=$2 begin=$SECONDS said=0 r=0 elapsed last
        shift 2
        "$@" >"$log" 2>&1 </dev/null &
        STAGE_PID=$!
        [ -t 1 ] || echo "== $name"
        while kill -0 "$STAGE_PID" 2>/dev/null; do
                elapsed=$((SECONDS - begin))
                if [ -t 1 ]; then
                        last=$(tail -n 1 "$log" | tr -cd '[:print:]' | cut -c1-80)
                        printf '\r\033[K== %s: %d s %s' "$name" $elapsed "${last:+($last)}"
                elif [ $elapsed -ge $((said + 60)) ]; then
                        said=$elapsed
                        echo "   $name: $elapsed s so far: $(tail -n 1 "$log")"
                fi
                sleep 0.3
        done
        wait "$STAGE_PID" || r=$?
        STAGE_PID=
        if [ -t 1 ]; then printf '\r\033[K'; fi
        if [ $r = 0 ]; then
                echo "== $name: done in $((SECONDS - begin)) s"
        else
                echo "== $name: failed after $((SECONDS - begin)) s"
        fi
        return $r
}

# Ends what stage() runs, when we are ended ourselves.
STAGE_PID=
end_stage() {
        if [ -n "$STAGE_PID" ]; then
                kill -TERM "$STAGE_PID" 2>/dev/null || true
                wait "$STAGE_PID" 2>/dev/null || true
        fi
}
trap end_stage EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# show_log LOG [LINES]: the end of a log, indented.
show_log() {
        tail -n "${2:-40}" "$1" | sed 's/^/    /'
}

missing_packages() {
        local known
        # shellcheck disable=SC2016
        known=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
        sed -e 's/[[:space:]]*#.*//' -e '/^$/d' tests/deps | grep -vxF -f <(echo "$known") || true
}

apt_install() {
        export DEBIAN_FRONTEND=noninteractive
        # an update that fails for one source of several is no reason not to try
        apt-get -q update || true
        apt-get -q -y install --no-install-recommends "$@"
}

# install_missing: the Debian packages of tests/deps.
install_missing() {
        local missing
        command -v apt-get >/dev/null || die "apt-get is not here; this needs a Debian 12."
        mapfile -t missing < <(missing_packages)
        [ ${#missing[@]} != 0 ] || return 0
        [ "$(id -u)" = 0 ] ||
                die "these packages are missing: ${missing[*]}. Run this as root, or: apt-get install ${missing[*]}"
        echo "== installing what is missing from Debian: ${missing[*]}"
        if ! stage "packages" build/log/packages apt_install "${missing[@]}"; then
                show_log build/log/packages
                die "the packages could not be installed; mend apt's trouble above and run this again."
        fi
}

# The three long steps. Each has its log in build/log, named like the last word; returns 1 if it failed.
build_kernel() {        # plain | debug | stock
        local option=()
        if [ "$1" != plain ]; then option=("--$1"); fi
        stage "kernel ($1)" "build/log/kernel-$1" tests/vm/build-kernel "${option[@]}"
}

build_rootfs() {
        stage "root file system" build/log/rootfs tests/vm/build-rootfs
}

build_daemon() {        # DIR CC [OPTION…]
        local dir=$1 cc=$2
        shift 2
        CC=$cc stage "build $dir" "build/log/build-$dir" tests/build "build/$dir" "$@"
}
