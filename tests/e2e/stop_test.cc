// How millraced ends, and what is there afterwards.
#include "storage/base/random.h"
#include "storage/base/result.h"
#include "storage/io/disk_files.h"
#include "tests/e2e/load.h"
#include "tests/e2e/millraced_process.h"
#include "tests/support/patience.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/file.h>

#include <csignal>
#include <map>

namespace millrace::test {
namespace {

void create_topic(const std::string& endpoint) {
  RawClient client(endpoint);
  const RawReply reply = client.call(
      {raw::create_topic(1, "orders", 1, {"segment_bytes=256 KiB", "batch_bytes_max=64 KiB"})});
  INFO(reply.error_text());
  REQUIRE(reply.error() == 0);
}

// G1, G2, G4: every acknowledged event is at its offset, and nothing is there twice.
void check_log(const Load& load, const std::vector<std::string>& log) {
  for (const auto& [sequence, offset] : load.acked()) {
    REQUIRE(offset < log.size());
    REQUIRE(log[offset] == payload_of(sequence));
  }
  std::map<std::string, std::size_t> seen;
  for (std::size_t offset = 0; offset < log.size(); ++offset) {
    INFO("offset " << offset);
    const auto [place, is_new] = seen.emplace(log[offset], offset);
    REQUIRE(is_new);
  }
}

TEST_CASE("PS-01 SIGTERM under load: what was acknowledged is there, the rest is refused, exit 0") {
  const TempDir dir;
  Load load(7);
  {
    MillracedProcess broker(MillracedProcess::on(dir / "data"));
    create_topic(broker.ready().listen);
    load.connect(broker.ready().listen);
    while (load.acked().size() < 500) REQUIRE(load.pump(patience));
    broker.signal(SIGTERM);
    while (load.pump(std::chrono::milliseconds(200))) {
    }
    CHECK(broker.wait() == 0);
    while (load.pump(std::chrono::milliseconds(0))) {  // answers that came with the last breath
    }
  }
  CHECK(load.surprises().empty());
  MillracedProcess again(MillracedProcess::on(dir / "data"));
  check_log(load, read_all(again.ready().listen, "orders"));
}

TEST_CASE(
    "PS-02 kill -9 at any moment: nothing acknowledged is lost, nothing retried is there twice") {
  const std::uint64_t seed = 20'261'125;
  INFO("seed " << seed);
  Random random(seed);
  const TempDir dir;
  Load load(8);
  bool created = false;
  for (int round = 0; round < 6; ++round) {
    MillracedProcess broker(MillracedProcess::on(dir / "data"));
    if (!created) create_topic(broker.ready().listen);
    created = true;
    load.connect(broker.ready().listen);
    const std::size_t target = load.acked().size() + 50 + random.below(400);
    while (load.acked().size() < target) {
      INFO("round " << round << ", acked " << load.acked().size() << ", surprises "
                    << (load.surprises().empty() ? "none" : load.surprises().front()));
      REQUIRE(load.pump(patience));
    }
    broker.signal(SIGKILL);
    CHECK(broker.wait() == 1000 + SIGKILL);
    while (load.pump(std::chrono::milliseconds(0))) {
    }
  }
  MillracedProcess broker(MillracedProcess::on(dir / "data"));
  load.connect(broker.ready().listen);
  load.end();
  while (load.has_unanswered() && load.pump(patience)) {
  }
  CHECK(load.surprises() == std::vector<std::string>{});
  REQUIRE_FALSE(load.has_unanswered());
  const auto log = read_all(broker.ready().listen, "orders");
  check_log(load, log);
  CHECK(log.size() == load.sent());
}

TEST_CASE("a second signal ends it at once with 1, and nothing acknowledged is lost") {
  const TempDir dir;
  Load load(9);
  {
    MillracedProcess broker(MillracedProcess::on(dir / "data"));
    create_topic(broker.ready().listen);
    load.connect(broker.ready().listen);
    while (load.acked().size() < 100) REQUIRE(load.pump(patience));
    // Stopped meanwhile, it finds both at once.
    broker.signal(SIGSTOP);
    broker.signal(SIGTERM);
    broker.signal(SIGINT);
    broker.signal(SIGCONT);
    CHECK(broker.wait() == 1);
    CHECK(broker.diagnostics().find("stopped at once by a second signal") != std::string::npos);
    while (load.pump(std::chrono::milliseconds(0))) {
    }
  }
  MillracedProcess again(MillracedProcess::on(dir / "data"));
  check_log(load, read_all(again.ready().listen, "orders"));
}

TEST_CASE("ST-20 PS-01 a second signal ends a stop that hangs") {
  const TempDir dir;
  MillracedProcess broker(
      MillracedProcess::on(dir / "data", {"--set", "limits.stop_deadline=15s"}));
  broker.ready();
  if (!broker.hang()) {
    WARN("skipped: this host does not let us stop the threads of another process");
    return;
  }
  broker.signal(SIGTERM);
  broker.signal(SIGINT);
  CHECK(broker.wait() == 1);
  CHECK(broker.diagnostics().find("second signal") != std::string::npos);
}

TEST_CASE("ST-20 PS-01 a stop that hangs ends at its deadline") {
  const TempDir dir;
  MillracedProcess broker(
      MillracedProcess::on(dir / "data", {"--set", "limits.stop_deadline=100ms"}));
  broker.ready();
  if (!broker.hang()) {
    WARN("skipped: this host does not let us stop the threads of another process");
    return;
  }
  broker.signal(SIGTERM);
  CHECK(broker.wait() == 1);
  CHECK(broker.diagnostics().find("stop_deadline") != std::string::npos);
}

TEST_CASE("PS-01 a broker that has stopped has let go of its directory") {
  const TempDir dir;
  for (int round = 0; round < 20; ++round) {
    MillracedProcess broker(MillracedProcess::on(dir / "data"));
    broker.ready();
    broker.signal(SIGTERM);
    REQUIRE(broker.wait() == 0);
    const OwnedDescriptor lock(open((dir / "data/lock").c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(lock.is_open());
    INFO("round " << round);
    REQUIRE(flock(lock.get(), LOCK_EX | LOCK_NB) == 0);
  }
}

TEST_CASE("an idle broker with waiting clients stops at once and answers them") {
  const TempDir dir;
  MillracedProcess broker(MillracedProcess::on(dir / "data"));
  create_topic(broker.ready().listen);
  RawClient waiting(broker.ready().listen), never_reads(broker.ready().listen);
  waiting.send({raw::fetch(5, {"orders", 0, 0}, {1, 1 << 20, 60'000})});
  REQUIRE(waiting.call({raw::ping(6)}).error() == 0);
  never_reads.send({raw::subscribe(1, {"orders", 0, 0}, 1, 1 << 20)});
  broker.signal(SIGTERM);
  const auto reply = waiting.receive();
  REQUIRE(reply);
  // The fetch itself would have waited for longer, and then been answered without an error.
  CHECK(reply->id() == 5);
  CHECK(reply->error() == static_cast<std::uint16_t>(Errc::shutting_down));
  CHECK(broker.wait() == 0);
}

}  // namespace
}  // namespace millrace::test
