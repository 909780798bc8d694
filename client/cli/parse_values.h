// Values of the command line in words.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::cli {

// "30s", "500ms", "2m", "1h"; a plain number counts seconds ("0.5" too). More than zero.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// "5", "0.5": more than zero.
std::optional<double> parse_seconds(std::string_view text);

// "1", "1000000": digits alone, from 1 on.
std::optional<std::uint64_t> parse_count(std::string_view text);

// "0", "4095": digits alone.
std::optional<std::uint32_t> parse_partition(std::string_view text);

// "0", "18446744073709551615": digits alone.
std::optional<std::uint64_t> parse_offset(std::string_view text);

// "4096", "256KiB", "1 MiB", "10MB".
std::optional<std::uint64_t> parse_bytes(std::string_view text);

// "max" is 0; "1x", "10x", "0.5x" and "10" are factors of event time.
std::optional<double> parse_speed(std::string_view text);

// "TOPIC" or "TOPIC/PARTITION".
struct TopicPath {
  std::string topic;
  std::optional<std::uint32_t> partition;
};
std::optional<TopicPath> parse_topic_path(std::string_view text);

}  // namespace millrace::cli
