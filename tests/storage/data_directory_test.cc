#include "storage/data_directory.h"

#include "storage/base/crc32c.h"
#include "storage/format/segment_layout.h"
#include "storage/io/backend.h"
#include "storage/io/system_clock.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

using namespace millrace;
using test::TempDir;
namespace fs = std::filesystem;

namespace {

using Opened = Result<std::unique_ptr<DataDirectory>>;

Opened open_directory(const std::string& path, DataDirectoryOptions options = {}) {
  static SystemClock clock;
  static Random random(42);
  return DataDirectory::open(path, clock, random, options);
}

// Ten seconds go by whenever somebody looks: waiting is a number of looks.
class HastyClock final : public Clock {
 public:
  Instant now() override {
    ++looks;
    return Instant{0} + seconds(10 * looks);
  }
  WallTime wall() override { return WallTime{0}; }
  std::int64_t looks = 0;
};

void require_refused(const Opened& opened, std::string_view part) {
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == Errc::data_dir_refused);
  INFO(opened.error().text);
  CHECK(opened.error().text.find(part) != std::string::npos);
  CHECK(opened.error().text.find('\n') == std::string::npos);
}

void change_identity(const std::string& path, std::size_t at, std::uint8_t value, bool mend_crc) {
  std::array<char, identity_layout::block_bytes> block{};
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.read(block.data(), block.size());
  block[at] = static_cast<char>(value);
  if (mend_crc) {
    const auto bytes = as_bytes(std::string_view(block.data(), identity_layout::crc_at));
    store_le(reinterpret_cast<std::byte*>(block.data() + identity_layout::crc_at), crc32c(bytes));
  }
  file.seekp(0);
  file.write(block.data(), block.size());
}

ClusterId cluster_of(std::uint8_t n) {
  ClusterId id;
  id.bytes[0] = n;
  return id;
}

// A segment file of `owner` at a place below topics/.
void put_segment(const std::string& data, const std::string& place, const ClusterId& owner) {
  std::array<std::byte, segment_layout::header_bytes> block{};
  SegmentHeader header;
  header.cluster_id = owner;
  header.segment_id = 1;
  header.topic_name = "orders";
  encode_segment_header(header, block);
  const std::string path = data + "/topics/" + place;
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(block.data()), block.size());
}

std::vector<std::string> tree_of(const std::string& path) {
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(path)) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

// Another process that holds a data directory until it is killed.
class OtherBroker {
 public:
  explicit OtherBroker(const std::string& path) {
    std::array<int, 2> pipe_ends{};
    REQUIRE(pipe(pipe_ends.data()) == 0);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      auto held = open_directory(path);
      const char answer = held ? 'y' : 'n';
      if (write(pipe_ends[1], &answer, 1) != 1) _exit(1);
      for (;;) pause();
    }
    char answer = 0;
    REQUIRE(read(pipe_ends[0], &answer, 1) == 1);
    REQUIRE(answer == 'y');
    close(pipe_ends[0]);
    close(pipe_ends[1]);
  }
  OtherBroker(const OtherBroker&) = delete;
  OtherBroker& operator=(const OtherBroker&) = delete;
  ~OtherBroker() { end(); }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

}  // namespace

TEST_CASE("a missing directory is made, with those above it, for its owner alone") {
  const TempDir outer;
  const std::string path = outer / "a/b/data";
  auto opened = open_directory(path + "//");
  REQUIRE(opened.has_value());
  CHECK((*opened)->path() == path);
  CHECK_FALSE((*opened)->cluster_id().is_none());
  for (const char* name : {"", "/topics", "/pool"}) {
    struct stat status{};
    REQUIRE(stat((path + name).c_str(), &status) == 0);
    CHECK(S_ISDIR(status.st_mode));
    CHECK((status.st_mode & 0777) == 0700);
  }
  CHECK(fs::file_size(path + "/identity") == identity_layout::block_bytes);
  CHECK_FALSE(fs::exists(path + "/identity.tmp"));
}

TEST_CASE("the identity stays the same from start to start and differs between directories") {
  const TempDir outer;
  auto first = open_directory(outer / "one");
  REQUIRE(first.has_value());
  const ClusterId id = (*first)->cluster_id();
  auto other = open_directory(outer / "two");
  REQUIRE(other.has_value());
  CHECK((*other)->cluster_id() != id);
  first->reset();
  auto again = open_directory(outer / "one");
  REQUIRE(again.has_value());
  CHECK((*again)->cluster_id() == id);
  CHECK(read_identity(outer / "one")->cluster_id == id);
}

TEST_CASE("ST-28 a second broker on one data directory is refused at once") {
  const TempDir outer;
  auto first = open_directory(outer / "data");
  REQUIRE(first.has_value());
  DataDirectoryOptions options;
  options.lock_wait = seconds(600);  // for a holder that is gone; this one is alive
  HastyClock clock;
  Random random(43);
  const auto second = DataDirectory::open(outer / "data", clock, random, options);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code == Errc::data_dir_in_use);
  CHECK(second.error().text.find(std::to_string(getpid())) != std::string::npos);
  CHECK(second.error().text.find(outer / "data") != std::string::npos);
  // Where /proc does not say who is alive, the long wait is right.
  if (fs::exists("/proc/self/stat")) CHECK(clock.looks < 10);
  first->reset();
  CHECK(open_directory(outer / "data").has_value());
}

TEST_CASE("ST-28 a killed broker's directory is free again, and its pid is not in the way") {
  const TempDir outer;
  OtherBroker other(outer / "data");
  const auto refused = open_directory(outer / "data");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::data_dir_in_use);
  CHECK(refused.error().text.find(std::to_string(other.pid())) != std::string::npos);
  other.end();
  CHECK(open_directory(outer / "data").has_value());
}

TEST_CASE("ST-28 the lock of a process that is gone is waited for") {
  const TempDir outer;
  {
    REQUIRE(open_directory(outer / "data").has_value());
  }
  // What the kernel shows after a kill with I/O in flight: the lock is held, the process named in
  // it is gone.
  const int lock = open((outer / "data/lock").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(lock >= 0);
  REQUIRE(ftruncate(lock, 0) == 0);
  const std::string_view gone = "pid 1 started 1\n";
  REQUIRE(write(lock, gone.data(), gone.size()) == static_cast<ssize_t>(gone.size()));
  REQUIRE(flock(lock, LOCK_EX) == 0);
  DataDirectoryOptions options;
  options.lock_wait = milliseconds(50);
  options.holder_wait = milliseconds(0);
  SystemClock clock;
  const Instant began = clock.now();
  const auto refused = open_directory(outer / "data", options);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::data_dir_in_use);
  CHECK(refused.error().text.find("gone") != std::string::npos);
  CHECK(clock.now() - began >= options.lock_wait);
  close(lock);
  CHECK(open_directory(outer / "data").has_value());
}

TEST_CASE("ST-28 a ring holds the lock as long as it lives") {
  const TempDir outer;
  auto held = open_directory(outer / "data");
  REQUIRE(held.has_value());
  auto backend = make_io_backend(IoChoice::io_uring, outer / "data", (*held)->lock_descriptor());
  REQUIRE(backend.has_value());
  held->reset();
  DataDirectoryOptions options;
  options.lock_wait = milliseconds(20);
  const auto refused = open_directory(outer / "data", options);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::data_dir_in_use);
  backend->disk.reset();
  backend->reactor.reset();
  // The kernel drops a ring's files a moment after the ring.
  CHECK(open_directory(outer / "data").has_value());
}

TEST_CASE("a first start that was cut short starts again") {
  const TempDir outer;
  const std::string path = outer / "data";
  fs::create_directory(path);
  SECTION("before anything was made") {}
  SECTION("with the lock") { std::ofstream(path + "/lock") << "pid 1 started 1\n"; }
  SECTION("with a part of the identity") { std::ofstream(path + "/identity.tmp") << "MIRV"; }
  SECTION("with everything but the identity") {
    std::ofstream(path + "/lock") << "pid 1 started 1\n";
    std::ofstream(path + "/identity.tmp") << "MIRV";
    fs::create_directory(path + "/topics");
    fs::create_directory(path + "/pool");
  }
  auto opened = open_directory(path);
  if (!opened) FAIL(opened.error().text);
  CHECK_FALSE((*opened)->cluster_id().is_none());
  CHECK_FALSE(fs::exists(path + "/identity.tmp"));
}

TEST_CASE("a directory with somebody else's files is refused and nothing is made in it") {
  const TempDir outer;
  const std::string path = outer / "home";
  fs::create_directory(path);
  std::ofstream(path + "/photo.jpg") << "pixels";
  require_refused(open_directory(path), "photo.jpg");
  const auto names = std::distance(fs::directory_iterator(path), fs::directory_iterator());
  CHECK(names == 1);
}

TEST_CASE("ST-23 topics without an identity are never taken for a new broker") {
  const TempDir outer;
  const std::string path = outer / "data";
  {
    REQUIRE(open_directory(path).has_value());
  }
  fs::create_directory(path + "/topics/0123");
  fs::remove(path + "/identity");
  require_refused(open_directory(path), "no identity");
  CHECK(fs::exists(path + "/topics/0123"));
  CHECK_FALSE(fs::exists(path + "/identity"));
}

TEST_CASE("ST-08 a flipped byte anywhere in the identity is refused, never replaced") {
  const TempDir outer;
  const std::string path = outer / "data";
  {
    REQUIRE(open_directory(path).has_value());
  }
  for (std::size_t at : {0u, 8u, 16u, 31u, 40u, 4091u, 4095u}) {
    INFO("byte " << at);
    std::ifstream before_file(path + "/identity", std::ios::binary);
    const std::string before{std::istreambuf_iterator<char>(before_file), {}};
    change_identity(path + "/identity", at, static_cast<std::uint8_t>(before[at] ^ 0x20), false);
    require_refused(open_directory(path), "restore");
    change_identity(path + "/identity", at, static_cast<std::uint8_t>(before[at]), false);
  }
  CHECK(open_directory(path).has_value());
}

TEST_CASE("ST-08 ST-31 an identity that is cut short or empty is refused") {
  const TempDir outer;
  const std::string path = outer / "data";
  {
    REQUIRE(open_directory(path).has_value());
  }
  for (std::uintmax_t bytes : {4095u, 100u, 0u}) {
    fs::resize_file(path + "/identity", bytes);
    require_refused(open_directory(path), "identity");
  }
}

TEST_CASE("a data directory of a newer format is refused and left alone") {
  const TempDir outer;
  const std::string path = outer / "data";
  {
    REQUIRE(open_directory(path).has_value());
  }
  change_identity(path + "/identity", identity_layout::version_at, 2, true);
  require_refused(open_directory(path), "newer broker");
}

TEST_CASE("a file in the data directory's place is refused by name") {
  const TempDir outer;
  std::ofstream(outer / "file") << "content";
  require_refused(open_directory(outer / "file"), outer / "file");
  require_refused(open_directory(outer / "file/below"), outer / "file");
  require_refused(open_directory(outer / "file"), "name a directory with --data-dir");
  require_refused(open_directory(outer / "file/below"), "name a directory with --data-dir");
  require_refused(open_directory(outer / std::string(300, 'n')), "choose another data directory");
  require_refused(open_directory(""), "--data-dir");
}

TEST_CASE("no permission is said with who should run the broker") {
  if (geteuid() != 0) {
    const TempDir outer;
    fs::create_directory(outer / "closed");
    fs::permissions(outer / "closed", fs::perms::none);
    require_refused(open_directory(outer / "closed/data"), "user");
    fs::permissions(outer / "closed", fs::perms::owner_all);
    return;
  }
  // The superuser has every permission, so another one asks, in a process of its own.
  const TempDir outer;
  fs::create_directory(outer / "closed");
  fs::permissions(outer / "closed", fs::perms::none);
  fs::permissions(outer.path(), fs::perms::owner_all | fs::perms::others_exec);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(2);
    const auto opened = open_directory(outer / "closed/data");
    const bool as_expected = !opened && opened.error().code == Errc::data_dir_refused &&
                             opened.error().text.find("user") != std::string::npos;
    _exit(as_expected ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("the identity block is what the format says, byte for byte") {
  DataDirectoryIdentity identity;
  for (std::uint8_t i = 0; i < 16; ++i) identity.cluster_id.bytes[i] = i;
  identity.created = WallTime{0x0102030405060708};
  std::array<std::byte, identity_layout::block_bytes> block{};
  encode_identity(identity, block);
  CHECK(as_text(ByteView(block).first(8)) == "MIRVDIR1");
  CHECK(block[8] == std::byte{1});
  CHECK(block[16 + 15] == std::byte{15});
  CHECK(block[32] == std::byte{8});
  CHECK(load_le<std::uint32_t>(block.data() + 4092) == crc32c_table(ByteView(block).first(4092)));
  CHECK(*decode_identity(block) == identity);
}

TEST_CASE("ST-11 a directory whose segments are all of one other broker is refused") {
  const TempDir outer;
  const std::string path = outer / "data";
  const ClusterId ours = (*open_directory(path))->cluster_id();
  put_segment(path, "98e368a15eea4f4330d4c33c1fc94fa3/0/00000000000000000000.segment",
              cluster_of(7));
  put_segment(path, "98e368a15eea4f4330d4c33c1fc94fa3/1/00000000000000000000.segment",
              cluster_of(7));
  std::ofstream(path + "/topics/98e368a15eea4f4330d4c33c1fc94fa3/topic.meta.0") << "x";
  std::ofstream(path + "/topics/98e368a15eea4f4330d4c33c1fc94fa3/0/00000000000000000100.segment")
      << "no header";
  const auto before = tree_of(path);
  const auto opened = open_directory(path);
  require_refused(opened, ours.to_hex());
  require_refused(opened, cluster_of(7).to_hex());
  require_refused(opened, "put the identity file of");
  CHECK(tree_of(path) == before);
}

TEST_CASE("ST-10 foreign segments beside one of ours, or of two others, are left to recovery") {
  for (const bool one_is_ours : {true, false}) {
    const TempDir outer;
    const std::string path = outer / "data";
    const ClusterId ours = (*open_directory(path))->cluster_id();
    put_segment(path, "98e368a15eea4f4330d4c33c1fc94fa3/0/00000000000000000000.segment",
                cluster_of(7));
    put_segment(path, "98e368a15eea4f4330d4c33c1fc94fa3/0/00000000000000000009.segment",
                one_is_ours ? ours : cluster_of(8));
    CHECK(open_directory(path).has_value());
  }
}
