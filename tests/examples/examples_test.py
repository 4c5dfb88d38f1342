# SPDX-License-Identifier: BSD-3-Clause
"""ring and hello_oshmem run on plain Open MPI and check their own results."""

import os
import subprocess
import unittest

EXAMPLES = os.path.join(os.environ["TEST_BUILD_DIR"], "examples")


def launch(launcher, rank_count, program, *options):
    command = [launcher, "--oversubscribe", *options, "-n", str(rank_count), program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class Ring(unittest.TestCase):
    def test_sum_of_any_number_of_ranks(self):
        for rank_count in (1, 2, 5):
            done = launch("mpirun", rank_count, os.path.join(EXAMPLES, "ring/ring"))
            self.assertEqual(done.returncode, 0, done.stderr)
            token = 3 * rank_count * (rank_count - 1) // 2
            self.assertIn(f"the token says {token}: correct", done.stdout)
            for rank in range(rank_count):
                self.assertIn(f"rank {rank} of {rank_count} on ", done.stdout)


class HelloOshmem(unittest.TestCase):
    def test_each_element_hears_from_its_neighbour(self):
        program = os.path.join(EXAMPLES, "hello_oshmem/hello_oshmem")
        if not os.path.exists(program):
            self.skipTest("not built: there is no oshcc here")
        # Without the parameter Debian's own oshrun ends every program with SIGSEGV.
        cure = ("--mca", "opal_common_ucx_opal_mem_hooks", "0")
        done = launch("oshrun", 3, program, *cure)
        self.assertEqual(done.returncode, 0, done.stderr)
        for pe, neighbour in ((0, 2), (1, 0), (2, 1)):
            self.assertRegex(
                done.stdout, f"PE {pe} of 3 on .*: neighbour wrote {neighbour} and {1000 + neighbour}\n"
            )


if __name__ == "__main__":
    unittest.main()
