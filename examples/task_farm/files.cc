// SPDX-License-Identifier: BSD-3-Clause
#include "examples/task_farm/files.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace task_farm {

namespace fs = std::filesystem;

Bytes read_file(const std::string &path) {
    std::error_code error;
    const uintmax_t size = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
    if (error || size == 0) throw std::runtime_error("no such file, or an empty one");
    if (size > kFileBytesMax) throw std::runtime_error("larger than 256 MiB");
    Bytes bytes(size);
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char *>(bytes.data()), static_cast<std::streamsize>(size));
    if (!file) throw std::runtime_error("cannot be read");
    return bytes;
}

void write_file(const std::string &path, const void *data, size_t size) {
    const std::string part = path + ".part";
    std::ofstream file(part, std::ios::binary);
    file.write(static_cast<const char *>(data), static_cast<std::streamsize>(size));
    file.close();
    std::error_code error;
    if (file.good()) fs::rename(part, path, error);
    if (file.good() && !error) return;
    fs::remove(part, error);
    throw std::runtime_error(path + " could not be written");
}

}  // namespace task_farm
