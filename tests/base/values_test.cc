// The small value types: bytes, ids, units, results.
#include "storage/base/bytes.h"
#include "storage/base/ids.h"
#include "storage/base/random.h"
#include "storage/base/result.h"
#include "storage/base/units.h"

#include <catch2/catch.hpp>

#include <array>
#include <set>
#include <string>
#include <type_traits>

using namespace millrace;

TEST_CASE("numbers are stored least byte first, at any alignment") {
  std::array<std::byte, 16> bytes{};
  store_le(bytes.data() + 3, std::uint32_t{0x01020304});
  CHECK(bytes[3] == std::byte{4});
  CHECK(bytes[6] == std::byte{1});
  CHECK(load_le<std::uint32_t>(bytes.data() + 3) == 0x01020304);
  store_le(bytes.data() + 5, std::int64_t{-2});
  CHECK(load_le<std::int64_t>(bytes.data() + 5) == -2);
}

TEST_CASE("text and bytes are views of the same memory") {
  const std::string text("a\0b", 3);
  CHECK(as_bytes(text).size() == 3);
  CHECK(as_text(as_bytes(text)) == text);
}

TEST_CASE("a uuid survives the way through hex") {
  Uuid id;
  for (std::size_t i = 0; i < 16; ++i) id.bytes[i] = static_cast<std::uint8_t>(i * 17);
  CHECK(id.to_hex() == "00112233445566778899aabbccddeeff");
  Uuid back;
  REQUIRE(Uuid::from_hex(id.to_hex(), back));
  CHECK(back == id);
  CHECK_FALSE(id.is_none());
  CHECK(Uuid{}.is_none());
}

TEST_CASE("what is not 32 hex digits is no uuid and changes nothing") {
  Uuid id;
  id.bytes.fill(9);
  const Uuid before = id;
  for (const char* bad : {"", "00", "00112233445566778899aabbccddeef",
                          "00112233445566778899aabbccddeeff0", "00112233445566778899aabbccddeefg",
                          " 0112233445566778899aabbccddeeff", "-0112233445566778899aabbccddeeff"}) {
    CHECK_FALSE(Uuid::from_hex(bad, id));
    CHECK(id == before);
  }
}

TEST_CASE("offsets and positions do not mix") {
  static_assert(!std::is_convertible_v<Offset, Position>);
  static_assert(!std::is_convertible_v<std::uint64_t, Offset>);
  CHECK(Offset{5} + 3 == Offset{8});
  CHECK(Offset{8} - Offset{5} == 3);
  const OffsetRange range{Offset{5}, Offset{8}};
  CHECK(range.count() == 3);
  CHECK_FALSE(range.empty());
}

TEST_CASE("alignment goes up and down to multiples") {
  CHECK(align_up(0, 4096) == 0);
  CHECK(align_up(1, 4096) == 4096);
  CHECK(align_up(4096, 4096) == 4096);
  CHECK(align_down(4095, 4096) == 0);
  CHECK(align_down(8191, 4096) == 4096);
}

TEST_CASE("every error code has a name of its own") {
  std::set<std::string> names;
  int named = 0;
  for (unsigned code = 0; code < 200; ++code) {
    const auto name = errc_name(static_cast<Errc>(code));
    if (name == "unknown_error") continue;
    ++named;
    names.emplace(name);
  }
  CHECK(named >= 30);
  CHECK(names.size() == static_cast<std::size_t>(named));
}

TEST_CASE("a result carries a value or an error with its text and range") {
  const auto good = []() -> Result<int> { return 7; }();
  CHECK(good == 7);
  Error error(Errc::corrupt, "segment 5");
  error.range_begin = 10;
  error.range_end = 20;
  const auto bad = [&]() -> Result<int> { return fail(error); }();
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().to_string() == "corrupt: segment 5");
  CHECK(bad.error().range_end == 20);
  CHECK(Error(Errc::not_found).to_string() == "not_found");
}

TEST_CASE("only what time can mend is worth a retry") {
  CHECK(errc_can_retry(Errc::storage_full));
  CHECK(errc_can_retry(Errc::overloaded));
  CHECK(errc_can_retry(Errc::timed_out));
  CHECK_FALSE(errc_can_retry(Errc::storage_error));
  CHECK_FALSE(errc_can_retry(Errc::corrupt));
  CHECK_FALSE(errc_can_retry(Errc::bad_request));
}

TEST_CASE("the same seed gives the same numbers, another seed others") {
  Random one(5), same(5), other(6), zero(0);
  int equal = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto value = one.next();
    REQUIRE(value == same.next());
    equal += value == other.next();
    (void)zero.next();
  }
  CHECK(equal == 0);
  CHECK(zero.next() != 0);
}

TEST_CASE("below stays below its bound and reaches every value") {
  Random random(1);
  std::array<int, 7> seen{};
  for (int i = 0; i < 7000; ++i) ++seen.at(random.below(7));
  for (const int count : seen) CHECK(count > 700);
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(random.chance(0, 10));
    CHECK(random.chance(10, 10));
  }
}
