#include "tests/torture/fault_plan.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <stdexcept>

namespace millrace::torture {
namespace {

std::uint64_t number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw std::invalid_argument("not a number: " + text);
  return value;
}

DiskCall call_of(const std::string& text) {
  if (text == "read") return DiskCall::read;
  if (text == "write") return DiskCall::write;
  if (text == "flush") return DiskCall::flush;
  throw std::invalid_argument("a fault is of read, write or flush");
}

int error_of(const std::string& text) {
  if (text == "EIO") return EIO;
  if (text == "ENOSPC") return ENOSPC;
  throw std::invalid_argument("a fault is EIO or ENOSPC");
}

}  // namespace

void FaultPlan::add(std::span<const std::string> words) {
  if (words.size() != 6)
    throw std::invalid_argument("a fault is KIND ERROR CHANCE BEGIN END COUNT");
  Rule rule;
  rule.call = call_of(words[0]);
  rule.error = error_of(words[1]);
  rule.chance = number(words[2]);
  rule.begin = number(words[3]);
  rule.end = number(words[4]);
  rule.count = number(words[5]);
  rules_.push_back(rule);
}

int FaultPlan::decide(DiskCall call, std::uint64_t position, std::uint64_t bytes,
                      std::mt19937_64& random) {
  for (Rule& rule : rules_) {
    if (rule.call != call || (rule.count != 0 && rule.applied == rule.count)) continue;
    // A flush is of the whole disk.
    if (call != DiskCall::flush && (position >= rule.end || position + bytes <= rule.begin))
      continue;
    if (random() % 1'000 >= rule.chance) continue;
    ++rule.applied;
    ++injected_;
    return rule.error;
  }
  return 0;
}

}  // namespace millrace::torture
