#include "tests/enumerate/workers.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <stdexcept>
#include <system_error>

namespace millrace::test {
namespace {

constexpr unsigned jobs_max = 64;
constexpr unsigned seconds_of_silence = 120;
constexpr std::size_t last_words_bytes = 2000;

using Text = std::array<char, 12'000>;

void put(Text& text, std::string_view value) {
  const std::size_t bytes = std::min(value.size(), text.size() - 1);
  std::memcpy(text.data(), value.data(), bytes);
  text[bytes] = '\0';
}

}  // namespace

struct Worker::Shared {
  std::atomic<std::uint64_t> next_item{0};
  std::atomic<bool> failed{false};
  struct Slot {
    std::array<std::uint64_t, worker_counters> counters{};
    Text now{}, failure{};
    int error_output = -1;  // a file in memory
  };
  std::array<Slot, jobs_max> slots;
};

void Worker::at_work(std::string_view now) {
  ::alarm(seconds_of_silence);
  put(shared_.slots[index_].now, now);
}

void Worker::count(std::size_t counter, std::uint64_t by) {
  shared_.slots[index_].counters.at(counter) += by;
}

bool Worker::others_failed() const { return shared_.failed.load(); }

namespace {

void work(Worker::Shared& shared, std::size_t index, std::uint64_t items,
          const std::function<void(Worker&, std::uint64_t)>& item) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The last words of a child that dies are for whoever reads the failure.
  ::dup2(shared.slots[index].error_output, STDERR_FILENO);
  Worker worker(shared, index);
  try {
    for (auto at = shared.next_item++; at < items && !shared.failed; at = shared.next_item++)
      item(worker, at);
  } catch (const std::exception& error) {
    put(shared.slots[index].failure, error.what());
    shared.failed = true;
  }
}

std::string last_words(int file) {
  const off_t size = ::lseek(file, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(last_words_bytes));
  std::string text(static_cast<std::size_t>(std::max<off_t>(0, size - from)), '\0');
  const auto count = ::pread(file, text.data(), text.size(), from);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, count)));
  return text;
}

std::string how_it_died(int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
    return "nothing happened for " + std::to_string(seconds_of_silence) + " seconds";
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  return "ended with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

WorkDone share_work(unsigned jobs, std::uint64_t items,
                    const std::function<void(Worker&, std::uint64_t)>& item) {
  jobs = std::clamp(jobs, 1u, jobs_max);
  void* memory = ::mmap(nullptr, sizeof(Worker::Shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  auto& shared = *new (memory) Worker::Shared;
  std::vector<pid_t> children;
  for (unsigned i = 0; i < jobs; ++i) {
    shared.slots[i].error_output = ::memfd_create("stderr", MFD_CLOEXEC);
    const pid_t child = ::fork();
    if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (child == 0) {
      work(shared, i, items, item);
      ::_exit(0);
    }
    children.push_back(child);
  }
  WorkDone done;
  done.counters.resize(worker_counters);
  for (unsigned i = 0; i < jobs; ++i) {
    auto& slot = shared.slots[i];
    int status = 0;
    while (::waitpid(children[i], &status, 0) < 0 && errno == EINTR) {
    }
    std::string failure = slot.failure.data();
    if (status != 0) failure = how_it_died(status) + "\n" + last_words(slot.error_output);
    if (status != 0) shared.failed = true;
    if (!failure.empty() && done.failure.empty()) {
      done.failure = failure;
      done.at = slot.now.data();
    }
    for (std::size_t c = 0; c < worker_counters; ++c) done.counters[c] += slot.counters[c];
    ::close(slot.error_output);
  }
  ::munmap(memory, sizeof(Worker::Shared));
  return done;
}

}  // namespace millrace::test
