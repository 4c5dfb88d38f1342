# SPDX-License-Identifier: BSD-3-Clause
"""The house rules that a machine can read. Each rule takes a Tree and yields Findings."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

CODE_FOLDERS = ("chain", "incentive", "opal", "orte", "ompi", "oshmem", "examples", "tests")
ROOT_FILES = ("configure.ac", "Makefile.am", "env.sh.in", "quickstart", ".ci/run", ".clang-tidy")
CPP = (".cc", ".h")
# Inputs of the fuzz targets: bytes, no text.
BYTES_FOLDER = "tests/fuzz/corpus/"
# What the style calls "about 500" and "about 70" lines.
FILE_LINES_MAX = 520
FUNCTION_LINES_MAX = 75
NO_FLOAT = (
    "chain/base/units", "chain/ledger/", "chain/market/", "chain/backend/", "chain/consensus/",
    "incentive/",
)
# A component that is loaded into ranks has libc only, and the file that it shares with the meter.
RANK_FRAMEWORKS = ("ompi/mca/hook", "opal/mca/pstat", "oshmem/mca/sshmem")
RANK_FILE = "chain/meter/rank_file.h"
CLIENT_FOLDERS = {"chain/client", "chain/wire", "chain/base"}


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


class Tree:
    """The sources below `root`: our own folders only, never a build tree inside it."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(self._walk())
        self._texts = {}

    def _walk(self):
        for name in ROOT_FILES:
            if os.path.exists(os.path.join(self.root, name)):
                yield name
        for folder in CODE_FOLDERS + ("config", "docs"):
            for place, folders, names in os.walk(os.path.join(self.root, folder)):
                folders[:] = [name for name in folders if name != "__pycache__"]
                for name in names:
                    # autoreconf puts other people's files into config/.
                    if folder == "config" and not name.startswith("chain_"):
                        continue
                    path = os.path.relpath(os.path.join(place, name), self.root)
                    if not path.startswith(BYTES_FOLDER):
                        yield path

    def text(self, path):
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding="utf-8") as file:
                self._texts[path] = file.read()
        return self._texts[path]

    def lines(self, path):
        return enumerate(self.text(path).splitlines(), 1)

    def cpp(self, *prefixes):
        """C++ sources that are written by hand (protoc's are in the build tree)."""
        return [
            path for path in self.files
            if path.endswith(CPP) and not path.endswith((".pb.cc", ".pb.h"))
            and (not prefixes or path.startswith(prefixes))
        ]


def blank_comments_and_strings(text):
    """Same length and lines; comments, strings and characters become spaces."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z_])\'(?:\\.|[^\'\\\n])+\'',
        re.DOTALL,
    )
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def includes(tree, path):
    for number, line in tree.lines(path):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1), match.group(2)


# ---- layers

def layer_table(tree):
    """The table of docs/architecture.md: folder -> folders it may include, or None for all."""
    table = {}
    for _, line in tree.lines("docs/architecture.md"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 3:
            continue
        for folder in re.findall(r"`([a-z0-9/]+)`", cells[0]):
            table[folder] = _allowed(cells[2])
    return table


def _allowed(cell):
    words = cell.split()
    allowed = {
        word if word == "incentive" else f"chain/{word}" for word in words if word not in ("all", "nothing")
    }
    return None if words == ["all"] else allowed


def _folder_of(path):
    parts = path.split("/")
    return parts[0] if parts[0] == "incentive" else "/".join(parts[:2])


def layers(tree):
    table = layer_table(tree)
    if len(table) < 10:
        yield Finding("docs/architecture.md", 1, "the table of layers was not found")
    for path in tree.cpp("chain/", "incentive/"):
        folder = _folder_of(path)
        if folder not in table:
            yield Finding(path, 1, f"{folder} has no row in the table of docs/architecture.md")
            continue
        for number, _, name in includes(tree, path):
            target = _folder_of(name)
            ours = name.startswith(("chain/", "incentive/"))
            if not ours or target == folder or name == RANK_FILE:
                continue
            if table[folder] is not None and target not in table[folder]:
                yield Finding(path, number, f"{folder} may not include {target}")
    yield from _component_layers(tree)


def _component_layers(tree):
    for path in tree.cpp("opal/", "orte/", "ompi/", "oshmem/"):
        in_rank = path.startswith(RANK_FRAMEWORKS)
        for number, _, name in includes(tree, path):
            if not name.startswith(("chain/", "incentive/")) or name == RANK_FILE:
                continue
            if in_rank or _folder_of(name) not in CLIENT_FOLDERS:
                what = "a component in a rank" if in_rank else "a component"
                yield Finding(path, number, f"{what} may not include {name}")


def no_open_mpi_in_chain(tree):
    """The abstraction layer stands without Open MPI."""
    foreign = re.compile(r"^(mpi|shmem|pmix\w*)\.h$|^(openmpi|opal|orte|ompi|oshmem|pmix)/|^(opal|orte|ompi)_config\.h$")
    for path in tree.cpp("chain/", "incentive/"):
        for number, _, name in includes(tree, path):
            if foreign.search(name):
                yield Finding(path, number, f"an Open MPI header: {name}")


# ---- text

def no_floating_point(tree):
    """Money and F x T are decided in integers."""
    word = re.compile(
        r"\b(float|double|strto(?:d|f|ld)|atof|sto(?:d|f|ld)|f?pow|sqrt|cmath)\b"
        r"|(?<![\w.\"])\d[\d']*\.\d|(?<![\w.])\d+[eE][+-]?\d"
    )
    for path in tree.cpp(*NO_FLOAT):
        for number, line in enumerate(blank_comments_and_strings(tree.text(path)).splitlines(), 1):
            match = word.search(line)
            if match:
                yield Finding(path, number, f"floating point where money is decided: {match.group()}")


def spdx(tree):
    kinds = CPP + (".c", ".py", ".sh", ".mk", ".proto", ".m4", ".sol")
    for path in tree.files:
        if not path.endswith(kinds) and path not in ROOT_FILES:
            continue
        head = tree.text(path).splitlines()[:3]
        if not any("SPDX-License-Identifier: BSD-3-Clause" in line for line in head):
            yield Finding(path, 1, "no SPDX line among the first three")


def tests_stay_tests(tree):
    """No product is built from a file of the tests: some of them stand in for real parts (cheap
    signatures for the fuzzer), and must never be shipped."""
    for path in tree.files:
        if not path.endswith((".mk", ".am")) or path.startswith("tests/"):
            continue
        for number, line in tree.lines(path):
            if re.search(r"\btests/[\w/.-]+\.(cc|c|h|lo|la|o)\b", line):
                yield Finding(path, number, "a product is built from a file of the tests")
    for path in tree.files:
        if not path.endswith(".mk") or not path.startswith("tests/"):
            continue
        for number, line in tree.lines(path):
            if re.match(r"\s*(nodist_)?libompi_chain\w*_(SOURCES|LIBADD)\b|\s*(bin|lib)_", line):
                yield Finding(path, number, "the tests add to a product")


def lengths(tree):
    for path in tree.cpp():
        lines = tree.text(path).splitlines()
        if len(lines) > FILE_LINES_MAX:
            yield Finding(path, len(lines), f"{len(lines)} lines: this file wants another room")
        yield from _long_functions(path, lines)


def _long_functions(path, lines):
    """Relies on clang-format: a body ends as far left as its first line began, and what lies
    between is further right."""
    not_body = re.compile(r"\s*(namespace|class|struct|enum|union|extern|if|for|while|switch|else|do|"
                          r"return|case|default|(static )?const(expr)?\b[^(]*=)\b")
    latest = {}
    for number, line in enumerate(lines, 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if not words.startswith("}"):
            latest[indent] = number
            continue
        start = latest.get(indent, number)
        is_body = "(" in lines[start - 1] and not not_body.match(lines[start - 1])
        if is_body and number - start - 1 > FUNCTION_LINES_MAX:
            yield Finding(path, start, f"a function of {number - start - 1} lines")


def no_leftovers(tree):
    """Work that was left lying, and paths of the machine where it was written."""
    leftover = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    machine = re.compile(r"(?<![\w$}/.])/(?:home/(?!u/|somebody/)[a-z]|root/\.|Users/)")
    for path in tree.files:
        if path.startswith("tests/lint/") or path.endswith((".png", ".xz")):
            continue
        for number, line in tree.lines(path):
            if leftover.search(line):
                yield Finding(path, number, "unfinished: " + line.strip())
            if machine.search(line):
                yield Finding(path, number, "a path of somebody's machine: " + line.strip())


# ---- shape

def component_shape(tree):
    """Every MCA component has the same files, as Open MPI's own do."""
    components = {
        match.group(0): match.group(1)
        for match in (re.match(r"(?:opal|orte|ompi|oshmem)/mca/(\w+)/chain(?=/.*\.(cc|h)$)", path) for path in tree.files)
        if match
    }
    for folder, framework in components.items():
        names = [f"{framework}_chain_component.cc", f"{framework}_chain_module.cc", f"{framework}_chain.h"]
        # In the sandbox of a lease no help file would be found: a rank's component may have its
        # words in its code.
        if not folder.startswith(RANK_FRAMEWORKS):
            names.append(f"help-{framework}-chain.txt")
        for name in names:
            if f"{folder}/{name}" not in tree.files:
                yield Finding(folder, 1, f"has no {name}")


def help_topics(tree):
    """What is shown with show_help is in the help file of the same folder."""
    shown = re.compile(r'show_help\(\s*"(help-[\w-]+\.txt)",\s*"([\w-]+)"')
    for path in tree.cpp("opal/", "orte/", "ompi/", "oshmem/"):
        for match in shown.finditer(tree.text(path)):
            help_file = f"{os.path.dirname(path)}/{match.group(1)}"
            if help_file not in tree.files or f"[{match.group(2)}]" not in tree.text(help_file):
                line = tree.text(path).count("\n", 0, match.start()) + 1
                yield Finding(path, line, f"{help_file} has no [{match.group(2)}]")


def own_header_first(tree):
    """foo.cc includes foo.h before anything else: so foo.h is compiled on its own."""
    for path in tree.cpp():
        header = path[:-3] + ".h"
        if not path.endswith(".cc") or header not in tree.files:
            continue
        first = next(includes(tree, path), None)
        if first is None or first[2] != header:
            yield Finding(path, first[0] if first else 1, f'the first include is not "{header}"')


def lone_headers(tree):
    """Headers that no file of the same name compiles first; they have to be compiled by a test."""
    return [path for path in tree.cpp() if path.endswith(".h") and path[:-2] + ".cc" not in tree.files]


def compile_alone(tree, path, compiler, flags):
    command = [*compiler, *flags, "-std=gnu++20", "-fsyntax-only", "-Wno-volatile", "-x", "c++",
               os.path.join(tree.root, path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        yield Finding(path, 1, "does not compile on its own:\n" + done.stderr[-2000:])


# ---- tools

def find_clang_format():
    """clang-format 14, or None: another version decides otherwise."""
    for name in ("clang-format-14", "clang-format"):
        program = shutil.which(name)
        if program:
            version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            if "version 14." in version:
                return program
    return None


def formatting(tree, clang_format):
    paths = [os.path.join(tree.root, path) for path in tree.cpp()]
    if not paths:
        return
    done = subprocess.run([clang_format, "--dry-run", "--style=file", *paths], capture_output=True, text=True)
    for match in re.finditer(r"^(.*?):(\d+):\d+: warning: (.*)$", done.stderr, re.MULTILINE):
        path = os.path.relpath(match.group(1), tree.root)
        yield Finding(path, int(match.group(2)), "clang-format 14 writes this otherwise")
    if done.returncode != 0:
        yield Finding(".clang-format", 1, done.stderr[-500:])


def shell_scripts(tree, shellcheck):
    for path in tree.files:
        if path.endswith(".sh") or path in ("quickstart", ".ci/run"):
            done = subprocess.run([shellcheck, "-f", "gcc", os.path.join(tree.root, path)],
                                  capture_output=True, text=True)
            for line in done.stdout.splitlines():
                yield Finding(path, 1, line)
