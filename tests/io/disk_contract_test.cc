// What disk.h promises, checked on both disks over real files.
#include "storage/base/units.h"
#include "tests/io/io_fixture.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>

using namespace millrace;
using namespace millrace::test;

namespace {

IoChoice each_backend() { return GENERATE(from_range(backends_here())); }

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Lowers a limit of this process for the time of one test.
class LoweredLimit {
 public:
  LoweredLimit(__rlimit_resource resource, rlim_t value) : resource_(resource) {
    getrlimit(resource_, &before_);
    const rlimit lowered{.rlim_cur = value, .rlim_max = before_.rlim_max};
    setrlimit(resource_, &lowered);
  }
  LoweredLimit(const LoweredLimit&) = delete;
  LoweredLimit& operator=(const LoweredLimit&) = delete;
  ~LoweredLimit() { setrlimit(resource_, &before_); }

 private:
  __rlimit_resource resource_;
  rlimit before_{};
};

}  // namespace

TEST_CASE("what was written is read back, buffered and direct") {
  const IoChoice choice = each_backend();
  const auto access = GENERATE(Disk::Access::buffered, Disk::Access::direct);
  const auto sync = GENERATE(WriteSync::no, WriteSync::yes);
  const TempDir directory;
  IoFixture io(choice, directory.path());
  const FileId file = io.opened("data", OpenMode::create, access);
  AlignedBytes written(64 * KiB), read(64 * KiB);
  written.fill_random(1);
  CHECK(io.write(file, 8192, written.view(), sync) == 64 * KiB);
  CHECK(io.size(file) == 8192 + 64 * KiB);
  CHECK(io.read(file, 8192, read.bytes()) == 64 * KiB);
  CHECK(std::memcmp(written.view().data(), read.view().data(), 64 * KiB) == 0);
  CHECK(io.close(file).has_value());
  CHECK(io.disk().in_flight() == 0);
}

TEST_CASE("slices of a write land one after the other, empty ones included") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const FileId file = io.opened("data", OpenMode::create);
  const std::array<ByteView, 4> slices{as_bytes("one "), as_bytes(""), as_bytes("two "),
                                       as_bytes("three")};
  const auto result = io.run(
      [&](Completion& done) { io.disk().write(done, file, Position{0}, slices, WriteSync::yes); });
  CHECK(result == 13);
  CHECK(content_of(directory / "data") == "one two three");
  CHECK(io.close(file).has_value());
}

TEST_CASE("a write of more slices than one system call takes is whole") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const FileId file = io.opened("data", OpenMode::create);
  std::string bytes;
  std::vector<ByteView> slices;
  for (int i = 0; i < 3000; ++i) bytes.push_back(static_cast<char>('a' + i % 26));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    slices.push_back(as_bytes(std::string_view(bytes).substr(i, 1)));
  }
  const auto result = io.run(
      [&](Completion& done) { io.disk().write(done, file, Position{0}, slices, WriteSync::yes); });
  CHECK(result == 3000);
  CHECK(content_of(directory / "data") == bytes);
  CHECK(io.close(file).has_value());
}

TEST_CASE("an empty write and an empty read answer 0") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const FileId file = io.opened("data", OpenMode::create);
  CHECK(io.write(file, 0, {}, WriteSync::yes) == 0);
  CHECK(io.write(file, 0, {}, WriteSync::no) == 0);
  CHECK(io.read(file, 0, {}) == 0);
  CHECK(io.close(file).has_value());
}

TEST_CASE("a read past the end is short, far past the end it is empty") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const auto access = GENERATE(Disk::Access::buffered, Disk::Access::direct);
  const FileId file = io.opened("data", OpenMode::create, access);
  AlignedBytes bytes(8192);
  bytes.fill(std::byte{7});
  REQUIRE(io.write(file, 0, bytes.view()) == 8192);
  REQUIRE(io.run([&](Completion& done) { io.disk().set_length(done, file, 5000); }).has_value());
  CHECK(io.read(file, 0, bytes.bytes()) == 5000);
  CHECK(io.read(file, 4096, bytes.bytes()) == 904);
  CHECK(io.read(file, 8192, bytes.bytes()) == 0);
  CHECK(io.close(file).has_value());
}

TEST_CASE("nothing calls back before the reap") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  Waited refused, listed, opened;
  std::vector<DirectoryEntry> entries;
  io.disk().open(refused.completion, "../outside", OpenMode::read, Disk::Access::buffered);
  io.disk().list(listed.completion, ".", entries);
  io.disk().open(opened.completion, "new", OpenMode::create, Disk::Access::buffered);
  CHECK_FALSE(refused.is_done);
  CHECK_FALSE(listed.is_done);
  CHECK(io.disk().in_flight() == 3);
  io.reactor().wait_until(SystemClock().now() + seconds(60));
  CHECK_FALSE(refused.is_done);
  CHECK_FALSE(opened.is_done);
  io.wait_for(refused.is_done);
  io.wait_for(listed.is_done);
  io.wait_for(opened.is_done);
  CHECK(io.disk().in_flight() == 0);
}

TEST_CASE("a disk that is only reaped makes progress all the same") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  Waited opened;
  io.disk().open(opened.completion, "new", OpenMode::create, Disk::Access::buffered);
  const Instant give_up = SystemClock().now() + seconds(60);
  while (!opened.is_done && SystemClock().now() < give_up) io.disk().reap();
  REQUIRE(opened.is_done);
  CHECK(opened.result.has_value());
}

TEST_CASE("the reactor does not sleep while results wait to be reaped") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  Waited opened;
  io.disk().open(opened.completion, "new", OpenMode::create, Disk::Access::buffered);
  io.reactor().wait_until(instant_never);
  io.reactor().wait_until(instant_never);  // would never return
  io.wait_for(opened.is_done);
  CHECK(opened.result.has_value());
}

TEST_CASE("more I/O in flight than the ring has places is carried out, all of it") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const FileId file = io.opened("data", OpenMode::create);
  std::vector<std::unique_ptr<Waited>> writes;
  const std::string byte = "x";
  const ByteView slice = as_bytes(byte);
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    writes.push_back(std::make_unique<Waited>());
    io.disk().write(writes.back()->completion, file, Position{i}, {&slice, 1}, WriteSync::no);
  }
  for (const auto& write : writes) io.wait_for(write->is_done);
  const bool all_written = std::all_of(writes.begin(), writes.end(),
                                       [](const auto& write) { return write->result == 1; });
  CHECK(all_written);
  CHECK(io.size(file) == 10'000);
  CHECK(io.close(file).has_value());
}

TEST_CASE("create refuses a name that is taken, open a name that is not") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const auto access = GENERATE(Disk::Access::buffered, Disk::Access::direct);
  const FileId file = io.opened("data", OpenMode::create, access);
  CHECK(io.open("data", OpenMode::create, access).error().code == Errc::already_exists);
  CHECK(io.open("other", OpenMode::read, access).error().code == Errc::not_found);
  CHECK(io.open("other", OpenMode::write, access).error().code == Errc::not_found);
  CHECK(io.open("no/such/directory", OpenMode::create, access).error().code == Errc::not_found);
  CHECK(io.close(file).has_value());
}

TEST_CASE("a file opened for reading takes no write") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  CHECK(io.close(io.opened("data", OpenMode::create)).has_value());
  const FileId file = io.opened("data", OpenMode::read);
  const auto result = io.write(file, 0, as_bytes("x"));
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == Errc::storage_error);
  CHECK(result.error().text.find("write data at 0") != std::string::npos);
  CHECK(io.close(file).has_value());
}

TEST_CASE("ST-10 only regular files are opened: no directory, FIFO, device or symbolic link") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  REQUIRE(mkfifo((directory / "fifo").c_str(), 0600) == 0);
  REQUIRE(mkdir((directory / "directory").c_str(), 0700) == 0);
  std::ofstream(directory / "file") << "content";
  REQUIRE(symlink("file", (directory / "link").c_str()) == 0);
  REQUIRE(symlink("directory", (directory / "way").c_str()) == 0);
  std::ofstream(directory / "directory/inside") << "content";
  for (const char* name : {"fifo", "directory", "link", "way/inside"}) {
    INFO(name);
    const auto result = io.open(name, OpenMode::read);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Errc::storage_error);
    CHECK(result.error().text.find(name) != std::string::npos);
  }
  CHECK(io.close(io.opened("directory/inside", OpenMode::read)).has_value());
}

TEST_CASE("no path leaves the root") {
  const TempDir outer;
  REQUIRE(mkdir((outer / "root").c_str(), 0700) == 0);
  std::ofstream(outer / "secret") << "content";
  REQUIRE(symlink("..", (outer / "root/up").c_str()) == 0);
  IoFixture io(each_backend(), outer / "root");
  std::vector<DirectoryEntry> entries;
  for (const std::string& path : {std::string("../secret"), std::string("up/secret"),
                                  outer / "secret", std::string("a/../../secret"), std::string(),
                                  std::string("x/"), std::string("a//b"), std::string("./x")}) {
    INFO(path);
    CHECK_FALSE(io.open(path, OpenMode::read).has_value());
    CHECK_FALSE(io.run([&](Completion& done) { io.disk().remove(done, path); }).has_value());
    CHECK_FALSE(
        io.run([&](Completion& done) { io.disk().rename(done, path, "mine"); }).has_value());
    CHECK_FALSE(
        io.run([&](Completion& done) { io.disk().make_directory(done, path); }).has_value());
    CHECK_FALSE(
        io.run([&](Completion& done) { io.disk().sync_directory(done, path); }).has_value());
    CHECK_FALSE(io.run([&](Completion& done) { io.disk().list(done, path, entries); }).has_value());
  }
  CHECK(content_of(outer / "secret") == "content");
}

TEST_CASE("names: make, list, rename, replace, remove") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const auto run = [&](auto call) { return io.run(call); };
  REQUIRE(run([&](Completion& c) { io.disk().make_directory(c, "topics"); }).has_value());
  REQUIRE(run([&](Completion& c) { io.disk().make_directory(c, "topics/one"); }).has_value());
  CHECK(run([&](Completion& c) { io.disk().make_directory(c, "topics"); }).error().code ==
        Errc::already_exists);
  REQUIRE(io.close(io.opened("topics/one/a", OpenMode::create)).has_value());
  REQUIRE(io.close(io.opened("topics/one/b", OpenMode::create)).has_value());
  CHECK(io.names("topics/one") == std::vector<std::string>{"a", "b"});
  CHECK(io.names(".") == std::vector<std::string>{"topics"});

  CHECK_FALSE(run([&](Completion& c) { io.disk().remove_directory(c, "topics/one"); }).has_value());
  CHECK(
      run([&](Completion& c) { io.disk().rename(c, "topics/one/a", "topics/one/b"); }).has_value());
  CHECK(io.names("topics/one") == std::vector<std::string>{"b"});
  CHECK(run([&](Completion& c) { io.disk().rename(c, "topics/one", "topics/two"); }).has_value());
  CHECK(run([&](Completion& c) { io.disk().sync_directory(c, "topics"); }).has_value());
  CHECK(run([&](Completion& c) { io.disk().sync_directory(c, "."); }).has_value());
  CHECK(run([&](Completion& c) { io.disk().remove(c, "topics/two/b"); }).has_value());
  CHECK(run([&](Completion& c) { io.disk().remove(c, "topics/two/b"); }).error().code ==
        Errc::not_found);
  CHECK(run([&](Completion& c) { io.disk().remove_directory(c, "topics/two"); }).has_value());
  CHECK(io.names("topics").empty());
}

TEST_CASE("a list tells files, directories and the rest apart") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  REQUIRE(mkfifo((directory / "fifo").c_str(), 0600) == 0);
  REQUIRE(mkdir((directory / "directory").c_str(), 0700) == 0);
  std::ofstream(directory / "file") << "content";
  std::vector<DirectoryEntry> entries{{"stale", DirectoryEntry::Kind::file}};
  CHECK(io.run([&](Completion& c) { io.disk().list(c, ".", entries); }) == 3);
  REQUIRE(entries.size() == 3);
  for (const auto& entry : entries) {
    const auto expected = entry.name == "file"        ? DirectoryEntry::Kind::file
                          : entry.name == "directory" ? DirectoryEntry::Kind::directory
                                                      : DirectoryEntry::Kind::other;
    CHECK(entry.kind == expected);
  }
  CHECK(io.run([&](Completion& c) { io.disk().list(c, "none", entries); }).error().code ==
        Errc::not_found);
}

TEST_CASE("preallocation extends the file and keeps its bytes") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const FileId file = io.opened("data", OpenMode::create);
  REQUIRE(io.write(file, 0, as_bytes("kept")) == 4);
  REQUIRE(io.run([&](Completion& c) {
              io.disk().preallocate(c, file, Position{0}, 1 * MiB);
            }).has_value());
  CHECK(io.size(file) == 1 * MiB);
  struct stat status{};
  REQUIRE(stat((directory / "data").c_str(), &status) == 0);
  CHECK(static_cast<std::uint64_t>(status.st_blocks) * 512 >= 1 * MiB);
  CHECK(content_of(directory / "data").substr(0, 4) == "kept");
  REQUIRE(
      io.run([&](Completion& c) { io.disk().preallocate(c, file, Position{0}, 0); }).has_value());
  REQUIRE(io.run([&](Completion& c) { io.disk().sync_data(c, file); }).has_value());
  CHECK(io.close(file).has_value());
}

TEST_CASE("set_length cuts and extends with zeros") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const FileId file = io.opened("data", OpenMode::create);
  REQUIRE(io.write(file, 0, as_bytes("0123456789")) == 10);
  REQUIRE(io.run([&](Completion& c) { io.disk().set_length(c, file, 4); }).has_value());
  REQUIRE(io.run([&](Completion& c) { io.disk().set_length(c, file, 6); }).has_value());
  CHECK(content_of(directory / "data") == std::string("0123\0\0", 6));
  CHECK(io.close(file).has_value());
}

TEST_CASE("the space of the file system is told") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const auto space = io.disk().space();
  REQUIRE(space.has_value());
  CHECK(space->total_bytes >= space->free_bytes);
  CHECK(space->free_bytes > 0);
}

TEST_CASE("ST-13 at a file size limit a write answers storage_full and the process lives") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const auto sync = GENERATE(WriteSync::no, WriteSync::yes);
  const FileId file = io.opened("data", OpenMode::create);
  const std::string bytes(64 * KiB, 'x');
  {
    const LoweredLimit limit(RLIMIT_FSIZE, 16 * KiB);
    // The first call is cut short at the limit (ST-18), its continuation is refused.
    const auto result = io.write(file, 0, as_bytes(bytes), sync);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Errc::storage_full);
    CHECK(result.error().text.find("RLIMIT_FSIZE") != std::string::npos);
    const auto reserved =
        io.run([&](Completion& c) { io.disk().preallocate(c, file, Position{0}, 1 * MiB); });
    REQUIRE_FALSE(reserved.has_value());
    CHECK(reserved.error().code == Errc::storage_full);
  }
  CHECK(io.write(file, 0, as_bytes(bytes), sync) == 64 * KiB);
  CHECK(io.close(file).has_value());
}

TEST_CASE(
    "ST-21 without free descriptors an open fails with the limit in its text, and works later") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  REQUIRE(io.close(io.opened("data", OpenMode::create)).has_value());
  // Compared with the limit raised again: a sanitizer cannot look at an object without a
  // descriptor.
  const IoResult result = [&] {
    const LoweredLimit limit(RLIMIT_NOFILE, 3);
    return IoResult(io.open("data", OpenMode::read));
  }();
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == Errc::overloaded);
  CHECK(result.error().text.find("RLIMIT_NOFILE") != std::string::npos);
  CHECK(io.close(io.opened("data", OpenMode::read)).has_value());
}

TEST_CASE("a direct file on a file system without O_DIRECT works buffered") {
  const IoChoice choice = each_backend();
  // Files of /proc are regular files whose file system takes no O_DIRECT.
  IoFixture io(choice, "/proc/self");
  const FileId file = io.opened("cmdline", OpenMode::read, Disk::Access::direct);
  AlignedBytes bytes(4096);
  const auto result = io.read(file, 0, bytes.bytes());
  REQUIRE(result.has_value());
  CHECK(*result > 0);
  CHECK(io.close(file).has_value());
}

TEST_CASE("a root that is missing or a file is refused by name") {
  const TempDir directory;
  std::ofstream(directory / "file") << "content";
  for (const IoChoice choice : backends_here()) {
    auto missing = make_io_backend(choice, directory / "none", -1);
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().text.find(directory / "none") != std::string::npos);
    CHECK_FALSE(make_io_backend(choice, directory / "file", -1).has_value());
  }
}

TEST_CASE("an I/O may be started from the callback of another") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  struct Chain {
    Chain(Disk& d) : disk(d), completion(this, Completion::to<&Chain::step, Chain>()) {}
    void step(IoResult result) {
      ++steps;
      last_ok = result.has_value();
      if (steps < 100) return disk.list(completion, ".", entries);
      is_done = true;
    }
    Disk& disk;
    Completion completion;
    std::vector<DirectoryEntry> entries;
    int steps = 0;
    bool last_ok = false;
    bool is_done = false;
  } chain(io.disk());
  chain.disk.list(chain.completion, ".", chain.entries);
  io.wait_for(chain.is_done);
  CHECK(chain.last_ok);
  CHECK(chain.steps == 100);
}

TEST_CASE("an error names a file by the name that it has now") {
  const TempDir directory;
  IoFixture io(each_backend(), directory.path());
  const auto rename = [&](std::string_view from, std::string_view to) {
    Waited waited;
    io.disk().rename(waited.completion, from, to);
    io.wait_for(waited.is_done);
    return waited.result.has_value();
  };
  for (const char* name : {"pool", "log"}) {
    Waited made;
    io.disk().make_directory(made.completion, name);
    io.wait_for(made.is_done);
  }
  const FileId file = io.opened("pool/1.free", OpenMode::create);
  const FileId below = io.opened("log/2.free", OpenMode::create);
  REQUIRE(rename("pool/1.free", "log/0.segment"));
  REQUIRE(rename("log", "moved"));
  // A limit of the process makes both fail.
  std::signal(SIGXFSZ, SIG_IGN);
  const LoweredLimit limit(RLIMIT_FSIZE, 4096);
  const auto error_of = [&](FileId id) {
    Waited waited;
    io.disk().set_length(waited.completion, id, 1 * MiB);
    io.wait_for(waited.is_done);
    REQUIRE_FALSE(waited.result.has_value());
    return waited.result.error().text;
  };
  CHECK(error_of(file).find("moved/0.segment") != std::string::npos);
  CHECK(error_of(below).find("moved/2.free") != std::string::npos);
  CHECK(io.close(file).has_value());
  CHECK(io.close(below).has_value());
}
