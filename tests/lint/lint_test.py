# SPDX-License-Identifier: BSD-3-Clause
"""The tree keeps the house rules, and each rule notices a planted violation."""

import concurrent.futures
import os
import shlex
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules  # noqa: E402

ROOT = os.environ["TEST_SOURCE_DIR"]
SPDX = "// SPDX-License-Identifier: BSD-3-Clause\n"
TABLE = "".join(
    f"| `{folder}` | what | {allowed} |\n"
    for folder, allowed in (
        ("chain/base", "nothing"), ("chain/wire", "base"), ("chain/identity", "base wire"),
        ("chain/store", "base"), ("incentive", "base wire"), ("chain/ledger", "base incentive"),
        ("chain/p2p", "base"), ("chain/market", "base"), ("chain/meter", "base"),
        ("chain/daemon", "all"),
    )
)


class Planted(unittest.TestCase):
    """Each rule on a small tree of its own."""

    def findings(self, rule, files, *arguments):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {"docs/architecture.md": TABLE, **files}.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            return list(rule(rules.Tree(root), *arguments))

    def assert_caught(self, rule, path, bad, good, *arguments):
        found = self.findings(rule, {path: bad}, *arguments)
        self.assertEqual([finding.path for finding in found], [path], bad)
        self.assertEqual(self.findings(rule, {path: good}, *arguments), [])

    def test_layers(self):
        def include(name):
            return f'{SPDX}#include "{name}"\n'

        for path, bad, good in (
            ("chain/base/a.cc", "chain/wire/x.h", "chain/base/x.h"),
            ("incentive/a.h", "chain/ledger/x.h", "chain/wire/x.h"),
            ("chain/p2p/a.cc", "incentive/x.h", "chain/base/x.h"),
            ("chain/ledger/deep/a.cc", "chain/p2p/x.h", "incentive/deep/x.h"),
            ("ompi/mca/hook/chain/a.cc", "chain/client/client.h", "chain/meter/rank_file.h"),
            ("orte/mca/ras/chain/a.cc", "chain/ledger/x.h", "chain/client/client.h"),
        ):
            self.assert_caught(rules.layers, path, include(bad), include(good))
        self.assert_caught(rules.layers, "chain/p2p/b.h", '#  include <chain/meter/meter.h>\n', "")
        self.assertEqual(self.findings(rules.layers, {"chain/daemon/a.cc": include("chain/p2p/x.h")}), [])

    def test_layers_need_their_table(self):
        self.assertEqual(len(self.findings(rules.layers, {"docs/architecture.md": "nothing here"})), 1)
        self.assertEqual(len(self.findings(rules.layers, {"chain/new/a.cc": SPDX})), 1)

    def test_no_open_mpi_in_chain(self):
        for name in ("mpi.h", "orte/types.h", "opal_config.h", "openmpi/mpi.h", "shmem.h"):
            self.assert_caught(rules.no_open_mpi_in_chain, "chain/meter/a.cc",
                               f"#include <{name}>\n", "#include <string.h>\n")

    def test_no_floating_point(self):
        for bad in ("double price;", "x = 1.5;", "y = 2e3;", "strtod(text, &end)", "std::stod(s)",
                    "duration<double>", "static_cast<float>(x)", "#include <cmath>"):
            self.assert_caught(rules.no_floating_point, "incentive/a.cc", bad + "\n",
                               '// 1.5 double\n/* float */ auto s = "1.5 float"; int64_t a = 1\'000;\n')
        self.assert_caught(rules.no_floating_point, "chain/base/units.h", "float f;\n", "int f;\n")
        self.assertEqual(self.findings(rules.no_floating_point, {"chain/meter/a.cc": "double d;\n"}), [])

    def test_spdx(self):
        for path in ("chain/base/a.cc", "examples/a.c", "chain/wire/a.proto", "tests/a.py", "quickstart"):
            self.assert_caught(rules.spdx, path, "\n\n\n" + SPDX, "#!/bin/sh\n" + SPDX)

    def test_lengths(self):
        body = "    f();\n"
        longest = body * rules.FUNCTION_LINES_MAX
        for head in ("void f() {\n", "int g(int a,\n      int b) {\n", "TEST(A, B) {\n"):
            self.assert_caught(rules.lengths, "chain/base/a.cc", head + longest + body + body + "}\n",
                               "void f(int a) {\n" + longest + "}\n")
        method = "class A {\n    void f() {\n" + "        g();\n" * 80 + "    }\n};\n"
        self.assert_caught(rules.lengths, "chain/base/a.h", method, "class A {\n" + body * 90 + "};\n")
        line = "int a;\n"
        self.assert_caught(rules.lengths, "chain/base/a.cc", line * (rules.FILE_LINES_MAX + 1),
                           line * rules.FILE_LINES_MAX)

    def test_no_leftovers(self):
        for bad in ("// TODO: later", "// FIXME", "open(\"/home/jane/x\")", "/Users/jane/x",
                    "/root/.config"):
            self.assert_caught(rules.no_leftovers, "chain/base/a.cc", bad + "\n",
                               "// todos, network/main, $HOME/.openmpi, a/home/b, /root/somebody, /home/u/work\n")

    def test_tests_stay_tests(self):
        self.assert_caught(rules.tests_stay_tests, "chain/identity/local.mk",
                           "libompi_chain_la_SOURCES += tests/fuzz/cheap_schnorr.cc\n",
                           "libompi_chain_la_SOURCES += chain/identity/schnorr.cc\n")
        self.assert_caught(rules.tests_stay_tests, "tests/fuzz/local.mk",
                           "libompi_chain_la_SOURCES += x.cc\n", "tests_a_SOURCES = tests/a.cc\n")

    def test_component_shape(self):
        folder = "orte/mca/ras/chain/"
        names = ("ras_chain_component.cc", "ras_chain_module.cc", "ras_chain.h", "help-ras-chain.txt")
        whole = {folder + name: SPDX for name in names}
        self.assertEqual(self.findings(rules.component_shape, whole), [])
        for name in names:
            part = {path: text for path, text in whole.items() if path != folder + name}
            self.assertEqual(len(self.findings(rules.component_shape, part)), 1, name)

    def test_help_topics(self):
        source = 'orte_show_help("help-ras-chain.txt",\n               "none", true);\n'
        for text, count in (("[other]\nx\n", 1), ("[none]\nx\n", 0)):
            files = {"orte/mca/ras/chain/a.cc": source, "orte/mca/ras/chain/help-ras-chain.txt": text}
            self.assertEqual(len(self.findings(rules.help_topics, files)), count)

    def test_own_header_first(self):
        header = {"chain/base/a.h": "#pragma once\n"}
        bad = {**header, "chain/base/a.cc": '#include <map>\n#include "chain/base/a.h"\n'}
        good = {**header, "chain/base/a.cc": '// x\n\n#include "chain/base/a.h"\n#include <map>\n'}
        self.assertEqual(len(self.findings(rules.own_header_first, bad)), 1)
        self.assertEqual(self.findings(rules.own_header_first, good), [])

    def test_lone_headers(self):
        files = {"chain/base/a.h": "", "chain/base/a.cc": "", "chain/base/b.h": ""}
        self.assertEqual(self.findings(rules.lone_headers, files), ["chain/base/b.h"])
        path = "chain/base/b.h"
        self.assert_caught(rules.compile_alone, path, "#pragma once\nstd::string s();\n",
                           "#pragma once\n#include <string>\nstd::string s();\n", path, compiler(), [])

    def test_formatting(self):
        clang_format = rules.find_clang_format()
        if clang_format is None:
            self.skipTest("clang-format 14 is not installed")
        self.assert_caught(rules.formatting, "chain/base/a.cc", "int   a;\n", "int a;\n", clang_format)

    def test_shell_scripts(self):
        shellcheck = shutil.which("shellcheck")
        if shellcheck is None:
            self.skipTest("shellcheck is not installed")
        self.assert_caught(rules.shell_scripts, "tests/a.sh", "#!/bin/sh\nrm $1\n",
                           '#!/bin/sh\nrm "$1"\n', shellcheck)


def compiler():
    return shlex.split(os.environ.get("TEST_CXX", "g++"))


class ThisTree(unittest.TestCase):
    """The same rules on our own sources."""

    @classmethod
    def setUpClass(cls):
        cls.tree = rules.Tree(ROOT)

    def assert_clean(self, findings):
        found = [str(finding) for finding in findings]
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_the_sources_were_found(self):
        self.assertGreater(len(self.tree.cpp("chain/")), 20)
        self.assertGreater(len(self.tree.cpp("incentive/")), 1)
        self.assertIn("configure.ac", self.tree.files)

    def test_layers(self):
        self.assert_clean(rules.layers(self.tree))

    def test_no_open_mpi_in_chain(self):
        self.assert_clean(rules.no_open_mpi_in_chain(self.tree))

    def test_no_floating_point(self):
        self.assert_clean(rules.no_floating_point(self.tree))

    def test_spdx(self):
        self.assert_clean(rules.spdx(self.tree))

    def test_tests_stay_tests(self):
        self.assert_clean(rules.tests_stay_tests(self.tree))

    def test_lengths(self):
        self.assert_clean(rules.lengths(self.tree))

    def test_no_leftovers(self):
        self.assert_clean(rules.no_leftovers(self.tree))

    def test_component_shape(self):
        self.assert_clean(rules.component_shape(self.tree))

    def test_help_topics(self):
        self.assert_clean(rules.help_topics(self.tree))

    def test_own_header_first(self):
        self.assert_clean(rules.own_header_first(self.tree))

    def test_lone_headers_compile(self):
        def compile_one(path):
            component = not path.startswith(("chain/", "incentive/", "tests/", "examples/"))
            flags = os.environ["TEST_COMPONENT_CPPFLAGS" if component else "TEST_CPPFLAGS"]
            return list(rules.compile_alone(self.tree, path, compiler(), shlex.split(flags)))

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for findings in pool.map(compile_one, rules.lone_headers(self.tree)):
                self.assert_clean(findings)

    def test_formatting(self):
        clang_format = rules.find_clang_format()
        if clang_format is None:
            self.skipTest("clang-format 14 is not installed")
        self.assert_clean(rules.formatting(self.tree, clang_format))

    def test_shell_scripts(self):
        shellcheck = shutil.which("shellcheck")
        if shellcheck is None:
            self.skipTest("shellcheck is not installed")
        self.assert_clean(rules.shell_scripts(self.tree, shellcheck))


if __name__ == "__main__":
    unittest.main()
