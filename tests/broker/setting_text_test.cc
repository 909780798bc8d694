#include "broker/meta/setting_text.h"

#include "storage/base/random.h"

#include <catch2/catch.hpp>

using namespace millrace;

TEST_CASE("sizes in words") {
  CHECK(*size_from_text("256 MiB") == 256 * MiB);
  CHECK(*size_from_text("1GiB") == GiB);
  CHECK(*size_from_text(" 64 KiB ") == 64 * KiB);
  CHECK(*size_from_text("4096") == 4096);
  CHECK(*size_from_text("5 kB") == 5000);
  for (const auto* bad : {"", "MiB", "-1", "1.5 GiB", "12 parsecs", "99999999999999999999",
                          "9999999999 TiB", "1 MiB x"}) {
    INFO(bad);
    CHECK_FALSE(size_from_text(bad));
  }
}

TEST_CASE("times in words") {
  CHECK(duration_from_text("7 days")->ns == seconds(7 * 86'400).ns);
  CHECK(duration_from_text("1 hour")->ns == seconds(3600).ns);
  CHECK(duration_from_text("30s")->ns == seconds(30).ns);
  CHECK(duration_from_text("250 ms")->ns == milliseconds(250).ns);
  for (const auto* bad : {"", "7", "days", "-1 day", "1 fortnight", "300000000000 days"}) {
    INFO(bad);
    CHECK_FALSE(duration_from_text(bad));
  }
}

TEST_CASE("what was printed is parsed to the same value") {
  Random random(7);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t bytes = (random.next() >> 2) >> random.below(60);
    CHECK(*size_from_text(size_text(bytes)) == bytes);
    const Duration time{static_cast<std::int64_t>((random.next() >> 2) >> random.below(60))};
    CHECK(duration_from_text(text_of_duration(time))->ns == time.ns);
  }
  CHECK(size_text(256 * MiB) == "256 MiB");
  CHECK(text_of_duration(seconds(86'400)) == "1 day");
  CHECK(text_of_duration(seconds(7 * 86'400)) == "7 days");
}
