// A millraced of this test: started with arguments, watched, told to stop, killed at the latest
// when the object dies.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace millrace::test {

struct ReadyLine {
  std::string listen, live, http, data_dir;
  pid_t pid = 0;
  std::string text;
};

class MillracedProcess {
 public:
  struct Options {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;  // "NAME=value", added to ours
    uid_t uid = 0;                         // 0: ours
  };
  explicit MillracedProcess(const Options& options);
  MillracedProcess(const MillracedProcess&) = delete;
  MillracedProcess& operator=(const MillracedProcess&) = delete;
  ~MillracedProcess();

  // Ports 0 and this data directory.
  static Options on(const std::string& data_dir, std::vector<std::string> more = {});

  // Throws std::runtime_error with its diagnostics when it ends before it is ready.
  const ReadyLine& ready();
  void signal(int number);
  // Stops all of its threads but the one that hears signals, for good, as a disk that never answers
  // would. False: this host does not let us.
  bool hang();
  // The exit code, or 1000 + the signal that ended it. Throws when it takes longer than our
  // patience.
  int wait();

  // After wait(): all of its output.
  const std::string& output() const { return output_; }
  std::string diagnostics() const;

 private:
  bool read_output(std::chrono::milliseconds wait);
  void reap();

  pid_t pid_ = -1;
  std::vector<pid_t> hanging_;  // threads
  int output_descriptor_ = -1;
  int error_descriptor_ = -1;  // a file without a name, so that nothing blocks on it
  std::string output_;
  ReadyLine ready_;
  bool ended_ = false;
  int exit_code_ = -1;
};

}  // namespace millrace::test
