// millrace ping
#include "commands.h"
#include "summary.h"
#include "text_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace millrace::cli {

int ping(const Context& context) {
  auto client = connect(context);
  if (!client) return client.error();
  // The first round trip pays for the connection; the second one is the one to show.
  if (const auto first = client->ping(); !first)
    return report(fmt::format("no answer from {}", context.client.endpoint), first.error());
  const double begin = monotonic_seconds();
  const auto info = client->ping();
  const double seconds = monotonic_seconds() - begin;
  if (!info) return report(fmt::format("no answer from {}", context.client.endpoint), info.error());
  if (context.json()) {
    print_json({{"broker", context.client.endpoint},
                {"version", info->version},
                {"cluster_id", info->cluster_id},
                {"live", info->live_endpoint},
                {"uptime_ms", info->uptime_ms},
                {"round_trip_seconds", seconds}});
  } else {
    print_text(fmt::format("millraced {} at {}, up {:.0f} s, round trip {}\n", info->version,
                           context.client.endpoint, static_cast<double>(info->uptime_ms) / 1e3,
                           human_seconds(seconds)));
  }
  return exit_code::done;
}

}  // namespace millrace::cli
