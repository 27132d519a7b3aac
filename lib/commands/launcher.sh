#!/bin/sh
# A server in one file: this script, and below it a gzipped tar of the Deno runtime and the program. The first start
# unpacks them into the user's cache folder; every start checks them there and runs them.
files='@FILES@'
sum='@SUM@' # of what cksum says of these files
name='@NAME@'

# Whether folder $1 is whole.
whole() {
  [ -x "$1/deno" ] && [ "$({ cd "$1" && cksum $files | cksum; } 2>/dev/null)" = "$sum" ]
}

# Unpacks into folder $1: beside first, then file by file into place, so that a start at the same time never sees part
# of a file, and a damaged one is replaced.
unpack() {
  for old in "$1"/new.*; do # Left over if their process was killed.
    pid=${old##*/new.}
    kill -0 "${pid%.*}" 2>/dev/null || rm -rf "$old"
  done
  # Set before there is anything to remove, and by pattern, as a signal may come before the variable has its value.
  into=$1
  trap 'rm -rf "$into/new.$$".*; exit 143' TERM
  trap 'rm -rf "$into/new.$$".*; exit 130' INT HUP
  new=$(mktemp -d "$1/new.$$.XXXXXX" 2>/dev/null) || return 1
  tail -n +@LINES@ "$self" | gzip -dc 2>/dev/null | tar -xof - -C "$new" 2>/dev/null
  # Some systems run nothing that lies in a temporary folder.
  whole "$new" && "$new/deno" --version >/dev/null 2>&1 && mv -f "$new"/* "$1"
  unpacked=$?
  rm -rf "$new"
  trap - TERM INT HUP
  return $unpacked
}

# Whether only this user and the system can change what lies in folder $1, a path without links: both it and every folder
# above it belong to one of the two, and others may write to none. In a sticky folder such as /tmp they may, as they can
# replace there only what is theirs.
safe() {
  at=$1
  while :; do
    set -f
    set -- $(ls -ldn "$at/" 2>/dev/null) # mode, links, owner, …
    set +f
    case ${3:-} in 0 | "$user") ;; *) return 1 ;; esac
    case $1 in
      ?????????[tT]*) ;;
      ?????w* | ????????w*) return 1 ;;
    esac
    [ -n "$at" ] || return 0
    at=${at%/*}
  done
}

# Runs the program from a folder below folder $1, or returns if that cannot be or another user could change it there.
run() {
  case $1 in /*) ;; *) return ;; esac
  [ -d "$1" ] || { [ -O "${1%/*}" ] && mkdir -m 700 "$1"; } 2>/dev/null
  parent=$(cd -P "$1" 2>/dev/null && pwd -P) && safe "$parent" || return
  shift
  folder=$parent/$name
  [ -e "$folder" ] || mkdir -m 700 "$folder" 2>/dev/null
  [ ! -L "$folder" ] && [ -O "$folder" ] && safe "$folder" && chmod 700 "$folder" 2>/dev/null || return
  whole "$folder" || unpack "$folder" || return
  DENO_DIR=$folder/cache DENO_NO_UPDATE_CHECK=1 exec "$folder/deno" run --no-config --no-lock --no-remote --no-npm \
    @FLAGS@ "$folder/main.js" "$@"
}

self=$0
user=$(id -u)
run "${XDG_CACHE_HOME:-}" "$@"
run "${HOME:+$HOME/.cache}" "$@"
run "${TMPDIR:-/tmp}" "$@"
for tool in cksum gzip id ls mktemp tail tar; do
  command -v "$tool" >/dev/null && continue
  echo "Cannot start: $tool is needed to unpack the program: install it" >&2
  exit 1
done
echo 'Cannot start: no folder to unpack the program into and run it from: set XDG_CACHE_HOME to one that no other user can change, with 150 MB free' >&2
exit 1
