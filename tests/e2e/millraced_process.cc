#include "tests/e2e/millraced_process.h"

#include "tests/support/patience.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace millrace::test {
namespace {

using Clock = std::chrono::steady_clock;

// "NAME" of "NAME=value".
std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

// What execve takes, made before the fork: another thread may hold the allocator's lock at that
// moment, and the child would wait for it for ever.
struct ExecArguments {
  explicit ExecArguments(const MillracedProcess::Options& options)
      : arguments{const_cast<char*>("millraced")} {
    for (const std::string& argument : options.arguments)
      arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    for (const std::string& variable : options.environment)
      environment.push_back(const_cast<char*>(variable.c_str()));
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const bool is_replaced =
          std::any_of(options.environment.begin(), options.environment.end(),
                      [&](const std::string& ours) { return name_of(ours) == name_of(*variable); });
      if (!is_replaced) environment.push_back(*variable);
    }
    environment.push_back(nullptr);
  }
  std::vector<char*> arguments, environment;
};

[[noreturn]] void run_child(const ExecArguments& exec, uid_t uid, int output, int error) {
  dup2(output, STDOUT_FILENO);
  dup2(error, STDERR_FILENO);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  // Another user may not come as far as the program: its clone may lie in root's home.
  const int program = open(MILLRACED_PROGRAM, O_PATH | O_CLOEXEC);
  if (uid != 0 && (setgid(uid) != 0 || setuid(uid) != 0)) _exit(126);
  fexecve(program, exec.arguments.data(), exec.environment.data());
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
  const ExecArguments exec(options);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("no process");
  if (pid_ == 0) run_child(exec, options.uid, ends[1], error_descriptor_);
  close(ends[1]);
  output_descriptor_ = ends[0];
}

MillracedProcess::~MillracedProcess() {
  if (!ended_) {
    kill(pid_, SIGKILL);
    reap();
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
bool MillracedProcess::read_output(std::chrono::milliseconds wait) {
  pollfd entry{output_descriptor_, POLLIN, 0};
  if (poll(&entry, 1, static_cast<int>(wait.count())) <= 0) return true;
  char bytes[4096];
  const ssize_t count = read(output_descriptor_, bytes, sizeof bytes);
  if (count <= 0) return false;
  output_.append(bytes, static_cast<std::size_t>(count));
  return true;
}

const ReadyLine& MillracedProcess::ready() {
  if (!ready_.text.empty()) return ready_;
  const auto last = Clock::now() + patience;
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

bool MillracedProcess::hang() {
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task")) {
    const pid_t thread = std::stoi(task.path().filename());
    if (thread == pid_) continue;
    if (ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) != 0) return false;
    hanging_.push_back(thread);
    int status = 0;
    if (ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) != 0 ||
        waitpid(thread, &status, __WALL) != thread || !WIFSTOPPED(status))
      return false;
  }
  return !hanging_.empty();
}

// The last of a process to be waited for is its first thread.
void MillracedProcess::reap() {
  for (const pid_t thread : hanging_) waitpid(thread, nullptr, __WALL);
  int status = 0;
  waitpid(pid_, &status, 0);
  ended_ = true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int MillracedProcess::wait() {
  if (ended_) return exit_code_;
  const auto last = Clock::now() + patience;
  while (read_output(std::chrono::milliseconds(50))) {
    if (Clock::now() > last) throw std::runtime_error("millraced does not end: " + diagnostics());
  }
  reap();
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
