// SPDX-License-Identifier: BSD-3-Clause
#include "examples/task_farm/opencv.h"

#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>

namespace task_farm {

void one_thread_each() {
    cv::setNumThreads(1);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
}

}  // namespace task_farm
