#include "storage/tail_cut.h"

#include "storage/base/units.h"
#include "tests/sim/sim_disk.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>
#include <vector>

using namespace millrace;
using namespace millrace::sim;

namespace {

constexpr std::size_t block = 4096;
constexpr std::string_view path = "orders.segment";

// A file of five blocks of bytes that are not zero, and a cut of it.
struct Cutting {
  Cutting() {
    Random bytes(7);
    for (std::size_t i = 0; i < 5 * block; ++i)
      before.push_back(static_cast<std::byte>(1 + bytes.below(255)));
    disk.write_file(path, before);
  }
  IoResult run(Completion& io, std::optional<IoResult>& result) {
    for (int i = 0; io.in_flight() && i < 100; ++i) disk.reap();
    REQUIRE(result.has_value());
    return *result;
  }
  // Answers as the cut does; the file is closed afterwards.
  Result<void> cut(std::uint64_t end) {
    std::optional<IoResult> result;
    Completion io(&result, [](void* to, IoResult r) {
      *static_cast<std::optional<IoResult>*>(to) = std::move(r);
    });
    disk.open(io, path, OpenMode::write, Disk::Access::direct);
    const auto opened = run(io, result);
    REQUIRE(opened);
    const FileId file{static_cast<std::int32_t>(*opened)};
    std::optional<Result<void>> done;
    TailCut operation(disk, slabs);
    operation.start(file, Position{end}, [&](Result<void> outcome) { done = std::move(outcome); });
    REQUIRE(operation.busy());
    REQUIRE_FALSE(done.has_value());
    for (int i = 0; !done.has_value() && i < 100; ++i) disk.reap();
    REQUIRE(done.has_value());
    REQUIRE_FALSE(operation.busy());
    if (!disk.has_power()) return *done;
    result.reset();
    disk.close(io, file);
    REQUIRE(run(io, result));
    return *done;
  }
  // All up to `end` is there; behind it, in its block, nothing but zeros.
  void require_cut(std::uint64_t end) {
    const auto after = disk.read_file(path);
    REQUIRE(after.size() == align_up(end, block));
    REQUIRE(std::equal(after.begin(), after.begin() + static_cast<std::ptrdiff_t>(end),
                       before.begin()));
    REQUIRE(std::all_of(after.begin() + static_cast<std::ptrdiff_t>(end), after.end(),
                        [](std::byte b) { return b == std::byte{0}; }));
  }

  Random random{1};
  SimDisk disk{random};
  SlabPool slabs{1 * MiB};
  std::vector<std::byte> before;
};

}  // namespace

TEST_CASE("ST-01 a cut at the end of a block and inside of one is durable when it is done") {
  for (const std::uint64_t end : {0u, 8u, 4096u, 4104u, 8184u, 8192u, 20'472u, 20'480u}) {
    INFO("cut at " << end);
    Cutting c;
    REQUIRE(c.cut(end));
    c.require_cut(end);
    c.disk.crash(CrashPolicy::none());
    c.disk.power_on();
    c.require_cut(end);
  }
}

TEST_CASE("ST-14 a cut that fails at any step is told as failed and harms nothing before its end") {
  constexpr std::uint64_t end = 2 * block + 1000;
  for (const Call call : {Call::read, Call::synced_write, Call::set_length, Call::sync_data}) {
    for (const Errc error : {Errc::storage_error, Errc::storage_full}) {
      INFO(call_name(call) << " " << errc_name(error));
      Cutting c;
      SimDisk::Fault fault;
      fault.call = call;
      fault.error = error;
      c.disk.inject(fault);
      const auto done = c.cut(end);
      REQUIRE_FALSE(done);
      REQUIRE(done.error().code == error);
      const auto after = c.disk.read_file(path);
      REQUIRE(std::equal(c.before.begin(), c.before.begin() + end, after.begin()));
      // The same cut again, as a later recovery would do it.
      REQUIRE(c.cut(end));
      c.require_cut(end);
    }
  }
}

TEST_CASE("ST-39 a loss of power at any step of a cut harms nothing before its end") {
  constexpr std::uint64_t end = 2 * block + 1000;
  for (const auto& policy : {CrashPolicy::none(), CrashPolicy::all(), CrashPolicy::torn()}) {
    std::uint64_t crashes = 0;
    for (std::uint64_t operation = 2; operation <= 5; ++operation) {  // the first one opens
      INFO("operation " << operation << " keep " << policy.to_string());
      Cutting c;
      c.disk.crash_at(operation, policy);
      (void)c.cut(end);
      crashes += c.disk.has_power() ? 0 : 1;
      c.disk.power_on();
      const auto after = c.disk.read_file(path);
      REQUIRE(std::equal(c.before.begin(), c.before.begin() + end, after.begin()));
      REQUIRE(c.cut(end));
      c.require_cut(end);
    }
    REQUIRE(crashes == 4);
  }
}
