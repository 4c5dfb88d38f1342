// SPDX-License-Identifier: BSD-3-Clause
#include "examples/task_farm/bytes.h"

#include <cstring>
#include <stdexcept>

namespace task_farm {

Writer &Writer::number(int64_t value) {
    const auto *data = reinterpret_cast<const uint8_t *>(&value);
    bytes_.insert(bytes_.end(), data, data + sizeof value);
    return *this;
}

Writer &Writer::blob(const void *data, size_t size) {
    number(static_cast<int64_t>(size));
    const auto *bytes = static_cast<const uint8_t *>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
    return *this;
}

const uint8_t *Reader::next(size_t size) {
    if (size > bytes_.size() - at_) throw std::runtime_error("sent less than it said");
    const uint8_t *data = bytes_.data() + at_;
    at_ += size;
    return data;
}

int64_t Reader::number() {
    int64_t value = 0;
    std::memcpy(&value, next(sizeof value), sizeof value);
    return value;
}

int Reader::number(int least, int most) {
    const int64_t value = number();
    if (value < least || value > most) throw std::runtime_error("sent a number that cannot be");
    return static_cast<int>(value);
}

size_t Reader::count(size_t bytes_each) {
    const int64_t value = number();
    if (value < 0 || static_cast<uint64_t>(value) > (bytes_.size() - at_) / bytes_each)
        throw std::runtime_error("sent less than it said");
    return static_cast<size_t>(value);
}

Bytes Reader::blob() {
    const size_t size = count(1);
    const uint8_t *data = next(size);
    return {data, data + size};
}

}  // namespace task_farm
