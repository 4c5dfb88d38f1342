// SPDX-License-Identifier: BSD-3-Clause
//
// NAT-PMP by libnatpmp, UPnP IGD by libminiupnpc, as far as they were there when this was built.
#include <cstring>

#include <arpa/inet.h>
#include <poll.h>

#include "chain/p2p/limits.h"
#include "chain/p2p/port_mapping.h"
#include "chain_config.h"

#ifdef HAVE_NATPMP
#include <natpmp.h>
#endif
#ifdef HAVE_MINIUPNPC
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>
#endif

namespace chain::p2p {
namespace {

#if defined(HAVE_NATPMP) || defined(HAVE_MINIUPNPC)
Result<PeerAddress> outside_address(const std::string &host, std::uint16_t port) {
    const auto address = parse_peer_address(host + ":" + std::to_string(port));
    if (!address || reach_of(*address) == Reach::kNowhere)
        return make_error(ErrorCode::kRefused, "the router names no address of its own");
    return *address;
}
#endif

#ifdef HAVE_NATPMP
class NatPmp final : public PortMapper {
public:
    const char *name() const override { return "NAT-PMP"; }

    Result<MappedPort> map(std::uint16_t port, std::uint32_t lifetime_s) override {
        Client client;
        CHAIN_TRY(client.open());
        CHAIN_ASSIGN(const natpmpresp_t address,
                     client.answer(sendpublicaddressrequest(client.get())));
        CHAIN_ASSIGN(const natpmpresp_t mapping,
                     client.answer(sendnewportmappingrequest(client.get(), NATPMP_PROTOCOL_TCP,
                                                             port, port, lifetime_s)));
        char host[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &address.pnu.publicaddress.addr, host, sizeof host);
        MappedPort mapped;
        CHAIN_ASSIGN(mapped.outside,
                     outside_address(host, mapping.pnu.newportmapping.mappedpublicport));
        mapped.lifetime_s = mapping.pnu.newportmapping.lifetime;
        return mapped;
    }

    void remove(std::uint16_t port, const MappedPort &) override {
        Client client;
        if (!client.open().ok()) return;
        static_cast<void>(client.answer(
            sendnewportmappingrequest(client.get(), NATPMP_PROTOCOL_TCP, port, 0, 0)));
    }

private:
    class Client {
    public:
        ~Client() {
            if (open_) closenatpmp(&state_);
        }
        Status open() {
            if (initnatpmp(&state_, 0, 0) != 0)
                return make_error(ErrorCode::kNotFound, "no default route");
            open_ = true;
            return ok_status();
        }
        natpmp_t *get() { return &state_; }
        // Waits for the answer to what was `sent`; the library asks again, with longer pauses.
        Result<natpmpresp_t> answer(int sent) {
            if (sent < 0) return make_error(ErrorCode::kNotFound, "the router cannot be asked");
            natpmpresp_t response{};
            const std::uint64_t until_ms = system_clock().steady_ms() + kMappingAnswerMs;
            while (system_clock().steady_ms() < until_ms) {
                timeval pause{};
                if (getnatpmprequesttimeout(&state_, &pause) != 0) break;
                pollfd ready{state_.s, POLLIN, 0};
                poll(&ready, 1, static_cast<int>(pause.tv_sec * 1000 + pause.tv_usec / 1000 + 1));
                const int got = readnatpmpresponseorretry(&state_, &response);
                if (got == 0) return response;
                if (got == NATPMP_ERR_NOGATEWAYSUPPORT)
                    return make_error(ErrorCode::kNotFound, "the router does not speak it");
                if (got != NATPMP_TRYAGAIN)
                    return make_error(ErrorCode::kRefused, "the router refuses, error ", got);
            }
            return make_error(ErrorCode::kTimeout, "the router says nothing");
        }

    private:
        natpmp_t state_{};
        bool open_ = false;
    };
};
#endif

#ifdef HAVE_MINIUPNPC
class Upnp final : public PortMapper {
public:
    const char *name() const override { return "UPnP"; }

    Result<MappedPort> map(std::uint16_t port, std::uint32_t lifetime_s) override {
        Router router;
        CHAIN_TRY(router.find());
        const std::string number = std::to_string(port);
        MappedPort mapped;
        mapped.lifetime_s = lifetime_s;
        int failed = router.add(number, lifetime_s);
        constexpr int kOnlyPermanent = 725;  // WANIPConnection:1, 2.4.16
        if (failed == kOnlyPermanent) {
            mapped.lifetime_s = 0;
            failed = router.add(number, 0);
        }
        if (failed != UPNPCOMMAND_SUCCESS) {
            const char *words = strupnperror(failed);
            return make_error(ErrorCode::kRefused, words != nullptr ? words : "refused");
        }
        CHAIN_ASSIGN(mapped.outside, outside_address(router.outside_host(), port));
        return mapped;
    }

    void remove(std::uint16_t, const MappedPort &mapped) override {
        Router router;
        if (router.find().ok()) router.remove(std::to_string(mapped.outside.port));
    }

private:
    class Router {
    public:
        ~Router() {
            if (found_) FreeUPNPUrls(&urls_);
        }
        Status find() {
            constexpr int kTtl = 2;  // as UPnP asks for
            int failed = 0;
            UPNPDev *devices = upnpDiscover(static_cast<int>(kMappingAnswerMs), nullptr, nullptr,
                                            UPNP_LOCAL_PORT_ANY, 0, kTtl, &failed);
            const std::unique_ptr<UPNPDev, decltype(&freeUPNPDevlist)> owner(devices,
                                                                             freeUPNPDevlist);
            if (devices == nullptr) return make_error(ErrorCode::kNotFound, "no router answers");
            const int kind = UPNP_GetValidIGD(devices, &urls_, &services_, own_host_,
                                              static_cast<int>(sizeof own_host_));
            found_ = kind != 0;
            constexpr int kConnected = 1;
            if (kind != kConnected)
                return make_error(ErrorCode::kNotFound, "no router that is connected");
            return ok_status();
        }
        int add(const std::string &port, std::uint32_t lifetime_s) {
            return UPNP_AddPortMapping(urls_.controlURL, services_.first.servicetype, port.c_str(),
                                       port.c_str(), own_host_, "ompi-chain", "TCP", nullptr,
                                       std::to_string(lifetime_s).c_str());
        }
        void remove(const std::string &port) {
            UPNP_DeletePortMapping(urls_.controlURL, services_.first.servicetype, port.c_str(),
                                   "TCP", nullptr);
        }
        std::string outside_host() {
            char host[64] = "";
            UPNP_GetExternalIPAddress(urls_.controlURL, services_.first.servicetype, host);
            return host;
        }

    private:
        UPNPUrls urls_{};
        IGDdatas services_{};
        char own_host_[64] = "";
        bool found_ = false;
    };
};
#endif

}  // namespace

std::vector<std::unique_ptr<PortMapper>> port_mappers() {
    std::vector<std::unique_ptr<PortMapper>> mappers;
#ifdef HAVE_NATPMP
    mappers.push_back(std::make_unique<NatPmp>());
#endif
#ifdef HAVE_MINIUPNPC
    mappers.push_back(std::make_unique<Upnp>());
#endif
    return mappers;
}

}  // namespace chain::p2p
