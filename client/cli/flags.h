// Flags that several commands have, and the checks of values that all of them use.
//
// A check names the flag, the value and what is allowed, and throws as CLI11 wants it.
#pragma once

#include "millrace/producer.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace millrace::cli {

[[noreturn]] void refuse_value(const char* flag, const std::string& text,
                               const std::string& allowed);

// What CLI11 is to do with the value of `flag`: `parse` answers an optional, or a value that can be
// false.
template <class T, class Parse>
auto checked(const char* flag, T& into, Parse parse, const char* allowed) {
  return [flag, &into, parse, allowed](const std::string& text) {
    auto value = parse(text);
    if (!value) refuse_value(flag, text, allowed);
    if constexpr (std::is_same_v<T, decltype(value)>) {
      into = value;
    } else {
      into = static_cast<T>(*value);
    }
  };
}

// Of a value that must not be empty: what is wrong with it, or nothing.
std::string fault_if_empty(const std::string& text);

// Flags that mean nothing beside another one, and why.
struct Conflict {
  const char* with;
  std::vector<const char*> flags;
  const char* why;
};

// Refuses them when the command line was read.
void refuse(CLI::App& command, std::vector<Conflict> conflicts);

struct NumberBounds {
  std::uint32_t min, max;  // both inclusive
};
CLI::Option* add_number(CLI::App& command, const char* flag, NumberBounds bounds,
                        std::function<void(std::uint32_t)> set, const char* help);

// -- of a producer
void add_ack(CLI::App& command, ProducerOptions& options);
void add_compression(CLI::App& command, ProducerOptions& options);
void add_batch_bytes(CLI::App& command, ProducerOptions& options);

// -- of what is read
// `default_format` is for the help, as a user would write it.
void add_format(CLI::App& command, std::string& format, std::string_view default_format = "%v\\n");
void add_count(CLI::App& command, std::optional<std::uint64_t>& count);

// -- of partitions
void add_partition(CLI::App& command, std::optional<std::uint32_t>& partition, const char* help);
// How many a topic is to have; `name` is the flag.
CLI::Option* add_partitions(CLI::App& command, const char* name, std::uint32_t& partitions);
CLI::Option* add_partitions(CLI::App& command, const char* name,
                            std::optional<std::uint32_t>& partitions);

}  // namespace millrace::cli
