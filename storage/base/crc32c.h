// CRC32C (Castagnoli, reflected polynomial 0x82F63B78, initial value and final xor 0xFFFFFFFF),
// the checksum of RFC 3720 appendix B.4: crc32c("123456789") == 0xE3069283.
//
// Thread: any. The hardware version is ISA-L's; crc32c_table is the plain twin that tests compare
// with.
#pragma once

#include "storage/base/bytes.h"

#include <cstdint>

namespace millrace {

std::uint32_t crc32c(ByteView bytes);

// Continues a checksum: crc32c_extend(crc32c(a), b) == crc32c(a then b).
std::uint32_t crc32c_extend(std::uint32_t crc, ByteView bytes);

// One byte at a time from a 256-entry table. Same answers, about a hundred times slower.
std::uint32_t crc32c_table(ByteView bytes);

}  // namespace millrace
