#include "flags.h"

#include "parse_values.h"

#include <fmt/format.h>

#include <map>

namespace millrace::cli {
namespace {

constexpr const char* format_help =
    "%t topic, %p partition, %o offset, %k key, %v payload, %h headers, %T time, %s payload bytes, "
    "%% percent; \\n \\t \\r \\0 \\\\. Default {}";

constexpr NumberBounds partitions_bounds{1, 4096};
constexpr const char* partitions_help = "partitions of the topic, 1 to 4096. Default 1";

}  // namespace

void refuse_value(const char* flag, const std::string& text, const std::string& allowed) {
  throw CLI::ValidationError(flag, fmt::format("'{}' is not {}", text, allowed));
}

std::string fault_if_empty(const std::string& text) {
  return text.empty() ? "is empty; leave the flag out or give it a value" : "";
}

void refuse(CLI::App& command, std::vector<Conflict> conflicts) {
  command.parse_complete_callback([&command, conflicts = std::move(conflicts)] {
    for (const auto& [with, flags, why] : conflicts) {
      if (command.count(with) == 0) continue;
      for (const char* flag : flags) {
        if (command.count(flag) > 0) throw CLI::ValidationError(flag, why);
      }
    }
  });
}

CLI::Option* add_number(CLI::App& command, const char* flag, NumberBounds bounds,
                        std::function<void(std::uint32_t)> set, const char* help) {
  return command
      .add_option_function<std::string>(
          flag,
          [flag, bounds, set = std::move(set)](const std::string& text) {
            const auto number = parse_partition(text);
            if (!number || *number < bounds.min || *number > bounds.max)
              refuse_value(flag, text,
                           fmt::format("a whole number from {} to {}", bounds.min, bounds.max));
            set(*number);
          },
          help)
      ->type_name("N");
}

void add_ack(CLI::App& command, ProducerOptions& options) {
  static const std::map<std::string, AckLevel> levels = {
      {"durable", AckLevel::durable}, {"received", AckLevel::received}, {"none", AckLevel::none}};
  command
      .add_option_function<std::string>(
          "--ack", [&options](const std::string& text) { options.ack = levels.at(text); },
          "what is waited for: durable (on disk, the default), received (in memory, not yet "
          "durable), none (no answer; nothing is known)")
      ->check(CLI::IsMember(levels))
      ->type_name("LEVEL");
}

void add_compression(CLI::App& command, ProducerOptions& options) {
  static const std::map<std::string, Compression> codecs = {
      {"none", Compression::none}, {"zstd", Compression::zstd}, {"lz4", Compression::lz4}};
  command
      .add_option_function<std::string>(
          "--compression",
          [&options](const std::string& text) { options.compression = codecs.at(text); },
          "none (the default), zstd or lz4, batch by batch")
      ->check(CLI::IsMember(codecs))
      ->type_name("CODEC");
}

void add_batch_bytes(CLI::App& command, ProducerOptions& options) {
  command
      .add_option_function<std::string>(
          "--batch-bytes",
          checked(
              "--batch-bytes", options.batch_bytes,
              [](const std::string& text) {
                const auto bytes = parse_bytes(text);
                return bytes && *bytes >= 1024 && *bytes <= 64u * 1024 * 1024 ? bytes
                                                                              : std::nullopt;
              },
              "a size between 1KiB and 64MiB"),
          "a batch leaves at this size, or at once when none is in flight. Default 256KiB")
      ->type_name("BYTES");
}

void add_format(CLI::App& command, std::string& format, std::string_view default_format) {
  command.add_option("-f,--format", format, fmt::format(format_help, default_format))
      ->check(fault_if_empty)
      ->type_name("FORMAT");
}

void add_count(CLI::App& command, std::optional<std::uint64_t>& count) {
  command
      .add_option_function<std::string>(
          "-c,--count", checked("--count", count, parse_count, "a whole number from 1 on"),
          "stop after this many events")
      ->type_name("COUNT");
}

void add_partition(CLI::App& command, std::optional<std::uint32_t>& partition, const char* help) {
  command
      .add_option_function<std::string>("--partition",
                                        checked("--partition", partition, parse_partition,
                                                "the number of a partition, from 0 on"),
                                        help)
      ->type_name("N");
}

CLI::Option* add_partitions(CLI::App& command, const char* name, std::uint32_t& partitions) {
  return add_number(
      command, name, partitions_bounds, [&](std::uint32_t n) { partitions = n; }, partitions_help);
}

CLI::Option* add_partitions(CLI::App& command, const char* name,
                            std::optional<std::uint32_t>& partitions) {
  return add_number(
      command, name, partitions_bounds, [&](std::uint32_t n) { partitions = n; }, partitions_help);
}

}  // namespace millrace::cli
