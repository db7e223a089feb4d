#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Wait until the servers of the root filesystem have written back all data, and flush it to disk, because the shutdown
# does not. Do not wait for other processes that were not killed, such as plymouth: they may never end.

has_root_server() {
    for process in /proc/[0-9]*; do
        name=
        read -r name 2>/dev/null <"$process/cmdline"
        case $name in
        @/fsvc-*) return 0 ;;
        esac
    done
    return 1
}

while has_root_server; do sleep 0.1; done
sync
