#include "tests/torture/payload.h"

#include <algorithm>
#include <cstring>

namespace millrace::torture {
namespace {

constexpr std::uint64_t magic = 0x6576'656e'745f'7472;

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 32;
  value *= 0xd6e8'feb8'6659'fd93;
  value ^= value >> 32;
  return value;
}

std::uint64_t load(const char* from) {
  std::uint64_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return value;
}

std::uint64_t hash(std::string_view bytes) {
  std::uint64_t sum = mix(bytes.size() + magic);
  while (bytes.size() >= 8) {
    sum = mix(sum ^ load(bytes.data()));
    bytes.remove_prefix(8);
  }
  for (const char c : bytes) sum = mix(sum ^ static_cast<unsigned char>(c));
  return sum;
}

}  // namespace

void make_payload(EventName name, std::size_t bytes, std::string& payload) {
  payload.resize(std::max(bytes, payload_bytes_min));
  const auto store = [&](std::size_t at, std::uint64_t value) {
    std::memcpy(payload.data() + at, &value, std::min(payload.size() - at, sizeof value));
  };
  store(0, magic);
  store(8, name.session);
  store(16, name.number);
  std::uint64_t filling = mix(name.session ^ name.number);
  const std::size_t end = payload.size() - 8;
  for (std::size_t at = 24; at < end; at += 8) store(at, filling = mix(filling + at));
  store(end, hash(std::string_view(payload).substr(0, end)));
}

std::optional<EventName> parse_payload(std::string_view payload) {
  if (payload.size() < payload_bytes_min || load(payload.data()) != magic) return std::nullopt;
  const std::size_t end = payload.size() - 8;
  if (load(payload.data() + end) != hash(payload.substr(0, end))) return std::nullopt;
  return EventName{load(payload.data() + 8), load(payload.data() + 16)};
}

}  // namespace millrace::torture
