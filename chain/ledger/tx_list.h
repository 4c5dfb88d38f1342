// SPDX-License-Identifier: BSD-3-Clause
//
// TxList: decoded transactions in order. Each is shared with the pending pool and the cache and
// never changed, so handing a list on copies no transaction.
#pragma once

#include <initializer_list>
#include <iterator>
#include <memory>

#include "chain/ledger/types.h"

namespace chain::ledger {

using TxRef = std::shared_ptr<const Tx>;

class TxList {
public:
    TxList() = default;
    // Lists of values convert: tests and tools put transactions together by hand.
    TxList(const std::vector<Tx> &txs) : TxList() {
        for (const Tx &tx : txs) push_back(std::make_shared<const Tx>(tx));
    }
    TxList(std::initializer_list<Tx> txs) : TxList(std::vector<Tx>(txs)) {}

    void push_back(TxRef tx) { refs_.push_back(std::move(tx)); }
    void reserve(std::size_t count) { refs_.reserve(count); }
    std::size_t size() const { return refs_.size(); }
    bool empty() const { return refs_.empty(); }
    const Tx &operator[](std::size_t i) const { return *refs_[i]; }
    const TxRef &ref(std::size_t i) const { return refs_[i]; }

    class Iterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = const Tx;
        using difference_type = std::ptrdiff_t;
        using pointer = const Tx *;
        using reference = const Tx &;
        Iterator() = default;
        explicit Iterator(std::vector<TxRef>::const_iterator at) : at_(at) {}
        reference operator*() const { return **at_; }
        pointer operator->() const { return at_->get(); }
        Iterator &operator++() {
            ++at_;
            return *this;
        }
        Iterator operator++(int) { return Iterator(at_++); }
        friend bool operator==(const Iterator &, const Iterator &) = default;

    private:
        std::vector<TxRef>::const_iterator at_;
    };
    Iterator begin() const { return Iterator(refs_.begin()); }
    Iterator end() const { return Iterator(refs_.end()); }

private:
    std::vector<TxRef> refs_;
};

}  // namespace chain::ledger
