// SPDX-License-Identifier: BSD-3-Clause
//
// `lease reserve` and `lease cancel`: leases for a time to come, one at a time or as a calendar
// file has them (docs/reservations.md).
#include <map>
#include <ostream>
#include <set>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/cli/calendar.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/lease_spec.h"
#include "chain/client/start_time.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

using client::Json;

constexpr int kReserveTimeoutMs = kInclusionTimeoutMs;

// What of it the flags say; --slots stands for --chain-lease.
client::LeaseFlags flags_of(const Arguments &arguments) {
    client::LeaseFlags flags;
    flags.lease = arguments.value("slots");
    flags.max_price = arguments.value("max-price");
    flags.budget = arguments.value("budget");
    flags.time = arguments.value("time");
    flags.start = arguments.value("start");
    flags.net = arguments.value("net");
    return flags;
}

Result<wire::Bill> reserve(Invocation &invocation, const wire::LeaseReserveCall &call) {
    wire::ControlRequest request;
    *request.mutable_lease_reserve() = call;
    CHAIN_ASSIGN(client::Client client, invocation.connect());
    CHAIN_ASSIGN(wire::ControlReply reply, client.call(std::move(request), kReserveTimeoutMs));
    while (reply.has_lease_progress()) {
        CHAIN_ASSIGN(reply, client.next_reply(reply.id(), kReserveTimeoutMs));
    }
    if (!reply.has_bill())
        return make_error(ErrorCode::kProtocol, "the daemon's answer is no reservation");
    return reply.bill();
}

Result<wire::Bill> cancel(Invocation &invocation, const std::string &lease) {
    wire::ControlRequest request;
    request.mutable_lease_cancel()->set_lease_id(lease);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request, kReserveTimeoutMs));
    return reply.bill();
}

Result<int> reserve_one(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    for (const char *needed : {"slots", "start"})
        if (!arguments.has(needed))
            return make_error(ErrorCode::kInvalidInput, "--", needed, " is missing\n",
                              "As in `ompi-chain lease reserve --slots 2 --start 18:30`.");
    CHAIN_ASSIGN(const client::LeaseOrder order,
                 client::parse_lease_flags(flags_of(arguments), system_clock().unix_ms()));
    Console &console = invocation.console;
    if (arguments.has("dry-run")) {
        console.out << "Would reserve " << order.spec.slot_count() << " slots from "
                    << client::format_local(order.spec.starts_at_ms()) << " on.\n";
        return 0;
    }
    wire::LeaseReserveCall call;
    *call.mutable_spec() = order.spec;
    call.set_title(arguments.value("title"));
    CHAIN_ASSIGN(const wire::Bill bill, reserve(invocation, call));
    console.out << (invocation.json() ? client::format_bill_json(bill)
                                      : client::format_reservation_text(bill));
    return 0;
}

// ---- a calendar

// One line of what came of it.
struct Outcome {
    std::string what;  // reserved | there | would reserve | cancelled | changed | moved | failed …
    std::uint64_t start_ms = 0;
    std::string title;
    std::string lease;
    std::string note;
    bool is_well = true;
};

class CalendarRun {
public:
    CalendarRun(Invocation &invocation, std::uint64_t now_ms)
        : invocation_(invocation), now_ms_(now_ms) {}

    Result<int> run(const std::string &path) {
        CHAIN_ASSIGN(const std::string text, read_file(path, kCalendarBytesMax));
        wire::ControlRequest request;
        request.mutable_lease_list()->set_all(true);
        CHAIN_ASSIGN(const wire::ControlReply known, invocation_.call(request));
        for (const wire::Bill &bill : known.leases().leases())
            if (bill.role() == "renter" && !bill.event_uid().empty() &&
                bill.starts_at_ms() > now_ms_)
                remember(bill);
        const auto events =
            parse_calendar(text, now_ms_, now_ms_ + known.leases().reservation_ahead_max_ms());
        if (!events.ok())
            return make_error(events.error().code, path, ": ", events.error().message);
        for (const CalendarEvent &event : *events) take(event);
        note_moved();
        return report();
    }

private:
    using Key = std::pair<std::string, std::uint64_t>;  // UID and start

    // The newest counts: the list is in that order.
    void remember(const wire::Bill &bill) {
        known_.emplace(Key{bill.event_uid(), bill.starts_at_ms()}, bill);
    }

    void take(const CalendarEvent &event) {
        if (!event.problem.empty())
            return add({"failed", 0, event.title, "", event.problem, false});
        uids_.insert(event.uid);
        for (const Occurrence &occurrence : event.occurrences) {
            if (event.is_cancelled)
                take_cancelled(event, occurrence);
            else
                take_one(event, occurrence);
        }
    }

    Result<wire::LeaseSpec> spec_of(const CalendarEvent &event, const Occurrence &occurrence) {
        client::LeaseFlags flags = flags_of(invocation_.arguments);
        if (!event.lease.empty()) flags.lease = event.lease;
        if (flags.lease.empty())
            return make_error(ErrorCode::kInvalidInput, "it has no ", kLeaseProperty,
                              ", and no --slots are given");
        if (occurrence.duration_ms == 0 && flags.time.empty())
            return make_error(ErrorCode::kInvalidInput, "it has no end, and no --time is given");
        CHAIN_ASSIGN(client::LeaseOrder order, client::parse_lease_flags(flags, now_ms_));
        if (occurrence.duration_ms > 0) order.spec.set_duration_ms(occurrence.duration_ms);
        order.spec.set_starts_at_ms(occurrence.start_ms);
        return order.spec;
    }

    void take_one(const CalendarEvent &event, const Occurrence &occurrence) {
        const Key key{event.uid, occurrence.start_ms};
        if (!seen_.insert(key).second) return;  // the file has it twice
        Outcome outcome{"reserved", occurrence.start_ms, event.title, "", "", true};
        const auto spec = spec_of(event, occurrence);
        if (!spec.ok()) return fail(outcome, spec.error());
        if (const auto found = known_.find(key); found != known_.end())
            if (take_known(found->second, *spec, outcome)) return add(std::move(outcome));
        if (invocation_.arguments.has("dry-run")) {
            outcome.what = "would reserve";
            outcome.note = slots_text(*spec);
            return add(std::move(outcome));
        }
        wire::LeaseReserveCall call;
        *call.mutable_spec() = *spec;
        call.set_title(event.title);
        call.set_event_uid(event.uid);
        const auto bill = reserve(invocation_, call);
        if (!bill.ok()) return fail(outcome, bill.error());
        outcome.lease = bill->lease_id();
        outcome.note =
            slots_text(*spec) + ", " + client::format_units(bill->escrow()) + " tokens locked";
        add(std::move(outcome));
    }

    // False: that one is over by no wish of ours, and is to be reserved again.
    bool take_known(const wire::Bill &bill, const wire::LeaseSpec &spec, Outcome &outcome) {
        outcome.lease = bill.lease_id();
        if (bill.state() != "reserved") {
            if (bill.ended_by() != "renter") return false;
            outcome.what = "left alone";
            outcome.note = "it was cancelled before";
            return true;
        }
        outcome.what = "there";
        outcome.note = slots_text(spec);
        if (bill.spec().SerializeAsString() == spec.SerializeAsString()) return true;
        outcome.what = "changed";
        outcome.is_well = false;
        outcome.note = "reserved are " + slots_text(bill.spec()) + ", the event wants " +
                       slots_text(spec) + "; `ompi-chain lease cancel " +
                       client::short_id(bill.lease_id()) + "`, then again";
        return true;
    }

    void take_cancelled(const CalendarEvent &event, const Occurrence &occurrence) {
        const Key key{event.uid, occurrence.start_ms};
        seen_.insert(key);
        const auto found = known_.find(key);
        if (found == known_.end() || found->second.state() != "reserved") return;
        Outcome outcome{"cancelled", occurrence.start_ms, event.title, found->second.lease_id(), "",
                        true};
        if (invocation_.arguments.has("dry-run")) {
            outcome.what = "would cancel";
            return add(std::move(outcome));
        }
        const auto bill = cancel(invocation_, found->second.lease_id());
        if (!bill.ok()) return fail(outcome, bill.error());
        if (bill->paid() > 0) outcome.note = client::format_units(bill->paid()) + " tokens paid";
        add(std::move(outcome));
    }

    // Reserved for a time at which its event, which is in the file, takes place no more.
    void note_moved() {
        for (const auto &[key, bill] : known_) {
            if (bill.state() != "reserved" || seen_.contains(key) || !uids_.contains(key.first))
                continue;
            add({"moved", key.second, bill.title(), bill.lease_id(),
                 "the event is at another time now; `ompi-chain lease cancel " +
                     client::short_id(bill.lease_id()) + "` gives this one back",
                 false});
        }
    }

    static std::string slots_text(const wire::LeaseSpec &spec) {
        return std::to_string(spec.slot_count()) +
               (spec.slot_count() == 1 ? " slot for " : " slots for ") +
               client::format_elapsed(spec.duration_ms());
    }

    void fail(Outcome outcome, const Error &error) {
        outcome.what = "failed";
        outcome.is_well = false;
        outcome.note = error.message;
        add(std::move(outcome));
    }

    // At once: a long calendar takes its time.
    void add(Outcome outcome) {
        if (!invocation_.json()) {
            std::string line = outcome.what;
            line.resize(std::max<std::size_t>(line.size(), 14), ' ');
            if (outcome.start_ms > 0) line += client::format_local(outcome.start_ms) + "  ";
            if (!outcome.lease.empty()) line += client::short_id(outcome.lease) + "  ";
            line += client::shorten(outcome.title, 40);
            if (!outcome.note.empty()) line += ": " + outcome.note;
            invocation_.console.out << client::printable(line) << std::endl;
        }
        outcomes_.push_back(std::move(outcome));
    }

    Result<int> report() {
        bool all_well = true;
        Json list = Json::array();
        for (const Outcome &outcome : outcomes_) {
            all_well = all_well && outcome.is_well;
            list.push_back({{"what", outcome.what},
                            {"starts_at", client::json_time(outcome.start_ms)},
                            {"title", outcome.title},
                            {"lease", outcome.lease},
                            {"note", outcome.note}});
        }
        if (invocation_.json())
            invocation_.console.out << client::json_text({{"events", std::move(list)}});
        else if (outcomes_.empty())
            invocation_.console.err << "The calendar has nothing to reserve.\n";
        return all_well ? 0 : 1;
    }

    Invocation &invocation_;
    const std::uint64_t now_ms_;
    std::map<Key, wire::Bill> known_;
    std::set<Key> seen_;
    std::set<std::string> uids_;
    std::vector<Outcome> outcomes_;
};

Result<int> run_reserve(Invocation &invocation) {
    if (!invocation.arguments.has("ics")) return reserve_one(invocation);
    for (const char *other : {"start", "title"})
        if (invocation.arguments.has(other))
            return make_error(ErrorCode::kInvalidInput, "--", other,
                              " and --ics: the calendar says that itself");
    return CalendarRun(invocation, system_clock().unix_ms()).run(invocation.arguments.value("ics"));
}

Result<int> run_cancel(Invocation &invocation) {
    CHAIN_ASSIGN(const wire::Bill bill, cancel(invocation, invocation.arguments.words[0]));
    Console &console = invocation.console;
    if (invocation.json()) {
        console.out << client::format_bill_json(bill);
        return 0;
    }
    console.out << "Lease " << client::short_id(bill.lease_id()) << " is cancelled";
    if (bill.paid() > 0)
        console.out << "; it cost " << client::format_units(bill.paid())
                    << " tokens, as it was late";
    console.out << ".\n";
    return 0;
}

}  // namespace

std::vector<Command> reserve_commands() {
    return {
        {.noun = "lease",
         .verb = "reserve",
         .summary = "Lease for a time to come, once or as a calendar has it",
         .examples = "  ompi-chain lease reserve --slots 2 --start 18:30 --time 2h\n"
                     "  ompi-chain lease reserve --slots 16,mem=2G --start 2026-12-01T08:00\n"
                     "  ompi-chain lease reserve --ics team.ics --slots 4 --dry-run\n",
         .details = "TIME is 2026-12-01T08:00 (local; or with Z or +01:00 at its end), 18:30 (the "
                    "next one) or +2h.\n`mpirun --chain-reservation LEASE ./prog` begins it when "
                    "its time has come; who does not come pays\na deposit.\n\n"
                    "A calendar's events have their slots in X-OMPI-CHAIN-LEASE, or take --slots. "
                    "The same file again\nreserves nothing twice and cancels what it says is "
                    "cancelled. Exit code 1: something is not as the\ncalendar wants it.\n",
         .options = {{"slots", "SPEC", "as after mpirun's --chain-lease: 16,mem=2G"},
                     {"start", "TIME", "when it starts"},
                     {"time", "T", "how long at most (default: 1h, or the event's)"},
                     {"max-price", "P", "tokens per GHz·h, at most"},
                     {"budget", "B", "tokens in all, at most"},
                     {"net", "plain", "the peers' own networks, as mpirun's --chain-net"},
                     {"title", "TEXT", "what `lease list` shows of it"},
                     {"ics", "FILE", "an iCalendar file instead of --start"},
                     {"dry-run", "", "say what would be done, and do nothing"}},
         .run = run_reserve},
        {.noun = "lease",
         .verb = "cancel",
         .arguments = "LEASE",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "Give back a reservation",
         .examples = "  ompi-chain lease cancel 3f9a1c2e\n",
         .details = "Costs nothing until shortly before the start, later the deposit: `lease show` "
                    "says until when and\nhow much. LEASE is its number or the beginning of it.\n",
         .run = run_cancel},
    };
}

}  // namespace chain::cli
