# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library as other projects use it: installed, with pkg-config, in C or C++, shared or static."""

import os
import subprocess

import pytest

from kit import build_options, mounts

# A server that uses only the documented functions.
SERVER = r"""
#define FUSE_USE_VERSION %(version)s
%(includes)s
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct fuse_lowlevel_ops ops;

int main(int argc, char **argv)
{
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    struct fuse_service *service = NULL;
    struct fuse_cmdline_opts opts;
    struct fuse_session *session;
    int result;

    if (fuse_service_accept(&service) != 0)
        return 3;
    if (!fuse_service_accepted(service))
        return 4;
    if (fuse_service_append_args(service, &args) < 0)
        return 5;
    char *line = fuse_service_cmdline(argc, (const char *const *)argv, &args);
    fprintf(stderr, "line: %%s\n", line);
    free(line);
    fuse_opt_add_arg(&args, "-omax_read=65536");       /* the library must pass this option on */
    char *source = args.argv[1];                       /* the source is the first operand */
    for (int i = 1; i + 1 < args.argc; i++)
        args.argv[i] = args.argv[i + 1];
    args.argc--;
    fprintf(stderr, "source: %%s\n", source);
    if (fuse_service_parse_cmdline_opts(&args, &opts) != 0)
        return 6;
    session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
    if (!session)
        return 7;
    if (fuse_service_session_mount(service, session, S_IFDIR, &opts) < 0 || !opts.foreground)
        return 8;
    if (fuse_service_send_goodbye(service, 0) < 0 || fuse_service_send_goodbye(service, 0) < 0)
        return 9;
    fuse_service_destroy(&service);
    fuse_service_destroy(&service);
    result = fuse_session_loop(session);
    fuse_session_destroy(session);
    return fuse_service_exit(result);
}
"""
EMPTY_COMMAND_LINE = r"""
#define FUSE_USE_VERSION %(version)s
%(includes)s

int main(void)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_cmdline_opts opts;

    return fuse_service_parse_cmdline_opts(&args, &opts) == -1 ? 0 : 1;
}
"""
SERVICE_FIRST = "#include <fuse_service.h>\n#include <fuse_lowlevel.h>"
SERVICE_LAST = "#include <fuse_lowlevel.h>\n#include <fuse_service.h>"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Run `meson install` with DESTDIR. Return the directory."""
    directory = tmp_path_factory.mktemp("installed")
    subprocess.run(
        ["meson", "install", "-C", build_options.BUILD, "--no-rebuild", "--quiet"],
        env=os.environ | {"DESTDIR": str(directory)},
        check=True,
    )
    config = next(directory.rglob("fsvc.pc"))  # add DESTDIR to its prefix
    config.write_text(config.read_text().replace("prefix=/", f"prefix={directory}/", 1))
    return directory


def flags(installed, *options):
    """Return the output of pkg-config."""
    environment = os.environ | {"PKG_CONFIG_PATH": str(next(installed.rglob("fsvc.pc")).parent)}
    command = ["pkg-config", *options, "fsvc"]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def compile_server(installed, work, text=SERVER, compiler=("gcc",), includes=SERVICE_LAST, version="319", link=(), extra=()):
    source, program = work / "server.c", work / "server"
    source.write_text(text % {"includes": includes, "version": version})
    sanitizers = ["-fsanitize=address,undefined"] if "sanitize" in build_options.BUILD.name else []
    command = [*compiler, "-Wall", "-Wextra", "-Werror", *sanitizers, *flags(installed, "--cflags"), *extra, source]
    subprocess.run([*command, "-o", program, *(link or flags(installed, "--libs"))], check=True)
    return program


def library_directory(installed):
    return next(installed.rglob("libfsvc.so")).parent


VARIANTS = {
    "c": {},
    "header first": {"includes": SERVICE_FIRST},
    "header alone": {"includes": "#include <fuse_service.h>"},
    "version by macro": {"version": "FUSE_MAKE_VERSION(3, 19)"},
    "older version": {"version": "31"},
    "c++": {"compiler": ("g++", "-x", "c++")},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_server_compiles_in_all_variants_and_mounts(installed, serve, mount, source, mountpoint, work, variant):
    program = compile_server(installed, work, **variant)
    serve("env", f"LD_LIBRARY_PATH={library_directory(installed)}", program)
    result = mount("-o", "ro,nofail,x-mine=1")
    assert (result.code, result.errors) == (0, "")
    shown = mounts.single_mount_at(mountpoint)
    assert (shown.type, shown.source) == ("fuse.toy", str(source))
    assert "max_read=65536" in shown.options and "ro" in shown.flags
    mounts.unmount(mountpoint)


def test_static_library_needs_only_libfuse(installed, work):
    archive = library_directory(installed) / "libfsvc.a"
    fuse = subprocess.run(["pkg-config", "--libs", "fuse3"], check=True, stdout=subprocess.PIPE, text=True)
    program = compile_server(installed, work, link=[archive, *fuse.stdout.split()])
    assert "libfsvc" not in subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout


def test_shared_library_exports_only_its_interface(installed):
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", library_directory(installed) / "libfsvc.so"],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout
    names = {line.split()[-1] for line in listing.splitlines() if " T " in line}
    assert "fuse_service_accept@@FSVC_0" in names
    assert all(name.startswith("fuse_service_") and name.endswith("@@FSVC_0") for name in names)


def test_server_without_service_socket_is_not_a_service(installed, work):
    program = compile_server(installed, work)
    environment = {"LD_LIBRARY_PATH": str(library_directory(installed))}
    assert subprocess.run([program], env=environment).returncode == 4


def test_empty_command_line_is_refused(installed, work):
    program = compile_server(installed, work, EMPTY_COMMAND_LINE)
    result = subprocess.run([program], env={"LD_LIBRARY_PATH": str(library_directory(installed))}, capture_output=True)
    assert (result.returncode, result.stderr.count(b"\n")) == (0, 1)


def test_server_compiles_with_stubs_without_library(installed, work):
    fuse = subprocess.run(["pkg-config", "--libs", "fuse3"], check=True, stdout=subprocess.PIPE, text=True)
    program = compile_server(installed, work, extra=["-DFUSE_SERVICE_STUBS"], link=fuse.stdout.split())
    result = subprocess.run([program], env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    assert result.returncode == 4


def test_pkg_config_has_variables_for_sockets(installed):
    assert flags(installed, "--variable=service_socket_dir") == ["/run/filesystems"]
    assert flags(installed, "--variable=service_socket_perms") == ["0220"]
    assert any(name.startswith("fuse3") for name in flags(installed, "--print-requires"))
