#include "tests/e2e/millraced_process.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <thread>

namespace millrace::test {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void run_child(const MillracedProcess::Options& options, int output, int error) {
  dup2(output, STDOUT_FILENO);
  dup2(error, STDERR_FILENO);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  for (const std::string& variable : options.environment)
    putenv(const_cast<char*>(variable.c_str()));
  if (options.uid != 0 && (setgid(options.uid) != 0 || setuid(options.uid) != 0)) _exit(126);
  std::vector<char*> arguments = {const_cast<char*>("millraced")};
  for (const std::string& argument : options.arguments)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execv(MILLRACED_PROGRAM, arguments.data());
  _exit(127);
}

std::string text_or_empty(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : std::string{};
}

}  // namespace

MillracedProcess::MillracedProcess(const Options& options) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  error_descriptor_ = memfd_create("diagnostics", MFD_CLOEXEC);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("no process");
  if (pid_ == 0) run_child(options, ends[1], error_descriptor_);
  close(ends[1]);
  output_descriptor_ = ends[0];
}

MillracedProcess::~MillracedProcess() {
  if (!ended_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(output_descriptor_);
  close(error_descriptor_);
}

MillracedProcess::Options MillracedProcess::on(const std::string& data_dir,
                                               std::vector<std::string> more) {
  Options options;
  options.arguments = {"--data-dir",        data_dir, "--listen",   "tcp://127.0.0.1:0", "--live",
                       "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"};
  options.arguments.insert(options.arguments.end(), more.begin(), more.end());
  return options;
}

// False: the pipe has ended.
bool MillracedProcess::read_output(std::chrono::milliseconds patience) {
  pollfd entry{output_descriptor_, POLLIN, 0};
  if (poll(&entry, 1, static_cast<int>(patience.count())) <= 0) return true;
  char bytes[4096];
  const ssize_t count = read(output_descriptor_, bytes, sizeof bytes);
  if (count <= 0) return false;
  output_.append(bytes, static_cast<std::size_t>(count));
  return true;
}

const ReadyLine& MillracedProcess::ready() {
  if (!ready_.text.empty()) return ready_;
  const auto last = Clock::now() + std::chrono::seconds(30);
  while (output_.find('\n') == std::string::npos) {
    if (!read_output(std::chrono::milliseconds(100)) || Clock::now() > last)
      throw std::runtime_error("millraced is not ready: " + diagnostics());
  }
  ready_.text = output_.substr(0, output_.find('\n'));
  const auto line = nlohmann::json::parse(ready_.text);
  if (!line.at("ready").get<bool>()) throw std::runtime_error("not ready: " + ready_.text);
  ready_.listen = line.at("listen").get<std::string>();
  ready_.live = text_or_empty(line.at("live"));
  ready_.http = text_or_empty(line.at("http"));
  ready_.data_dir = line.at("data_dir").get<std::string>();
  ready_.pid = line.at("pid").get<pid_t>();
  return ready_;
}

void MillracedProcess::signal(int number) { kill(pid_, number); }

int MillracedProcess::wait(std::chrono::seconds patience) {
  if (ended_) return exit_code_;
  const auto last = Clock::now() + patience;
  while (read_output(std::chrono::milliseconds(50))) {
    if (Clock::now() > last) throw std::runtime_error("millraced does not end: " + diagnostics());
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  ended_ = true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return exit_code_;
}

std::string MillracedProcess::diagnostics() const {
  std::string out;
  char bytes[4096];
  ssize_t count = 0;
  while ((count = pread(error_descriptor_, bytes, sizeof bytes, static_cast<off_t>(out.size()))) >
         0)
    out.append(bytes, static_cast<std::size_t>(count));
  return out;
}

}  // namespace millrace::test
