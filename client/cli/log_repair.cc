// millrace log repair: a partition's files, changed on an explicit word
#include "commands.h"
#include "directory_access.h"
#include "parse_values.h"
#include "storage/inspect/directory_check.h"
#include "storage/inspect/partition_repair.h"
#include "summary.h"
#include "text_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

using Json = nlohmann::ordered_json;
using inspect::PartitionRepair;
using inspect::RepairKind;
using inspect::RepairPlan;
using inspect::RepairWish;

std::string range_text(OffsetRange range) {
  return fmt::format("[{}, {})", range.begin.value, range.end.value);
}

Json range_json(OffsetRange range) {
  return {{"begin_offset", range.begin.value}, {"end_offset", range.end.value}};
}

Json plan_json(const RepairPlan& plan) {
  Json fenced = Json::array();
  for (const OffsetRange& range : plan.fenced) fenced.push_back(range_json(range));
  return {{"given_up", range_json(plan.given_up)},
          {"events", plan.events},
          {"fenced", fenced},
          {"moved", plan.moved},
          {"cut", plan.cut ? Json(*plan.cut) : Json(nullptr)}};
}

// One line an effect, in the tense of the caller.
std::string plan_text(const RepairPlan& plan) {
  std::string out;
  for (const OffsetRange& range : plan.fenced)
    out += fmt::format("  fence   offsets {}: missing, {}\n", range_text(range),
                       human_count(range.count(), "event"));
  if (!plan.given_up.empty())
    out += fmt::format(
        "  give up offsets {}: {} that can be read now; all of them may have been acked\n",
        range_text(plan.given_up), human_count(plan.events, "event"));
  for (const std::string& file : plan.moved)
    out += fmt::format("  move    {} to quarantine/\n", file);
  if (plan.cut) out += fmt::format("  cut     {}, after a copy to quarantine/\n", *plan.cut);
  return out;
}

struct Needy {
  std::string name;  // TOPIC/PARTITION
  RepairPlan plan;
};

// Partitions whose logs take no appends because something is missing.
Result<std::vector<Needy>> find_needy(const std::string& directory) {
  const auto found = inspect::inspect_directory(directory, inspect::Depth::describe, {});
  if (!found) return fail(found.error());
  std::vector<Needy> out;
  for (const auto& topic : found->topics) {
    for (const auto& partition : topic.partition_reports) {
      auto files = inspect::find_partition_files(directory, topic.id, partition.partition);
      if (!files) return fail(files.error());
      const auto repair = PartitionRepair::plan(std::move(*files), {RepairKind::fence, {}});
      if (!repair) return fail(repair.error());
      if (repair->plan().is_empty()) continue;
      out.push_back(
          {fmt::format("{}/{}", topic.name.empty() ? topic.id : topic.name, partition.partition),
           repair->plan()});
    }
  }
  return out;
}

int say_what_could_be_done(const Context& context, const std::string& directory) {
  if (const auto fault = no_access(directory))
    return report("cannot look for what to repair", *fault);
  const auto needy = find_needy(directory);
  if (!needy) return report("cannot look for what to repair", needy.error().to_string());
  if (context.json()) {
    Json partitions = Json::array();
    for (const Needy& n : *needy) {
      Json row = plan_json(n.plan);
      row["partition"] = n.name;
      partitions.push_back(std::move(row));
    }
    print_json({{"directory", directory}, {"partitions", partitions}});
  } else if (needy->empty()) {
    if (!context.quiet)
      print_text(
          fmt::format("{}: no partition needs a repair; millrace log verify {} reads every "
                      "byte\n",
                      directory, directory));
  }
  if (!context.json()) {
    for (const Needy& n : *needy)
      print_text(
          fmt::format("{} takes no appends: segments are missing. Put them back, or\n"
                      "  millrace log repair {} {} --fence-missing\n{}",
                      n.name, directory, n.name, plan_text(n.plan)));
  }
  return needy->empty() ? exit_code::done : exit_code::failed;
}

RepairWish wish_of(const LogRepairArguments& arguments) {
  if (arguments.cut_before) return {RepairKind::before, Offset{*arguments.cut_before}};
  if (arguments.cut_from) return {RepairKind::from, Offset{*arguments.cut_from}};
  return {RepairKind::fence, {}};
}

// Whether the plan is agreed to: a fence gives nothing up, a cut needs the number.
bool is_agreed(const LogRepairArguments& arguments, const RepairPlan& plan) {
  return arguments.fence_missing || arguments.lose_events == plan.events;
}

int tell(const Context& context, const std::string& partition, const RepairPlan& plan, bool done) {
  if (context.json()) {
    Json row = plan_json(plan);
    row["partition"] = partition;
    row["done"] = done;
    print_json(row);
    return done ? exit_code::done : exit_code::failed;
  }
  if (done) {
    if (!context.quiet)
      print_text(fmt::format("{}: repaired{}\n{}", partition,
                             plan.is_empty() ? ", nothing to do" : ":", plan_text(plan)));
    return exit_code::done;
  }
  print_text(fmt::format("{}: nothing was changed; this would\n{}agree with --lose-events {}\n",
                         partition, plan_text(plan), plan.events));
  return exit_code::failed;
}

}  // namespace

int log_repair(const Context& context, const LogRepairArguments& arguments) {
  const bool wants_change = arguments.fence_missing || arguments.cut_before || arguments.cut_from;
  if (arguments.partition.empty()) {
    if (wants_change || arguments.lose_events)
      return report_usage("name the partition, TOPIC/PARTITION, behind the directory");
    return say_what_could_be_done(context, arguments.directory);
  }
  const auto path = parse_topic_path(arguments.partition);
  if (!path || !path->partition)
    return report_usage(fmt::format("\"{}\" is not TOPIC/PARTITION", arguments.partition));
  if (!wants_change)
    return report_usage(
        "say what to do: --fence-missing, --cut-before OFFSET or --cut-from OFFSET");
  if (const auto fault = no_access(arguments.directory)) return report("cannot repair", *fault);
  auto files = inspect::find_partition_files(arguments.directory, path->topic, *path->partition);
  if (!files) return report("cannot repair", files.error().to_string());
  auto repair = PartitionRepair::plan(std::move(*files), wish_of(arguments));
  if (!repair) return report("cannot repair", repair.error().to_string());
  const RepairPlan plan = repair->plan();
  if (!is_agreed(arguments, plan)) {
    if (arguments.lose_events)
      return report(
          "cannot repair",
          fmt::format("--lose-events {} is not what this gives up: {}; nothing was changed",
                      *arguments.lose_events, human_count(plan.events, "event")));
    return tell(context, arguments.partition, plan, false);
  }
  if (!plan.is_empty()) {
    if (const auto done = repair->apply(); !done)
      return report("cannot repair", done.error().to_string());
  }
  return tell(context, arguments.partition, plan, true);
}

}  // namespace millrace::cli
