// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>

namespace task_farm {

// For a program with OpenCV, before all else. A task has one thread: more would be in the others'
// way, and change what is found. What is wrong with a file is said by the program.
inline void one_thread_each() {
    cv::setNumThreads(1);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
}

}  // namespace task_farm
