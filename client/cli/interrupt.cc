#include "interrupt.h"

#include "context.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace millrace::cli {
namespace {

// Process-wide because a signal handler has no other place to look.
std::atomic<bool> signal_came{false};
std::atomic<bool> finishes{false};
int wake_pipe[2] = {-1, -1};

void on_signal(int) {
  if (!finishes.load(std::memory_order_relaxed)) ::_exit(exit_code::interrupted);
  signal_came.store(true, std::memory_order_relaxed);
  const char byte = 0;
  [[maybe_unused]] const auto ignored = ::write(wake_pipe[1], &byte, 1);
}

}  // namespace

void install_signal_handlers() {
  if (::pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) wake_pipe[0] = wake_pipe[1] = -1;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  // The first signal asks, the second one finds the default action and kills.
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
}

void occupy_standard_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (::fcntl(stream, F_GETFD) != -1) continue;
    [[maybe_unused]] const int taken =
        ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

void finish_on_interrupt() { finishes.store(true, std::memory_order_relaxed); }

bool interrupted() { return signal_came.load(std::memory_order_relaxed); }

int interrupt_descriptor() { return wake_pipe[0]; }

}  // namespace millrace::cli
