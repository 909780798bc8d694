#include "broker/daemon/config_keys.h"

#include "broker/meta/setting_text.h"
#include "storage/base/check.h"
#include "storage/base/nearest_name.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

namespace millrace {
namespace {

constexpr std::uint64_t TiB = 1024 * GiB;
constexpr std::uint64_t ms = 1'000'000, second = 1'000 * ms, day = 86'400 * second,
                        years = 365 * day;
constexpr std::uint64_t batch_limit = batch_layout::body_bytes_limit;

#define FIELD(place) [](BrokerConfig& c) -> KeyField { return &c.place; }

using enum KeyKind;

constexpr KeySpec keys[] = {
    {"data.dir", text, FIELD(data.dir), 0, 0, "",
     "Directory of everything the broker keeps; made, with what is above it, if it is missing."},
    {"data.io", choice, FIELD(data.io), 0, 0, "auto|io_uring|threads",
     "How the disk is driven; auto takes io_uring and falls back to threads where the system "
     "refuses it."},
    {"data.recycle_bytes", bytes, FIELD(data.recycle_bytes), 0, 16 * TiB, "",
     "Retired segment files kept to become segments again: appends to them are fastest."},

    {"listen.requests", text, FIELD(listen.requests), 0, 0, "",
     "Endpoints for requests, separated by commas: tcp://HOST:PORT, ipc://PATH or inproc://NAME; "
     "port 0 picks a free one."},
    {"listen.live", text, FIELD(listen.live), 0, 0, "", "Endpoints of the live feed, or \"off\"."},
    {"listen.http", text, FIELD(listen.http), 0, 0, "",
     "HOST:PORT of /health and /metrics, or \"off\"."},
    {"listen.insecure", boolean, FIELD(listen.insecure), 0, 0, "",
     "Allows addresses other than loopback, where anybody who reaches the port may read and write "
     "everything."},
    {"listen.ipv6", boolean, FIELD(listen.ipv6), 0, 0, "", "Allows IPv6 addresses in endpoints."},
    {"listen.io_threads", count, FIELD(listen.io_threads), 1, 16, "",
     "Threads that carry bytes between the network and the broker; one serves about 3 GB/s."},
    {"listen.clients_max", count, FIELD(listen.clients_max), 1, 1'000'000, "",
     "Clients that are served at a time; more are answered overloaded."},
    {"listen.stall_max", duration, FIELD(listen.stall_max), 1 * second, 3'600 * second, "",
     "A peer on TCP that takes nothing of what waits for it is disconnected after this time."},
    {"listen.frame_bytes_max", bytes, FIELD(listen.frame_bytes_max), 64 * KiB,
     batch_limit + 1 * MiB, "",
     "Largest frame that is read; the connection of whoever sends a larger one is dropped. No "
     "topic can take larger "
     "batches."},

    {"live.by_default", boolean, FIELD(live.by_default), 0, 0, "",
     "Whether topics that do not say otherwise are on the live feed."},
    {"live.queue_messages", count, FIELD(live.queue_messages), 1, 1'000'000, "",
     "Batches that one subscriber of the live feed may be behind before batches are dropped for "
     "it."},
    {"live.queue_bytes", bytes, FIELD(live.queue_bytes), 1 * MiB, 1 * TiB, "",
     "Memory that batches waiting for subscribers of the live feed may keep; above it new batches "
     "are not published."},

    {"topic.segment_bytes", bytes, FIELD(topic.segment_bytes), 64 * KiB, 4 * GiB - 4 * KiB, "",
     "A segment is sealed when the next batch would pass this size."},
    {"topic.segment_age", duration, FIELD(topic.segment_age), 0, 100 * years, "",
     "A segment is sealed when its first batch is older than this; 0: never."},
    {"topic.retention_age", duration, FIELD(topic.retention_age), 0, 100 * years, "",
     "Segments that were sealed longer ago than this are removed; 0: kept."},
    {"topic.retention_bytes", bytes, FIELD(topic.retention_bytes), 0, 1024 * TiB, "",
     "The oldest sealed segments of a partition are removed while it is larger than this; 0: no "
     "limit."},
    {"topic.batch_bytes_max", bytes, FIELD(topic.batch_bytes_max), 1 * KiB, batch_limit, "",
     "Largest batch that is accepted, header included; an event must fit into one."},
    {"topic.index_interval_bytes", bytes, FIELD(topic.index_interval_bytes), 4 * KiB, 16 * MiB, "",
     "One index entry for about this many bytes: smaller finds an offset sooner and keeps more "
     "memory."},
    {"topic.preallocate_bytes_min", bytes, FIELD(topic.preallocate_bytes_min), 4 * KiB, 1 * GiB, "",
     "Space that a new segment reserves at first; each further step doubles."},
    {"topic.preallocate_bytes_max", bytes, FIELD(topic.preallocate_bytes_max), 4 * KiB, 4 * GiB, "",
     "Largest step in which a segment reserves space."},

    {"limits.topics_max", count, FIELD(limits.topics_max), 1, 1'000'000, "",
     "Topics that may exist."},
    {"limits.partitions_per_topic_max", count, FIELD(limits.partitions_per_topic_max), 1, 4'096, "",
     "Partitions that a topic may have."},
    {"limits.fetch_bytes_max", bytes, FIELD(limits.fetch_bytes_max), 4 * KiB, 256 * MiB, "",
     "Most that one fetch answers; larger wishes are cut down to it."},
    {"limits.fetch_wait_max", duration, FIELD(limits.fetch_wait_max), 1 * ms, 3'600 * second, "",
     "Longest that a fetch may wait for events; longer wishes are cut down to it."},
    {"limits.client_bytes_max", bytes, FIELD(limits.client_bytes_max), 64 * KiB, 2 * GiB, "",
     "Replies with data that one client may have waiting in the broker."},
    {"limits.subscriptions_per_client_max", count, FIELD(limits.subscriptions_per_client_max), 1,
     1'000'000, "", "Subscriptions that one client may have open."},
    {"limits.parked_fetches_per_client_max", count, FIELD(limits.parked_fetches_per_client_max), 1,
     1'000'000, "", "Fetches that one client may have waiting for events."},
    {"limits.reply_bytes_max", bytes, FIELD(limits.reply_bytes_max), 1 * MiB, 1 * TiB, "",
     "Replies with data of all clients together; above it reads wait their turn and large lists "
     "are refused, but for first small replies and lists to clients that hold nothing (up to a "
     "quarter more)."},
    {"limits.staged_bytes_max", bytes, FIELD(limits.staged_bytes_max), 1 * MiB, 1 * TiB, "",
     "Appends of all partitions that may wait for the disk; above it produce is answered "
     "overloaded."},
    {"limits.staged_bytes_per_log_max", bytes, FIELD(limits.staged_bytes_per_log_max), 64 * KiB,
     1 * TiB, "", "The same of one partition."},
    {"limits.stop_deadline", duration, FIELD(limits.stop_deadline), 100 * ms, 600 * second, "",
     "How long a stop may take to finish commits and answer them; then the broker exits with 1, "
     "still consistent."},

    {"memory.cache_bytes", bytes, FIELD(memory.cache_bytes), 0, 16 * TiB, "",
     "Newest batches of all partitions kept in memory, so that readers at the end never touch the "
     "disk."},
    {"memory.cache_bytes_per_log", bytes, FIELD(memory.cache_bytes_per_log), 0, 16 * TiB, "",
     "The same of one partition."},
    {"memory.idle_bytes", bytes, FIELD(memory.idle_bytes), 0, 1 * TiB, "",
     "Freed blocks kept for the next batch instead of being given back to the system."},
    {"memory.resident_warn_bytes", bytes, FIELD(memory.resident_warn_bytes), 0, 16 * TiB, "",
     "Resident memory of the process from which on a warning is given; 0: never."},

    {"disk.warn_percent", percent, FIELD(disk.warn_percent), 1, 100, "",
     "Used space of the file system from which on a warning is given."},
    {"disk.refuse_percent", percent, FIELD(disk.refuse_percent), 1, 100, "",
     "Used space from which on produce is answered storage_full; reading goes on."},
    {"disk.retention_interval", duration, FIELD(disk.retention_interval), 1 * second, 1 * day, "",
     "How often retention is applied, besides on every new segment."},
    {"disk.scrub_bytes_per_second", bytes, FIELD(disk.scrub_bytes_per_second), 0, 16 * GiB, "",
     "How fast stored bytes are read again in the background, so that damage is known before a "
     "reader meets it; 0: never."},
    {"disk.scrub_interval", duration, FIELD(disk.scrub_interval), 1 * second, 36'500 * day, "",
     "How often such a pass over all partitions begins; the first begins with the broker."},
    {"disk.checkpoint_idle", duration, FIELD(disk.checkpoint_idle), 10 * ms, 3'600 * second, "",
     "A partition that was quiet for this long writes a checkpoint, so that a restart has less to "
     "look at."},
    {"disk.checkpoint_interval_bytes", bytes, FIELD(disk.checkpoint_interval_bytes), 64 * KiB,
     4 * GiB, "", "A checkpoint is also written after this many bytes."},

    {"log.level", choice, FIELD(log.level), 0, 0, "debug|info|warn|error|off",
     "Least severe diagnostics that go to standard error."},
    {"log.format", choice, FIELD(log.format), 0, 0, "text|json", "Form of the diagnostics."},
};

#undef FIELD

std::string number_text(KeyKind kind, std::uint64_t value) {
  switch (kind) {
    case KeyKind::bytes: return size_text(value);
    case KeyKind::duration: return duration_text(Duration{static_cast<std::int64_t>(value)});
    default: return fmt::format("{}", value);
  }
}

bool is_number(KeyKind kind) {
  return kind == KeyKind::bytes || kind == KeyKind::duration || kind == KeyKind::count ||
         kind == KeyKind::percent;
}

std::string_view expected_form(KeyKind kind) {
  switch (kind) {
    case KeyKind::text:
    case KeyKind::choice: return "a text";
    case KeyKind::boolean: return "true or false";
    case KeyKind::bytes: return "a size such as \"256 MiB\"";
    case KeyKind::duration: return "a time such as \"500 ms\" or \"7 days\"";
    case KeyKind::count: return "a whole number";
    case KeyKind::percent: return "a percentage as a whole number";
  }
  UNREACHABLE("every kind has a form");
}

std::unexpected<Error> wrong_form(const KeySpec& key, const RawValue& value) {
  std::string text = fmt::format("\"{}\" is not {}", value.text, expected_form(key.kind));
  if (key.kind == KeyKind::duration && parse_count(value.text)) text += ": the unit is missing";
  if (is_number(key.kind)) text += fmt::format("; allowed is {}", range_text(key));
  return fail(Errc::bad_config, std::move(text));
}

bool is_choice(std::string_view choices, std::string_view value) {
  while (!choices.empty()) {
    const std::size_t bar = std::min(choices.find('|'), choices.size());
    if (choices.substr(0, bar) == value) return true;
    choices.remove_prefix(std::min(bar + 1, choices.size()));
  }
  return false;
}

// Whether TOML's type suits the kind; text from outside TOML is judged by its parser alone.
bool type_suits(KeyKind kind, RawValue::Type type) {
  using Type = RawValue::Type;
  if (type == Type::untyped) return true;
  switch (kind) {
    case KeyKind::text:
    case KeyKind::choice: return type == Type::text;
    case KeyKind::boolean: return type == Type::boolean;
    case KeyKind::bytes:
    case KeyKind::duration: return type == Type::text || type == Type::integer;
    case KeyKind::count:
    case KeyKind::percent: return type == Type::integer;
  }
  return false;
}

std::optional<std::uint64_t> parse_number(KeyKind kind, const std::string& value) {
  if (kind == KeyKind::bytes) return parse_size(value);
  if (kind != KeyKind::duration) return parse_count(value);
  const auto parsed = parse_duration(value);
  if (!parsed) return std::nullopt;
  return static_cast<std::uint64_t>(parsed->ns);
}

std::uint64_t number_of(const BrokerConfig& config, const KeySpec& key) {
  const KeyField field = key.field(const_cast<BrokerConfig&>(config));  // read only here
  if (const auto* duration_field = std::get_if<Duration*>(&field))
    return static_cast<std::uint64_t>((*duration_field)->ns);
  return *std::get<std::uint64_t*>(field);
}

}  // namespace

std::span<const KeySpec> config_keys() { return keys; }

const KeySpec* find_key(std::string_view name) {
  const auto* found = std::find_if(std::begin(keys), std::end(keys),
                                   [&](const KeySpec& key) { return key.name == name; });
  return found == std::end(keys) ? nullptr : found;
}

std::optional<std::string_view> nearest_key(std::string_view name) {
  std::vector<std::string_view> names;
  for (const KeySpec& key : keys) {
    // The section was left out.
    if (!name.empty() && key.name.ends_with("." + std::string(name))) return key.name;
    names.push_back(key.name);
  }
  if (const auto near = nearest_name(name, names)) return near;
  // The end was left out, as in disk.warn. A section alone is the front of too many.
  std::erase_if(names, [&](std::string_view key) { return !key.starts_with(name); });
  return names.size() == 1 ? std::optional(names.front()) : std::nullopt;
}

Result<void> set_key(BrokerConfig& config, const KeySpec& key, const RawValue& value) {
  if (!type_suits(key.kind, value.type)) return wrong_form(key, value);
  const KeyField field = key.field(config);
  if (key.kind == KeyKind::text || key.kind == KeyKind::choice) {
    if (key.kind == KeyKind::choice && !is_choice(key.choices, value.text))
      return fail(Errc::bad_config,
                  fmt::format("\"{}\" is not one of {}", value.text, key.choices));
    *std::get<std::string*>(field) = value.text;
    return {};
  }
  if (key.kind == KeyKind::boolean) {
    if (value.text != "true" && value.text != "false") return wrong_form(key, value);
    *std::get<bool*>(field) = value.text == "true";
    return {};
  }
  const auto number = parse_number(key.kind, value.text);
  if (!number) return wrong_form(key, value);
  if (*number < key.min || *number > key.max)
    return fail(Errc::bad_config, fmt::format("{} is outside its limits, {}",
                                              number_text(key.kind, *number), range_text(key)));
  if (key.kind == KeyKind::duration) {
    *std::get<Duration*>(field) = Duration{static_cast<std::int64_t>(*number)};
  } else {
    *std::get<std::uint64_t*>(field) = *number;
  }
  return {};
}

std::string plain_value(const BrokerConfig& config, const KeySpec& key) {
  const KeyField field = key.field(const_cast<BrokerConfig&>(config));  // read only here
  if (const auto* string = std::get_if<std::string*>(&field)) return **string;
  if (const auto* boolean_field = std::get_if<bool*>(&field))
    return **boolean_field ? "true" : "false";
  return number_text(key.kind, number_of(config, key));
}

std::string toml_value(const BrokerConfig& config, const KeySpec& key) {
  std::string plain = plain_value(config, key);
  if (key.kind == KeyKind::boolean || key.kind == KeyKind::count || key.kind == KeyKind::percent)
    return plain;
  std::string out = "\"";
  for (const char c : plain) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20 || code == 0x7f) {
      out += fmt::format("\\u{:04X}", code);
      continue;
    }
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + '"';
}

std::string range_text(const KeySpec& key) {
  switch (key.kind) {
    case KeyKind::text: return {};
    case KeyKind::boolean: return "true or false";
    case KeyKind::choice: return std::string(key.choices);
    default:
      return fmt::format("{} to {}", number_text(key.kind, key.min),
                         number_text(key.kind, key.max));
  }
}

}  // namespace millrace
