// millrace topic create | list | describe | delete | trim
#include "commands.h"
#include "millrace/admin.h"
#include "summary.h"
#include "text_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <map>
#include <optional>

namespace millrace::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string time_or_dash(std::int64_t ns) { return ns == 0 ? "-" : format_time(ns); }

// A creation is answered without the partitions.
Json to_json(const TopicDescription& topic) {
  Json partitions = Json::array();
  for (const PartitionDescription& p : topic.partition_descriptions) {
    partitions.push_back(
        {{"partition", p.partition},
         {"start_offset", p.start_offset},
         {"end_offset", p.end_offset},
         {"bytes", p.bytes},
         {"segments", p.segments},
         {"state", p.state},
         {"last_append_time",
          p.last_append_time_ns == 0 ? Json(nullptr) : Json(format_time(p.last_append_time_ns))},
         {"corrupt_events", p.corrupt_events}});
  }
  Json json = {{"topic", topic.name},
               {"id", topic.id},
               {"partitions", topic.partitions},
               {"created", format_time(topic.created_ns)},
               {"batch_bytes_max", topic.batch_bytes_max},
               {"settings", topic.settings}};
  if (!partitions.empty()) json["partition_list"] = std::move(partitions);
  return json;
}

std::string to_text(const TopicDescription& topic) {
  std::string out =
      fmt::format("topic       {}\nid          {}\ncreated     {}\npartitions  {}\n", topic.name,
                  topic.id, format_time(topic.created_ns), topic.partitions);
  for (const auto& [key, value] : topic.settings)
    out += fmt::format("setting     {} = {}\n", key, value);
  TextTable table({">PARTITION", ">START", ">END", ">SIZE", ">SEGMENTS", "LAST APPEND", "STATE"});
  for (const PartitionDescription& p : topic.partition_descriptions) {
    std::string state = p.state;
    if (p.corrupt_events > 0)
      state += fmt::format(" ({})", human_count(p.corrupt_events, "corrupt event"));
    table.add_row({std::to_string(p.partition), std::to_string(p.start_offset),
                   std::to_string(p.end_offset), human_bytes(p.bytes), std::to_string(p.segments),
                   time_or_dash(p.last_append_time_ns), state});
  }
  return out + "\n" + table.to_string();
}

// What lies behind the end was never there: a number above it is taken for a mistake, before
// anything is removed.
std::optional<std::string> trim_fault(const TopicDescription& topic, const Place& before,
                                      std::optional<std::uint32_t> partition) {
  if (before.kind != Place::Kind::offset) return std::nullopt;
  for (const PartitionDescription& p : topic.partition_descriptions) {
    const bool chosen = !partition || *partition == p.partition;
    if (!chosen || static_cast<std::uint64_t>(before.value) <= p.end_offset) continue;
    return fmt::format("offset {} of {}/{} is beyond its end; allowed is up to {}, or say end{}",
                       before.value, topic.name, p.partition, p.end_offset,
                       partition ? "" : "; --partition N trims one partition alone");
  }
  return std::nullopt;
}

struct TrimmedPartition {
  std::uint32_t partition = 0;
  OffsetBounds bounds;
};

void print_trimmed(const Context& context, const std::string& topic,
                   const std::vector<TrimmedPartition>& trimmed) {
  if (context.json()) {
    Json partitions = Json::array();
    for (const auto& [partition, bounds] : trimmed) {
      partitions.push_back({{"partition", partition},
                            {"start_offset", bounds.start_offset},
                            {"end_offset", bounds.end_offset}});
    }
    return print_json({{"topic", topic}, {"partitions", partitions}});
  }
  TextTable table({">PARTITION", ">START", ">END"});
  for (const auto& [partition, bounds] : trimmed)
    table.add_row({std::to_string(partition), std::to_string(bounds.start_offset),
                   std::to_string(bounds.end_offset)});
  print_text(table.to_string());
}

}  // namespace

int topic_create(const Context& context, const TopicCreateArguments& arguments) {
  std::map<std::string, std::string> settings;
  for (const std::string& setting : arguments.settings) {
    const auto equals = setting.find('=');
    if (equals == 0 || equals == std::string::npos)
      return report_usage(fmt::format("--set {}: not KEY=VALUE", setting));
    settings[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  const auto client = connect(context);
  if (!client) return client.error();
  const auto topic = Admin(*client).create_topic(arguments.name, arguments.partitions, settings);
  if (!topic) return report(fmt::format("cannot create topic {}", arguments.name), topic.error());
  if (context.json()) {
    print_json(to_json(*topic));
  } else if (!context.quiet) {
    print_text(fmt::format("created {} with {}\n", topic->name,
                           human_count(topic->partitions, "partition")));
  }
  return exit_code::done;
}

int topic_list(const Context& context) {
  const auto client = connect(context);
  if (!client) return client.error();
  const auto topics = Admin(*client).list_topics();
  if (!topics) return report("cannot list topics", topics.error());
  if (context.json()) {
    Json list = Json::array();
    for (const TopicSummary& t : *topics)
      list.push_back({{"topic", t.name},
                      {"id", t.id},
                      {"partitions", t.partitions},
                      {"events", t.events},
                      {"bytes", t.bytes}});
    print_json(list);
    return exit_code::done;
  }
  if (context.quiet) {
    for (const TopicSummary& t : *topics) print_text(t.name + "\n");
    return exit_code::done;
  }
  TextTable table({"TOPIC", ">PARTITIONS", ">EVENTS", ">SIZE"});
  for (const TopicSummary& t : *topics)
    table.add_row(
        {t.name, std::to_string(t.partitions), std::to_string(t.events), human_bytes(t.bytes)});
  print_text(table.to_string());
  return exit_code::done;
}

int topic_describe(const Context& context, const std::string& name) {
  const auto client = connect(context);
  if (!client) return client.error();
  const auto topic = Admin(*client).describe_topic(name);
  if (!topic) return report(fmt::format("cannot describe topic {}", name), topic.error());
  if (context.json()) {
    print_json(to_json(*topic));
  } else {
    print_text(to_text(*topic));
  }
  return exit_code::done;
}

int topic_delete(const Context& context, const std::string& name) {
  const auto client = connect(context);
  if (!client) return client.error();
  if (const auto done = Admin(*client).delete_topic(name); !done)
    return report(fmt::format("cannot delete topic {}", name), done.error());
  if (context.json()) {
    print_json({{"topic", name}, {"deleted", true}});
  } else if (!context.quiet) {
    print_text(fmt::format("deleted {}\n", name));
  }
  return exit_code::done;
}

int topic_trim(const Context& context, const TopicTrimArguments& arguments) {
  const auto before = Place::parse(arguments.before, wall_now_ns());
  if (!before) return report_usage(fmt::format("--before: {}", before.error().text));
  if (const auto slash = arguments.name.find('/'); slash != std::string::npos)
    return report_usage(fmt::format("'{}' names a partition; say {} --partition {}", arguments.name,
                                    arguments.name.substr(0, slash),
                                    arguments.name.substr(slash + 1)));
  const auto client = connect(context);
  if (!client) return client.error();
  Admin admin(*client);
  const auto topic = admin.describe_topic(arguments.name);
  if (!topic) return report(fmt::format("cannot trim topic {}", arguments.name), topic.error());
  if (const auto fault = trim_fault(*topic, *before, arguments.partition))
    return report(fmt::format("cannot trim topic {}", arguments.name), *fault);
  std::vector<TrimmedPartition> trimmed;
  for (std::uint32_t p = arguments.partition.value_or(0);
       p < (arguments.partition ? *arguments.partition + 1 : topic->partitions); ++p) {
    const auto bounds = admin.trim_topic(arguments.name, p, *before);
    if (!bounds) {
      if (!trimmed.empty()) print_trimmed(context, arguments.name, trimmed);
      return report(fmt::format("cannot trim {}/{}", arguments.name, p), bounds.error());
    }
    trimmed.push_back({p, *bounds});
  }
  print_trimmed(context, arguments.name, trimmed);
  return exit_code::done;
}

}  // namespace millrace::cli
