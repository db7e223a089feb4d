#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Parse "root=fsvc:TYPE:DEVICE" of the kernel command line. dracut defines the variables and functions.
# shellcheck disable=SC2034,SC2154
case $root in
fsvc:*:*)
    rootok=1
    wait_for_dev "${root#fsvc:*:}"
    ;;
esac
