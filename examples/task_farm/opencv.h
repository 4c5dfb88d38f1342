// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace task_farm {

// For a program with OpenCV, before all else. A task has one thread: more would be in the others'
// way, and change what is found. What is wrong with a file is said by the program.
void one_thread_each();

}  // namespace task_farm
