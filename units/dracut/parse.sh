#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# "root=fsvc:TYPE:DEVICE" on the kernel's command line. The names are dracut's.
# shellcheck disable=SC2034,SC2154
case $root in
fsvc:*:*)
    rootok=1
    wait_for_dev "${root#fsvc:*:}"
    ;;
esac
