#include "storage/base/diag.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;

namespace {

// Standard error goes into a file while this lives.
class CapturedStderr {
 public:
  CapturedStderr() : file_(memfd_create("stderr", 0)), before_(dup(STDERR_FILENO)) {
    dup2(file_, STDERR_FILENO);
  }
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;
  ~CapturedStderr() {
    give_back();
    close(file_);
    close(before_);
  }
  // Ends the capture.
  std::vector<std::string> lines() {
    give_back();
    std::vector<std::string> out(1);
    std::array<char, 4096> bytes{};
    off_t at = 0;
    for (ssize_t n = 0; (n = pread(file_, bytes.data(), bytes.size(), at)) > 0; at += n) {
      for (ssize_t i = 0; i < n; ++i) {
        const char c = bytes[static_cast<std::size_t>(i)];
        if (c == '\n') {
          out.emplace_back();
        } else {
          out.back() += c;
        }
      }
    }
    out.pop_back();
    return out;
  }

 private:
  void give_back() { dup2(before_, STDERR_FILENO); }
  int file_;
  int before_;
};

// Standard error goes into a pipe that nobody reads until the test asks for it.
class UndrainedStderr {
 public:
  UndrainedStderr() : before_(dup(STDERR_FILENO)) {
    REQUIRE(pipe(ends_.data()) == 0);
    dup2(ends_[1], STDERR_FILENO);
    close(ends_[1]);
  }
  UndrainedStderr(const UndrainedStderr&) = delete;
  UndrainedStderr& operator=(const UndrainedStderr&) = delete;
  ~UndrainedStderr() {
    dup2(before_, STDERR_FILENO);
    close(before_);
    close(ends_[0]);
  }
  // Waits until the writer has put a line into the pipe.
  bool holds_something() {
    pollfd readable{.fd = ends_[0], .events = POLLIN, .revents = 0};
    return poll(&readable, 1, 60'000) == 1;
  }
  // Reads while the writer is shut down; everything that came out, line by line.
  std::vector<std::string> drain_until_shutdown() {
    std::string bytes;
    std::thread reader([&] {
      std::array<char, 65536> some{};
      for (ssize_t n = 0; (n = read(ends_[0], some.data(), some.size())) > 0;) {
        bytes.append(some.data(), static_cast<std::size_t>(n));
      }
    });
    diag::shutdown();
    dup2(before_, STDERR_FILENO);  // the last writing end: the reader sees the end
    reader.join();
    std::vector<std::string> out;
    std::istringstream text(bytes);
    for (std::string line; std::getline(text, line);) out.push_back(line);
    return out;
  }

 private:
  std::array<int, 2> ends_{};
  int before_;
};

// What a flood of "line N" left: the numbers that came out, and how many lines were told as lost.
struct Told {
  std::vector<std::size_t> numbers;
  std::size_t dropped = 0;
};

Told told_by(const std::vector<std::string>& lines) {
  Told out;
  for (const std::string& line : lines) {
    unsigned long number = 0;
    if (const auto at = line.find("net: line "); at != std::string::npos) {
      out.numbers.push_back(std::stoul(line.substr(at + 10)));
    } else if (std::sscanf(line.c_str(), "%*s %*s diag: %lu lines were dropped", &number) == 1) {
      out.dropped += number;
    }
  }
  return out;
}

// Configured for one test and back to the quiet state after it.
std::vector<std::string> lines_of(diag::Level level, diag::Style style, void (*say)()) {
  CapturedStderr captured;
  diag::configure(level, style);
  say();
  diag::shutdown();
  return captured.lines();
}

}  // namespace

TEST_CASE("a line has time, level, channel and text, and those below the level are left out") {
  const auto lines = lines_of(diag::Level::info, diag::Style::text, [] {
    diag::debug("disk", "not seen");
    diag::info("disk", "{} of {}", 1, 2);
    diag::error("net", "seen");
  });
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("disk: 1 of 2") != std::string::npos);
  CHECK(lines[0].find("info") != std::string::npos);
  CHECK(lines[0].find('T') == 10);
  CHECK(lines[1].find("net: seen") != std::string::npos);
}

TEST_CASE("a name with a line break cannot forge a line") {
  const auto text = lines_of(diag::Level::info, diag::Style::text, [] {
    diag::warn("net", "topic '{}'", "a\n2026-01-01 error all is lost\r\x1b[2J");
  });
  REQUIRE(text.size() == 1);
  CHECK(text[0].find("a\\u000a2026") != std::string::npos);
  CHECK(text[0].find('\x1b') == std::string::npos);
  const auto json = lines_of(diag::Level::info, diag::Style::json,
                             [] { diag::warn("net", "topic '{}'", "a\n\"b\\c"); });
  REQUIRE(json.size() == 1);
  CHECK(json[0].find(R"("message":"topic 'a\u000a\"b\\c'"})") != std::string::npos);
}

TEST_CASE("a JSON line is one object with time, level, channel and message") {
  const auto lines =
      lines_of(diag::Level::info, diag::Style::json, [] { diag::info("disk", "x"); });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find(R"({"time":")") == 0);
  CHECK(lines[0].find(R"("level":"info","channel":"disk","message":"x"})") != std::string::npos);
}

TEST_CASE("braces in a text are text") {
  const auto lines =
      lines_of(diag::Level::info, diag::Style::text, [] { diag::info("net", "{}", "{} {0} %v"); });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("net: {} {0} %v") != std::string::npos);
}

TEST_CASE("off says nothing at all") {
  const auto lines = lines_of(diag::Level::off, diag::Style::text, [] { diag::error("net", "x"); });
  CHECK(lines.empty());
}

TEST_CASE("without a set-up, warnings still come out") {
  CapturedStderr captured;
  diag::configure(diag::Level::warn, diag::Style::text);
  diag::shutdown();
  diag::info("disk", "not seen");
  diag::warn("disk", "seen");
  const auto lines = captured.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == "disk: seen");
}

TEST_CASE("a writer that is not drained drops the oldest lines, says how many, and never blocks") {
  constexpr std::size_t written = 40'000;
  UndrainedStderr undrained;
  diag::configure(diag::Level::info, diag::Style::text);
  diag::info("net", "line 0 .");
  REQUIRE(undrained.holds_something());
  // Far more than the pipe and the queue take; nobody reads, so a call that blocked would stay
  // here.
  const std::string text(200, 'x');
  for (std::size_t i = 1; i < written; ++i) diag::info("net", "line {} {}", i, text);
  const std::vector<std::string> lines = undrained.drain_until_shutdown();

  const Told told = told_by(lines);
  REQUIRE(told.numbers.size() > 1);
  CHECK(told.numbers.front() == 0);
  CHECK(told.numbers.back() == written - 1);
  CHECK(std::is_sorted(told.numbers.begin(), told.numbers.end()));
  CHECK(told.dropped > 0);
  CHECK(told.numbers.size() + told.dropped == written);
}

TEST_CASE("levels are parsed by their names") {
  diag::Level level = diag::Level::off;
  CHECK(diag::parse_level("debug", level));
  CHECK(level == diag::Level::debug);
  CHECK(diag::parse_level("off", level));
  CHECK(level == diag::Level::off);
  CHECK_FALSE(diag::parse_level("INFO", level));
  CHECK_FALSE(diag::parse_level("", level));
}
