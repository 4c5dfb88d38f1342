// SPDX-License-Identifier: BSD-3-Clause
//
// bundle: a program with its libraries in one folder, which mpirun sends to the peers as a whole.
#include <ostream>

#include "chain/cli/bundle.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"

namespace chain::cli {
namespace {

Result<int> run_bundle(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    BundlePlan plan;
    plan.program = arguments.words[0];
    const std::string name = plan.program.substr(plan.program.rfind('/') + 1);
    plan.folder = arguments.has("output") ? arguments.value("output") : name + ".bundle";
    while (plan.folder.size() > 1 && plan.folder.back() == '/') plan.folder.pop_back();
    plan.replace = arguments.has("replace");
    if (const auto also = arguments.options.find("also"); also != arguments.options.end())
        plan.also = also->second;
    CHAIN_ASSIGN(const SharedObjects objects, make_bundle(plan));
    Console &console = invocation.console;
    if (invocation.json()) {
        console.out << client::json_text({{"folder", plan.folder},
                                          {"program", plan.folder + "/" + name},
                                          {"packed", client::Json(objects.packed)},
                                          {"of_peers", client::Json(objects.of_peers)}});
        return 0;
    }
    for (const std::string &library : objects.packed) console.out << "packed  " << library << "\n";
    console.out << objects.packed.size() << " libraries are in " << plan.folder << "; "
                << objects.of_peers.size() << " are the peer's own: glibc, and Open MPI.\n"
                << "  mpirun --chain-lease 2 " << shell_quoted(plan.folder + "/" + name) << "\n";
    return 0;
}

}  // namespace

std::vector<Command> bundle_commands() {
    return {
        {.noun = "bundle",
         .arguments = "PROGRAM",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "Pack a program with the libraries that it needs, for peers that lack them",
         .examples = "  ompi-chain bundle ./filter\n"
                     "  ompi-chain bundle ./filter --also libplugin.so --also model.bin\n"
                     "  mpirun --chain-lease 4 filter.bundle/filter in.png out.png\n",
         .details = "Makes the folder PROGRAM.bundle. mpirun sends all of it when the program is "
                    "started in it. glibc and\nOpen MPI stay the peer's own. What a program opens "
                    "by itself while it runs is not seen: name it with\n--also.\n",
         .options = {{"output", "DIR", "where to (default: PROGRAM.bundle)"},
                     {"also", "FILE", "one more file; may be repeated"},
                     {"replace", "", "a bundle that is there"}},
         .run = run_bundle},
    };
}

}  // namespace chain::cli
