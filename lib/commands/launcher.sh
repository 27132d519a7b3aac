#!/bin/sh
# A server in one file: this script, and below it a gzipped tar of the Deno runtime and the program. The first start
# unpacks them into the user's cache folder; every start checks them there and runs them.
files='@FILES@'
sum='@SUM@' # the checksum of what cksum prints for these files
name='@NAME@'

# Whether folder $1 has all files, and none is damaged.
complete() {
  [ -x "$1/deno" ] && [ "$({ cd "$1" && cksum $files | cksum; } 2>/dev/null)" = "$sum" ]
}

# Unpacks into folder $1. The files are unpacked into a folder in it, then moved to their places one by one. So another
# start at the same time never sees part of a file, and a damaged file is replaced.
unpack() {
  for old in "$1"/new.*; do # Removes the folders of processes that were killed.
    pid=${old##*/new.}
    kill -0 "${pid%.*}" 2>/dev/null || rm -rf "$old"
  done
  # The traps are set before the folder is made. They remove it by a pattern, because a signal may come before $new has a
  # value.
  into=$1
  trap 'rm -rf "$into/new.$$".*; exit 143' TERM
  trap 'rm -rf "$into/new.$$".*; exit 130' INT HUP
  new=$(mktemp -d "$1/new.$$.XXXXXX" 2>/dev/null) || return 1
  tail -n +@LINES@ "$self" | gzip -dc 2>/dev/null | tar -xof - -C "$new" 2>/dev/null
  # Some systems run no program in a temporary folder.
  complete "$new" && "$new/deno" --version >/dev/null 2>&1 && mv -f "$new"/* "$1"
  unpacked=$?
  rm -rf "$new"
  trap - TERM INT HUP
  return $unpacked
}

# Whether only this user and root can change the content of folder $1, a path without links. The folder and every folder
# above it must belong to one of the two, and other users may not write to it. They may write to a sticky folder such as
# /tmp, because they can replace only their own files there.
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

# Runs the program from a folder below folder $1. Returns if it cannot run there, or another user could change it there.
run() {
  case $1 in /*) ;; *) return ;; esac
  [ -d "$1" ] || { [ -O "${1%/*}" ] && mkdir -m 700 "$1"; } 2>/dev/null
  parent=$(cd -P "$1" 2>/dev/null && pwd -P) && safe "$parent" || return
  shift
  folder=$parent/$name
  [ -e "$folder" ] || mkdir -m 700 "$folder" 2>/dev/null
  [ ! -L "$folder" ] && [ -O "$folder" ] && safe "$folder" && chmod 700 "$folder" 2>/dev/null || return
  complete "$folder" || unpack "$folder" || return
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
