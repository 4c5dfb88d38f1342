// SPDX-License-Identifier: BSD-3-Clause
#include "chain/overlay/engine.h"

#include <algorithm>
#include <cerrno>

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "chain/overlay/packet.h"

namespace chain::overlay {
namespace {

// Packets from the device before the channels have their turn again.
constexpr int kDeviceBurst = 32;
constexpr int kEventsAtOnce = 32;
constexpr std::uint64_t kTickMs = 250;
// One after the other, when a channel begins: the first answer may have found somebody busy, and
// ranks are placed by what is known then. Later one with each kPingEveryMs.
constexpr std::size_t kFirstPings = 3;

// What epoll hands back: a member and a direction, or one of these.
constexpr std::uint64_t kWake = UINT64_MAX;
constexpr std::uint64_t kDevice = UINT64_MAX - 1;
constexpr std::uint64_t mark_of(std::uint32_t member, std::size_t direction) {
    return std::uint64_t{member} << 1 | direction;
}

}  // namespace

Engine::Engine(Loop &loop, std::uint32_t own, std::uint32_t member_count, ChangeHandler on_change)
    : loop_(loop),
      own_(own),
      on_change_(std::make_shared<ChangeHandler>(std::move(on_change))),
      members_(member_count),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      room_(kLengthBytes + kPacketBytesMax),
      input_(kLinkReadBytes),
      ticked_at_ms_(clock_.steady_ms()),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      round_trips_us_(member_count) {
    CHAIN_CHECK(own < member_count && member_count <= kMembersMax);
    CHAIN_CHECK(epoll_.valid() && wake_.valid());
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kWake;
    CHAIN_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0);
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "lease-network");
}

Engine::~Engine() {
    *on_change_ = nullptr;
    post([this] { stops_ = true; });
    thread_.join();
}

void Engine::post(std::function<void()> command) {
    {
        const std::lock_guard lock(mutex_);
        commands_.push_back(std::move(command));
    }
    const std::uint64_t one = 1;
    CHAIN_CHECK(write(wake_.get(), &one, sizeof one) == sizeof one);
}

template <typename Work>
auto Engine::counting(Link &link, Work work) {
    queued_bytes_ -= link.queued_bytes();
    auto result = work();
    queued_bytes_ += link.queued_bytes();
    return result;
}

void Engine::take_commands() {
    std::uint64_t ignored = 0;
    static_cast<void>(read(wake_.get(), &ignored, sizeof ignored));
    std::vector<std::function<void()>> commands;
    {
        const std::lock_guard lock(mutex_);
        commands.swap(commands_);
    }
    for (const auto &command : commands) command();
}

void Engine::attach(FileDescriptor device) {
    auto held = std::make_shared<FileDescriptor>(std::move(device));
    post([this, held] {
        device_ = std::move(*held);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = kDevice;
        CHAIN_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, device_.get(), &event) == 0);
    });
}

void Engine::add_channel(std::uint32_t member, bool dialled, p2p::Channel channel) {
    CHAIN_CHECK(member < members_.size() && member != own_);
    auto held = std::make_shared<p2p::Channel>(std::move(channel));
    post([this, member, dialled, held] {
        const std::size_t direction = dialled ? 1 : 0;
        Way &way = members_[member].ways[direction];
        if (way.link != nullptr) queued_bytes_ -= way.link->queued_bytes();
        way = Way{std::make_unique<Link>(std::move(*held)), clock_.steady_ms(), false, false};
        watch(way, member, direction, EPOLL_CTL_ADD);
        // What came with the end of the handshake does not make the socket readable.
        read_way(member, direction);
        if (way.link != nullptr && !ping(way)) lose(member, direction, "it broke");
    });
}

void Engine::pass_through_renter(std::uint32_t member) {
    CHAIN_CHECK(member < members_.size());
    post([this, member] { members_[member].through_renter = true; });
}

Engine::Counters Engine::counters() const {
    return {sent_packets_,   sent_bytes_,     received_packets_,
            received_bytes_, passed_packets_, dropped_packets_};
}

std::uint32_t Engine::round_trip_us(std::uint32_t member) const {
    CHAIN_CHECK(member < round_trips_us_.size());
    return round_trips_us_[member];
}

void Engine::run() {
    while (!stops_) {
        epoll_event events[kEventsAtOnce];
        const int count =
            epoll_wait(epoll_.get(), events, kEventsAtOnce, static_cast<int>(kTickMs));
        for (int i = 0; i < count; ++i) {
            const std::uint64_t mark = events[i].data.u64;
            if (mark == kWake) {
                take_commands();
            } else if (mark == kDevice) {
                read_device();
            } else {
                const auto member = static_cast<std::uint32_t>(mark >> 1);
                const std::size_t direction = mark & 1;
                Way &way = members_[member].ways[direction];
                if (way.link == nullptr) continue;
                if ((events[i].events & EPOLLOUT) != 0 &&
                    !counting(*way.link, [&] { return way.link->flush(); }).ok()) {
                    lose(member, direction, "it broke");
                    continue;
                }
                if ((events[i].events & ~static_cast<unsigned>(EPOLLOUT)) != 0)
                    read_way(member, direction);
                if (way.link != nullptr) watch(way, member, direction, EPOLL_CTL_MOD);
            }
        }
        if (clock_.steady_ms() - ticked_at_ms_ >= kTickMs) tick();
    }
}

// For what it may have to send.
void Engine::watch(Way &way, std::uint32_t member, std::size_t direction, int operation) {
    const bool waits = way.link->has_queue();
    if (operation == EPOLL_CTL_MOD && waits == way.waits_to_send) return;
    way.waits_to_send = waits;
    epoll_event event{};
    event.events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.u64 = mark_of(member, direction);
    CHAIN_CHECK(epoll_ctl(epoll_.get(), operation, way.link->fd(), &event) == 0);
}

void Engine::read_device() {
    char *const packet = room_.data() + kLengthBytes;
    for (int i = 0; i < kDeviceBurst; ++i) {
        OffloadHeader header;
        iovec parts[] = {{&header, sizeof header}, {packet, kPacketBytesMax}};
        const ssize_t got = readv(device_.get(), parts, 2);
        if (got < static_cast<ssize_t>(sizeof header)) return;
        const std::size_t size = static_cast<std::size_t>(got) - sizeof header;
        const auto parsed = parse_packet({packet, size});
        const std::uint32_t to = parsed ? member_at(parsed->destination) : kMembersMax;
        if (to >= members_.size() || to == own_)
            count(dropped_packets_);
        else
            send_to(to, room_.data(), size);
    }
}

Engine::Way *Engine::way_to(std::uint32_t member) {
    // Where both sides dialled, both send over what the one with the higher number dialled.
    const std::size_t first = own_ > member ? 1 : 0;
    for (const std::size_t direction : {first, 1 - first}) {
        Way &way = members_[member].ways[direction];
        if (way.link != nullptr && way.is_up) return &way;
    }
    return nullptr;
}

void Engine::send_to(std::uint32_t member, char *room, std::size_t packet_bytes) {
    Way *way = way_to(member);
    if (way == nullptr && members_[member].through_renter && own_ != kRenter) {
        member = kRenter;
        way = way_to(member);
    }
    if (way == nullptr) return count(dropped_packets_);
    const auto direction = static_cast<std::size_t>(way - members_[member].ways.data());
    if (way->link->has_queue() && queued_bytes_ + packet_bytes > kEngineQueueBytesMax)
        return count(dropped_packets_);
    const auto sent = counting(*way->link, [&] { return way->link->send(room, packet_bytes); });
    if (!sent.ok()) return lose(member, direction, sent.error().message);
    if (!*sent) return count(dropped_packets_);
    count(sent_packets_);
    count(sent_bytes_, packet_bytes);
    watch(*way, member, direction, EPOLL_CTL_MOD);
}

void Engine::read_way(std::uint32_t member, std::size_t direction) {
    Way &way = members_[member].ways[direction];
    // Held: what is read may lead to the loss of this very way.
    Link *const link = way.link.get();
    const auto read = link->receive(input_, [this, member](char *room, std::size_t packet_bytes) {
        take_packet(member, room, packet_bytes);
    });
    if (way.link.get() != link) return;
    if (!read.ok()) return lose(member, direction, read.error().message);
    if (!*read) return;
    way.heard_at_ms = clock_.steady_ms();
    const std::size_t answers = link->round_trip().sample_count();
    if (answers < kFirstPings) {
        if (answers > 0 && !ping(way)) lose(member, direction, "it broke");
        return;
    }
    const bool was_up = way_to(member) != nullptr;
    way.is_up = true;
    if (way_to(member) == &way) round_trips_us_[member] = link->round_trip().us();
    if (!was_up) tell(member, true, {});
}

void Engine::take_packet(std::uint32_t from, char *room, std::size_t packet_bytes) {
    const std::string_view bytes(room + kLengthBytes, packet_bytes);
    const auto packet = parse_packet(bytes);
    if (!packet) return count(dropped_packets_);
    const std::uint32_t sender = member_at(packet->source);
    const std::uint32_t to = member_at(packet->destination);
    const bool is_senders = sender == from || (from == kRenter && sender < members_.size());
    if (!is_senders || sender == own_ || to >= members_.size()) return count(dropped_packets_);
    if (own_ == kRenter && to != kRenter && to != from) {
        count(passed_packets_);
        return send_to(to, room, packet_bytes);
    }
    if (to != own_ || !device_.valid()) return count(dropped_packets_);
    if (own_ == kRenter && !is_between_ranks(*packet, bytes)) return count(dropped_packets_);
    OffloadHeader header = offload_header(*packet, bytes);
    iovec parts[] = {{&header, sizeof header}, {room + kLengthBytes, packet_bytes}};
    if (writev(device_.get(), parts, 2) < 0) return count(dropped_packets_);
    count(received_packets_);
    count(received_bytes_, packet_bytes);
}

void Engine::lose(std::uint32_t member, std::size_t direction, const std::string &why) {
    Way &way = members_[member].ways[direction];
    if (way.link == nullptr) return;
    // Kept until this event is over: it may be its own packets that led here.
    queued_bytes_ -= way.link->queued_bytes();
    auto gone = std::make_shared<std::unique_ptr<Link>>(std::move(way.link));
    way = Way{};
    post([gone] {});
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, (*gone)->fd(), nullptr);
    if (way_to(member) == nullptr) tell(member, false, why);
}

void Engine::tell(std::uint32_t member, bool up, const std::string &why) {
    loop_.post([handler = on_change_, member, up, why] {
        if (*handler) (*handler)(member, up, why);
    });
}

bool Engine::ping(Way &way) {
    return counting(*way.link, [&] { return way.link->ping(); }).ok();
}

void Engine::tick() {
    const std::uint64_t now_ms = clock_.steady_ms();
    // This thread stood still, or its machine slept or is overloaded: what others said waits in the
    // sockets.
    const std::uint64_t since_ms = now_ms - ticked_at_ms_;
    const bool slept = since_ms > kSilentAfterMs / 2;
    // An event may come just before a tick is due.
    const std::uint64_t late_ms = since_ms > 2 * kTickMs ? since_ms - 2 * kTickMs : 0;
    const bool pings = now_ms / kPingEveryMs != ticked_at_ms_ / kPingEveryMs;
    ticked_at_ms_ = now_ms;
    for (std::uint32_t member = 0; member < members_.size(); ++member) {
        for (std::size_t direction = 0; direction < 2; ++direction) {
            Way &way = members_[member].ways[direction];
            if (way.link == nullptr) continue;
            way.heard_at_ms = slept ? now_ms : std::min(now_ms, way.heard_at_ms + late_ms);
            if (now_ms - way.heard_at_ms >= kSilentAfterMs)
                lose(member, direction, "silent for 3 s");
            else if (pings && !ping(way))
                lose(member, direction, "it broke");
            else if (pings)
                watch(way, member, direction, EPOLL_CTL_MOD);
        }
    }
}

}  // namespace chain::overlay
