#include "storage/base/crc32c.h"

#include <isa-l/crc.h>

#include <array>

namespace millrace {

std::uint32_t crc32c_extend(std::uint32_t crc, ByteView bytes) {
  // ISA-L takes the raw register and an int length; both are adapted here and nowhere else.
  std::uint32_t reg = ~crc;
  while (!bytes.empty()) {
    const std::size_t piece = bytes.size() < (1u << 30) ? bytes.size() : (1u << 30);
    auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
    reg = crc32_iscsi(data, static_cast<int>(piece), reg);
    bytes = bytes.subspan(piece);
  }
  return ~reg;
}

std::uint32_t crc32c(ByteView bytes) { return crc32c_extend(0, bytes); }

namespace {
constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0x82F63B78u : 0u);
    table[i] = value;
  }
  return table;
}
constexpr auto table = make_table();
}  // namespace

std::uint32_t crc32c_table(ByteView bytes) {
  std::uint32_t reg = 0xFFFFFFFFu;
  for (std::byte b : bytes) reg = (reg >> 8) ^ table[(reg ^ static_cast<std::uint32_t>(b)) & 0xFFu];
  return ~reg;
}

}  // namespace millrace
