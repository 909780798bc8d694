#include "tests/sim/sim_disk.h"

#include "storage/base/units.h"
#include "tests/sim/sim_clock.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>

using namespace millrace;
using namespace millrace::sim;

namespace {

// Carries out one operation after the other.
class Caller {
 public:
  explicit Caller(SimDisk& disk)
      : disk_(disk), io_(this, Completion::to<&Caller::on_done, Caller>()) {}

  template <class Start>
  IoResult call(Start start) {
    result_ = fail(Errc::io_retry);
    start(io_);
    for (int i = 0; io_.in_flight() && i < 1000; ++i) disk_.reap();
    REQUIRE_FALSE(io_.in_flight());
    return result_;
  }

  FileId open(std::string_view path, OpenMode mode, Disk::Access access = Disk::Access::buffered) {
    const auto id = call([&](Completion& c) { disk_.open(c, path, mode, access); });
    REQUIRE(id);
    return FileId{static_cast<std::int32_t>(*id)};
  }
  IoResult write(FileId file, std::uint64_t at, std::string_view text,
                 WriteSync sync = WriteSync::no) {
    const ByteView slice = as_bytes(text);
    return call([&](Completion& c) { disk_.write(c, file, Position{at}, {&slice, 1}, sync); });
  }
  std::string read(FileId file, std::uint64_t at, std::size_t bytes) {
    std::string out(bytes, '?');
    const auto count = call([&](Completion& c) {
      disk_.read(c, file, Position{at}, {reinterpret_cast<std::byte*>(out.data()), out.size()});
    });
    REQUIRE(count);
    out.resize(*count);
    return out;
  }
  IoResult sync(FileId file) {
    return call([&](Completion& c) { disk_.sync_data(c, file); });
  }
  IoResult sync_directory(std::string_view path) {
    return call([&](Completion& c) { disk_.sync_directory(c, path); });
  }
  IoResult rename(std::string_view from, std::string_view to) {
    return call([&](Completion& c) { disk_.rename(c, from, to); });
  }
  void close(FileId file) {
    REQUIRE(call([&](Completion& c) { disk_.close(c, file); }));
  }

 private:
  void on_done(IoResult result) { result_ = std::move(result); }
  SimDisk& disk_;
  Completion io_;
  IoResult result_;
};

struct Machine {
  explicit Machine(std::uint64_t seed = 1) : random(seed), disk(random), caller(disk) {}
  void crash(const CrashPolicy& policy) {
    disk.crash(policy);
    disk.power_on();
  }
  std::string text(std::string_view path) {
    const auto bytes = disk.read_file(path);
    return std::string(as_text(bytes));
  }
  Random random;
  SimDisk disk;
  Caller caller;
};

}  // namespace

TEST_CASE("what was written is read back, short at the end of the file") {
  Machine m;
  const auto file = m.caller.open("a", OpenMode::create);
  REQUIRE(*m.caller.write(file, 0, "hello") == 5);
  REQUIRE(*m.caller.write(file, 3, "LOWORLD") == 7);
  REQUIRE(m.caller.read(file, 0, 100) == "helLOWORLD");
  REQUIRE(m.caller.read(file, 10, 4).empty());
  REQUIRE(m.caller.read(file, 99, 4).empty());
  m.caller.close(file);
  REQUIRE(m.disk.open_files() == 0);
}

TEST_CASE("a crash without syncs leaves nothing, not even the name") {
  Machine m;
  const auto file = m.caller.open("a", OpenMode::create);
  REQUIRE(m.caller.write(file, 0, "hello"));
  m.crash(CrashPolicy::none());
  REQUIRE(m.disk.names("").empty());
}

TEST_CASE("synced bytes under a name that was not synced are lost with the name") {
  Machine m;
  const auto file = m.caller.open("a", OpenMode::create);
  REQUIRE(m.caller.write(file, 0, "hello", WriteSync::yes));
  REQUIRE(m.caller.sync(file));
  m.crash(CrashPolicy::none());
  REQUIRE_FALSE(m.disk.exists("a"));
}

TEST_CASE("a synced name over bytes that were not synced is an empty file") {
  Machine m;
  const auto file = m.caller.open("a", OpenMode::create);
  REQUIRE(m.caller.write(file, 0, "hello"));
  REQUIRE(m.caller.sync_directory(""));
  m.crash(CrashPolicy::none());
  REQUIRE(m.disk.exists("a"));
  REQUIRE(m.text("a").empty());
}

TEST_CASE("a synced write is durable by itself and earlier writes elsewhere are not") {
  Machine m;
  m.disk.write_file("a", as_bytes(std::string(4096, 'o')));
  const auto file = m.caller.open("a", OpenMode::write);
  REQUIRE(m.caller.write(file, 0, std::string(512, 'x')));
  REQUIRE(m.caller.write(file, 8192, std::string(512, 'y'), WriteSync::yes));
  m.crash(CrashPolicy::none());
  const auto text = m.text("a");
  REQUIRE(text.size() == 8192 + 512);
  REQUIRE(text.substr(0, 512) == std::string(512, 'o'));
  REQUIRE(text.substr(4096, 4096) == std::string(4096, '\0'));
  REQUIRE(text.substr(8192) == std::string(512, 'y'));
}

TEST_CASE("an older unsynced write never comes back over a newer synced one") {
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    Machine m(seed);
    m.disk.write_file("a", as_bytes(std::string(512, 'o')));
    const auto file = m.caller.open("a", OpenMode::write);
    REQUIRE(m.caller.write(file, 0, std::string(512, 'x')));
    REQUIRE(m.caller.write(file, 0, std::string(512, 'y'), WriteSync::yes));
    m.crash(CrashPolicy::torn());
    REQUIRE(m.text("a") == std::string(512, 'y'));
  }
}

TEST_CASE("a random crash keeps some sectors of an unsynced write and loses others") {
  bool some_lost = false, some_kept = false, mixed = false;
  for (std::uint64_t seed = 1; seed < 30; ++seed) {
    Machine m(seed);
    m.disk.write_file("a", as_bytes(std::string(2048, 'o')));
    const auto file = m.caller.open("a", OpenMode::write);
    REQUIRE(m.caller.write(file, 0, std::string(2048, 'x')));
    m.crash(CrashPolicy::random());
    const auto text = m.text("a");
    REQUIRE(text.size() == 2048);
    std::size_t kept = 0;
    for (std::size_t s = 0; s < 4; ++s) {
      const auto sector = text.substr(s * 512, 512);
      const bool is_new = sector == std::string(512, 'x');
      REQUIRE((is_new || sector == std::string(512, 'o')));
      kept += is_new ? 1 : 0;
    }
    some_lost |= kept < 4;
    some_kept |= kept > 0;
    mixed |= kept > 0 && kept < 4;
  }
  REQUIRE(some_lost);
  REQUIRE(some_kept);
  REQUIRE(mixed);
}

TEST_CASE("a torn crash leaves half-written sectors") {
  bool torn = false;
  for (std::uint64_t seed = 1; seed < 60; ++seed) {
    Machine m(seed);
    m.disk.write_file("a", as_bytes(std::string(512, 'o')));
    const auto file = m.caller.open("a", OpenMode::write);
    REQUIRE(m.caller.write(file, 0, std::string(512, 'x')));
    m.crash(CrashPolicy::torn());
    const auto text = m.text("a");
    torn |= text.front() == 'x' && text.back() == 'o';
  }
  REQUIRE(torn);
}

TEST_CASE("a killed program loses nothing and makes nothing durable") {
  Machine m;
  m.disk.write_file("a", as_bytes(std::string(512, 'o')));
  const auto file = m.caller.open("a", OpenMode::write);
  REQUIRE(m.caller.write(file, 0, std::string(512, 'x')));
  m.crash(CrashPolicy::kill());
  REQUIRE(m.text("a") == std::string(512, 'x'));
  REQUIRE(m.disk.open_files() == 0);
  m.crash(CrashPolicy::none());
  REQUIRE(m.text("a") == std::string(512, 'o'));
}

TEST_CASE("prefix crashes keep writes in their order") {
  for (std::uint64_t kept = 0; kept <= 3; ++kept) {
    Machine m;
    m.disk.write_file("a", as_bytes(std::string(1536, 'o')));
    const auto file = m.caller.open("a", OpenMode::write);
    for (std::uint64_t s = 0; s < 3; ++s)
      REQUIRE(m.caller.write(file, s * 512, std::string(512, 'x')));
    REQUIRE(m.disk.pending_items() == 3);
    m.crash(CrashPolicy::prefix(kept));
    REQUIRE(m.text("a") == std::string(kept * 512, 'x') + std::string(1536 - kept * 512, 'o'));
  }
}

TEST_CASE("names come and go one by one unless their directory was synced") {
  bool both = false, only_first = false, only_second = false;
  for (std::uint64_t seed = 1; seed < 40; ++seed) {
    Machine m(seed);
    m.caller.close(m.caller.open("a", OpenMode::create));
    m.caller.close(m.caller.open("b", OpenMode::create));
    m.crash(CrashPolicy::random());
    const bool a = m.disk.exists("a"), b = m.disk.exists("b");
    both |= a && b;
    only_first |= a && !b;
    only_second |= !a && b;
  }
  REQUIRE(both);
  REQUIRE(only_first);
  REQUIRE(only_second);
}

TEST_CASE("a rename that was not synced is there whole or not at all") {
  bool old_name = false, new_name = false;
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    Machine m(seed);
    m.disk.write_file("x/a", as_bytes("hello"));
    m.disk.make_path("y");
    REQUIRE(m.caller.rename("x/a", "y/b"));
    m.crash(CrashPolicy::random());
    REQUIRE(m.disk.exists("x/a") != m.disk.exists("y/b"));
    old_name |= m.disk.exists("x/a");
    new_name |= m.disk.exists("y/b");
  }
  REQUIRE(old_name);
  REQUIRE(new_name);
}

TEST_CASE("a removed name comes back when its directory was not synced") {
  Machine m;
  m.disk.write_file("a", as_bytes("hello"));
  REQUIRE(m.caller.call([&](Completion& c) { m.disk.remove(c, "a"); }));
  REQUIRE_FALSE(m.disk.exists("a"));
  m.crash(CrashPolicy::none());
  REQUIRE(m.text("a") == "hello");
}

TEST_CASE("a cut that was not synced is undone by a crash, a synced write after it makes it last") {
  for (const bool then_synced : {false, true}) {
    Machine m;
    m.disk.write_file("a", as_bytes(std::string(4096, 'o')));
    const auto file = m.caller.open("a", OpenMode::write);
    REQUIRE(m.caller.call([&](Completion& c) { m.disk.set_length(c, file, 1024); }));
    if (then_synced) REQUIRE(m.caller.write(file, 1024, std::string(512, 'x'), WriteSync::yes));
    m.crash(CrashPolicy::none());
    REQUIRE(m.text("a").size() == (then_synced ? 1536 : 4096));
  }
}

TEST_CASE("after a failed sync the next one lies") {
  bool lost = false;
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    Machine m(seed);
    m.disk.write_file("a", as_bytes(std::string(512, 'o')));
    const auto file = m.caller.open("a", OpenMode::write);
    REQUIRE(m.caller.write(file, 0, std::string(512, 'x')));
    m.disk.inject({.call = Call::sync_data,
                   .error = Errc::storage_error,
                   .nth = 1,
                   .for_ever = false,
                   .path = {}});
    REQUIRE(m.caller.sync(file).error().code == Errc::storage_error);
    REQUIRE(m.caller.sync(file).has_value());
    REQUIRE(m.caller.read(file, 0, 512) == std::string(512, 'x'));
    m.crash(CrashPolicy::all());
    INFO(seed);
    lost |= m.text("a") == std::string(512, 'o');
  }
  REQUIRE(lost);
}

TEST_CASE("the n-th call fails once, or from then on") {
  Machine m;
  const auto file = m.caller.open("data", OpenMode::create);
  m.disk.inject({.call = Call::write,
                 .error = Errc::storage_full,
                 .nth = 2,
                 .for_ever = false,
                 .path = "dat"});
  REQUIRE(m.caller.write(file, 0, "a"));
  REQUIRE(m.caller.write(file, 0, "b").error().code == Errc::storage_full);
  REQUIRE(m.caller.write(file, 0, "c"));
  m.disk.inject(
      {.call = Call::write, .error = Errc::storage_error, .nth = 1, .for_ever = true, .path = {}});
  REQUIRE_FALSE(m.caller.write(file, 0, "d"));
  REQUIRE_FALSE(m.caller.write(file, 0, "e"));
  REQUIRE(m.disk.faults_hit() == 3);
  m.disk.lift_faults();
  REQUIRE(m.caller.write(file, 0, "f"));
}

TEST_CASE("a full disk refuses growth and takes writes in place") {
  Machine m;
  m.disk.set_capacity(4096 + 8192);
  const auto file = m.caller.open("a", OpenMode::create);
  REQUIRE(m.caller.write(file, 0, std::string(8192, 'x')));
  REQUIRE(m.caller.write(file, 8192, "y").error().code == Errc::storage_full);
  REQUIRE(m.caller.write(file, 0, "z"));
  REQUIRE(m.caller.call([&](Completion& c) { m.disk.preallocate(c, file, Position{8192}, 1); })
              .error()
              .code == Errc::storage_full);
  REQUIRE(m.disk.space()->free_bytes == 0);
  m.disk.set_capacity(4096 + 12288);
  REQUIRE(m.caller.write(file, 8192, "y"));
}

TEST_CASE("the power goes at the chosen operation and all calls fail until it is back") {
  Machine m;
  m.disk.write_file("a", as_bytes(std::string(512, 'o')));
  m.disk.crash_at(3, CrashPolicy::all());
  const auto file = m.caller.open("a", OpenMode::write);
  REQUIRE(m.caller.sync(file));
  REQUIRE_FALSE(m.caller.write(file, 0, std::string(512, 'x'), WriteSync::yes));
  REQUIRE_FALSE(m.disk.has_power());
  REQUIRE_FALSE(m.caller.sync_directory(""));
  m.disk.power_on();
  REQUIRE(m.text("a") == std::string(512, 'x'));
  REQUIRE(m.caller.sync_directory(""));
}

TEST_CASE("operations that are in flight together complete in an order that the seed draws") {
  struct Probe {
    Probe(std::vector<int>& o, int n)
        : order(o), number(n), io(this, Completion::to<&Probe::on_done, Probe>()) {}
    void on_done(IoResult) { order.push_back(number); }
    std::vector<int>& order;
    int number;
    Completion io;
  };
  std::vector<std::vector<int>> orders;
  for (const std::uint64_t seed : {1u, 1u, 2u, 3u, 4u, 5u}) {
    Random random(seed);
    SimDisk disk(random);
    disk.set_latency_reaps(3);
    std::vector<int> order;
    Probe a(order, 1), b(order, 2), c(order, 3);
    for (Probe* p : {&a, &b, &c}) disk.sync_directory(p->io, "");
    REQUIRE(disk.in_flight() == 3);
    REQUIRE(order.empty());
    while (disk.in_flight() > 0) disk.reap();
    orders.push_back(order);
  }
  REQUIRE(orders[0] == orders[1]);
  REQUIRE_FALSE(
      std::all_of(orders.begin(), orders.end(), [&](const auto& o) { return o == orders[0]; }));
}

TEST_CASE("a held kind of operation waits until it is released") {
  Machine m;
  struct Probe {
    void on_done(IoResult) {}
    Completion io{this, Completion::to<&Probe::on_done, Probe>()};
  } probe;
  m.disk.hold(Call::sync_directory);
  m.disk.sync_directory(probe.io, "");
  for (int i = 0; i < 10; ++i) m.disk.reap();
  REQUIRE(probe.io.in_flight());
  m.disk.release(Call::sync_directory);
  m.disk.reap();
  REQUIRE_FALSE(probe.io.in_flight());
}

TEST_CASE("a listing names files, directories and others") {
  Machine m;
  m.disk.write_file("d/file", as_bytes("x"));
  m.disk.make_path("d/sub");
  m.disk.make_special("d/pipe");
  std::vector<DirectoryEntry> entries;
  REQUIRE(m.caller.call([&](Completion& c) { m.disk.list(c, "d", entries); }));
  REQUIRE(entries.size() == 3);
  for (const auto& e : entries) {
    const auto kind = e.name == "file"  ? DirectoryEntry::Kind::file
                      : e.name == "sub" ? DirectoryEntry::Kind::directory
                                        : DirectoryEntry::Kind::other;
    REQUIRE(e.kind == kind);
  }
  REQUIRE_FALSE(m.caller.call(
      [&](Completion& c) { m.disk.open(c, "d/pipe", OpenMode::read, Disk::Access::buffered); }));
}

TEST_CASE("names are refused as the seam says") {
  Machine m;
  m.disk.write_file("a", as_bytes("x"));
  const auto open = [&](std::string_view path, OpenMode mode) {
    return m.caller.call(
        [&](Completion& c) { m.disk.open(c, path, mode, Disk::Access::buffered); });
  };
  REQUIRE(open("b", OpenMode::read).error().code == Errc::not_found);
  REQUIRE(open("a", OpenMode::create).error().code == Errc::already_exists);
  REQUIRE(open("none/a", OpenMode::create).error().code == Errc::not_found);
  m.disk.write_file("d/x", as_bytes("x"));
  REQUIRE_FALSE(m.caller.call([&](Completion& c) { m.disk.remove_directory(c, "d"); }));
  REQUIRE_FALSE(m.caller.call([&](Completion& c) { m.disk.remove(c, "d"); }));
  REQUIRE(m.caller.call([&](Completion& c) { m.disk.make_directory(c, "d"); }).error().code ==
          Errc::already_exists);
  REQUIRE(m.caller.rename("a", "d/x"));
  REQUIRE(m.disk.names("d") == std::vector<std::string>{"x"});
  REQUIRE(m.caller.rename("d", "e"));
  REQUIRE(m.disk.exists("e/x"));
}

TEST_CASE("a file that the disk lied about is known by each place it was moved to") {
  Machine m;
  m.disk.write_file("d/x", as_bytes("x"));
  m.disk.write_file("e/y", as_bytes("y"));
  const auto file = m.caller.open("a", OpenMode::create);
  m.disk.inject({.call = Call::synced_write,
                 .error = Errc::ok,
                 .nth = 1,
                 .for_ever = false,
                 .path = {},
                 .effect = SimDisk::Effect::lost});
  REQUIRE(m.caller.write(file, 0, "never there", WriteSync::yes));
  REQUIRE(m.disk.was_lied_about("a"));
  REQUIRE_FALSE(m.disk.was_lied_about("d"));
  REQUIRE(m.caller.rename("a", "d/a"));
  REQUIRE(m.caller.rename("d/a", "e/a"));
  REQUIRE(m.disk.was_lied_about("d"));
  REQUIRE(m.disk.was_lied_about("e"));
  REQUIRE_FALSE(m.disk.was_lied_about("d/x"));
  REQUIRE_FALSE(m.disk.was_lied_about("e/y"));
}

TEST_CASE("an unreadable sector fails the reads that touch it until it is written") {
  Machine m;
  m.disk.write_file("a", as_bytes(std::string(2048, 'o')));
  m.disk.make_unreadable("a", 512, 1024);
  const auto file = m.caller.open("a", OpenMode::write);
  REQUIRE(m.caller.read(file, 0, 512).size() == 512);
  std::byte buffer[2048];
  REQUIRE(m.caller.call([&](Completion& c) { m.disk.read(c, file, Position{0}, buffer); })
              .error()
              .code == Errc::storage_error);
  REQUIRE(m.caller.write(file, 512, std::string(512, 'n')));
  REQUIRE(m.caller.read(file, 512, 512) == std::string(512, 'n'));
}

TEST_CASE("direct I/O works on aligned memory, places and lengths") {
  Machine m;
  const auto file = m.caller.open("a", OpenMode::create, Disk::Access::direct);
  alignas(4096) static std::byte block[4096];
  std::memset(block, 'd', sizeof block);
  const ByteView slice(block);
  REQUIRE(*m.caller.call([&](Completion& c) {
    m.disk.write(c, file, Position{4096}, {&slice, 1}, WriteSync::yes);
  }) == 4096);
  std::memset(block, 0, sizeof block);
  REQUIRE(*m.caller.call([&](Completion& c) { m.disk.read(c, file, Position{4096}, block); }) ==
          4096);
  REQUIRE(block[17] == std::byte{'d'});
}

TEST_CASE("the simulated clock moves only when it is moved") {
  SimClock clock;
  const auto now = clock.now();
  const auto wall = clock.wall();
  REQUIRE(clock.now() == now);
  clock.advance(seconds(3));
  REQUIRE(clock.now() - now == seconds(3));
  REQUIRE(clock.wall().ns - wall.ns == seconds(3).ns);
  clock.set_wall(WallTime{5});
  REQUIRE(clock.wall().ns == 5);
  REQUIRE(clock.now() - now == seconds(3));
}
